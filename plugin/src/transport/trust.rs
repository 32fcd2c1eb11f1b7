//! Whom a server has to be vouched for by, where the kubeconfig names certificates.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

const INCAPABLE: &str = "the server's certificate is signed by none of its certificate-authority that \
     may sign others now: what is there has ended, is to come or is no authority";

/// What Go makes of `certificate-authority`: those that may sign vouch for others, and each for
/// itself, since many servers sign their own. rustls alone asks none of them whether it may, nor
/// whether its time has come or gone.
#[derive(Debug)]
pub struct Named {
    pub certificates: Vec<CertificateDer<'static>>,
    pub algorithms: WebPkiSupportedAlgorithms,
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
        let mut authorities = RootCertStore::empty();
        let parsed = ParsedCertificate::try_from(certificate)?;
        let is_named = self.certificates.iter().any(|one| one == certificate);
        let able = self.certificates.iter().filter(|one| may_sign(one, now));
        // One that is called like whoever has signed it, and has not, would be what is amiss.
        let able = able.filter(|_| !is_named);
        authorities.add_parsable_certificates(able.cloned());
        // What is amiss with those would count for more than that they are not needed.
        let more = if is_named { &[][..] } else { more };
        let signed = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &authorities,
            more,
            now,
            self.algorithms.all,
        );
        match signed {
            // Its time was looked at before who has signed it.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if is_named => {}
            // Nobody would look for that behind an unknown issuer.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
                if authorities.len() < self.certificates.len() =>
            {
                return Err(Error::General(INCAPABLE.to_owned()));
            }
            other => other?,
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

/// Whether others may be signed with it now. Before the third version none could say so, and Go lets
/// them.
fn may_sign(certificate: &[u8], now: UnixTime) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let is_authority = match certificate.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.ca,
        Ok(None) => certificate.version() != X509Version::V3,
        Err(_) => false,
    };
    let is_meant_for_it = certificate
        .key_usage()
        .is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    let now = i64::try_from(now.as_secs()).ok();
    let now = now.and_then(|now| ASN1Time::from_timestamp(now).ok());
    let is_its_time = now.is_some_and(|now| certificate.validity().is_valid_at(now));
    is_authority && is_meant_for_it && is_its_time
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
