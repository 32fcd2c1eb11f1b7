//! An isolated Linux machine on this one, made of namespaces.
//!
//! Network, mount, process, host name, IPC and cgroup namespaces with a process 1 of their own,
//! which is this program again, serving as a [supervisor](crate::supervisor). Programs are the
//! host's; whatever is written to `/etc`, `/opt`, `/var`, `/usr/local`, `/run` and `/tmp` stays in
//! the machine's state folder, and with a root of its own whatever is written anywhere. When
//! process 1 ends, the kernel ends everything inside, and with the last process the mounts,
//! interfaces and firewall rules vanish. Only cgroups have to be removed by hand.

mod cgroup;
mod init;
pub(crate) mod net;
mod root;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
pub(crate) use init::{become_init, enter, keep, serve};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::paths;
use crate::supervisor::{Process, Supervisor};

const SPEC: &str = "machine.json";
const INIT: &str = "init.json";

/// A folder of the host that the machine sees under another path.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Bind {
    pub source: PathBuf,
    pub target: PathBuf,
}

/// A file that exists in the machine only.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Text {
    pub path: PathBuf,
    pub text: String,
}

/// What a machine is made from.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Spec {
    pub hostname: String,
    /// Name of its cgroup below the root of every hierarchy.
    pub cgroup: String,
    pub binds: Vec<Bind>,
    pub files: Vec<Text>,
    /// Symbolic links that exist in the machine only.
    #[serde(default)]
    pub links: Vec<Bind>,
    /// Files that are copied into the machine, to be replaced there as on any other.
    #[serde(default)]
    pub copies: Vec<Bind>,
    /// Folders that stay visible although they are in `/tmp`.
    pub exposed: Vec<PathBuf>,
    /// Whether all of `/` is the machine's own. Of what is exposed it can write to its state
    /// folder only.
    #[serde(default)]
    pub own_root: bool,
}

impl Spec {
    /// A machine whose `/var/lib` folders for containers and whose `/var/log` are plain folders
    /// of the host's file system: overlay snapshots cannot lie on another overlay.
    pub(crate) fn new(dir: &Path, hostname: &str) -> Result<Self> {
        let data = dir.join("data");
        let mut binds = Vec::new();
        for (name, target) in [
            ("containerd", "/var/lib/containerd"),
            ("kubelet", "/var/lib/kubelet"),
            ("k0s", "/var/lib/k0s"),
            ("log", "/var/log"),
            ("tmp", "/tmp"),
        ] {
            let source = data.join(name);
            std::fs::create_dir_all(&source)
                .with_context(|| format!("creating {}", source.display()))?;
            binds.push(Bind {
                source,
                target: PathBuf::from(target),
            });
        }
        Ok(Self {
            hostname: hostname.to_owned(),
            cgroup: format!("mothership-{}", id(dir)),
            binds,
            files: Vec::new(),
            links: Vec::new(),
            copies: Vec::new(),
            exposed: vec![dir.to_owned(), paths::cache()?],
            own_root: false,
        })
    }
}

/// Eight characters that stand for a folder in names that must be short and unique.
pub(crate) fn id(dir: &Path) -> String {
    let digest = format!("{:x}", Sha256::digest(dir.as_os_str().as_encoded_bytes()));
    digest.chars().take(8).collect()
}

/// A running machine. Unless detached it ends when this is dropped or its owner is killed.
#[derive(Debug)]
pub struct Machine {
    dir: PathBuf,
    supervisor: Supervisor,
    init: Process,
}

