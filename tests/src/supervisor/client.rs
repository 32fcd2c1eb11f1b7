//! Talking to a supervisor.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::{Record, Reply, Request, SOCKET, Service, ServiceStatus};
use crate::failure::{Failure, tail};
use crate::paths;

/// A handle on a running supervisor.
///
/// A tied one ends with this handle (or with the program that holds it); an untied one stays.
#[derive(Debug)]
pub struct Supervisor {
    dir: PathBuf,
    // Holds the pipe whose end tells a tied supervisor to end.
    child: Option<Child>,
}

impl Supervisor {
    /// Starts one as an ordinary process with the state folder `dir`.
    pub async fn start(dir: &Path, tied: bool) -> Result<Self> {
        Self::launch(dir, tied, &["supervise"]).await
    }

    /// Starts this program with a hidden subcommand that ends up serving in `dir`.
    pub(crate) async fn launch(dir: &Path, tied: bool, subcommand: &[&str]) -> Result<Self> {
        let log_dir = dir.join("log");
        std::fs::create_dir_all(&log_dir)
            .with_context(|| format!("creating {}", log_dir.display()))?;
        let log_path = log_dir.join("supervisor.log");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .with_context(|| format!("opening {}", log_path.display()))?;
        let mut command = Command::new(paths::own_binary()?);
        command.args(subcommand).arg("--dir").arg(dir);
        if tied {
            command.arg("--tied").stdin(Stdio::piped());
        } else {
            command.stdin(Stdio::null());
        }
        let child = command
            .stdout(log.try_clone().context("sharing a log")?)
            .stderr(log)
            .spawn()
            .context("starting the supervisor")?;
        let mut this = Self {
            dir: dir.to_owned(),
            child: Some(child),
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while this.status().await.is_err() {
            if let Some(child) = &mut this.child
                && child.try_wait()?.is_some()
            {
                bail!("{}", tail(&log_path, 3).trim());
            }
            if Instant::now() > deadline {
                bail!(Failure::Late {
                    what: "the supervisor".into(),
                    seconds: 10,
                    log: log_path
                });
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(this)
    }

    /// Finds the one that serves in `dir`.
    pub async fn attach(dir: &Path) -> Result<Self> {
        let this = Self {
            dir: dir.to_owned(),
            child: None,
        };
        this.status()
            .await
            .map_err(|_| Failure::NotRunning(dir.to_owned()))?;
        Ok(this)
    }

    /// Its state folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    async fn ask(&self, request: &Request) -> Result<Reply> {
        // Through the folder's descriptor, because a socket's path is limited to 107 bytes.
        let folder = File::open(&self.dir)?;
        let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
        let stream = UnixStream::connect(&path)
            .await
            .context("the supervisor does not answer")?;
        let (read, mut write) = stream.into_split();
        let mut text = serde_json::to_string(request)?;
        text.push('\n');
        write.write_all(text.as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(read).read_line(&mut line).await?;
        match serde_json::from_str(&line).context("the supervisor's answer")? {
            Reply::Error { message } => bail!(message),
            reply => Ok(reply),
        }
    }

    /// Starts a service.
    pub async fn run(&self, service: Service) -> Result<()> {
        let name = service.name.clone();
        self.ask(&Request::Start(service))
            .await
            .with_context(|| format!("starting {name}"))?;
        Ok(())
    }

    /// Ends a service and forgets it.
    pub async fn stop(&self, name: &str) -> Result<()> {
        self.ask(&Request::Stop {
            name: name.to_owned(),
        })
        .await?;
        Ok(())
    }

    /// All services that were started and not stopped.
    pub async fn status(&self) -> Result<Vec<ServiceStatus>> {
        match self.ask(&Request::Status).await? {
            Reply::Status { services } => Ok(services),
            reply => bail!("the supervisor answered {reply:?}"),
        }
    }

    /// An error that names the first service that ended by itself.
    pub async fn check(&self) -> Result<()> {
        for service in self.status().await? {
            if let Some(status) = service.ended {
                bail!(Failure::Died {
                    name: service.name,
                    status,
                    tail: tail(&service.log, 5),
                    log: service.log,
                });
            }
        }
        Ok(())
    }

    /// Asks `probe` until it says yes. Gives up when a service ends or the time is over.
    pub async fn until<F>(&self, what: &str, limit: Duration, mut probe: F) -> Result<()>
    where
        F: AsyncFnMut() -> bool,
    {
        let started = Instant::now();
        let mut checked = Instant::now();
        loop {
            if probe().await {
                return Ok(());
            }
            if checked.elapsed() > Duration::from_millis(200) {
                self.check().await?;
                checked = Instant::now();
            }
            if started.elapsed() > limit {
                bail!(Failure::Late {
                    what: what.to_owned(),
                    seconds: limit.as_secs(),
                    log: self.dir.join("log"),
                });
            }
            sleep(Duration::from_millis(15)).await;
        }
    }

    /// Ends all services in reverse order, then the supervisor.
    pub async fn shutdown(&mut self) -> Result<()> {
        let record = Record::read(&self.dir);
        self.ask(&Request::Shutdown).await?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while record
            .as_ref()
            .is_some_and(|record| record.supervisor.is_alive())
        {
            self.reap();
            if Instant::now() > deadline {
                bail!("the supervisor in {} does not end", self.dir.display());
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.reap();
        self.child = None;
        Ok(())
    }

    fn reap(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.try_wait();
        }
    }
}

impl Supervisor {
    /// Whether it ends with this handle.
    pub(crate) fn is_tied(&self) -> bool {
        self.child
            .as_ref()
            .is_some_and(|child| child.stdin.is_some())
    }

    /// Waits for one that is ending, if this program started it.
    pub(crate) fn join(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Ends a tied supervisor and waits for it; leaves any other alone.
    pub(crate) fn end(&mut self) {
        let record = Record::read(&self.dir);
        let Some(mut child) = self.child.take() else {
            return;
        };
        if child.stdin.take().is_none() {
            return;
        }
        let _ = child.wait();
        // Process 1 of a machine is no child of ours; its parent ended long before it.
        let started = std::time::Instant::now();
        while record
            .as_ref()
            .is_some_and(|record| record.supervisor.is_alive())
            && started.elapsed() < Duration::from_secs(20)
        {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}

/// Ends by process id what a killed supervisor left running in `dir`: the last started first.
pub(crate) fn sweep(dir: &Path) {
    let Some(record) = Record::read(dir) else {
        return;
    };
    record.supervisor.signal(Signal::SIGTERM);
    for process in record.services.iter().rev().chain([&record.supervisor]) {
        process.signal(Signal::SIGTERM);
        let started = std::time::Instant::now();
        while process.is_alive() {
            if started.elapsed() > Duration::from_secs(5) {
                process.signal(Signal::SIGKILL);
            }
            if started.elapsed() > Duration::from_secs(10) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
