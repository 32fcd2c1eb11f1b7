//! A caller as slow and as rude as a test wants it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::scene::NAME;

/// One connection.
pub struct Caller {
    stream: TlsStream<TcpStream>,
    /// What has been read beyond the last answer.
    rest: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Whether the connection ends with it.
    pub fn closes(&self) -> bool {
        self.head.to_lowercase().contains("connection: close")
    }
}

pub fn config(roots: RootCertStore, protocols: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    config
}

impl Caller {
    pub async fn connect(address: SocketAddr, roots: RootCertStore) -> io::Result<Self> {
        Self::connect_with(address, config(roots, &["http/1.1"])).await
    }

    pub async fn connect_with(address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        Self::over(TcpStream::connect(address).await?, config).await
    }

    /// From an address of its own: the host's loopback has many.
    pub async fn connect_from(
        source: Ipv4Addr,
        address: SocketAddr,
        roots: RootCertStore,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        Self::over(socket.connect(address).await?, config(roots, &["http/1.1"])).await
    }

    async fn over(stream: TcpStream, config: ClientConfig) -> io::Result<Self> {
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect(ServerName::try_from(NAME).unwrap(), stream)
            .await?;
        Ok(Self {
            stream,
            rest: Vec::new(),
        })
    }

    pub async fn send(&mut self, bytes: &str) -> io::Result<()> {
        self.stream.write_all(bytes.as_bytes()).await?;
        self.stream.flush().await
    }

    /// Whether the other side has closed; waits until something happens.
    pub async fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 1];
        matches!(self.stream.read(&mut buffer).await, Ok(0) | Err(_))
    }

    pub async fn post(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await?;
        self.answer().await
    }

    pub async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some(answer) = self.parsed() {
                return Ok(answer);
            }
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.rest.extend(&buffer[..read]);
        }
    }

    fn parsed(&mut self) -> Option<Answer> {
        let text = String::from_utf8_lossy(&self.rest).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        let body = body.get(..length)?.to_owned();
        self.rest.drain(..head.len() + 4 + length);
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer {
            status,
            head: head.to_owned(),
            body,
        })
    }
}
