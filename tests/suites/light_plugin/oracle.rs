//! An API server, a proxy and a credential plugin that remember who came how, so that what kubectl
//! makes of a kubeconfig can be held against what the plugin makes of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mothership::components::Components;
use mothership::progress::Progress;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::person::{Ended, program};

/// A kubeconfig, or several, and what else a person has.
#[derive(Default)]
pub struct Case {
    pub name: &'static str,
    /// `KUBECONFIG` names them in this order.
    pub files: Vec<Vec<u8>>,
    pub environment: Vec<(&'static str, String)>,
    pub flags: Vec<String>,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Met {
    /// Nobody was asked.
    Refused,
    /// How the API server or the proxy was.
    Asked(Vec<String>),
}

type Notes = Arc<Mutex<Vec<String>>>;

pub struct Oracle {
    home: tempfile::TempDir,
    kubectl: PathBuf,
    notes: Notes,
    pub https: u16,
    pub http: u16,
    pub proxy: u16,
    /// The same behind TLS.
    pub secure_proxy: u16,
    /// Of the API server, in PEM.
    pub certificate: String,
}

impl Oracle {
    pub async fn start() -> Result<Self> {
        let notes = Notes::default();
        let (certificate, acceptor) = pinned()?;
        let secure = TcpListener::bind("127.0.0.1:0").await?;
        let plain = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = TcpListener::bind("127.0.0.1:0").await?;
        let behind_tls = TcpListener::bind("127.0.0.1:0").await?;
        let (https, http, on_the_way) = (port(&secure)?, port(&plain)?, port(&proxy)?);
        let secure_proxy = port(&behind_tls)?;
        guarded(secure, acceptor.clone(), notes.clone());
        let kept = notes.clone();
        tokio::spawn(each(behind_tls, move |stream| {
            let (acceptor, notes) = (acceptor.clone(), kept.clone());
            async move {
                tunnel(
                    "secure proxy",
                    acceptor.accept(stream).await?,
                    https,
                    &notes,
                )
                .await
            }
        }));
        let kept = notes.clone();
        tokio::spawn(each(plain, move |stream| {
            let notes = kept.clone();
            async move { answer("http", stream, &notes).await }
        }));
        let kept = notes.clone();
        tokio::spawn(each(proxy, move |stream| {
            let notes = kept.clone();
            async move { carry(stream, https, &notes).await }
        }));
        let home = tempfile::tempdir()?;
        std::fs::write(home.path().join("ca.pem"), &certificate)?;
        Ok(Self {
            home,
            kubectl: Components::light(&Progress::new())?
                .path("kubectl")?
                .to_owned(),
            notes,
            https,
            http,
            proxy: on_the_way,
            secure_proxy,
            certificate,
        })
    }

    /// The port of another API server, that shows these certificates, its own first.
    pub async fn showing(&self, chain: &[&Certificate], key: &KeyPair) -> Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at = port(&listener)?;
        guarded(listener, acceptor(chain, key)?, self.notes.clone());
        Ok(at)
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A credential plugin that prints this, and counts how often.
    pub fn program(&self, name: &str, printed: &str) -> Result<()> {
        self.script(name, &format!("cat <<'END'\n{printed}\nEND\n"))
    }

    /// A credential plugin that does this, and counts how often.
    pub fn script(&self, name: &str, does: &str) -> Result<()> {
        let path = self.home().join(name);
        let script = format!(
            "#!/bin/sh\necho run >>'{}/runs'\n{does}",
            self.home().display()
        );
        std::fs::write(&path, script)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        Ok(std::fs::set_permissions(&path, mode)?)
    }

    /// What kubectl and the plugin come to.
    pub fn both(&self, case: &Case) -> Result<[(Met, Ended); 2]> {
        let mut list = Vec::new();
        for (index, bytes) in case.files.iter().enumerate() {
            let path = self.home().join(format!("config-{index}"));
            std::fs::write(&path, bytes)?;
            list.push(path);
        }
        let list = std::env::join_paths(list)?;
        let run = |mut command: Command| -> Result<(Met, Ended)> {
            let _ = std::fs::remove_file(self.home().join("runs"));
            held(&self.notes).clear();
            let output = command
                .args(&case.flags)
                .env_clear()
                .env("HOME", self.home())
                .env("PATH", "/usr/bin:/bin")
                .env("KUBECONFIG", &list)
                .envs(
                    case.environment
                        .iter()
                        .map(|(name, value)| (*name, value.as_str())),
                )
                .stdin(Stdio::null())
                .output()?;
            let runs = std::fs::read_to_string(self.home().join("runs")).unwrap_or_default();
            let mut notes: Vec<String> = held(&self.notes).clone();
            notes.dedup();
            let met = if notes.is_empty() {
                Met::Refused
            } else {
                notes.push(format!("programs run: {}", runs.lines().count()));
                Met::Asked(notes)
            };
            Ok((met, Ended::from(output)))
        };
        let mut theirs = Command::new(&self.kubectl);
        theirs.args(["create", "token", "default"]);
        let mut ours = Command::new(program()?);
        ours.arg("list");
        Ok([run(theirs)?, run(ours)?])
    }
}

fn held(notes: &Notes) -> MutexGuard<'_, Vec<String>> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn port(listener: &TcpListener) -> Result<u16> {
    Ok(listener.local_addr()?.port())
}

/// A server whose certificate is its own authority, as `openssl req -x509` makes them.
fn pinned() -> Result<(String, TlsAcceptor)> {
    let names = ["localhost", "127.0.0.1", "0.0.0.0", "api.example.invalid"];
    let mut params = CertificateParams::new(names.map(str::to_owned))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), acceptor(&[&certificate], &key)?))
}

