//! Child processes: started when their gate opens, started again when they die, ended on demand.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::signals;

/// What has to be true before a process is started.
pub type Gate = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A process that lives longer than this starts anew without delay.
const SETTLED: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// A component to keep running.
#[derive(Clone)]
pub struct Component {
    /// Its name in the log and of its pid file.
    pub name: &'static str,
    pub program: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(&'static str, String)>,
    /// The user to run as; root's group is kept, for it may read the keys.
    pub user: Option<u32>,
    /// How long it may take to end before it is killed.
    pub stop: Duration,
    pub gate: Option<Gate>,
}

impl Component {
    /// A component without a gate, run as the own user, with ten seconds to end.
    pub fn new(name: &'static str, program: PathBuf, args: Vec<String>) -> Self {
        let stop = Duration::from_secs(10);
        Self {
            name,
            program,
            args,
            env: Vec::new(),
            user: None,
            stop,
            gate: None,
        }
    }
}

/// A component that is kept running.
pub struct Supervised {
    name: &'static str,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Supervised {
    /// Starts keeping a component running. Its pid file lives in the run directory.
    pub fn start(component: Component, run: &Path) -> Self {
        let (stop, stopped) = watch::channel(false);
        let name = component.name;
        let pid_file = run.join(format!("{name}.pid"));
        let task = tokio::spawn(keep(component, pid_file, stopped));
        Self { name, stop, task }
    }

    /// Ends the component and waits until it is gone.
    pub async fn stop(self) {
        tracing::info!("stopping {}", self.name);
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!("the supervisor of {} failed: {error}", self.name);
        }
    }
}

async fn keep(component: Component, pid_file: PathBuf, mut stopped: watch::Receiver<bool>) {
    let name = component.name;
    end_leftover(&component, &pid_file).await;
    let mut delay = Duration::ZERO;
    loop {
        if let Some(gate) = &component.gate {
            tokio::select! {
                () = gate() => {}
                () = signals::on(&mut stopped) => return,
            }
        }
        let started = Instant::now();
        match spawn(&component) {
            Ok(mut child) => {
                let pid = child.id().unwrap_or_default();
                tracing::info!("started {name}, process {pid}");
                if let Err(error) = std::fs::write(&pid_file, pid.to_string()) {
                    tracing::warn!("failed to write {}: {error}", pid_file.display());
                }
                tokio::select! {
                    status = child.wait() => report(name, status),
                    () = signals::on(&mut stopped) => {
                        end(name, &mut child, component.stop).await;
                        std::fs::remove_file(&pid_file).ok();
                        return;
                    }
                }
            }
            Err(error) => tracing::error!("failed to start {name}: {error}"),
        }
        delay = if started.elapsed() > SETTLED {
            Duration::ZERO
        } else {
            (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY)
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = signals::on(&mut stopped) => return,
        }
    }
}

fn report(name: &str, status: std::io::Result<ExitStatus>) {
    match status {
        Ok(status) => tracing::warn!("{name} ended ({status}), starting it again"),
        Err(error) => tracing::error!("lost track of {name}: {error}"),
    }
}

fn spawn(component: &Component) -> std::io::Result<Child> {
    let mut command = Command::new(&component.program);
    command
        .args(&component.args)
        .envs(component.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C at the terminal is for the supervisor, which ends its children in order.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(user) = component.user {
        command.uid(user).gid(0);
    }
    let mut child = command.spawn()?;
    if let Some(out) = child.stdout.take() {
        tokio::spawn(forward(component.name, out));
    }
    if let Some(err) = child.stderr.take() {
        tokio::spawn(forward(component.name, err));
    }
    Ok(child)
}

/// Copies a component's output to stderr, each line under its name.
async fn forward(name: &'static str, output: impl AsyncRead + Unpin) {
    let mut reader = BufReader::new(output);
    let mut stderr = tokio::io::stderr();
    let mut line = Vec::new();
    loop {
        line.clear();
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(b": ");
        match reader.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                // Whoever reads the log may be gone; the component goes on.
                stderr.write_all(&line).await.ok();
            }
        }
    }
}

async fn end(name: &str, child: &mut Child, patience: Duration) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
    }
    if let Ok(status) = tokio::time::timeout(patience, child.wait()).await {
        if let Ok(status) = status {
            tracing::info!("{name} ended ({status})");
        }
        return;
    }
    tracing::warn!("{name} did not end within {patience:?}, killing it");
    child.kill().await.ok();
}

/// Ends what an instance that was killed has left running: the process of the pid file, if it
/// still is the same program.
async fn end_leftover(component: &Component, pid_file: &Path) {
    let pid = std::fs::read_to_string(pid_file)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let Some(pid) = pid.map(Pid::from_raw) else {
        return;
    };
    let ours = std::fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|exe| exe.file_name() == component.program.file_name());
    if !ours {
        return;
    }
    tracing::warn!(
        "ending {} left over from before, process {pid}",
        component.name
    );
    let deadline = Instant::now() + component.stop;
    kill(pid, Signal::SIGTERM).ok();
    while kill(pid, None).is_ok() {
        if Instant::now() > deadline {
            kill(pid, Signal::SIGKILL).ok();
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Component {
        Component::new("shell", "/bin/sh".into(), vec!["-c".into(), script.into()])
    }

    #[tokio::test]
    async fn what_dies_is_started_again_and_what_is_stopped_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let marks = dir.path().join("marks");
        let supervised =
            Supervised::start(shell(&format!("echo x >> {}", marks.display())), dir.path());
        tokio::time::sleep(Duration::from_millis(900)).await;
        supervised.stop().await;
        let lines = || std::fs::read_to_string(&marks).unwrap().lines().count();
        let seen = lines();
        assert!(seen >= 2, "started {seen} times");
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(lines(), seen);
    }

    #[tokio::test]
    async fn stopping_waits_for_a_graceful_end() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let script = format!(
            "trap 'sleep 0.3; touch {}; exit 0' TERM; while :; do sleep 0.05; done",
            mark.display()
        );
        let supervised = Supervised::start(shell(&script), dir.path());
        tokio::time::sleep(Duration::from_millis(400)).await;
        supervised.stop().await;
        assert!(mark.exists());
        assert!(!dir.path().join("shell.pid").exists());
    }

    #[tokio::test]
    async fn a_closed_gate_holds_back() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let mut component = shell(&format!("touch {}; sleep 5", mark.display()));
        component.gate = Some(Arc::new(|| Box::pin(std::future::pending())));
        let supervised = Supervised::start(component, dir.path());
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!mark.exists());
        supervised.stop().await;
    }
}
