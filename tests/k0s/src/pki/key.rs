//! Private keys in the forms that tools write them: PKCS#8, PKCS#1 (RSA) and SEC 1 (EC).

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use rustls_pki_types::PrivatePkcs8KeyDer;

/// `AlgorithmIdentifier` of RSA: rsaEncryption, NULL.
const RSA: &[u8] = &[
    0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0,
];
/// `AlgorithmIdentifier` of EC keys on P-256.
const EC_P256: &[u8] = &[
    0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1,
    7,
];

/// Reads a private key from PEM. The crypto library takes PKCS#8 only, so older forms are wrapped.
///
/// # Errors
/// When the text holds no private key of a known kind.
pub fn parse(pem: &str) -> Result<KeyPair> {
    let (label, der) = private_block(pem).context("no PEM block with a private key")?;
    let pkcs8 = match label.as_str() {
        "PRIVATE KEY" => der,
        "RSA PRIVATE KEY" => wrap(RSA, &der),
        "EC PRIVATE KEY" => wrap(EC_P256, &der),
        other => bail!("keys of kind {other:?} are not supported"),
    };
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8)).context("not a usable private key")
}

/// The first block of a PEM text that holds a private key; EC keys of openssl come behind a block
/// of parameters.
fn private_block(pem: &str) -> Option<(String, Vec<u8>)> {
    let mut rest = pem;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----")?;
        let (body, after) = after.split_once("-----END ")?;
        if label.ends_with("PRIVATE KEY") {
            let body: String = body.split_whitespace().collect();
            return Some((label.to_owned(), STANDARD.decode(body).ok()?));
        }
        rest = after;
    }
    None
}

/// `PrivateKeyInfo` (RFC 5208) around a bare key.
fn wrap(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let mut content = vec![2, 1, 0];
    content.extend_from_slice(algorithm);
    content.extend(tagged(4, key));
    tagged(0x30, &content)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(0));
            out.extend(significant);
        }
    }
    out.extend_from_slice(content);
    out
}
