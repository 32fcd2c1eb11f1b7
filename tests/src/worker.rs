//! Worker machines: apart from the mothership as a worker in another data centre would be.
//!
//! A worker's only link ends in the mothership's machine, which routes. There, before anything
//! else looks at a packet, everything from the worker is dropped but TCP to the node's address on
//! the ports that were allowed; and everything from pods to the worker is dropped. What works
//! between a hosted cluster and its worker has thus gone through those ports.

mod cloud;
mod files;
mod furnish;
mod ssh;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
pub use cloud::Initialised;
use serde::{Deserialize, Serialize};
pub use ssh::Sshd;

use crate::components::{Components, K0sVersion};
use crate::failure::Failure;
use crate::full::Full;
use crate::image::{AirgapImage, Image, K0s};
use crate::machine::net::{self, End, Range};
use crate::machine::{self, Machine, Spec};
use crate::progress::Progress;
use crate::supervisor::Service;

const FILE: &str = "worker.json";
/// The name of the process that runs k0s, and of its log.
pub const SERVICE: &str = "k0s";
/// Where the join token is in the machine.
pub const TOKEN: &str = "/etc/k0s/token";
/// Where k0s is in the machine.
pub const K0S: &str = "/usr/local/bin/k0s";
/// Where it is in a bare one.
pub const SPARE_K0S: &str = "/usr/local/share/k0s";
/// What `k0s worker` has to be told on these machines, which may have old control groups, which k0s
/// refuses, and nearly full disks.
pub const K0S_ARGS: [&str; 2] = [
    "--ignore-pre-flight-checks",
    "--kubelet-extra-args=--config-dir=/etc/k0s/kubelet.d",
];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How to start a worker machine.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Host name and node name: small letters, digits and dashes.
    pub name: String,
    /// The join token. Without one the machine is ready for k0s, which is not started.
    pub token: Option<String>,
    /// TCP ports of the node's address that it may reach.
    pub allow: Vec<u16>,
    /// The k0s it runs.
    pub version: K0sVersion,
    /// Further arguments of `k0s worker`.
    pub k0s_args: Vec<String>,
    /// Images that k0s finds in its images folder.
    pub images: Vec<Image>,
    /// Whether k0s is left to be installed: it is at [`SPARE_K0S`] instead of in `PATH`.
    pub bare: bool,
    /// Stay when the program that started it ends.
    pub detached: bool,
}

