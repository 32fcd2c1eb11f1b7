//! Somebody who types commands, and what becomes of them.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use mothership::image;
use mothership::progress::Progress;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The plugin, built once.
pub fn program() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built =
        BUILT.get_or_init(|| image::plugin(&Progress::new()).map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// Somebody with a kubeconfig and a home of their own.
pub struct Person {
    pub home: tempfile::TempDir,
    pub kubeconfig: PathBuf,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Ends the test unless the command ended with this code and said these things on stderr.
    #[track_caller]
    pub fn expect(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for part in said {
            assert!(
                self.stderr.contains(part),
                "stderr lacks {part:?}: {self:#?}"
            );
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        if code != 0 {
            let errors = self
                .stderr
                .lines()
                .filter(|line| line.starts_with("error: "))
                .count();
            assert_eq!(errors, 1, "one line says what is wrong: {self:#?}");
        }
        self
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("{self:#?}"))
    }
}

/// A command that has not ended; it does when a test gives up on it.
pub struct Running(Option<Child>);

impl Running {
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self(Some(child)))
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.0.as_ref().context("it has ended")?;
        Ok(kill(Pid::from_raw(child.id().try_into()?), signal)?)
    }

    pub fn has_ended(&mut self) -> Result<bool> {
        let child = self.0.as_mut().context("it has ended")?;
        Ok(child.try_wait()?.is_some())
    }

    pub fn ends(mut self) -> Result<Ended> {
        let child = self.0.take().context("it has ended")?;
        Ok(child.wait_with_output()?.into())
    }

    pub fn interrupted(self) -> Result<Ended> {
        self.signal(Signal::SIGINT)?;
        self.ends()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // One that has ended by itself is none to end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Person {
    pub fn new(kubeconfig: PathBuf) -> Result<Self> {
        Ok(Self {
            home: tempfile::tempdir()?,
            kubeconfig,
        })
    }

    pub fn command(&self, line: &str) -> Result<Command> {
        let mut command = Command::new(program()?);
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null());
        Ok(command)
    }

    pub fn runs(&self, line: &str) -> Result<Ended> {
        Ok(self.command(line)?.output()?.into())
    }

    /// Where nobody reads what it prints.
    pub fn runs_unread(&self, line: &str) -> Result<Ended> {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = self.command(line)?;
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn()?;
        Ok(child.wait_with_output()?.into())
    }

    pub fn starts(&self, line: &str) -> Result<Running> {
        Running::start(&mut self.command(line)?)
    }

    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.home.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}
