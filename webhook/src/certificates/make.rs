//! Makes authorities and leaves: ECDSA P-256.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use zeroize::Zeroizing;

/// How long before it is made a certificate begins, for machines whose clocks are behind.
pub const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// A certificate and its key, both in PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate, or several: the first is the one that the key belongs to.
    pub certificate: String,
    /// The private key.
    pub key: Zeroizing<String>,
}

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// It cannot be written, or the authority cannot be used.
    #[error("the certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// A name cannot be one of a certificate.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    Name(String),
    /// A lifetime ends beyond what a certificate can say.
    #[error("the lifetime is out of range")]
    Lifetime,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
}

/// A self-signed authority that may sign leaves and nothing below them.
pub fn authority(now: Timestamp, lifetime: SignedDuration) -> Result<Pair, MakeError> {
    let until = now.checked_add(lifetime).map_err(|_| MakeError::Lifetime)?;
    // Authorities of one name and different keys confuse verifiers: the name says when.
    let name = format!("k0smotron webhook {}", now.as_millisecond());
    let mut params = params(&name, now, until)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(pair(&certificate, &key))
}

/// A server's certificate for these names, signed by `authority`, until `until` at the latest.
pub fn leaf(
    authority: &Pair,
    names: &[String],
    now: Timestamp,
    lifetime: SignedDuration,
    until: Timestamp,
) -> Result<Pair, MakeError> {
    let end = now.checked_add(lifetime).map_err(|_| MakeError::Lifetime)?;
    let mut params = params("k0smotron webhook", now, end.min(until))?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names
        .iter()
        .map(|name| alternative(name))
        .collect::<Result<_, _>>()?;
    let signing = KeyPair::from_pem(&authority.key)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, signing)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(pair(&certificate, &key))
}

fn params(name: &str, now: Timestamp, until: Timestamp) -> Result<CertificateParams, MakeError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial()?);
    let since_1970 = |moment: Timestamp| {
        u64::try_from(moment.as_second())
            .map(std::time::Duration::from_secs)
            .map_err(|_| MakeError::Lifetime)
    };
    let from = now.checked_sub(BACKDATE).map_err(|_| MakeError::Lifetime)?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(from)?;
    params.not_after = epoch + since_1970(until)?;
    Ok(params)
}

fn alternative(name: &str) -> Result<SanType, MakeError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    name.try_into()
        .map(SanType::DnsName)
        .map_err(|_| MakeError::Name(name.to_owned()))
}

/// 127 random bits, positive.
fn serial() -> Result<SerialNumber, MakeError> {
    let mut bytes = [0_u8; 16];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| MakeError::Randomness)?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn pair(certificate: &rcgen::Certificate, key: &KeyPair) -> Pair {
    Pair {
        certificate: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    }
}
