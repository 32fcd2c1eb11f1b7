//! From a cluster and a user of a kubeconfig to all that a client needs. kube's own loader is not
//! asked: it reads the environment, and much of what kubectl takes it refuses or means otherwise.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Uri};
use kube::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::error::{Error, innermost};
use crate::kubeconfig::credential::{self, Credential};
use crate::kubeconfig::proxy::Proxy;
use crate::kubeconfig::read::{Cluster, User};

/// How a block of a PEM file begins, whatever is in it.
const BEGIN: &[u8] = b"\n-----BEGIN ";

/// What a client is made of.
pub struct Access {
    /// Address, certificates and impersonation; credentials and proxy are beside it.
    pub config: Config,
    pub credential: Credential,
    pub proxy: Option<Proxy>,
}

impl Access {
    /// How this user reaches this cluster. A program that brings credentials is asked.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`] for what kubectl would refuse, [`Error::Unauthorized`] for a program
    /// that brings nothing.
    pub async fn new(cluster: &Cluster, user: &User) -> Result<Self, Error> {
        if let Some(why) = objection(cluster, user) {
            return Err(unusable(&why));
        }
        let url = address(&cluster.server)?;
        // Who a user is goes out encrypted or not at all.
        let is_tls = url.scheme_str() == Some("https");
        let proxy = match cluster.proxy_url.as_str() {
            "" => from_environment(&url),
            text => Proxy::new(text)
                .map(Some)
                .map_err(|why| format!("proxy-url {why}")),
        };
        let mut access = Self {
            proxy: proxy.map_err(|why| unusable(&why))?,
            config: Config::new(url),
            credential: Credential::None,
        };
        access.act_as(user)?;
        if is_tls {
            let mut cluster = cluster.clone();
            // A program that brings credentials is told what is in the file, too.
            let (path, data) = (
                &cluster.certificate_authority,
                &cluster.certificate_authority_data,
            );
            let pem = content("certificate-authority", path, data)?;
            cluster.certificate_authority_data = pem.unwrap_or_default();
            access.trust(&cluster)?;
            access.log_in(&cluster, user).await?;
        }
        Ok(access)
    }

    /// What every pod has. `named` says whether the flags name the user: one that the kubeconfig
    /// alone has belongs to another cluster, and only whom it acts as is minded.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`] where it cannot be read, else as [`Access::new`].
    pub async fn in_cluster(user: &User, named: bool) -> Result<Self, Error> {
        Self::of_pod(pod()?, user, named).await
    }

    async fn of_pod(mut config: Config, user: &User, named: bool) -> Result<Self, Error> {
        let authority = config.root_cert_file.as_ref();
        let cluster = Cluster {
            server: config.cluster_url.to_string(),
            certificate_authority_data: authority
                .and_then(|path| std::fs::read(path).ok())
                .unwrap_or_default(),
            ..Cluster::default()
        };
        if let Some(why) = objection(&cluster, user) {
            return Err(unusable(&why));
        }
        let own = User {
            token_file: config.auth_info.token_file.take().unwrap_or_default(),
            ..User::default()
        };
        let mut access = Self {
            proxy: from_environment(&config.cluster_url).map_err(|why| unusable(&why))?,
            config,
            credential: Credential::None,
        };
        access.act_as(user)?;
        let who = if named && user.has_login() {
            user
        } else {
            &own
        };
        access.log_in(&cluster, who).await?;
        Ok(access)
    }

