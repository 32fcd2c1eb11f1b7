//! What a certificate says, and after how much of its life it is to be replaced: two thirds, for
//! those of hosted clusters and for the webhook's own. Who asks decides what follows.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::key::PublicKey;
use super::{PemPair, PkiError, pem};

/// What a certificate says of itself. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The common name of the subject.
    pub subject_cn: Option<String>,
    /// The organisations of the subject: a client's groups.
    pub organizations: Vec<String>,
    /// The whole name of the issuer, as text.
    pub issuer: String,
    /// The serial number in hexadecimal.
    pub serial: String,
    /// The first valid second.
    pub not_before: Timestamp,
    /// The last valid second.
    pub not_after: Timestamp,
    /// DNS names and IP addresses that it is valid for, in its own order.
    pub sans: Vec<String>,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// SHA-256 of the public key's info, in hexadecimal: the same for every certificate of one key.
    pub spki_digest: String,
}

impl CertificateFacts {
    /// When it should be replaced: after two thirds of its life.
    pub fn renew_at(&self) -> Timestamp {
        renew_at(self.not_before, self.not_after)
    }
}

/// Reads the first certificate of `certificate_pem`.
pub fn inspect(certificate_pem: &str) -> Result<CertificateFacts, PkiError> {
    let der = pem::first_certificate(certificate_pem)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| PkiError::Certificate)?;
    let subject = certificate.subject();
    let is_ca = certificate
        .basic_constraints()
        .map_err(|_| PkiError::Certificate)?
        .is_some_and(|constraints| constraints.value.ca);
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| PkiError::Certificate)?;
    Ok(CertificateFacts {
        subject_cn: subject
            .iter_common_name()
            .find_map(|name| name.as_str().ok())
            .map(str::to_owned),
        organizations: subject
            .iter_organization()
            .filter_map(|name| name.as_str().ok())
            .map(str::to_owned)
            .collect(),
        issuer: certificate.issuer().to_string(),
        serial: hex(certificate.raw_serial()),
        not_before: timestamp(certificate.validity().not_before)?,
        not_after: timestamp(certificate.validity().not_after)?,
        sans: names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(san)
            .collect(),
        is_ca,
        spki_digest: hex(&Sha256::digest(certificate.public_key().raw)),
    })
}

/// When a certificate should be replaced: after two thirds of its life.
///
/// Early enough that a third of the life is left to find out why a renewal does not work.
pub fn renew_at(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let life = not_after.as_second().saturating_sub(not_before.as_second());
    let due = not_before
        .as_second()
        .saturating_add(life / 3 * 2 + life % 3 * 2 / 3);
    Timestamp::from_second(due).unwrap_or(not_before)
}

/// Whether the private key belongs to the pair's certificate or public key.
///
/// Fails when one of the two cannot be read.
pub fn key_matches(pair: &PemPair) -> Result<bool, PkiError> {
    let public = PublicKey::read(&pair.certificate)?;
    match pair.key.read(public.algorithm) {
        Ok(key) => Ok(key.public_key_raw() == public.bits),
        Err(PkiError::KeyMismatch) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn timestamp(time: ASN1Time) -> Result<Timestamp, PkiError> {
    // "No expiry" is the last second of the year 9999, which no clock of ours reaches.
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(time.timestamp().clamp(first, last)).map_err(|_| PkiError::Certificate)
}

fn san(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            if let Ok(octets) = <[u8; 4]>::try_from(*octets) {
                return Some(Ipv4Addr::from(octets).to_string());
            }
            let octets = <[u8; 16]>::try_from(*octets).ok()?;
            Some(Ipv6Addr::from(octets).to_string())
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::fixtures;

    #[test]
    fn a_ca_of_upstream_is_read() {
        let facts = inspect(&fixtures::pair("rsa-pkcs1").certificate).unwrap();
        assert_eq!(facts.subject_cn.as_deref(), Some("kubernetes"));
        assert_eq!(facts.issuer, "CN=kubernetes");
        assert_eq!(facts.serial, "00");
        assert!(facts.is_ca);
        assert_eq!(facts.spki_digest.len(), 64);
    }

    #[test]
    fn a_certificate_is_due_after_two_thirds_of_its_life() {
        let start = fixtures::now();
        let after = |seconds| start + SignedDuration::from_secs(seconds);
        assert_eq!(renew_at(start, after(90)), after(60));
        assert_eq!(renew_at(start, after(100)), after(66));
        assert_eq!(
            renew_at(start, after(365 * 86_400)),
            after(365 * 86_400 / 3 * 2)
        );
        assert_eq!(renew_at(start, start), start);
    }

    #[test]
    fn a_bare_public_key_matches_its_private_half_only() {
        let mut pair = fixtures::pair("sa-rsa");
        assert!(key_matches(&pair).unwrap());
        pair.key = fixtures::pair("rsa-pkcs1").key;
        assert!(!key_matches(&pair).unwrap());
        pair.key = fixtures::pair("ec-sec1").key;
        assert!(!key_matches(&pair).unwrap());
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        assert!(matches!(inspect(""), Err(PkiError::NoCertificate)));
        let key = fixtures::pair("sa-rsa").certificate;
        assert!(matches!(inspect(&key), Err(PkiError::NoCertificate)));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(inspect(broken), Err(PkiError::Certificate)));
        assert!(matches!(
            inspect("-----BEGIN CERTIFICATE-----\nAA"),
            Err(PkiError::Pem)
        ));
    }
}