impl WorkerOptions {
    /// The default k0s, the sandbox and workload images, no token and no ports.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            token: None,
            allow: Vec::new(),
            version: K0sVersion::Current,
            k0s_args: Vec::new(),
            images: vec![Image::Pause, Image::Busybox],
            bare: false,
            detached: false,
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Record {
    name: String,
    // Which of the mothership's links it has.
    index: u8,
}

/// A running worker machine. Unless detached it ends when this is dropped.
#[derive(Debug)]
pub struct Worker {
    record: Record,
    machine: Machine,
    range: Range,
    // Process 1 of the mothership, in whose network namespace the rules are.
    router: i32,
}

/// The folders of all workers of a mothership, running or not.
pub(crate) fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.join("worker")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

fn records(dir: &Path) -> Vec<(PathBuf, Record)> {
    folders(dir)
        .into_iter()
        .filter_map(|folder| {
            let text = std::fs::read_to_string(folder.join(FILE)).ok()?;
            Some((folder, serde_json::from_str(&text).ok()?))
        })
        .collect()
}

fn folder_of(dir: &Path, name: &str) -> PathBuf {
    dir.join("worker").join(name)
}

/// Takes the first free link, and the name.
fn claim(dir: &Path, name: &str) -> Result<(PathBuf, Record)> {
    let valid = !name.is_empty()
        && name.len() <= 40
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !valid {
        bail!(Failure::Usage(format!(
            "{name:?} is no name for a worker; use small letters, digits and dashes"
        )));
    }
    let parent = dir.join("worker");
    std::fs::create_dir_all(&parent).with_context(|| format!("creating {}", parent.display()))?;
    let lock = std::fs::File::create(parent.join(".lock")).context("creating a lock")?;
    lock.lock().context("waiting for another worker to start")?;
    let folder = folder_of(dir, name);
    if folder.exists() {
        bail!(Failure::Usage(format!(
            "there is a worker {name} already; end it with `mothership worker down {name}`"
        )));
    }
    let taken: Vec<u8> = records(dir)
        .into_iter()
        .map(|(_, record)| record.index)
        .collect();
    let index = (0..63)
        .find(|index| !taken.contains(index))
        .ok_or_else(|| Failure::Busy {
            what: "every link to a worker".to_owned(),
            hint: "end one with `mothership worker down NAME`".to_owned(),
        })?;
    let record = Record {
        name: name.to_owned(),
        index,
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    std::fs::write(folder.join(FILE), serde_json::to_string(&record)?)
        .with_context(|| format!("writing {FILE}"))?;
    Ok((folder, record))
}

impl Full {
    /// Starts a worker machine and, with a token, `k0s worker` in it. Does not wait for the node.
    pub async fn worker(&self, options: WorkerOptions) -> Result<Worker> {
        let progress = Progress::new();
        let (k0s, components, archives) = {
            let (version, mut images) = (options.version, options.images.clone());
            tokio::task::spawn_blocking(move || -> Result<_> {
                let k0s = K0s::find(version, &progress)?;
                if !k0s.is_stand_in {
                    images.extend(AirgapImage::ALL.map(|part| Image::Airgap(version, part)));
                }
                let components = Components::hosted(version, &progress)?;
                let archives: Vec<(Image, PathBuf)> = images
                    .into_iter()
                    .map(|image| Ok((image, image.archive(&progress)?)))
                    .collect::<Result<_>>()?;
                Ok((k0s, components, archives))
            })
            .await??
        };
        let (folder, record) = claim(self.dir(), &options.name)?;
        match self
            .start_worker(&options, &folder, &record, &k0s, &components, &archives)
            .await
        {
            Ok(worker) => Ok(worker),
            Err(error) => {
                machine::sweep(&folder)?;
                // The name and the link are free again; the logs stay until then.
                let _ = std::fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    async fn start_worker(
        &self,
        options: &WorkerOptions,
        folder: &Path,
        record: &Record,
        k0s: &K0s,
        components: &Components,
        archives: &[(Image, PathBuf)],
    ) -> Result<Worker> {
        let mut spec = Spec::new(folder, &record.name)?;
        spec.own_root = true;
        furnish::furnish(
            &mut spec, options, record, folder, k0s, components, archives,
        )?;
        let machine = Machine::start(folder, &spec, options.detached).await?;
        let worker = Worker {
            record: record.clone(),
            machine,
            range: self.range(),
            router: self.machine()?.pid(),
        };
        worker.connect(&options.allow).await?;
        if options.token.is_some() {
            worker.start_k0s(&options.k0s_args).await?;
        }
        Ok(worker)
    }

    /// A handle on a worker that was started detached.
    pub async fn find_worker(&self, name: &str) -> Result<Worker> {
        let folder = folder_of(self.dir(), name);
        let text = std::fs::read_to_string(folder.join(FILE)).map_err(|_| {
            Failure::Usage(format!(
                "no worker {name}; `mothership worker list` names them"
            ))
        })?;
        let record = serde_json::from_str(&text).with_context(|| format!("reading {FILE}"))?;
        Ok(Worker {
            record,
            machine: Machine::attach(&folder).await?,
            range: self.range(),
            router: self.machine()?.pid(),
        })
    }

    /// Name and address of every worker, and whether it runs.
    pub fn workers(&self) -> Vec<(String, Ipv4Addr, bool)> {
        let mut all: Vec<_> = records(self.dir())
            .into_iter()
            .map(|(folder, record)| {
                let alive = machine::init_process(&folder).is_some();
                (record.name, self.range().worker(record.index), alive)
            })
            .collect();
        all.sort();
        all
    }
}

impl Worker {
    /// Host name and node name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its address, at which nothing answers anybody: what it sends is dropped but for the
    /// allowed ports.
    pub fn address(&self) -> Ipv4Addr {
        self.range.worker(self.record.index)
    }

    /// The machine, for commands inside it.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The log of k0s.
    pub fn log(&self) -> PathBuf {
        self.machine
            .dir()
            .join("log")
            .join(format!("{SERVICE}.log"))
    }

    fn interface(&self) -> String {
        format!("wk{}", self.record.index)
    }

    async fn connect(&self, allow: &[u16]) -> Result<()> {
        self.forget_rules().await?;
        let interface = self.interface();
        let address = self.address();
        for rule in [
            format!("-i {interface} -j DROP"),
            format!("-s {} -d {address} -j DROP", self.range.pods()),
        ] {
            net::iptables(self.router, &format!("-t raw -A PREROUTING {rule}")).await?;
        }
        for port in allow {
            self.allow(*port).await?;
        }
        let outer = End {
            pid: Some(self.router),
            name: interface,
            address: self.range.gateway_of(self.record.index),
        };
        let inner = End {
            pid: Some(self.machine.pid()),
            name: "eth0".to_owned(),
            address,
        };
        net::link(&outer, &inner).await
    }

    /// Lets it reach one more TCP port of the node's address.
    pub async fn allow(&self, port: u16) -> Result<()> {
        let rule = format!(
            "-t raw -I PREROUTING -i {} -d {} -p tcp --dport {port} -j ACCEPT",
            self.interface(),
            self.range.node()
        );
        net::iptables(self.router, &rule).await?;
        Ok(())
    }

    async fn forget_rules(&self) -> Result<()> {
        let rules = net::iptables(self.router, "-t raw -S PREROUTING").await?;
        let from = format!("-i {} ", self.interface());
        let to = format!("-d {}/32 -j DROP", self.address());
        for rule in rules
            .lines()
            .filter(|rule| rule.contains(&from) || rule.contains(&to))
        {
            let rule = rule.replacen("-A ", "-D ", 1);
            net::iptables(self.router, &format!("-t raw {rule}")).await?;
        }
        Ok(())
    }

    /// Starts `k0s worker` with the token it was given.
    pub async fn start_k0s(&self, args: &[String]) -> Result<()> {
        let mut service = Service::new(self.machine.dir(), SERVICE, Path::new(K0S))
            .args(["worker", "--token-file", TOKEN])
            .args(K0S_ARGS)
            .args(args.iter().cloned())
            .env("PATH", PATH);
        service.grace_seconds = 30;
        let supervisor = self.machine.supervisor();
        supervisor.run(service).await?;
        // A token that cannot be read or a wrong argument ends it at once; the rest is in its log.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        supervisor.check().await
    }

    /// Ends k0s in order, as a stopped service; the machine stays.
    pub async fn stop_k0s(&self) -> Result<()> {
        self.machine.supervisor().stop(SERVICE).await
    }

    /// Whether a TCP port answers it within 2 s.
    pub async fn reaches(&self, address: &str, port: u16) -> Result<bool> {
        let answer = self
            .output(&["sh", "-c", &crate::image::probe(address, port)])
            .await?;
        Ok(answer.trim() == "open")
    }

    /// Runs a command inside and returns its standard output.
    pub async fn output(&self, argv: &[&str]) -> Result<String> {
        self.machine.output(argv).await
    }

    /// Ends the machine at once, as if its power was cut, and removes its folder.
    pub async fn down(self) -> Result<()> {
        self.forget_rules().await?;
        let folder = self.machine.dir().to_owned();
        self.machine.end().await?;
        tokio::task::spawn_blocking(move || {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("removing {}", folder.display()))
        })
        .await?
    }
}
