//! The key of a user, and the request to certify it (PKCS #10). Pure but for the key's randomness.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestSpec,
};
use kube::core::ObjectMeta;
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};

use crate::error::Error;

/// The signer of certificates that let users in.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// The group for which that signer signs nothing.
const ADMINISTRATORS: &str = "system:masters";
/// The shortest life that the API server takes.
const SHORTEST: Duration = Duration::from_secs(600);
/// The longest name in a subject, which some verifiers hold to.
const LONGEST_NAME: usize = 64;

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];

/// A user's or group's name, as `--as-user` and `--group` take one.
pub fn subject(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("must not be empty".to_owned());
    }
    if text.chars().count() > LONGEST_NAME {
        return Err(format!(
            "a name in a certificate has at most {LONGEST_NAME} characters"
        ));
    }
    if text == ADMINISTRATORS {
        return Err(format!(
            "the API server signs no certificates for {ADMINISTRATORS}; without --as-user you get \
             the administrator's kubeconfig"
        ));
    }
    Ok(text.to_owned())
}

/// How long the certificate lives, as `--ttl` takes it.
pub fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = crate::duration::parse(text)?;
    if ttl < SHORTEST {
        return Err("the API server signs for 10m or longer".to_owned());
    }
    if i32::try_from(ttl.as_secs()).is_err() {
        return Err("the API server signs for 68 years at most".to_owned());
    }
    Ok(ttl)
}

/// A new key, and what is asked for it.
pub struct SigningRequest {
    /// The private key, PKCS #8 in PEM.
    pub key: String,
    /// The object that asks the hosted cluster.
    pub request: CertificateSigningRequest,
}

impl SigningRequest {
    /// Makes a key (ECDSA P-256) and asks for a certificate that lets `user` in.
    ///
    /// # Errors
    /// [`Error::Io`] when this machine has no randomness.
    pub fn new(user: &str, groups: &[String], ttl: Duration) -> Result<Self, Error> {
        let failed = |error: rcgen::Error| Error::io("make a key", std::io::Error::other(error));
        let key = KeyPair::generate().map_err(failed)?;
        let request = Pem::new(
            "CERTIFICATE REQUEST",
            sign(&key, user, groups).map_err(failed)?,
        );
        let request = pem::encode_config(
            &request,
            EncodeConfig::new().set_line_ending(LineEnding::LF),
        );
        let expiration_seconds = i32::try_from(ttl.as_secs()).ok();
        Ok(Self {
            request: CertificateSigningRequest {
                metadata: ObjectMeta {
                    name: Some(name(&key)),
                    ..ObjectMeta::default()
                },
                spec: CertificateSigningRequestSpec {
                    request: ByteString(request.into_bytes()),
                    signer_name: SIGNER.to_owned(),
                    usages: Some(vec!["digital signature".into(), "client auth".into()]),
                    expiration_seconds,
                    ..CertificateSigningRequestSpec::default()
                },
                status: None,
            },
            key: key.serialize_pem(),
        })
    }

    /// Name of the object.
    pub fn name(&self) -> &str {
        self.request.metadata.name.as_deref().unwrap_or_default()
    }
}

/// A name that nobody else has: the end of the public key, which is as good as random. It is known
/// before the object is made, so that an interrupt can say what it leaves.
fn name(key: &KeyPair) -> String {
    let end = key.der_bytes().iter().rev().take(5);
    let digits: Vec<String> = end.map(|byte| format!("{byte:02x}")).collect();
    format!("kubectl-k0smotron-{}", digits.concat())
}

/// A certification request (RFC 2986). `rcgen` makes those too, with one organisation at most, and
/// each group is one; `x509-cert` asks for a signer of another library for cryptography.
fn sign(key: &KeyPair, user: &str, groups: &[String]) -> Result<Vec<u8>, rcgen::Error> {
    let wanted = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(0);
            writer.next().write_sequence(|writer| {
                for group in groups {
                    attribute(writer.next(), ORGANIZATION, group);
                }
                attribute(writer.next(), COMMON_NAME, user);
            });
            writer.next().write_der(&key.subject_public_key_info());
            let attributes = writer.next();
            attributes.write_tagged_implicit(Tag::context(0), |writer| writer.write_set(|_| ()));
        });
    });
    let signature = key.sign(&wanted)?;
    Ok(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(&wanted);
            writer.next().write_sequence(|writer| {
                let algorithm = ObjectIdentifier::from_slice(ECDSA_WITH_SHA256);
                writer.next().write_oid(&algorithm);
            });
            let bits = signature.len() * 8;
            writer.next().write_bitvec_bytes(&signature, bits);
        });
    }))
}

