//! Certificates, all ECDSA P-256.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// Its private key, PKCS#8.
    pub key: String,
}

impl Pair {
    /// Writes `NAME.crt` and `NAME.key`; only the owner can read the key.
    pub fn save(&self, dir: &Path, name: &str) -> Result<()> {
        write_private(&dir.join(format!("{name}.key")), &self.key)?;
        let cert = dir.join(format!("{name}.crt"));
        std::fs::write(&cert, &self.cert).with_context(|| format!("writing {}", cert.display()))
    }
}

/// Writes a file that only its owner can read. Whoever reads it meanwhile reads the old one or the
/// new one.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let write = || {
        // Made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path).map_err(|error| error.error)
    };
    write().with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

/// What a leaf is for.
#[derive(Clone, Debug, Default)]
pub struct Leaf<'a> {
    /// The user's name for the API server.
    pub common_name: &'a str,
    /// The user's groups for the API server, two at most.
    pub organizations: &'a [&'a str],
    /// Host names it serves.
    pub names: &'a [&'a str],
    /// Addresses it serves.
    pub addresses: &'a [IpAddr],
}

/// A certificate authority kept in a folder.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes one and writes `NAME.crt` and `NAME.key`.
    pub fn create(dir: &Path, name: &str) -> Result<Self> {
        let key = KeyPair::generate().context("making a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let cert = params.self_signed(&key).context("signing a CA")?.pem();
        Pair {
            cert: cert.clone(),
            key: key.serialize_pem(),
        }
        .save(dir, name)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            cert,
        })
    }

    /// Reads what [`Authority::create`] wrote.
    pub fn load(dir: &Path, name: &str) -> Result<Self> {
        let read = |ending: &str| -> Result<String> {
            let path: PathBuf = dir.join(format!("{name}.{ending}"));
            std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        Self::from_pem(&read("crt")?, &read("key")?)
    }

    /// From a certificate and its key.
    pub fn from_pem(cert: &str, key: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key).context("reading a CA key")?;
        let issuer = Issuer::from_ca_cert_pem(cert, key).context("reading a CA")?;
        Ok(Self {
            issuer,
            cert: cert.to_owned(),
        })
    }

    /// The CA's own certificate, as PEM.
    pub fn cert(&self) -> &str {
        &self.cert
    }

    /// Issues a leaf for both ends of a connection.
    pub fn issue(&self, leaf: &Leaf<'_>) -> Result<Pair> {
        let key = KeyPair::generate().context("making a key")?;
        let mut params = CertificateParams::new(
            leaf.names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )
        .context("host names of a certificate")?;
        params.subject_alt_names.extend(
            leaf.addresses
                .iter()
                .map(|address| SanType::IpAddress(*address)),
        );
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, leaf.common_name);
        // rcgen keeps one value per type; the second group gets a type that compares as another
        // and encodes to the same identifier.
        let kinds = [
            DnType::OrganizationName,
            DnType::CustomDnType(vec![2, 5, 4, 10]),
        ];
        if leaf.organizations.len() > kinds.len() {
            bail!("{} is in more than two groups", leaf.common_name);
        }
        for (kind, organization) in kinds.into_iter().zip(leaf.organizations) {
            params.distinguished_name.push(kind, *organization);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let cert = params
            .signed_by(&key, &self.issuer)
            .context("signing a certificate")?
            .pem();
        Ok(Pair {
            cert,
            key: key.serialize_pem(),
        })
    }
}

/// Makes the key pair that signs service account tokens: `sa.key` and `sa.pub`.
pub fn service_account_key(dir: &Path) -> Result<()> {
    let key = KeyPair::generate().context("making a key")?;
    write_private(&dir.join("sa.key"), &key.serialize_pem())?;
    std::fs::write(dir.join("sa.pub"), key.public_key_pem()).context("writing sa.pub")
}
