//! The client of an API server: TLS, proxy, credentials, and what may come back.

mod trust;
mod warnings;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use http::{HeaderValue, Response, Uri};
use http_body_util::{BodyExt as _, BodyStream, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::{Body, ConfigExt as _, DynBody};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tower::filter::AsyncFilterLayer;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer as _, Service, ServiceBuilder, ServiceExt as _};

use crate::kubeconfig::proxy::{Protocol, Proxy};
use crate::kubeconfig::{self, Access};
use crate::trace::Trace;
use crate::transport::trust::Named;
use crate::transport::warnings::Warnings;

/// How much a hosted API may answer at once, in bytes: whoever has written its address into a Secret
/// answers there.
const ANSWER: usize = 64 * 1024 * 1024;
/// How many JSON objects may be in it: an empty one is read into a thousand times its size.
const OBJECTS: usize = 1_000_000;

/// A client that shows its requests as far as the level asks for.
///
/// # Errors
/// [`kube::Error`] for certificates that are none.
pub fn client(access: Access, level: u8) -> Result<Client, kube::Error> {
    connect(access, level, Side::Mothership)
}

/// The same for a hosted API, which is not trusted: what it answers is not read without an end.
///
/// # Errors
/// As [`client`].
pub fn wary(access: Access, level: u8) -> Result<Client, kube::Error> {
    connect(access, level, Side::Hosted)
}

/// Whose API answers.
#[derive(Clone, Copy)]
enum Side {
    Mothership,
    Hosted,
}

fn connect(access: Access, level: u8, side: Side) -> Result<Client, kube::Error> {
    let tls = Tls {
        config: tls(&access)?,
        name: access.config.tls_server_name.clone(),
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(access.config.connect_timeout);
    let Some(proxy) = access.proxy.clone() else {
        return stack(tls.over(tcp)?, access, level, side);
    };
    match proxy.protocol {
        Protocol::Socks5 => stack(tls.over(socks(proxy, tcp))?, access, level, side),
        Protocol::Http => stack(tls.over(tunnel(proxy, tcp))?, access, level, side),
        Protocol::Https => {
            let tunnel = tunnel(proxy, tls.over(tcp)?);
            stack(tls.over(tunnel)?, access, level, side)
        }
    }
}

/// Whether something listens at a server, by the way that a client takes there.
pub async fn is_listening(access: &Access) -> bool {
    let url = access.config.cluster_url.clone();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let Some(proxy) = access.proxy.clone() else {
        return tcp.oneshot(url).await.is_ok();
    };
    match proxy.protocol {
        Protocol::Socks5 => socks(proxy, tcp).oneshot(url).await.is_ok(),
        Protocol::Http => tunnel(proxy, tcp).oneshot(url).await.is_ok(),
        Protocol::Https => {
            let tls = tls(access).and_then(|config| Tls { config, name: None }.over(tcp));
            let Ok(secure) = tls else { return false };
            tunnel(proxy, secure).oneshot(url).await.is_ok()
        }
    }
}

fn socks<C>(proxy: Proxy, connector: C) -> SocksV5<C> {
    let socks = SocksV5::new(proxy.address, connector);
    match proxy.login {
        Some((name, password)) => socks.with_auth(name, password),
        None => socks,
    }
}

fn tunnel<C>(proxy: Proxy, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.address, connector);
    let login = proxy.login.and_then(|(name, password)| {
        let pair = STANDARD.encode(format!("{name}:{password}"));
        HeaderValue::try_from(format!("Basic {pair}")).ok()
    });
    match login {
        Some(login) => tunnel.with_auth(login),
        None => tunnel,
    }
}

/// From the kube client down to the connection; what is shown is what goes out.
fn stack<C>(connector: C, access: Access, level: u8, side: Side) -> Result<Client, kube::Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + Unpin + 'static,
    C::Error: Into<BoxError>,
{
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    let warnings = match side {
        Side::Mothership => Warnings::default(),
        Side::Hosted => Warnings::of(kubeconfig::shown(&access.config.cluster_url)),
    };
    let wire = client
        .build::<_, Body>(connector)
        .map_response(move |answer: Response<Incoming>| {
            warnings.show(answer.headers());
            answer.map(|body| {
                let body: Box<DynBody> = Box::new(body.map_err(BoxError::from));
                match side {
                    Side::Mothership => body,
                    Side::Hosted => limited(body),
                }
            })
        })
        .map_err(BoxError::from);
    let wire = match level {
        0 => BoxCloneService::new(wire),
        level => BoxCloneService::new(Trace::new(level).layer(wire)),
    };
    let config = access.config;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(config.extra_headers_layer()?)
        .layer(AsyncFilterLayer::new(access.credential))
        .service(wire);
    Ok(Client::new(service, config.default_namespace))
}

struct Tls {
    config: ClientConfig,
    name: Option<String>,
}

impl Tls {
    fn over<C>(&self, connector: C) -> Result<HttpsConnector<C>, kube::Error> {
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(self.config.clone())
            .https_or_http();
        let builder = match &self.name {
            None => builder,
            Some(name) => {
                let name = ServerName::try_from(name.clone())
                    .map_err(|error| kube::Error::Service(error.into()))?;
                builder.with_server_name_resolver(FixedServerNameResolver::new(name))
            }
        };
        Ok(builder.enable_http1().wrap_connector(connector))
    }
}

fn tls(access: &Access) -> Result<ClientConfig, kube::Error> {
    // kube reads a pod's own file again from time to time.
    let is_own = access.config.root_cert_file.is_some();
    let roots = access.config.root_cert.as_ref().filter(|_| !is_own);
    let mut config = access.config.clone();
    if roots.is_some() {
        // It would refuse all of them for one that it does not know what to do with.
        config.root_cert = Some(Vec::new());
    }
    let mut tls = config.rustls_client_config()?;
    if let Some(roots) = roots
        && !config.accept_invalid_certs
    {
        let verifier = Named {
            certificates: roots.iter().cloned().map(CertificateDer::from).collect(),
            algorithms: tls.crypto_provider().signature_verification_algorithms,
        };
        tls.dangerous().set_certificate_verifier(Arc::new(verifier));
    }
    Ok(tls)
}

fn limited(body: Box<DynBody>) -> Box<DynBody> {
    let mut objects = 0;
    let frames = BodyStream::new(Limited::new(body, ANSWER)).map(move |frame| {
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        objects += data.split(|byte| *byte == b'{').count() - 1;
        if objects > OBJECTS {
            return Err("more objects than a cluster has".into());
        }
        Ok(frame)
    });
    Box::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests;
