//! The full level: all of Kubernetes with one node, in a machine of its own.
//!
//! The host reaches the API server, `NodePort`s, pods and Services through one link; see
//! [`machine::net`](crate::machine) for the addresses. [Workers](crate::worker) are machines whose
//! link ends in the mothership's machine.

mod end;
mod images;
pub(crate) mod node;

use std::net::Ipv4Addr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
pub(crate) use end::clean;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::PostParams;

use crate::access::Access;
use crate::components::Components;
use crate::failure::Failure;
use crate::image::Image;
use crate::machine::net::{self, End, Range};
use crate::machine::{self, Bind, Machine, Spec, Text};
use crate::plane::{Plane, Ports};
use crate::progress::Progress;
use crate::state::{self, Level, State};
use crate::{requirements, worker};

/// The node's name.
pub const NODE: &str = "mothership";

/// How to start a full mothership.
#[derive(Clone, Debug)]
pub struct FullOptions {
    /// The state folder, which must be empty or not there; as with
    /// [`LightOptions`](crate::light::LightOptions).
    pub dir: Option<PathBuf>,
    /// Stay when the program that started it ends, until [`Full::down`].
    pub detached: bool,
    /// Let etcd wait for the disk, as benchmarks of latency need.
    pub fsync: bool,
    /// Images to have before it is called ready.
    pub images: Vec<Image>,
    /// Further flags of the API server, such as `--feature-gates=…`.
    pub api_flags: Vec<String>,
}

impl Default for FullOptions {
    fn default() -> Self {
        Self {
            dir: None,
            detached: false,
            fsync: false,
            images: Image::BASIC.to_vec(),
            api_flags: Vec::new(),
        }
    }
}

/// A running full mothership. Unless detached it ends, with its workers, when this is dropped, and
/// also when the program that holds it is killed.
#[derive(Debug)]
pub struct Full {
    access: Access,
    machine: Option<Machine>,
    range: Range,
    detached: bool,
    scratch: bool,
    /// From the first process to the node being ready with all images.
    pub ready_after: Duration,
}

impl Deref for Full {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

/// The folder of the mothership's own machine.
pub(crate) fn machine_dir(dir: &Path) -> PathBuf {
    dir.join("machine").join("mothership")
}

/// The host's end of the link.
fn host_interface(dir: &Path) -> String {
    format!("ms-{}", machine::id(dir))
}

/// An error without root or without what the full level and these images need: before anything is
/// built, which can take long.
pub fn check(images: &[Image]) -> Result<(), Failure> {
    if !nix::unistd::Uid::effective().is_root() {
        return Err(Failure::NotRoot {
            what: "a full mothership".to_owned(),
        });
    }
    let mut purposes = requirements::FULL.to_vec();
    if images.iter().any(|image| image.is_built_by_cargo()) {
        purposes.extend(requirements::IMAGES);
    }
    requirements::check(&purposes)
}

impl Full {
    /// Starts one and waits until its node is ready.
    pub async fn start(options: FullOptions) -> Result<Self> {
        check(&options.images)?;
        if let Some(dir) = &options.dir {
            machine::check_place(&std::path::absolute(dir)?)?;
        }
        // Whether there is one is asked before what takes long; it is chosen when it is taken.
        Range::choose().await?;
        let progress = Progress::new();
        let wanted = options.images.clone();
        let (components, archives) = tokio::task::spawn_blocking({
            let progress = progress.clone();
            move || -> Result<_> {
                let components = Components::full(&progress)?;
                let archives: Vec<(Image, PathBuf)> = wanted
                    .into_iter()
                    .map(|image| Ok((image, image.archive(&progress)?)))
                    .collect::<Result<_>>()?;
                Ok((components, archives))
            }
        })
        .await??;

        let started = Instant::now();
        // Before there is a folder that would be left behind.
        let lock = net::lock_ranges().await?;
        let range = Range::choose().await?;
        let scratch = options.dir.is_none();
        let dir = match &options.dir {
            Some(dir) => dir.clone(),
            None => tempfile::Builder::new()
                .prefix("mothership-full-")
                .tempdir()
                .context("making a temporary folder")?
                .keep(),
        };
        let dir = state::claim(&dir)?;
        let plane = plane(&dir, range, &options);
        let mut record = State {
            level: Level::Full,
            server: plane.access().server().to_owned(),
            node_ip: Some(range.node()),
            range: Some(range.0),
            ready: false,
        };
        record.write(&dir)?;
        progress.say(format!(
            "starting the mothership's machine in {}",
            dir.display()
        ));
        let mut full = Self {
            access: plane.access(),
            machine: None,
            range,
            detached: options.detached,
            scratch,
            ready_after: Duration::ZERO,
        };
        if let Err(error) = full
            .raise(&plane, lock, &components, &archives, &progress)
            .await
        {
            // The logs stay for whoever reads the error; only processes are ended.
            full.scratch = false;
            full.end_machines().await?;
            return Err(error);
        }
        record.ready = true;
        record.write(&dir)?;
        full.ready_after = started.elapsed();
        progress.say(format!(
            "node ready after {:.1} s: {}",
            full.ready_after.as_secs_f64(),
            full.server()
        ));
        Ok(full)
    }