    fn act_as(&mut self, user: &User) -> Result<(), Error> {
        let mut header = |name: &'static str, value: &str| {
            let field = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| unusable(&format!("{name} must be one line")))?;
            self.config
                .headers
                .push((HeaderName::from_static(name), field));
            Ok::<_, Error>(())
        };
        if user.impersonate.is_empty() {
            return Ok(());
        }
        header("impersonate-user", &user.impersonate)?;
        if !user.as_uid.is_empty() {
            header("impersonate-uid", &user.as_uid)?;
        }
        for group in &user.as_groups {
            header("impersonate-group", group)?;
        }
        let extra = user.as_user_extra.clone().into_iter().collect();
        self.config.auth_info.impersonate_user_extra = Some(extra);
        Ok(())
    }

    fn trust(&mut self, cluster: &Cluster) -> Result<(), Error> {
        self.config.accept_invalid_certs = cluster.insecure_skip_tls_verify;
        if !cluster.tls_server_name.is_empty() {
            self.config.tls_server_name = Some(cluster.tls_server_name.clone());
        } else if let Some((address, _)) = zone(&cluster.server) {
            // No certificate has a zone in it.
            self.config.tls_server_name = Some(address.to_owned());
        }
        let pem = &cluster.certificate_authority_data;
        if !pem.is_empty() {
            let roots = certificates(pem);
            if roots.is_empty() {
                return Err(unusable(
                    "its certificate-authority must be certificates in PEM",
                ));
            }
            self.config.root_cert = Some(roots);
        }
        Ok(())
    }

    async fn log_in(&mut self, cluster: &Cluster, user: &User) -> Result<(), Error> {
        let (credential, brought) = Credential::new(user, cluster).await?;
        self.credential = credential;
        let (path, data) = (&user.client_certificate, &user.client_certificate_data);
        let certificate = content("client-certificate", path, data)?;
        let identity = match (certificate, brought) {
            (Some(certificate), _) => {
                let key = content("client-key", &user.client_key, &user.client_key_data)?;
                Some((certificate, key.unwrap_or_default()))
            }
            (None, brought) => brought.map(|(certificate, key)| (certificate.into(), key.into())),
        };
        if let Some((certificate, key)) = identity {
            let (certificate, key) = pair(&certificate, &key)?;
            let info = &mut self.config.auth_info;
            info.client_certificate_data = Some(STANDARD.encode(certificate));
            info.client_key_data = Some(STANDARD.encode(key).into());
        }
        Ok(())
    }
}

/// The certificates of a bundle. What cannot be read is passed over as long as there are others:
/// bundles are put together of what others have made.
fn certificates(bundle: &[u8]) -> Vec<Vec<u8>> {
    let blocks = blocks(bundle).into_iter();
    blocks
        .filter_map(|block| CertificateDer::from_pem_slice(block).ok())
        .filter(|one| X509Certificate::from_der(one).is_ok_and(|(more, _)| more.is_empty()))
        .map(|certificate| certificate.to_vec())
        .collect()
}

/// What somebody shows of these bundles: the certificates of one and the first key of the other.
/// Requests, lists of what was revoked and other keys are passed over, as Go does.
fn pair(certificate: &[u8], key: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut chain = blocks(certificate);
    chain.retain(|block| {
        label(block) == b"CERTIFICATE" && CertificateDer::from_pem_slice(block).is_ok()
    });
    if chain.is_empty() {
        return Err(unusable(
            "its client-certificate must be certificates in PEM",
        ));
    }
    let mut keys = blocks(key).into_iter();
    let key = keys
        .find(|block| label(block).ends_with(b"PRIVATE KEY"))
        .ok_or_else(|| unusable("its client-key must be a private key in PEM"))?;
    // They are put together before they are read.
    Ok((chain.concat(), [key, b"\n"].concat()))
}

/// The parts of a bundle: one block each, but for what may be before the first.
fn blocks(bundle: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let after = rest.get(1..).unwrap_or_default();
        let next = (after.windows(BEGIN.len()).position(|text| text == BEGIN))
            .map_or(rest.len(), |at| at + 1);
        let (block, more) = rest.split_at(next);
        rest = more;
        found.push(block);
    }
    found
}

/// What a block says that it is.
fn label(block: &[u8]) -> &[u8] {
    let begin = BEGIN.trim_ascii_start();
    let line = block.strip_prefix(b"\n").unwrap_or(block);
    let label = line.strip_prefix(begin).unwrap_or_default();
    label.split(|byte| *byte == b'-').next().unwrap_or_default()
}

/// Where a pod finds the API server, and what it trusts and is known by.
pub(super) fn pod() -> Result<Config, Error> {
    Config::incluster_env().map_err(|error| unusable(&format!("a pod's own access: {error}")))
}

