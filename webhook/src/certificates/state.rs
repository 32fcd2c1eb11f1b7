//! The certificates and keys in the webhook's Secret, read for the plan and changed as it says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use pki::leaf::LeafRequest;
use pki::{BACKDATE, PemPair, PkiError, PrivateKey};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;

use crate::certificates::plan::{Ca, Change, Leaf, Material, Span, Timings};

/// Key of the leaf; with its key it is what every replica serves.
pub const CERTIFICATE: &str = crds::names::TLS_CERT_KEY;
/// Key of the leaf's private key.
pub const KEY: &str = crds::names::TLS_KEY_KEY;
const CURRENT: (&str, &str) = ("ca.crt", "ca.key");
const NEXT: (&str, &str) = ("next-ca.crt", "next-ca.key");
/// The common name of what is made.
const NAME: &str = "k0smotron webhook";
const OLD: &str = "old-ca.crt";
const PROMOTED: &str = "promoted";

/// What a Secret of ours holds, as it is written.
#[derive(Clone, Default)]
pub struct Stored {
    current: Option<PemPair>,
    leaf: Option<PemPair>,
    next: Option<PemPair>,
    old: Option<String>,
    promoted: Option<Timestamp>,
}

impl Stored {
    /// What can be read of the Secret.
    pub fn read(secret: &Secret) -> Self {
        let text = |key: &str| {
            let bytes = secret.data.as_ref()?.get(key)?;
            String::from_utf8(bytes.0.clone()).ok()
        };
        // A certificate without its key still says what others verify with.
        let pair = |(certificate, key): (&str, &str)| {
            Some(PemPair {
                certificate: text(certificate)?,
                key: PrivateKey::new(text(key).unwrap_or_default()),
            })
        };
        Self {
            current: pair(CURRENT),
            leaf: pair((CERTIFICATE, KEY)),
            next: pair(NEXT),
            old: text(OLD),
            promoted: text(PROMOTED).and_then(|text| text.parse().ok()),
        }
    }

    /// The data of the Secret.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, text: &str| {
            data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
        };
        let pairs = [
            (CURRENT, &self.current),
            ((CERTIFICATE, KEY), &self.leaf),
            (NEXT, &self.next),
        ];
        for ((certificate, key), pair) in pairs {
            if let Some(pair) = pair {
                put(certificate, &pair.certificate);
                put(key, pair.key.expose());
            }
        }
        if let Some(old) = &self.old {
            put(OLD, old);
        }
        if let Some(promoted) = self.promoted {
            put(PROMOTED, &promoted.to_string());
        }
        data
    }

    /// When the current CA became that, by the clock of who has written it.
    pub fn promoted(&self) -> Option<Timestamp> {
        self.promoted
    }

    /// What the plan is made from.
    pub fn facts(&self, names: &[String]) -> Material {
        let of = |pair: &Option<PemPair>| {
            let pair = pair.as_ref()?;
            let ca = ca(&pair.certificate)?;
            let signs = pki::leaf::may_sign(pair);
            Some(Ca { signs, ..ca })
        };
        let current = of(&self.current);
        let leaf = current
            .as_ref()
            .zip(self.leaf.as_ref())
            .and_then(|(current, pair)| leaf(pair, current, names));
        Material {
            current,
            leaf,
            next: of(&self.next),
            old: self.old.as_deref().and_then(ca),
            promoted: self.promoted,
        }
    }

    /// The same after a change.
    pub fn changed(
        self,
        change: Change,
        names: &[String],
        timings: Timings,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        // CAs of one name and different keys confuse verifiers: the name says when.
        let name = format!("{NAME} {}", now.as_millisecond());
        let new = || pki::ca::new(&name, now, timings.ca);
        let stored = match change {
            Change::Begin => Self {
                current: Some(new()?),
                promoted: Some(now),
                ..Self::default()
            },
            Change::Prepare => {
                return Ok(Self {
                    next: Some(new()?),
                    ..self
                });
            }
            Change::Promote => Self {
                // The one before is there still where the current one has never been valid.
                old: chain(self.current.map(|pair| pair.certificate), self.old),
                current: self.next,
                next: None,
                promoted: Some(now),
                ..self
            },
            Change::Issue => self,
            Change::Forget => return Ok(Self { old: None, ..self }),
        };
        let Some(current) = &stored.current else {
            return Ok(stored);
        };
        let request = LeafRequest {
            common_name: NAME.to_owned(),
            organization: None,
            sans: names.to_vec(),
            server: true,
            client: false,
            lifetime: timings.leaf,
        };
        let leaf = pki::leaf::issue(current, &request, now)?;
        Ok(Self {
            leaf: Some(leaf),
            ..stored
        })
    }
}

/// What can be read of two CAs, as one PEM text.
fn chain(first: Option<String>, second: Option<String>) -> Option<String> {
    let read = [first, second].into_iter().flatten();
    let read: Vec<String> = read.filter_map(|pem| Some(ca(&pem)?.pem)).collect();
    (!read.is_empty()).then(|| read.concat())
}

/// The first certificate of a PEM text.
fn first(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}

/// When the first certificate of a PEM text was made, and its last second.
pub(super) fn span(pem: &str) -> Option<Span> {
    let facts = pki::inspect(pem).ok()?;
    let until = facts.not_after;
    let made = facts.not_before.checked_add(BACKDATE).ok()?.min(until);
    Some(Span { made, until })
}

fn ca(pem: &str) -> Option<Ca> {
    pki::inspect(pem).ok()?.is_ca.then_some(())?;
    is_whole(pem).then_some(())?;
    Some(Ca {
        // In a bundle the first line of the next one would stand behind the last of this one.
        pem: format!("{}\n", pem.trim_end()),
        span: span(pem)?,
        signs: false,
    })
}

/// Whether all of a chain can be read: none is served, and no bundle is made of it, otherwise.
fn is_whole(pem: &str) -> bool {
    pki::certificates(pem).is_ok()
}

/// Whether certificate and key belong together.
fn fits(pair: &PemPair) -> bool {
    pki::key_matches(pair).unwrap_or_default()
}

/// The leaf, if it could be served and `current` signed it.
fn leaf(pair: &PemPair, current: &Ca, names: &[String]) -> Option<Leaf> {
    let span = span(&pair.certificate)?;
    if !fits(pair) || !is_whole(&pair.certificate) {
        return None;
    }
    let der = first(&pair.certificate)?;
    let parsed = ParsedCertificate::try_from(&der).ok()?;
    let mut roots = RootCertStore::empty();
    roots.add(first(&current.pem)?).ok()?;
    let moment = u64::try_from(span.made.as_second()).ok()?;
    rustls::client::verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &roots,
        &[],
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(moment)),
        ring::default_provider()
            .signature_verification_algorithms
            .all,
    )
    .ok()?;
    let named = names.iter().all(|name| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| rustls::client::verify_server_name(&parsed, &name).is_ok())
    });
    Some(Leaf { span, named })
}

#[cfg(test)]
mod tests;
