//! Private keys and key pairs in every encoding that is in use, and the key pair that signs the
//! tokens of service accounts.

use std::fmt;

use rcgen::KeyPair;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519, Oid,
};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

use super::PkiError;
use super::pem::{self, Public};

/// A private key in PEM.
///
/// Hidden from `Debug`, without `Display`, wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Zeroizing<String>);

impl PrivateKey {
    /// Wraps PEM text. What it holds is looked at only when the key is used.
    pub fn new(pem: impl Into<String>) -> Self {
        Self(Zeroizing::new(pem.into()))
    }

    /// The PEM text, for where it has to be written.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// A certificate with its private key, as a Secret's `tls.crt` and `tls.key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemPair {
    /// One or more certificates, the pair's own first. For a service-account pair a bare public
    /// key.
    pub certificate: String,
    /// The private key of the first certificate.
    pub key: PrivateKey,
}

/// An algorithm that a pair's public half names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The public half of a pair, taken apart.
pub(super) struct PublicKey {
    pub algorithm: Algorithm,
    /// The bits of the key itself: a curve point, or an RSA public key in PKCS#1.
    pub bits: Vec<u8>,
}

impl PublicKey {
    pub(super) fn read(public_pem: &str) -> Result<Self, PkiError> {
        match pem::public(public_pem)? {
            Public::Certificate(der) => {
                let (_, certificate) =
                    X509Certificate::from_der(&der).map_err(|_| PkiError::Certificate)?;
                Self::from_info(certificate.public_key())
            }
            Public::Key(der) => {
                let (_, info) =
                    SubjectPublicKeyInfo::from_der(&der).map_err(|_| PkiError::NoPublicKey)?;
                Self::from_info(&info)
            }
        }
    }

    pub(super) fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, PkiError> {
        let identifier = &info.algorithm;
        let algorithm = if identifier.algorithm == OID_PKCS1_RSAENCRYPTION {
            Algorithm::Rsa
        } else if identifier.algorithm == OID_SIG_ED25519 {
            Algorithm::Ed25519
        } else if identifier.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = identifier
                .parameters
                .as_ref()
                .and_then(|parameters| Oid::try_from(parameters).ok())
                .ok_or(PkiError::UnsupportedKey("its curve has no name"))?;
            if curve == OID_EC_P256 {
                Algorithm::P256
            } else if curve == OID_NIST_EC_P384 {
                Algorithm::P384
            } else {
                return Err(PkiError::UnsupportedKey(
                    "its curve is neither P-256 nor P-384",
                ));
            }
        } else {
            return Err(PkiError::UnsupportedKey(
                "it is neither RSA, ECDSA nor Ed25519",
            ));
        };
        Ok(Self {
            algorithm,
            bits: info.subject_public_key.data.to_vec(),
        })
    }
}

impl PemPair {
    /// The private key, ready to sign with; checked to belong to the public half.
    pub(super) fn signing_key(&self) -> Result<KeyPair, PkiError> {
        let public = PublicKey::read(&self.certificate)?;
        let pair = self.key.read(public.algorithm)?;
        if pair.public_key_raw() == public.bits {
            Ok(pair)
        } else {
            Err(PkiError::KeyMismatch)
        }
    }
}

/// Makes the key pair that signs service-account tokens: ECDSA P-256, with a bare public key where
/// other pairs have a certificate.
pub fn service_account() -> Result<PemPair, PkiError> {
    let key = KeyPair::generate().map_err(PkiError::Make)?;
    Ok(PemPair {
        certificate: key.public_key_pem(),
        key: PrivateKey::new(key.serialize_pem()),
    })
}