fn attribute(writer: DERWriter<'_>, kind: &[u64], text: &str) {
    writer.write_set(|writer| {
        writer.next().write_sequence(|writer| {
            writer.next().write_oid(&ObjectIdentifier::from_slice(kind));
            writer.next().write_utf8_string(text);
        });
    });
}

#[cfg(test)]
mod tests {
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::pem::parse_x509_pem;
    use x509_parser::prelude::{FromDer as _, X509Name};

    use super::*;

    const HOURS: Duration = Duration::from_secs(8 * 3600);

    fn names(subject: &X509Name<'_>, organizations: bool) -> Vec<String> {
        let found: Vec<_> = if organizations {
            subject.iter_organization().collect()
        } else {
            subject.iter_common_name().collect()
        };
        let texts = found.iter().map(|name| name.as_str().unwrap().to_owned());
        texts.collect()
    }

    #[test]
    fn a_request_names_the_user_and_every_group_and_is_signed_by_its_key() {
        for groups in [vec![], vec!["dev".to_owned(), "öps".into(), "c".into()]] {
            let asked = SigningRequest::new("alice@example.org", &groups, HOURS).unwrap();
            let (_, block) = parse_x509_pem(&asked.request.spec.request.0).unwrap();
            assert_eq!(block.label, "CERTIFICATE REQUEST");
            let (rest, request) = X509CertificationRequest::from_der(&block.contents).unwrap();
            assert!(rest.is_empty());
            let subject = &request.certification_request_info.subject;
            assert_eq!(names(subject, false), ["alice@example.org"]);
            assert_eq!(names(subject, true), groups);
            // rcgen reads it as well, and checks the signature.
            let read =
                rcgen::CertificateSigningRequestParams::from_der(&block.contents.as_slice().into());
            read.unwrap();
            let key = KeyPair::from_pem(&asked.key).unwrap();
            let public = request.certification_request_info.subject_pki.raw;
            assert_eq!(public, key.subject_public_key_info());
        }
    }

    #[test]
    fn the_object_asks_the_signer_of_users_for_the_time_that_was_given() {
        let asked = SigningRequest::new("alice", &[], HOURS).unwrap();
        let spec = &asked.request.spec;
        assert_eq!(spec.signer_name, "kubernetes.io/kube-apiserver-client");
        assert_eq!(spec.expiration_seconds, Some(28_800));
        assert_eq!(
            spec.usages.as_deref().unwrap(),
            ["digital signature", "client auth"]
        );
        assert!(crds::names::is_object_name(asked.name()));
        let other = SigningRequest::new("alice", &[], HOURS).unwrap();
        assert_ne!(asked.name(), other.name());
    }

    #[test]
    fn what_the_signer_would_refuse_is_refused_before() {
        assert!(subject("system:masters").unwrap_err().contains("signs no"));
        for name in ["", " ", "a\nb", &"a".repeat(65)] {
            assert!(subject(name).is_err(), "{name:?}");
        }
        assert_eq!(
            subject("system:serviceaccounts").as_deref(),
            Ok("system:serviceaccounts")
        );
        for time in ["0", "9m59s", "100000d", "soon"] {
            assert!(ttl(time).is_err(), "{time}");
        }
        assert_eq!(ttl("10m"), Ok(SHORTEST));
    }

    #[test]
    fn a_private_key_is_not_shown_where_the_request_is() {
        let asked = SigningRequest::new("alice", &[], HOURS).unwrap();
        let shown = serde_json::to_string(&asked.request).unwrap();
        assert!(!shown.contains("PRIVATE"), "{shown}");
        assert!(asked.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
