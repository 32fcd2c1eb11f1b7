//! The light level: a real API server for suites that need no pods.
//!
//! etcd, kube-apiserver and kube-controller-manager run as ordinary processes on loopback, with
//! free ports and a folder of their own. Pods of StatefulSets are created and stay pending, since
//! there is no node.

use std::net::Ipv4Addr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::access::Access;
use crate::components::Components;
use crate::plane::{Plane, Ports};
use crate::ports;
use crate::progress::Progress;
use crate::state::{self, Level, State};
use crate::supervisor::{SPENT, Supervisor, sweep};

/// How to start a light mothership.
#[derive(Clone, Debug, Default)]
pub struct LightOptions {
    /// The state folder, which must be empty or not there. Without one a folder below the system's
    /// temporary folder is made, and removed again at the end unless the thread panics or
    /// `MOTHERSHIP_KEEP` is set.
    pub dir: Option<PathBuf>,
    /// Stay when the program that started it ends, until [`Light::down`].
    pub detached: bool,
    /// Let etcd wait for the disk, as benchmarks of latency need.
    pub fsync: bool,
    /// Range of Service addresses; without one, some that lead to this machine: nobody's host is asked
    /// in place of a hosted API.
    pub services: Option<String>,
    /// Further flags of the API server, such as `--feature-gates=…`.
    pub api_flags: Vec<String>,
    /// Room for hundreds of thousands of objects: space in etcd, and memory.
    pub large: bool,
}

/// A running light mothership. Unless detached it ends when this is dropped, and also when the
/// program that holds it is killed.
#[derive(Debug)]
pub struct Light {
    access: Access,
    supervisor: Supervisor,
    scratch: bool,
    /// From the first process to all ready.
    pub ready_after: Duration,
}

impl Deref for Light {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Light {
    /// Starts one and waits until it is ready.
    pub async fn start(options: LightOptions) -> Result<Self> {
        let progress = Progress::new();
        let components = tokio::task::spawn_blocking({
            let progress = progress.clone();
            move || Components::light(&progress)
        })
        .await??;
        for _ in 0..2 {
            match Self::start_with(options.clone(), &components, &progress).await {
                Err(error) if options.dir.is_none() && is_taken(&error) => {}
                done => return done,
            }
        }
        Self::start_with(options, &components, &progress).await
    }

    /// The same with components at hand.
    pub async fn start_with(
        options: LightOptions,
        components: &Components,
        progress: &Progress,
    ) -> Result<Self> {
        let started = std::time::Instant::now();
        // Before there is a folder that would be left behind.
        let [etcd, etcd_peer, api, manager] = ports::free()?;
        let scratch = options.dir.is_none();
        let dir = match options.dir {
            Some(dir) => dir,
            None => tempfile::Builder::new()
                .prefix("mothership-light-")
                .tempdir()
                .context("making a temporary folder")?
                .keep(),
        };
        let dir = state::claim(&dir)?;
        let plane = Plane {
            dir: dir.clone(),
            address: Ipv4Addr::LOCALHOST,
            ports: Ports {
                etcd,
                etcd_peer,
                api,
                manager,
            },
            services: options.services.unwrap_or_else(ports::services),
            fsync: options.fsync,
            large: options.large,
            // There is no address but loopback to advertise, and that one is refused.
            api_flags: [
                "--bind-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
            ]
            .map(str::to_owned)
            .into_iter()
            .chain(options.api_flags)
            .collect(),
            // Every claim that no volume is found for, and here that is each, is told so again and again
            // otherwise: an eighth of all requests where there are many.
            manager_flags: [
                "--pvclaimbinder-sync-period=1h",
                // No pod is ever ready that an endpoint could lead to.
                "--controllers=*,-endpoints-controller,-endpointslice-controller,\
                 -endpointslice-mirroring-controller",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let mut record = State {
            level: Level::Light,
            server: plane.access().server().to_owned(),
            node_ip: None,
            range: None,
            ready: false,
        };
        record.write(&dir)?;
        plane.prepare(first_of(&plane.services)?)?;
        progress.say(format!(
            "starting etcd, API server and controller manager in {}",
            dir.display()
        ));
        let supervisor = Supervisor::start(&dir, !options.detached).await?;
        let mut light = Self {
            access: plane.access(),
            supervisor,
            scratch,
            ready_after: Duration::ZERO,
        };
        let outcome = plane.start(&light.supervisor, components).await;
        if let Err(error) = outcome {
            let _ = light.supervisor.shutdown().await;
            // The logs stay for whoever reads the error; the folder can be used again.
            light.scratch = is_taken(&error);
            return Err(error);
        }
        record.ready = true;
        record.write(&dir)?;
        light.ready_after = started.elapsed();
        progress.say(format!(
            "ready after {:.1} s: {}",
            light.ready_after.as_secs_f64(),
            light.server()
        ));
        Ok(light)
    }

    /// A handle on one that was started detached.
    pub async fn attach(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let state = State::read(&dir)?;
        let supervisor = Supervisor::attach(&dir).await?;
        Ok(Self {
            access: Access::new(&dir, state.server),
            supervisor,
            scratch: false,
            ready_after: Duration::ZERO,
        })
    }

    /// The processes: to look at, or to stop and start one in a test.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Whether somebody may want its folder when the program ends that holds it, since it failed.
    pub fn keep(&self, keep: bool) -> Result<()> {
        let spent = self.access.dir().join(SPENT);
        if keep {
            std::fs::remove_file(&spent).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        } else {
            std::fs::write(&spent, "")?;
        }
        Ok(())
    }

    /// Ends it, the API server before etcd. The folder with its logs stays unless it was a
    /// temporary one.
    pub async fn down(mut self) -> Result<()> {
        self.supervisor.shutdown().await
    }
}

impl Drop for Light {
    fn drop(&mut self) {
        self.supervisor.end();
        let keep = std::thread::panicking() || std::env::var_os("MOTHERSHIP_KEEP").is_some();
        if self.scratch && !keep {
            let _ = std::fs::remove_dir_all(self.access.dir());
        } else if self.scratch {
            Progress::new().say(format!("logs are kept in {}", self.access.dir().display()));
        }
    }
}

/// Whether somebody else has bound a port since it was found to be free: many start at the same moment.
fn is_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

/// The first address of a range, which is the API server's own.
fn first_of(range: &str) -> Result<Ipv4Addr> {
    let (network, _) = range
        .split_once('/')
        .context("a range must have a length")?;
    let network: Ipv4Addr = network
        .parse()
        .with_context(|| format!("the range of Services {range:?}"))?;
    Ok(Ipv4Addr::from(u32::from(network).saturating_add(1)))
}

/// Ends whatever runs or was left in a light state folder, then removes the folder.
pub(crate) async fn clean(dir: &Path) -> Result<()> {
    // Nobody's folder is removed because of a mistyped --dir.
    State::read(dir)?;
    if let Ok(mut supervisor) = Supervisor::attach(dir).await {
        supervisor.shutdown().await?;
    }
    let owned = dir.to_owned();
    tokio::task::spawn_blocking(move || sweep(&owned)).await?;
    std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))
}