    async fn raise(
        &mut self,
        plane: &Plane,
        lock: std::fs::File,
        components: &Components,
        archives: &[(Image, PathBuf)],
        progress: &Progress,
    ) -> Result<()> {
        let dir = self.access.dir().to_owned();
        plane.prepare(self.range.api_service())?;
        let machine = self.start_machine(&dir).await?;
        drop(lock);
        let machine = &*self.machine.insert(machine);
        let supervisor = machine.supervisor();
        let node = node::Node::new(&dir, self.range, components);

        let containers = async {
            node.start_containerd(supervisor).await?;
            for (image, archive) in archives {
                images::import(machine, components, *image, archive).await?;
            }
            progress.say("images imported");
            anyhow::Ok(())
        };
        let cluster = async {
            plane.start(supervisor, components).await?;
            progress.say("API server ready");
            node.start_rest(supervisor, &self.access).await?;
            let client = self.access.admin().await?;
            create_storage_class(client.clone()).await?;
            let nodes = kube::Api::<Node>::all(client);
            supervisor
                .until("the node", Duration::from_secs(120), async || {
                    nodes.get(NODE).await.is_ok_and(|node| is_ready(&node))
                })
                .await
        };
        tokio::try_join!(containers, cluster)?;
        Ok(())
    }

    async fn start_machine(&self, dir: &Path) -> Result<Machine> {
        let folder = machine_dir(dir);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let mut spec = Spec::new(&folder, NODE)?;
        // Its processes read and write the whole state folder, not only the machine's.
        spec.exposed.push(dir.to_owned());
        spec.exposed.retain(|path| path != &folder);
        spec.binds.push(Bind {
            source: dir.join("log"),
            target: PathBuf::from("/var/log/mothership"),
        });
        spec.files.push(Text {
            path: PathBuf::from("/etc/resolv.conf"),
            text: format!("nameserver {}\n", self.range.node()),
        });
        spec.files.push(Text {
            path: PathBuf::from("/etc/cni/net.d/10-pods.conflist"),
            text: node::cni(&self.range.pods())?,
        });
        let machine = Machine::start(&folder, &spec, self.detached).await?;
        let interface = host_interface(dir);
        let outer = End {
            pid: None,
            name: interface.clone(),
            address: self.range.host(),
        };
        let inner = End {
            pid: Some(machine.pid()),
            name: "eth0".to_owned(),
            address: self.range.node(),
        };
        net::link(&outer, &inner).await?;
        net::route_to(self.range, &interface).await?;
        Ok(machine)
    }

    /// A handle on one that was started detached.
    pub async fn attach(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let state = State::read(&dir)?;
        let Some(range) = state.range else {
            bail!(Failure::Usage(format!(
                "the mothership in {} is a light one",
                dir.display()
            )));
        };
        let machine = Machine::attach(&machine_dir(&dir))
            .await
            .map_err(|_| Failure::NotRunning(dir.clone()))?;
        Ok(Self {
            access: Access::new(&dir, state.server),
            machine: Some(machine),
            range: Range(range),
            detached: true,
            scratch: false,
            ready_after: Duration::ZERO,
        })
    }

    /// The node's address, which the host and the workers reach.
    pub fn node_ip(&self) -> Ipv4Addr {
        self.range.node()
    }

    /// All addresses of this mothership.
    pub fn range(&self) -> Range {
        self.range
    }

    /// The mothership's own machine, for commands inside it.
    pub fn machine(&self) -> Result<&Machine> {
        self.machine.as_ref().context("the mothership has ended")
    }

    /// Packs an image if need be and imports it into the node.
    pub async fn load_image(&self, image: Image) -> Result<String> {
        let progress = Progress::new();
        let (components, archive) = tokio::task::spawn_blocking(move || -> Result<_> {
            Ok((Components::full(&progress)?, image.archive(&progress)?))
        })
        .await??;
        images::import(self.machine()?, &components, image, &archive).await?;
        image.reference()
    }

    /// Ends it and its workers. The folder with its logs stays unless it was a temporary one.
    pub async fn down(mut self) -> Result<()> {
        self.end_machines().await
    }

    async fn end_machines(&mut self) -> Result<()> {
        // The workers' links end in the mothership, so they go first.
        end::machines(&worker::folders(self.access.dir())).await?;
        if let Some(machine) = self.machine.take() {
            machine.end().await?;
        }
        end::all(self.access.dir()).await
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        if self.machine.is_some() && !self.detached {
            for worker in worker::folders(self.access.dir()) {
                let _ = machine::sweep(&worker);
            }
            self.machine = None;
        }
        let keep = std::thread::panicking() || std::env::var_os("MOTHERSHIP_KEEP").is_some();
        if self.scratch && !keep {
            let _ = std::fs::remove_dir_all(self.access.dir());
        } else if self.scratch {
            Progress::new().say(format!("logs are kept in {}", self.access.dir().display()));
        }
    }
}

fn plane(dir: &Path, range: Range, options: &FullOptions) -> Plane {
    Plane {
        dir: dir.to_owned(),
        address: range.node(),
        // Nobody else is in that network namespace.
        ports: Ports {
            etcd: 2379,
            etcd_peer: 2380,
            api: 6443,
            manager: 10_257,
        },
        services: range.services(),
        fsync: options.fsync,
        large: false,
        api_flags: std::iter::once(format!("--advertise-address={}", range.node()))
            .chain(options.api_flags.iter().cloned())
            .collect(),
        manager_flags: vec!["--enable-hostpath-provisioner=true".to_owned()],
    }
}

fn is_ready(node: &Node) -> bool {
    node.status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
}

/// Volumes are folders of the node, made by the controller manager itself.
async fn create_storage_class(client: kube::Client) -> Result<()> {
    let class: StorageClass = serde_json::from_value(serde_json::json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/host-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }))?;
    let classes = kube::Api::<StorageClass>::all(client);
    classes
        .create(&PostParams::default(), &class)
        .await
        .context("creating the StorageClass")?;
    Ok(())
}
