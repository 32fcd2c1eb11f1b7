//! Whom a server has to be vouched for by, where the kubeconfig names certificates.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath, anchor_from_trusted_cert,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

const INCAPABLE: &str = "the server's certificate is signed by none of its certificate-authority that \
     may sign others now: what is there has ended, is to come, is for another use or is no authority";

const TOO_MANY: &str = "between the server's certificate and its certificate-authority there are more \
     authorities than one of them allows";

/// What Go makes of `certificate-authority`: those that may sign vouch for others, and each for
/// itself, since many servers sign their own. rustls alone asks none of them whether it may, nor
/// whether its time has come or gone, nor how many may come between, and looks at the key usage of
/// none that is sent.
#[derive(Debug)]
pub struct Named {
    pub certificates: Vec<CertificateDer<'static>>,
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl Named {
    /// Whether one of those that may sign has signed it, by way of what the server sends.
    fn has_signed(
        &self,
        certificate: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let able = self.certificates.iter().filter_map(|one| {
            let between = may_sign(one, now)?;
            Some((anchor_from_trusted_cert(one).ok()?, between))
        });
        let (anchors, between): (Vec<TrustAnchor<'_>>, Vec<_>) = able.unzip();
        let is_to_sign =
            |one: &&CertificateDer<'_>| parsed(one).is_some_and(|one| is_to_sign(&one));
        let more: Vec<CertificateDer<'_>> = more.iter().filter(is_to_sign).cloned().collect();
        let is_short = |path: &VerifiedPath<'_>| {
            let anchor = anchors
                .iter()
                .position(|one| std::ptr::eq(one, path.anchor()));
            let most = anchor.and_then(|index| between.get(index));
            if most.is_some_and(|most| path.intermediate_certificates().count() > *most) {
                return Err(webpki::Error::PathLenConstraintViolated);
            }
            Ok(())
        };
        let server = EndEntityCert::try_from(certificate).map_err(refusal)?;
        let (algorithms, is_short) = (self.algorithms.all, Some(&is_short as _));
        let signed = server
            .verify_for_usage(algorithms, &anchors, &more, now, ForServers, None, is_short)
            .map(drop);
        match signed {
            // Nobody would look for that behind an unknown issuer.
            Err(webpki::Error::UnknownIssuer) if anchors.len() < self.certificates.len() => {
                Err(Error::General(INCAPABLE.to_owned()))
            }
            other => other.map_err(refusal),
        }
    }
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        if self.certificates.iter().any(|one| one == certificate) {
            is_good_itself(certificate, now)?;
        } else {
            self.has_signed(certificate, more, now)?;
        }
        verify_server_name(&parsed, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A certificate that does not say what it is for is for servers too, and so is one for any use.
struct ForServers;

const SERVERS: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);
const ANY: KeyPurposeId<'static> = KeyPurposeId::new(&[0x55, 0x1d, 37, 0]);

impl ExtendedKeyUsageValidator for ForServers {
    fn validate(&self, uses: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for used in uses {
            let used = used?;
            if used == SERVERS || used == ANY {
                return Ok(());
            }
            present.push(used.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = KeyUsage::server_auth();
        Err(webpki::Error::RequiredEkuNotFoundContext(
            RequiredEkuNotFoundContext { required, present },
        ))
    }
}

/// How many may come between it and a server, if others may be signed with it now. Before the third
/// version none could say whether they may, and Go lets them.
fn may_sign(certificate: &[u8], now: UnixTime) -> Option<usize> {
    let certificate = parsed(certificate)?;
    let between = match certificate.basic_constraints().ok()? {
        Some(constraints) if constraints.value.ca => constraints.value.path_len_constraint,
        None if certificate.version() != X509Version::V3 => None,
        _ => return None,
    };
    let is_able = is_to_sign(&certificate)
        && is_for_servers(&certificate)
        && is_its_time(&certificate, now).is_ok();
    let between = between.and_then(|between| usize::try_from(between).ok());
    is_able.then_some(between.unwrap_or(usize::MAX))
}

fn parsed(certificate: &[u8]) -> Option<X509Certificate<'_>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate)
}

fn is_to_sign(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage();
    usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()))
}

fn is_for_servers(certificate: &X509Certificate<'_>) -> bool {
    let uses = certificate.extended_key_usage();
    uses.is_ok_and(|uses| uses.is_none_or(|uses| uses.value.any || uses.value.server_auth))
}

fn is_its_time(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let now = i64::try_from(now.as_secs()).ok();
    let now = now.and_then(|now| ASN1Time::from_timestamp(now).ok());
    let now = now.ok_or(CertificateError::BadEncoding)?;
    let validity = certificate.validity();
    if now < validity.not_before {
        return Err(CertificateError::NotValidYet);
    }
    if now > validity.not_after {
        return Err(CertificateError::Expired);
    }
    Ok(())
}

/// Of one that is named itself it does not matter who has signed it, nor what the server sends more.
fn is_good_itself(certificate: &[u8], now: UnixTime) -> Result<(), CertificateError> {
    let certificate = parsed(certificate).ok_or(CertificateError::BadEncoding)?;
    is_its_time(&certificate, now)?;
    if is_for_servers(&certificate) {
        Ok(())
    } else {
        Err(CertificateError::InvalidPurpose)
    }
}

/// The same in rustls' words, as far as it has some.
fn refusal(error: webpki::Error) -> Error {
    let error = match error {
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        webpki::Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        webpki::Error::UnsupportedSignatureAlgorithmContext(what) => {
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: what.signature_algorithm_id,
                supported_algorithms: what.supported_algorithms,
            }
        }
        webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(what) => {
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: what.signature_algorithm_id,
                public_key_algorithm_id: what.public_key_algorithm_id,
            }
        }
        webpki::Error::PathLenConstraintViolated => return Error::General(TOO_MANY.to_owned()),
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    error.into()
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
    };

    use super::*;

    #[test]
    fn what_is_named_itself_needs_none_of_those_that_the_server_sends() {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.distinguished_name.push(DnType::CommonName, "root");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.not_before = date_time_ymd(2000, 1, 1);
        root.not_after = date_time_ymd(2001, 1, 1);
        let issuer = Issuer::new(root.clone(), &root_key);
        let mut server = CertificateParams::new(vec!["demo".to_owned()]).unwrap();
        server.is_ca = IsCa::ExplicitNoCa;
        let server = server.signed_by(&key, &issuer).unwrap().der().clone();
        let sent = [root.self_signed(&root_key).unwrap().der().clone()];
        let verified_by = |named: &[&CertificateDer<'static>], name: &str| {
            let verifier = Named {
                certificates: named.iter().map(|one| (*one).clone()).collect(),
                algorithms: rustls::crypto::ring::default_provider()
                    .signature_verification_algorithms,
            };
            let name = ServerName::try_from(name.to_owned()).unwrap();
            verifier.verify_server_cert(&server, &sent, &name, &[], UnixTime::now())
        };
        let verified = |named, name: &str| verified_by(&[named], name);
        verified(&server, "demo").unwrap();
        assert!(verified(&server, "other").is_err());
        assert!(verified(&sent[0], "demo").is_err());
        // A CA of that name that was made anew, and has signed nothing of it.
        let mut anew = root;
        anew.not_after = date_time_ymd(2999, 1, 1);
        let anew = anew.self_signed(&KeyPair::generate().unwrap()).unwrap();
        verified_by(&[&server, anew.der()], "demo").unwrap();
        assert!(verified(anew.der(), "demo").is_err());
    }
}
