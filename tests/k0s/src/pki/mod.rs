//! Certificates: CAs that were given (or are made), leaf certificates issued from them at each
//! start, as k0s does.

mod key;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use crate::config::{ClusterConfig, local_addresses};
use crate::paths::{Paths, make_dir, write_file};
use crate::{duration, kubeconfig};

/// Private keys stay readable for root's group, in which k0s runs its components.
const KEY_MODE: u32 = 0o640;
const CERT_MODE: u32 = 0o644;

/// A certificate authority: its certificate, and its key if that is here.
pub struct Authority {
    /// The certificate as PEM.
    pub certificate: String,
    issuer: Option<Issuer<'static, KeyPair>>,
}

/// What a leaf certificate says.
#[derive(Default)]
pub struct Subject<'a> {
    pub common_name: &'a str,
    pub organization: Option<&'a str>,
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

/// A certificate with its key, both PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// Loads `<base>.crt` and `<base>.key`.
    ///
    /// # Errors
    /// When the certificate is missing or either cannot be understood.
    pub fn load(base: &Path) -> Result<Self> {
        let certificate = read(&base.with_extension("crt"))?;
        let key = base.with_extension("key");
        let issuer = if key.exists() {
            let pair = key::parse(&read(&key)?)
                .with_context(|| format!("unusable private key {}", key.display()))?;
            let issuer = Issuer::from_ca_cert_pem(&certificate, pair)
                .with_context(|| format!("unusable certificate {}", base.display()))?;
            Some(issuer)
        } else {
            None
        };
        Ok(Self {
            certificate,
            issuer,
        })
    }

    /// Loads a CA, or makes it when neither of its files is there.
    fn ensure(base: &Path, common_name: &str, life: Duration) -> Result<Self> {
        if !base.with_extension("crt").exists() && !base.with_extension("key").exists() {
            tracing::info!("making the certificate authority {common_name}");
            let mut params = parameters(common_name, None, life);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyEncipherment,
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::CrlSign,
            ];
            let pair = KeyPair::generate()?;
            let certificate = params.self_signed(&pair)?;
            write_file(&base.with_extension("key"), pair.serialize_pem(), KEY_MODE)?;
            write_file(&base.with_extension("crt"), certificate.pem(), CERT_MODE)?;
        }
        Self::load(base)
    }

    /// Issues a certificate for clients and servers alike.
    ///
    /// # Errors
    /// When the CA's key is not here.
    pub fn issue(&self, subject: &Subject<'_>, life: Duration) -> Result<Issued> {
        let Some(issuer) = &self.issuer else {
            bail!(
                "no key of the certificate authority to issue {} with",
                subject.common_name
            );
        };
        let mut params = parameters(subject.common_name, subject.organization, life);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        for name in &subject.names {
            params
                .subject_alt_names
                .push(SanType::DnsName(name.as_str().try_into()?));
        }
        let addresses = subject.addresses.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(addresses);
        let pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: pair.serialize_pem(),
        })
    }

    /// Issues a certificate into `<base>.crt` and `<base>.key`. A certificate made elsewhere is
    /// left alone when the CA's key is not here.
    fn issue_to(&self, base: &Path, subject: &Subject<'_>, life: Duration) -> Result<()> {
        if self.issuer.is_none() && base.with_extension("crt").exists() {
            tracing::info!("keeping {}: no CA key to renew it with", base.display());
            return Ok(());
        }
        let issued = self.issue(subject, life)?;
        write_file(&base.with_extension("key"), issued.key, KEY_MODE)?;
        write_file(&base.with_extension("crt"), issued.certificate, CERT_MODE)
    }
}

fn parameters(common_name: &str, organization: Option<&str>, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    // A day back, so that a machine whose clock is behind trusts the certificate too.
    let now = jiff::Timestamp::now().as_second().max(0).unsigned_abs();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(86_400));
    params.not_after = epoch + Duration::from_secs(now) + life;
    params
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// Makes everything in `pki` that a controller needs, kubeconfigs included.
///
/// # Errors
/// When a given CA cannot be used, or a file cannot be written.
pub fn prepare(paths: &Paths, config: &ClusterConfig) -> Result<()> {
    make_dir(&paths.pki(""), 0o751)?;
    let ca_life =
        duration::parse(&config.api.ca.expires_after).context("spec.api.ca.expiresAfter")?;
    let life = duration::parse(&config.api.ca.certificates_expire_after)
        .context("spec.api.ca.certificatesExpireAfter")?;
    let ca = Authority::ensure(&paths.pki("ca"), "kubernetes-ca", ca_life)?;
    let front = Authority::ensure(
        &paths.pki("front-proxy-ca"),
        "kubernetes-front-proxy-ca",
        ca_life,
    )?;
    service_account_key(paths)?;

    let client = |file: &str, common_name, organization| {
        let subject = Subject {
            common_name,
            organization,
            ..Subject::default()
        };
        ca.issue_to(&paths.pki(file), &subject, life)
    };
    let masters = Some("system:masters");
    client("admin", "kubernetes-admin", masters)?;
    client(
        "ccm",
        "system:kube-controller-manager",
        Some("system:kube-controller-manager"),
    )?;
    client(
        "scheduler",
        "system:kube-scheduler",
        Some("system:kube-scheduler"),
    )?;
    client("konnectivity", "kubernetes-konnectivity", masters)?;
    client(
        "apiserver-kubelet-client",
        "apiserver-kubelet-client",
        masters,
    )?;
    let proxy = Subject {
        common_name: "front-proxy-client",
        ..Subject::default()
    };
    front.issue_to(&paths.pki("front-proxy-client"), &proxy, life)?;
    ca.issue_to(&paths.pki("server"), &server_subject(config), life)?;

    for user in ["admin", "ccm", "scheduler", "konnectivity"] {
        let issued = Issued {
            certificate: read(&paths.pki(&format!("{user}.crt")))?,
            key: read(&paths.pki(&format!("{user}.key")))?,
        };
        let server = format!("https://localhost:{}", config.api.port);
        let content = kubeconfig::with_certificate("k0s", &server, &ca.certificate, user, &issued);
        write_file(&paths.pki(&format!("{user}.conf")), content, KEY_MODE)?;
    }
    if config.storage.etcd.external_cluster.is_none() {
        etcd(paths, config)?;
    }
    Ok(())
}

