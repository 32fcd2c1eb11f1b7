//! The supervisor's own process.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Process, RECORD, Record, Reply, Request, SOCKET, SPENT, Service, ServiceStatus};

/// Serves until it is told to end, in the working directory `dir`.
///
/// Runs on one thread on purpose: starting and reaping never overlap, so no process can end
/// before it is known.
pub(crate) fn serve(dir: &Path, tied: bool) -> Result<()> {
    // A socket's path is limited to 107 bytes; a relative one always fits.
    std::env::set_current_dir(dir).with_context(|| format!("entering {}", dir.display()))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the supervisor")?
        .block_on(run(dir, tied))
}

type Job = (Request, oneshot::Sender<Reply>);

async fn run(dir: &Path, tied: bool) -> Result<()> {
    let _ = std::fs::remove_file(SOCKET);
    let listener = UnixListener::bind(SOCKET).context("opening the control socket")?;
    let mut children = signal(SignalKind::child())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (jobs, mut queue) = mpsc::channel::<Job>(16);
    let mut owner_gone = owner_watch(tied);
    let mut keeper = Keeper::new(dir);
    keeper.record();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(converse(stream, jobs.clone()));
            },
            Some((request, answer)) = queue.recv() => {
                let last = matches!(request, Request::Shutdown);
                let reply = keeper.answer(request).await;
                // The socket vanishes before the answer, so that nobody finds it half alive.
                if last {
                    let _ = std::fs::remove_file(SOCKET);
                }
                let _ = answer.send(reply);
                if last {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    break;
                }
            }
            _ = children.recv() => keeper.reap(),
            _ = term.recv() => { keeper.stop_all().await; break }
            _ = interrupt.recv() => { keeper.stop_all().await; break }
            _ = owner_gone.changed() => {
                // With process 1 of a machine the kernel ends everything at once.
                if std::process::id() != 1 {
                    keeper.stop_all().await;
                }
                if dir.join(SPENT).exists() {
                    let _ = std::fs::remove_dir_all(dir);
                }
                break;
            }
        }
    }
    let _ = std::fs::remove_file(SOCKET);
    let _ = std::fs::remove_file(RECORD);
    Ok(())
}

/// Changes once standard input is closed; never when not tied.
fn owner_watch(tied: bool) -> watch::Receiver<()> {
    let (gone, watch) = watch::channel(());
    std::thread::spawn(move || {
        if tied {
            let mut sink = [0_u8; 64];
            while std::io::stdin()
                .read(&mut sink)
                .is_ok_and(|count| count > 0)
            {}
            let _ = gone.send(());
        } else {
            // Dropping the sender would count as a change.
            loop {
                std::thread::park();
            }
        }
    });
    watch
}

async fn converse(stream: UnixStream, jobs: mpsc::Sender<Job>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str::<Request>(&line) {
            Ok(request) => {
                let (answer, answered) = oneshot::channel();
                jobs.send((request, answer))
                    .await
                    .context("the supervisor ends")?;
                answered.await.context("the supervisor ended")?
            }
            Err(error) => Reply::Error {
                message: error.to_string(),
            },
        };
        let mut text = serde_json::to_string(&reply)?;
        text.push('\n');
        write.write_all(text.as_bytes()).await?;
    }
    Ok(())
}

struct Kept {
    service: Service,
    pid: i32,
    ended: Option<String>,
}

struct Keeper {
    dir: PathBuf,
    // In the order in which they were started.
    kept: Vec<Kept>,
}

impl Keeper {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            kept: Vec::new(),
        }
    }

    async fn answer(&mut self, request: Request) -> Reply {
        self.reap();
        let outcome = match request {
            Request::Start(service) => self.start(service),
            Request::Stop { name } => self.stop(&name).await,
            Request::Status => {
                let services = self
                    .kept
                    .iter()
                    .map(|kept| ServiceStatus {
                        name: kept.service.name.clone(),
                        pid: kept.pid,
                        log: kept.service.log.clone(),
                        ended: kept.ended.clone(),
                    })
                    .collect();
                return Reply::Status { services };
            }
            Request::Shutdown => {
                self.stop_all().await;
                Ok(())
            }
        };
        match outcome {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Error {
                message: format!("{error:#}"),
            },
        }
    }

    fn start(&mut self, service: Service) -> Result<()> {
        if self
            .kept
            .iter()
            .any(|kept| kept.service.name == service.name && kept.ended.is_none())
        {
            bail!("{} runs already", service.name);
        }
        let Some((program, args)) = service.argv.split_first() else {
            bail!("{} has no program", service.name);
        };
        if let Some(folder) = service.log.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("creating {}", folder.display()))?;
        }
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&service.log)
            .with_context(|| format!("opening {}", service.log.display()))?;
        let child = Command::new(program)
            .args(args)
            .envs(service.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing a log")?)
            .stderr(log)
            // A Ctrl-C in the terminal is for the command in front, which ends things in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let pid = i32::try_from(child.id()).context("a process id")?;
        self.kept.retain(|kept| kept.service.name != service.name);
        self.kept.push(Kept {
            service,
            pid,
            ended: None,
        });
        self.record();
        Ok(())
    }

    async fn stop(&mut self, name: &str) -> Result<()> {
        let Some(kept) = self.kept.iter().find(|kept| kept.service.name == name) else {
            bail!("no service {name}");
        };
        let (pid, grace) = (kept.pid, kept.service.grace_seconds);
        self.end(pid, Duration::from_secs(grace)).await;
        self.kept.retain(|kept| kept.service.name != name);
        self.record();
        Ok(())
    }

    async fn stop_all(&mut self) {
        while let Some(kept) = self.kept.last() {
            let (pid, grace) = (kept.pid, kept.service.grace_seconds);
            self.end(pid, Duration::from_secs(grace)).await;
            self.kept.pop();
        }
        self.record();
    }

    async fn end(&mut self, pid: i32, grace: Duration) {
        let running = |keeper: &Self| {
            keeper
                .kept
                .iter()
                .any(|kept| kept.pid == pid && kept.ended.is_none())
        };
        self.reap();
        for (signal, wait) in [
            (Signal::SIGTERM, grace),
            (Signal::SIGKILL, Duration::from_secs(5)),
        ] {
            if !running(self) {
                return;
            }
            let _ = kill(Pid::from_raw(pid), signal);
            let deadline = tokio::time::Instant::now() + wait;
            while running(self) && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(10)).await;
                self.reap();
            }
        }
    }

    fn reap(&mut self) {
        let mut ended: HashMap<i32, String> = HashMap::new();
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => {
                    ended.insert(pid.as_raw(), format!("exit code {code}"));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    ended.insert(pid.as_raw(), signal.to_string());
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        for kept in &mut self.kept {
            if kept.ended.is_none() {
                kept.ended = ended.remove(&kept.pid);
            }
        }
    }

    fn record(&self) {
        let own = i32::try_from(std::process::id()).ok().and_then(Process::of);
        let Some(supervisor) = own else { return };
        let services = self
            .kept
            .iter()
            .filter_map(|kept| Process::of(kept.pid))
            .collect();
        if let Ok(text) = serde_json::to_string(&Record {
            supervisor,
            services,
        }) {
            let _ = std::fs::write(RECORD, text);
        }
    }
}