/// What kubectl says no to before it does anything.
fn objection(cluster: &Cluster, user: &User) -> Option<String> {
    let any = |file: &str, data: &[u8]| !file.is_empty() || !data.is_empty();
    let both = |file: &str, data: &[u8]| !file.is_empty() && !data.is_empty();
    let (ca, ca_data) = (
        &cluster.certificate_authority,
        &cluster.certificate_authority_data,
    );
    let (mine, mine_data) = (&user.client_certificate, &user.client_certificate_data);
    let (key, key_data) = (&user.client_key, &user.client_key_data);
    let has_basic = !user.username.is_empty() || !user.password.is_empty();
    let has_token = !user.token.is_empty() || !user.token_file.is_empty();
    let has_more =
        !user.as_uid.is_empty() || !user.as_groups.is_empty() || !user.as_user_extra.is_empty();
    let is_unchecked = cluster.insecure_skip_tls_verify && cluster.server.starts_with("https:");
    let rules = [
        (
            both(ca, ca_data),
            "certificate-authority and certificate-authority-data must not both be there",
        ),
        (
            is_unchecked && any(ca, ca_data),
            "certificate-authority must not be there with insecure-skip-tls-verify",
        ),
        (
            both(mine, mine_data),
            "client-certificate and client-certificate-data must not both be there",
        ),
        (
            any(mine, mine_data) && both(key, key_data),
            "client-key and client-key-data must not both be there",
        ),
        (
            any(mine, mine_data) && !any(key, key_data),
            "its client-certificate has no client-key",
        ),
        (
            has_basic && has_token,
            "its user must have a token or a username and password, not both",
        ),
        (
            has_more && user.impersonate.is_empty(),
            "as-uid, as-groups and as-user-extra mean nothing without as",
        ),
        (
            user.exec.is_some() && user.auth_provider.is_some(),
            "its user must have exec or auth-provider, not both",
        ),
    ];
    let broken = rules.into_iter().find(|(is_broken, _)| *is_broken);
    broken
        .map(|(_, why)| why.to_owned())
        .or_else(|| credential::objection(user.exec.as_ref()?))
}

/// Scheme, host and port of a server, and the path below which its API is.
pub(super) fn address(server: &str) -> Result<Uri, Error> {
    let wrong = || unusable("its server must be a URL or a host and a port");
    let has_scheme = server.contains("://");
    let whole = if has_scheme {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    // What follows a path is no part of the address.
    let whole = whole.split(['?', '#']).next().unwrap_or_default();
    // Whoever looks up an address takes its zone as it is.
    let whole = match zone(whole) {
        Some((_, zone)) if zone.starts_with("25") => whole.replacen("%25", "%", 1),
        Some(_) => return Err(wrong()),
        None => whole.to_owned(),
    };
    let url: Uri = whole.parse().map_err(|_| wrong())?;
    let known = matches!(url.scheme_str(), Some("http" | "https"));
    let has_host = url.host().is_some_and(|host| !host.is_empty());
    let has_login = url
        .authority()
        .is_some_and(|all| all.as_str().contains('@'));
    if !known || !has_host || has_login || (!has_scheme && url.path() != "/") {
        return Err(wrong());
    }
    Ok(url)
}

/// An address of IPv6 and its zone, the network interface that it goes out by.
fn zone(server: &str) -> Option<(&str, &str)> {
    let (host, _) = server.split_once('[')?.1.split_once(']')?;
    host.split_once('%')
}

fn from_environment(url: &Uri) -> Result<Option<Proxy>, String> {
    Proxy::of_environment(url, |name| std::env::var(name).ok())
}

/// What is in a file, or beside its name.
fn content(name: &str, path: &str, data: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    if !data.is_empty() {
        return Ok(Some(data.to_vec()));
    }
    if path.is_empty() {
        return Ok(None);
    }
    std::fs::read(Path::new(path)).map(Some).map_err(|source| {
        unusable(&format!(
            "cannot read its {name} {path}: {}",
            innermost(&source)
        ))
    })
}

fn unusable(why: &str) -> Error {
    Error::Kubeconfig {
        message: format!("the kubeconfig cannot be used: {why}"),
        hint: "see what it says: kubectl config view; choose another with --context or \
               --kubeconfig"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