/// The names and addresses under which clients, inside and outside, reach the API server.
fn server_subject(config: &ClusterConfig) -> Subject<'static> {
    let domain = &config.network.cluster_domain;
    let mut names: Vec<String> = [
        "kubernetes".into(),
        "kubernetes.default".into(),
        "kubernetes.default.svc".into(),
        format!("kubernetes.default.svc.{domain}"),
        "localhost".into(),
    ]
    .into();
    let mut addresses: Vec<IpAddr> = vec![IpAddr::from([127, 0, 0, 1])];
    addresses.extend(config.service_ip());
    addresses.extend(local_addresses());
    let given = [
        config.api_endpoint().host,
        config.konnectivity_endpoint().host,
        config.api.address.clone(),
    ];
    for host in given.into_iter().chain(config.api.sans.iter().cloned()) {
        match host.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => names.push(host),
        }
    }
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    addresses.sort();
    addresses.dedup();
    Subject {
        common_name: "kubernetes",
        organization: Some("kubernetes"),
        names,
        addresses,
    }
}

fn service_account_key(paths: &Paths) -> Result<()> {
    let (key, public) = (paths.pki("sa.key"), paths.pki("sa.pub"));
    if !key.exists() {
        let pair = KeyPair::generate()?;
        write_file(&key, pair.serialize_pem(), KEY_MODE)?;
        write_file(&public, pair.public_key_pem(), CERT_MODE)?;
    } else if !public.exists() {
        let pair = key::parse(&read(&key)?).context("unusable private key sa.key")?;
        write_file(&public, pair.public_key_pem(), CERT_MODE)?;
    }
    Ok(())
}

/// The certificates of an etcd that runs beside the API server.
fn etcd(paths: &Paths, config: &ClusterConfig) -> Result<()> {
    make_dir(&paths.pki("etcd"), 0o711)?;
    let ca_life = duration::parse(&config.storage.etcd.ca.expires_after)
        .context("spec.storage.etcd.ca.expiresAfter")?;
    let life = duration::parse(&config.storage.etcd.ca.certificates_expire_after)
        .context("spec.storage.etcd.ca.certificatesExpireAfter")?;
    let ca = Authority::ensure(&paths.pki("etcd/ca"), "etcd-ca", ca_life)?;
    let subject = |common_name| Subject {
        common_name,
        organization: Some(common_name),
        names: vec!["localhost".into()],
        addresses: vec![IpAddr::from([127, 0, 0, 1])],
    };
    ca.issue_to(
        &paths.pki("apiserver-etcd-client"),
        &subject("apiserver-etcd-client"),
        life,
    )?;
    ca.issue_to(&paths.pki("etcd/server"), &subject("etcd-server"), life)?;
    let mut peer = subject("etcd-peer");
    peer.addresses
        .extend(peer_address(config).parse::<IpAddr>());
    ca.issue_to(&paths.pki("etcd/peer"), &peer, life)
}

/// The address on which the controller's own etcd talks to its peers.
pub fn peer_address(config: &ClusterConfig) -> &str {
    if config.storage.etcd.peer_address.is_empty() {
        &config.api.address
    } else {
        &config.storage.etcd.peer_address
    }
}

/// The files with which the API server reaches etcd: CA, certificate, key. Empty paths where an
/// external etcd is reached without TLS.
pub fn etcd_client_files(paths: &Paths, config: &ClusterConfig) -> [PathBuf; 3] {
    config.storage.etcd.external_cluster.as_ref().map_or_else(
        || {
            [
                paths.pki("etcd/ca.crt"),
                paths.pki("apiserver-etcd-client.crt"),
                paths.pki("apiserver-etcd-client.key"),
            ]
        },
        |external| {
            [
                (&external.ca_file).into(),
                (&external.client_cert_file).into(),
                (&external.client_key_file).into(),
            ]
        },
    )
}

#[cfg(test)]
mod tests;
