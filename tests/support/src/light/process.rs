//! A program of the product as a process, with a client certificate of a user of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mothership::failure::tail;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::until;

/// A running program; it ends with this handle.
#[derive(Debug)]
pub struct Process {
    what: &'static str,
    child: Child,
    log: PathBuf,
    health: SocketAddr,
}

/// A program that is killed when the thread that has started it ends, whatever ends that: nobody else
/// would end it, and it would ask a server that is gone for ever.
pub fn dies_with_us(program: impl AsRef<OsStr>) -> Command {
    // By its path: where it has to be looked for, and the environment is another, all memory of this
    // process is copied for each start.
    static SETPRIV: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut all = std::env::split_paths(&path).map(|folder| folder.join("setpriv"));
        all.find(|path| path.is_file())
            .unwrap_or_else(|| "setpriv".into())
    });
    let mut command = Command::new(&*SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Whether a program says there that it is ready, or what it says.
pub async fn is_ready(health: SocketAddr) -> Result<(), String> {
    let ask = async {
        let mut stream = TcpStream::connect(health).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match ask.await {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
        Ok(answer) => Err(answer),
        Err(error) => Err(error.to_string()),
    }
}

impl Process {
    /// Starts one and waits until it is ready.
    pub async fn start(
        what: &'static str,
        program: &Path,
        kubeconfig: &Path,
        log: PathBuf,
        args: &[&str],
    ) -> Result<Self> {
        // Free now; a second later somebody else may have it, and the start fails and says so.
        let health = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let output = File::options().create(true).append(true).open(&log)?;
        let child = dies_with_us(program)
            .args(args)
            .arg(format!("--health-address={health}"))
            .arg("--log-format=text")
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {what}"))?;
        let mut this = Self {
            what,
            child,
            log,
            health,
        };
        until(
            &format!("{what} is ready"),
            Duration::from_secs(30),
            async || {
                if let Ok(Some(status)) = this.child.try_wait() {
                    return Ok(Err(status));
                }
                is_ready(this.health).await.map(Ok)
            },
        )
        .await?
        .0
        .map_err(|status: ExitStatus| {
            anyhow::anyhow!("{what} ended: {status}\n{}", tail(&this.log, 5))
        })?;
        Ok(this)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(mut self) -> Result<()> {
        let what = self.what;
        self.terminate()?;
        let ((), _) = until(
            &format!("{what} ends"),
            Duration::from_secs(20),
            async || match self.child.try_wait() {
                Ok(Some(status)) if status.success() => Ok(Ok(())),
                Ok(Some(status)) => Ok(Err(status)),
                Ok(None) => Err("it runs".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        )
        .await
        .and_then(|(ended, took)| match ended {
            Ok(()) => Ok(((), took)),
            Err(status) => bail!("{what} ended with {status}"),
        })?;
        Ok(())
    }

    /// SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        kill(self.pid()?, Signal::SIGTERM).with_context(|| format!("ending {}", self.what))
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.child
            .kill()
            .with_context(|| format!("killing {}", self.what))?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either has ended already or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
