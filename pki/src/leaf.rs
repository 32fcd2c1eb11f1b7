//! Certificates of servers and clients, signed by a CA of ours or one that was taken over.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::inspect::timestamp;
use super::{PemPair, PkiError, PrivateKey, address, pem, validity};

/// What a leaf certificate shall say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRequest {
    /// The subject's name: for a client the user name, 1 to 64 characters.
    pub common_name: String,
    /// The subject's organisation: for a client its group, such as `system:masters`.
    pub organization: Option<String>,
    /// Subject alternative names. What parses as an IP address is one; the rest must be DNS names,
    /// for which a leading `*.` is allowed. Order is kept, repetitions are dropped.
    pub sans: Vec<String>,
    /// Whether it may authenticate a server.
    pub server: bool,
    /// Whether it may authenticate a client.
    pub client: bool,
    /// How long it lives from now on. Cut at the CA's own end.
    pub lifetime: SignedDuration,
}

/// Makes a certificate with a new ECDSA P-256 key, signed by `ca`.
///
/// It begins five minutes before `now` and never outlives the CA, whose end is its own when
/// the lifetime asks for more.
pub fn issue(ca: &PemPair, request: &LeafRequest, now: Timestamp) -> Result<PemPair, PkiError> {
    let ca_key = ca.signing_key()?;
    let ca_der = pem::first_certificate(&ca.certificate)?;
    let (_, ca_certificate) =
        X509Certificate::from_der(&ca_der).map_err(|_| PkiError::Certificate)?;
    check_ca(&ca_certificate)?;
    let ca_not_before = timestamp(ca_certificate.validity().not_before)?;
    let ca_not_after = timestamp(ca_certificate.validity().not_after)?;
    if now < ca_not_before || now >= ca_not_after {
        return Err(PkiError::AuthorityNotValid {
            not_before: ca_not_before,
            not_after: ca_not_after,
        });
    }

    let mut params = parameters(request)?;
    let (not_before, not_after) = validity::span(now, request.lifetime)?;
    validity::set(
        &mut params,
        not_before.max(ca_not_before),
        not_after.min(ca_not_after),
    )?;

    let issuer = Issuer::from_ca_cert_der(&ca_der, ca_key).map_err(|_| PkiError::IssuerName)?;
    let key = KeyPair::generate().map_err(PkiError::Make)?;
    let certificate = params.signed_by(&key, &issuer).map_err(PkiError::Make)?;

    // Verifiers compare issuer and subject byte by byte. A subject with parts that were not
    // understood would come out shortened, and the leaf would be one that nobody accepts.
    let (_, made) =
        X509Certificate::from_der(certificate.der()).map_err(|_| PkiError::Certificate)?;
    if made.issuer().as_raw() != ca_certificate.subject().as_raw() {
        return Err(PkiError::IssuerName);
    }
    Ok(PemPair {
        certificate: certificate.pem(),
        key: PrivateKey::new(key.serialize_pem()),
    })
}

/// Whether `ca` can sign certificates while it is valid; found out by signing one, so that the answer
/// is that of [`issue`].
pub fn may_sign(ca: &PemPair) -> bool {
    let request = LeafRequest {
        common_name: "localhost".to_owned(),
        organization: None,
        sans: vec!["localhost".to_owned()],
        server: true,
        client: false,
        lifetime: SignedDuration::from_mins(1),
    };
    let try_out = || issue(ca, &request, crate::inspect(&ca.certificate)?.not_before);
    try_out().is_ok()
}

fn check_ca(certificate: &X509Certificate<'_>) -> Result<(), PkiError> {
    let is_ca = certificate
        .basic_constraints()
        .map_err(|_| PkiError::Certificate)?
        .is_some_and(|constraints| constraints.value.ca);
    if !is_ca {
        return Err(PkiError::NotAnAuthority(
            "its basic constraints do not say so",
        ));
    }
    let may_sign = certificate
        .key_usage()
        .map_err(|_| PkiError::Certificate)?
        .is_none_or(|usage| usage.value.key_cert_sign());
    if !may_sign {
        return Err(PkiError::NotAnAuthority(
            "its key usage does not allow to sign certificates",
        ));
    }
    Ok(())
}

fn parameters(request: &LeafRequest) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    if let Some(organization) = &request.organization {
        subject.push(
            DnType::OrganizationName,
            name(organization, "organization")?,
        );
    }
    subject.push(
        DnType::CommonName,
        name(&request.common_name, "common name")?,
    );
    params.distinguished_name = subject;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(validity::serial()?);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if request.server {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    if request.client {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    for san in &request.sans {
        let san = alternative_name(san)?;
        if !params.subject_alt_names.contains(&san) {
            params.subject_alt_names.push(san);
        }
    }
    Ok(params)
}

/// A name in a subject: X.520 limits it to 64 characters, and some verifiers hold to that.
pub(super) fn name(text: &str, what: &'static str) -> Result<String, PkiError> {
    if text.is_empty() || text.chars().count() > 64 {
        return Err(PkiError::SubjectName(what));
    }
    Ok(text.to_owned())
}

fn alternative_name(text: &str) -> Result<SanType, PkiError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(ip));
    }
    if !address::is_dns_name(text, true) {
        return Err(PkiError::SubjectAlternativeName(text.to_owned()));
    }
    text.try_into()
        .map(SanType::DnsName)
        .map_err(|_| PkiError::SubjectAlternativeName(text.to_owned()))
}

#[cfg(test)]
mod tests;
