//! Makes the CAs of a hosted cluster: self-signed, and for leaf certificates only.

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

use super::{PemPair, PkiError, PrivateKey, validity};

/// How long a CA lives unless told otherwise: 10 years, as upstream's.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// Makes a self-signed CA with an ECDSA P-256 key.
///
/// It begins five minutes before `now`, may sign leaf certificates only (path length 0), and
/// carries a subject key identifier, which leaves repeat.
///
/// k0s signs its own certificates anew at each start only if it takes the CA for one that
/// it manages: the name is `kubernetes-ca`, or it equals `ca.crt`'s and `ca.key` is there. The
/// second always holds in a hosted control plane, so any `common_name` will do.
pub fn new(
    common_name: &str,
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<PemPair, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        super::leaf::name(common_name, "common name")?,
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    params.serial_number = Some(validity::serial()?);
    let (not_before, not_after) = validity::span(now, lifetime)?;
    validity::set(&mut params, not_before, not_after)?;

    let key = KeyPair::generate().map_err(PkiError::Make)?;
    let certificate = params.self_signed(&key).map_err(PkiError::Make)?;
    Ok(PemPair {
        certificate: certificate.pem(),
        key: PrivateKey::new(key.serialize_pem()),
    })
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;
    use crate::{fixtures, inspect, key_matches, pem};

    #[test]
    fn a_ca_may_sign_leaves_and_nothing_below_them() {
        let now = fixtures::now();
        let pair = new("kubernetes", now, LIFETIME).unwrap();
        let der = pem::first_certificate(&pair.certificate).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let constraints = certificate.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && usage.digital_signature());
        assert!(!certificate.raw_serial().starts_with(&[0]) || certificate.raw_serial().len() < 21);

        let facts = inspect(&pair.certificate).unwrap();
        assert_eq!(facts.subject_cn.as_deref(), Some("kubernetes"));
        assert!(facts.is_ca);
        assert_eq!(facts.not_before, now - SignedDuration::from_mins(5));
        assert_eq!(facts.not_after, now + LIFETIME);
        assert!(key_matches(&pair).unwrap());
        assert!(
            pair.key
                .expose()
                .starts_with("-----BEGIN PRIVATE KEY-----\n")
        );
    }

    #[test]
    fn two_cas_share_neither_key_nor_serial() {
        let make = || new("kubernetes", fixtures::now(), LIFETIME).unwrap();
        let (a, b) = (make(), make());
        assert_ne!(a.key, b.key);
        let serial = |pair: &PemPair| inspect(&pair.certificate).unwrap().serial;
        assert_ne!(serial(&a), serial(&b));
    }

    #[test]
    fn lifetimes_that_make_no_sense_are_refused() {
        for lifetime in [
            SignedDuration::ZERO,
            SignedDuration::from_secs(-1),
            SignedDuration::MAX,
        ] {
            assert!(matches!(
                new("kubernetes", fixtures::now(), lifetime),
                Err(PkiError::Lifetime)
            ));
        }
    }

    #[test]
    fn a_name_that_a_subject_cannot_carry_is_refused() {
        for name in ["", &"x".repeat(65)] {
            assert!(matches!(
                new(name, fixtures::now(), LIFETIME),
                Err(PkiError::SubjectName(_))
            ));
        }
    }
}
