//! A real sshd in a worker machine.
//!
//! It listens on the machine's own loopback, where nobody else's packets arrive. A relay in this
//! program carries connections from the host's loopback there: its sockets are opened inside the
//! machine's network namespace, so that no route and no rule has to change.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Worker;
use crate::failure::Failure;
use crate::requirements;
use crate::supervisor::Service;

const NAME: &str = "sshd";
const PORT: u16 = 22;
const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";
const CONFIG: &str = "\
ListenAddress 127.0.0.1
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
PrintMotd no
Subsystem sftp internal-sftp
";
/// No key of the host's and no locked account keeps the owner of the key out.
const PREPARE: &str = "\
set -e
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
usermod -p '*' root
mkdir -p /run/sshd
";

/// A running sshd. The way to it closes when this is dropped.
#[derive(Debug)]
pub struct Sshd {
    /// Where it answers: a port of this host's loopback.
    pub address: SocketAddr,
    /// Its public key, as in `known_hosts` behind the name.
    pub host_key: String,
    relay: JoinHandle<()>,
}

impl Sshd {
    /// The line of a `known_hosts` file that makes it known.
    pub fn known_host(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        format!("[{ip}]:{port} {}", self.host_key)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

impl Worker {
    /// Starts an sshd that lets `root` in with this key (a line of `authorized_keys`), and nobody
    /// by password.
    pub async fn start_sshd(&self, authorized_key: &str) -> Result<Sshd> {
        requirements::check(requirements::GUEST)?;
        self.output(&["sh", "-c", PREPARE]).await?;
        self.put("/etc/ssh/sshd_config", CONFIG.as_bytes(), 0o600)
            .await?;
        self.output(&["mkdir", "-m", "0700", "-p", "/root/.ssh"])
            .await?;
        let key = format!("{}\n", authorized_key.trim());
        self.put("/root/.ssh/authorized_keys", key.as_bytes(), 0o600)
            .await?;
        let public = self.output(&["cat", &format!("{HOST_KEY}.pub")]).await?;
        let program = std::path::Path::new("/usr/sbin/sshd");
        let service = Service::new(self.machine.dir(), NAME, program).args(["-D", "-e"]);
        self.machine.supervisor().run(service).await?;
        let pid = self.machine.pid();
        let listens = async || connect(pid).await.is_ok();
        let supervisor = self.machine.supervisor();
        supervisor
            .until("sshd", Duration::from_secs(10), listens)
            .await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("opening a port for ssh")?;
        Ok(Sshd {
            address: listener.local_addr()?,
            host_key: words(&public, 2),
            relay: tokio::spawn(relay(listener, pid)),
        })
    }

    /// Ends sshd and with it nothing else: who is logged in stays.
    pub async fn stop_sshd(&self) -> Result<()> {
        self.machine.supervisor().stop(NAME).await
    }
}

fn words(text: &str, count: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().take(count).collect();
    words.join(" ")
}

async fn relay(listener: TcpListener, pid: i32) {
    while let Ok((mut outer, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut inner = connect(pid).await?;
            tokio::io::copy_bidirectional(&mut outer, &mut inner).await?;
            anyhow::Ok(())
        });
    }
}

/// A connection to the machine's sshd, opened in its network namespace.
async fn connect(pid: i32) -> Result<tokio::net::TcpStream> {
    let (send, receive) = tokio::sync::oneshot::channel();
    // A thread that has been in another namespace must not be used for anything else.
    std::thread::Builder::new()
        .name("machine".to_owned())
        .spawn(move || send.send(connect_inside(pid)))
        .context("starting a thread")?;
    let stream = receive.await.context("the thread ended")??;
    stream.set_nonblocking(true)?;
    Ok(tokio::net::TcpStream::from_std(stream)?)
}

fn connect_inside(pid: i32) -> Result<TcpStream> {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net"))
        .map_err(|_| Failure::Usage("the machine has ended".to_owned()))?;
    setns(namespace, CloneFlags::CLONE_NEWNET).context("entering the machine's network")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).context("connecting to sshd")
}
