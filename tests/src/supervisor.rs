//! A small parent for processes: starts them with a log each, reaps them, ends them in reverse
//! order.
//!
//! It is the `mothership` program started again. For the light level it is an ordinary process;
//! for a [machine](crate::machine) it is process 1 inside the namespaces. Others talk to it through
//! the socket `ctl.sock` in its state folder, one JSON line each way.
//!
//! A *tied* supervisor ends when its standard input is closed, and with it everything it started:
//! a suite that is killed leaves nothing behind.

mod client;
mod server;

use std::path::{Path, PathBuf};

pub use client::Supervisor;
pub(crate) use client::sweep;
use serde::{Deserialize, Serialize};
pub(crate) use server::serve;

/// A file in the state folder that says that nobody will look at it: it goes with its owner.
pub(crate) const SPENT: &str = "spent";
/// The socket's name in the state folder.
const SOCKET: &str = "ctl.sock";
/// The record of processes in the state folder.
const RECORD: &str = "processes.json";

/// A program to run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Service {
    /// Unique in its supervisor.
    pub name: String,
    /// The program's path and its arguments.
    pub argv: Vec<String>,
    /// Set on top of the supervisor's environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Where standard output and error go; appended to.
    pub log: PathBuf,
    /// Seconds between SIGTERM and SIGKILL when it is ended.
    pub grace_seconds: u64,
}

impl Service {
    /// A service that logs to `DIR/log/NAME.log` and gets 5 s to end.
    pub fn new(dir: &Path, name: &str, program: &Path) -> Self {
        Self {
            name: name.to_owned(),
            argv: vec![program.display().to_string()],
            env: Vec::new(),
            log: dir.join("log").join(format!("{name}.log")),
            grace_seconds: 5,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds `--name=value`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.argv.push(format!("--{name}={value}"));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }
}

/// What became of a service.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its process id, as its supervisor sees it.
    pub pid: i32,
    /// Its log.
    pub log: PathBuf,
    /// How it ended, if it did.
    pub ended: Option<String>,
}

/// A process id together with the start time that makes it unambiguous.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Process {
    /// The id.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`, in clock ticks since boot.
    pub started: u64,
}

impl Process {
    /// The process that has this id now.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold spaces; the state follows it as field 3.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        if fields.next()? == "Z" {
            return None;
        }
        // Field 22; the state was 3, the next is 4.
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Whether that very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal if that very process still runs.
    pub fn signal(self, signal: nix::sys::signal::Signal) {
        if self.is_alive() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal);
        }
    }
}

/// What a supervisor keeps on disk, for whoever cleans up after it was killed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Record {
    pub supervisor: Process,
    pub services: Vec<Process>,
}

impl Record {
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(dir.join(RECORD)).ok()?;
        serde_json::from_str(&text).ok()
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Request {
    Start(Service),
    Stop { name: String },
    Status,
    Shutdown,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
enum Reply {
    Done,
    Status { services: Vec<ServiceStatus> },
    Error { message: String },
}