fn acceptor(chain: &[&Certificate], key: &KeyPair) -> Result<TlsAcceptor> {
    let chain = chain.iter().map(|one| one.der().clone()).collect();
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// An API server behind TLS.
fn guarded(listener: TcpListener, acceptor: TlsAcceptor, notes: Notes) {
    tokio::spawn(each(listener, move |stream| {
        let (acceptor, notes) = (acceptor.clone(), notes.clone());
        async move { answer("https", acceptor.accept(stream).await?, &notes).await }
    }));
}

async fn each<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream));
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(read)?)
}

/// Notes who asks, and says no.
async fn answer(
    scheme: &str,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    notes: &Notes,
) -> Result<()> {
    let head = head(&mut stream).await?;
    let path = head.split(' ').nth(1).context("no path")?;
    let prefix = path.split("/api").next().unwrap_or_default();
    let namespace = path.split("/namespaces/").nth(1).unwrap_or_default();
    let namespace = namespace.split('/').next().unwrap_or_default();
    let mut lines: Vec<&str> = head
        .lines()
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            line.starts_with("authorization:") || line.starts_with("impersonate-")
        })
        .collect();
    lines.sort_unstable_by_key(|line| line.to_ascii_lowercase());
    let lines: Vec<String> = lines
        .into_iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| format!("{}:{value}", name.to_ascii_lowercase()))
        .collect();
    let note = format!(
        "{scheme} \"{prefix}\" in \"{namespace}\" {}",
        lines.join("; ")
    );
    held(notes).push(note);
    let body =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":403,"message":"no"}"#;
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// A proxy of both kinds, for which every name is that of the API server.
async fn carry(mut stream: TcpStream, server: u16, notes: &Notes) -> Result<()> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first != [5] {
        return tunnel("proxy", stream, server, notes).await;
    }
    let note = socks(&mut stream).await?;
    held(notes).push(note);
    join(stream, server).await
}

async fn tunnel(
    kind: &str,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    server: u16,
    notes: &Notes,
) -> Result<()> {
    let head = head(&mut stream).await?;
    let asked = head.lines().next().unwrap_or_default();
    let login = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": Basic ")?;
        let is_login = name.eq_ignore_ascii_case("proxy-authorization");
        is_login.then(|| STANDARD.decode(value).ok()).flatten()
    });
    let login = String::from_utf8(login.unwrap_or_default())?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    held(notes).push(format!("{kind} {asked} {login}"));
    join(stream, server).await
}

async fn join(mut stream: impl AsyncRead + AsyncWrite + Unpin, server: u16) -> Result<()> {
    let mut there = TcpStream::connect(("127.0.0.1", server)).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut there).await?;
    Ok(())
}

async fn socks(stream: &mut TcpStream) -> Result<String> {
    let text = async |stream: &mut TcpStream| -> Result<String> {
        let mut text = vec![0; stream.read_u8().await?.into()];
        stream.read_exact(&mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    stream.read_u8().await?;
    let methods = text(stream).await?;
    let mut login = String::new();
    if methods.contains('\u{2}') {
        stream.write_all(&[5, 2]).await?;
        stream.read_u8().await?;
        login = format!("{}:{}", text(stream).await?, text(stream).await?);
        stream.write_all(&[1, 0]).await?;
    } else {
        stream.write_all(&[5, 0]).await?;
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    let [.., kind] = request;
    let host = match kind {
        3 => text(stream).await?,
        1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        _ => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
    };
    let port = stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(format!("proxy socks {host}:{port} {login}"))
}