impl PrivateKey {
    /// Reads the key. The algorithm is the public half's, because a SEC1 key may leave out its
    /// curve; a key of another algorithm is a mismatch.
    pub(super) fn read(&self, algorithm: Algorithm) -> Result<KeyPair, PkiError> {
        let pkcs8 = match pem::private_key(self.expose())? {
            PrivateKeyDer::Pkcs8(der) => Zeroizing::new(der.secret_pkcs8_der().to_vec()),
            PrivateKeyDer::Pkcs1(der) => wrap(Algorithm::Rsa, der.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(_) if !matches!(algorithm, Algorithm::P256 | Algorithm::P384) => {
                return Err(PkiError::KeyMismatch);
            }
            PrivateKeyDer::Sec1(der) => wrap(algorithm, der.secret_sec1_der()),
            _ => return Err(PkiError::UnsupportedKey("its encoding is unknown")),
        };
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        KeyPair::try_from(&der).map_err(|_| {
            PkiError::UnsupportedKey(
                "RSA needs 2048 to 4096 bits, ECDSA the curve P-256 or P-384 and its public half",
            )
        })
    }
}

/// `AlgorithmIdentifier`s in DER: the tag, length and content of a PKCS#8 key's second field.
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// Puts a PKCS#1 or SEC1 key into PKCS#8, the only form that the signer reads: a sequence of the
/// version 0, the algorithm, and the key as an octet string.
fn wrap(algorithm: Algorithm, key: &[u8]) -> Zeroizing<Vec<u8>> {
    let identifier = match algorithm {
        Algorithm::Rsa => RSA,
        Algorithm::P256 => P256,
        Algorithm::P384 => P384,
        Algorithm::Ed25519 => ED25519,
    };
    let mut octets = element(0x04, key);
    let mut content = Zeroizing::new(Vec::with_capacity(octets.len() + identifier.len() + 3));
    content.extend_from_slice(&[0x02, 0x01, 0x00]);
    content.extend_from_slice(identifier);
    content.extend_from_slice(&octets);
    octets.zeroize();
    Zeroizing::new(element(0x30, &content))
}

/// One DER element: tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = Vec::with_capacity(content.len() + significant.len() + 2);
    out.push(tag);
    // Up to 127 the length is one byte; above, a byte with the number of length bytes comes first.
    if content.len() < 0x80 {
        out.push(u8::try_from(content.len()).unwrap_or_default());
    } else {
        out.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
        out.extend_from_slice(&significant);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fixtures;

    #[rstest]
    #[case::rsa_pkcs1("rsa-pkcs1")]
    #[case::rsa_pkcs8("rsa-pkcs8")]
    #[case::p256_sec1_after_its_parameters("ec-sec1")]
    #[case::p384_pkcs8("ec-p384")]
    #[case::ed25519_pkcs8("ed25519")]
    #[case::service_account_public_key("sa-rsa")]
    fn every_encoding_in_use_is_read(#[case] name: &str) {
        fixtures::pair(name).signing_key().unwrap();
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        for (certificate, key) in [
            ("rsa-pkcs1", "rsa-pkcs8"),
            ("ec-sec1", "ec-p384"),
            ("rsa-pkcs1", "ec-sec1"),
            ("ec-sec1", "rsa-pkcs1"),
        ] {
            let mixed = PemPair {
                certificate: fixtures::pair(certificate).certificate,
                key: fixtures::pair(key).key,
            };
            assert!(
                matches!(mixed.signing_key(), Err(PkiError::KeyMismatch)),
                "{certificate} with the key of {key}"
            );
        }
    }

    #[test]
    fn text_without_a_key_says_so() {
        let pair = fixtures::pair("ec-sec1");
        let swapped = PemPair {
            certificate: pair.certificate.clone(),
            key: PrivateKey::new(pair.certificate),
        };
        assert!(matches!(swapped.signing_key(), Err(PkiError::NoPrivateKey)));
        let huge = PemPair {
            certificate: "x".repeat(2 * 1024 * 1024),
            key: swapped.key,
        };
        assert!(matches!(huge.signing_key(), Err(PkiError::PemTooLong(_))));
    }

    #[test]
    fn debug_shows_no_key() {
        let pair = fixtures::pair("rsa-pkcs1");
        let shown = format!("{pair:?}");
        assert!(shown.contains("redacted"));
        for line in pair.key.expose().lines() {
            assert!(!shown.contains(line), "a line of the key is shown");
        }
    }

    #[test]
    fn a_service_account_pair_is_a_bare_public_key_and_its_private_half() {
        let pair = service_account().unwrap();
        assert!(pair.certificate.starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert!(
            pair.key
                .expose()
                .starts_with("-----BEGIN PRIVATE KEY-----\n")
        );
        assert!(crate::key_matches(&pair).unwrap());
    }

    #[test]
    fn lengths_are_in_the_shortest_form() {
        assert_eq!(element(4, &[7; 3])[..2], [4, 3]);
        assert_eq!(element(4, &[7; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(element(4, &[7; 0x1234])[..4], [4, 0x82, 0x12, 0x34]);
    }
}
