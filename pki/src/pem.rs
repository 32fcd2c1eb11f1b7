//! Finds certificates and keys in PEM texts.

use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};

use super::PkiError;

/// Above the 1 MiB that a Secret can hold nothing is a certificate bundle; parsing is refused
/// before it costs memory.
const MAX_PEM_BYTES: usize = 1024 * 1024;

/// What stands in the public half of a pair.
pub(super) enum Public {
    Certificate(CertificateDer<'static>),
    /// A service-account key pair has a bare public key where others have a certificate.
    Key(SubjectPublicKeyInfoDer<'static>),
}

fn checked(pem: &str) -> Result<&[u8], PkiError> {
    if pem.len() > MAX_PEM_BYTES {
        return Err(PkiError::PemTooLong(pem.len()));
    }
    Ok(pem.as_bytes())
}

/// Every certificate of a bundle, in order; at least one.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let found = CertificateDer::pem_slice_iter(checked(pem)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| PkiError::Pem)?;
    if found.is_empty() {
        return Err(PkiError::NoCertificate);
    }
    Ok(found)
}

/// The first certificate: the pair's own, wherever a chain follows.
pub(super) fn first_certificate(pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    let first = CertificateDer::pem_slice_iter(checked(pem)?).next();
    first
        .ok_or(PkiError::NoCertificate)?
        .map_err(|_| PkiError::Pem)
}

/// The public half of a pair: a certificate, or a bare public key.
pub(super) fn public(pem: &str) -> Result<Public, PkiError> {
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(checked(pem)?) {
        match section.map_err(|_| PkiError::Pem)? {
            (SectionKind::Certificate, der) => return Ok(Public::Certificate(der.into())),
            (SectionKind::PublicKey, der) => return Ok(Public::Key(der.into())),
            _ => {}
        }
    }
    Err(PkiError::NoPublicKey)
}

/// The first private key, past blocks such as the curve parameters that openssl puts before it.
pub(super) fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, PkiError> {
    use rustls_pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(checked(pem)?).map_err(|error| match error {
        Error::NoItemsFound => PkiError::NoPrivateKey,
        // The parser's messages quote the text they stumble on, which may be the key.
        _ => PkiError::Pem,
    })
}