impl Machine {
    pub(crate) async fn start(dir: &Path, spec: &Spec, detached: bool) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        std::fs::write(dir.join(SPEC), serde_json::to_string_pretty(spec)?)
            .with_context(|| format!("writing {SPEC}"))?;
        let supervisor = Supervisor::launch(dir, !detached, &["machine-keep"]).await?;
        let started = Instant::now();
        let init = loop {
            if let Some(init) = init_process(dir) {
                break init;
            }
            if started.elapsed() > Duration::from_secs(30) {
                bail!("no process 1 for the machine in {}", dir.display());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Ok(Self {
            dir: dir.to_owned(),
            supervisor,
            init,
        })
    }

    /// A handle on a machine that was started detached.
    pub(crate) async fn attach(dir: &Path) -> Result<Self> {
        let supervisor = Supervisor::attach(dir).await?;
        let init = init_process(dir)
            .with_context(|| format!("no process 1 for the machine in {}", dir.display()))?;
        Ok(Self {
            dir: dir.to_owned(),
            supervisor,
            init,
        })
    }

    /// The state folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process id of its process 1 as the host sees it.
    pub fn pid(&self) -> i32 {
        self.init.pid
    }

    /// Its processes.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// A command that will run inside, with the caller's standard streams.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        command(&self.dir, program.as_ref())
    }

    /// Runs a command inside and returns its standard output.
    pub async fn output(&self, argv: &[&str]) -> Result<String> {
        let Some((program, args)) = argv.split_first() else {
            bail!("no command")
        };
        let mut command = self.command(program)?;
        command.args(args);
        run(command).await
    }

    /// Ends everything inside at once and waits until it is gone.
    pub(crate) async fn end(mut self) -> Result<()> {
        tokio::task::spawn_blocking(move || {
            let outcome = sweep(&self.dir);
            self.supervisor.join();
            outcome
        })
        .await?
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.supervisor.is_tied() {
            let _ = sweep(&self.dir);
            self.supervisor.join();
        }
    }
}

/// A command that will run inside the machine of this folder.
pub(crate) fn command(dir: &Path, program: &OsStr) -> Result<Command> {
    let mut command = Command::new(paths::own_binary()?);
    command
        .arg("--dir")
        .arg(dir)
        .args(["machine-exec", "--"])
        .arg(program);
    Ok(command)
}

/// Runs a command to its end; its standard error becomes the error.
pub(crate) async fn run(mut command: Command) -> Result<String> {
    let words = format!("{command:?}");
    let output =
        tokio::task::spawn_blocking(move || command.stdin(std::process::Stdio::null()).output())
            .await?
            .with_context(|| format!("running {words}"))?;
    if !output.status.success() {
        bail!(
            "{words} failed with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout).trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Process 1 of the machine in this folder, if it runs.
pub(crate) fn init_process(dir: &Path) -> Option<Process> {
    let text = std::fs::read_to_string(dir.join(INIT)).ok()?;
    serde_json::from_str::<Process>(&text)
        .ok()
        .filter(|process| process.is_alive())
}

/// Ends the machine in this folder if it runs, and removes its cgroups.
pub(crate) fn sweep(dir: &Path) -> Result<()> {
    if let Some(init) = init_process(dir) {
        init.signal(Signal::SIGKILL);
        let started = Instant::now();
        while init.is_alive() {
            if started.elapsed() > Duration::from_secs(20) {
                bail!(
                    "process {} of the machine in {} does not end",
                    init.pid,
                    dir.display()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let Ok(text) = std::fs::read_to_string(dir.join(SPEC)) else {
        return Ok(());
    };
    let spec: Spec = serde_json::from_str(&text).with_context(|| format!("reading {SPEC}"))?;
    cgroup::remove(&spec.cgroup)
}

/// An error for a folder that a machine could not see.
pub(crate) fn check_place(dir: &Path) -> Result<()> {
    for (what, path) in [("state folder", dir), ("cache folder", &paths::cache()?)] {
        for hidden in [
            "/etc",
            "/opt",
            "/var",
            "/usr/local",
            "/run",
            "/proc",
            "/sys",
        ] {
            if path.starts_with(hidden) {
                bail!(crate::failure::Failure::Usage(format!(
                    "the {what} {} is below {hidden}, of which every machine has its own; choose \
                     another one with --dir or MOTHERSHIP_CACHE",
                    path.display()
                )));
            }
        }
    }
    Ok(())
}
