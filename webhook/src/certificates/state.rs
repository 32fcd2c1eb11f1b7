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
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::certificates::plan::plan;

    fn timings() -> Timings {
        Timings::new(
            SignedDuration::from_hours(100),
            SignedDuration::from_hours(10),
        )
    }

    fn names() -> Vec<String> {
        vec!["a.b.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn changed(stored: Stored, change: Change) -> Stored {
        stored.changed(change, &names(), timings(), now()).unwrap()
    }

    fn written(stored: &Stored) -> Secret {
        Secret {
            data: Some(stored.data()),
            ..Secret::default()
        }
    }

    #[test]
    fn what_is_made_needs_nothing_done_about_it_and_reads_back() {
        let stored = changed(Stored::default(), Change::Begin);
        let facts = Stored::read(&written(&stored)).facts(&names());
        assert_eq!(facts, stored.facts(&names()));
        assert_eq!(facts.promoted, Some(now()));
        let leaf = facts.leaf.clone().unwrap();
        assert!(leaf.named);
        assert_eq!(leaf.span.made, now());
        assert_eq!(leaf.span.until, now() + SignedDuration::from_hours(10));
        assert_eq!(plan(&facts, Some(&[]), timings(), now()).change, None);
    }

    #[test]
    fn a_promotion_keeps_the_old_ca_and_serves_from_the_new_one() {
        let begun = changed(Stored::default(), Change::Begin);
        let prepared = changed(begun, Change::Prepare);
        let before = prepared.facts(&names());
        assert!(before.next.as_ref().unwrap().signs);
        let promoted = changed(prepared, Change::Promote).facts(&names());
        assert_eq!(promoted.current, before.next);
        assert_eq!(promoted.old.unwrap().pem, before.current.unwrap().pem);
        assert!(promoted.next.is_none());
        assert!(promoted.leaf.unwrap().named);
    }

    #[test]
    fn a_leaf_does_not_outlive_its_ca() {
        let timings = Timings::new(
            SignedDuration::from_hours(1),
            SignedDuration::from_hours(10),
        );
        let stored = Stored::default()
            .changed(Change::Begin, &names(), timings, now())
            .unwrap();
        let facts = stored.facts(&names());
        assert_eq!(
            facts.leaf.unwrap().span.until,
            facts.current.unwrap().span.until
        );
    }

    /// What a replica has made whose clock is an hour ahead nobody else takes for valid, whether it
    /// was the first to make something, or renewed what was there.
    #[test]
    fn what_is_not_valid_yet_is_followed_by_what_is() {
        let ahead = |stored: Stored, change| {
            let then = now() + SignedDuration::from_hours(1);
            stored.changed(change, &names(), timings(), then).unwrap()
        };
        let next = |stored: &Stored| {
            let facts = stored.facts(&names());
            plan(&facts, Some(&[]), timings(), now()).change
        };
        let begun = ahead(Stored::default(), Change::Begin);
        let prepared = ahead(changed(Stored::default(), Change::Begin), Change::Prepare);
        let renewed = ahead(prepared, Change::Promote);
        assert!(renewed.old.is_some());
        for early in [begun.clone(), renewed] {
            assert_eq!(next(&early), Some(Change::Prepare));
            let prepared = changed(early, Change::Prepare);
            assert_eq!(next(&prepared), Some(Change::Promote));
            let promoted = changed(prepared, Change::Promote);
            assert_eq!(next(&promoted), None);
        }
        let bare = Stored {
            leaf: None,
            ..begun
        };
        assert_eq!(next(&bare), Some(Change::Begin));

        let issued = ahead(changed(Stored::default(), Change::Begin), Change::Issue);
        assert_eq!(next(&issued), Some(Change::Issue));
        assert_eq!(next(&changed(issued, Change::Issue)), None);
    }

    /// Leaves of the CA before may be in use where the current one has never been valid.
    #[test]
    fn a_promotion_beside_an_old_ca_keeps_both_and_nothing_that_cannot_be_read() {
        let ahead = |stored: Stored, change| {
            let then = now() + SignedDuration::from_hours(1);
            stored.changed(change, &names(), timings(), then).unwrap()
        };
        let first = changed(Stored::default(), Change::Begin);
        let second = ahead(ahead(first.clone(), Change::Prepare), Change::Promote);
        let third = changed(changed(second.clone(), Change::Prepare), Change::Promote);
        let old = third.facts(&names()).old.unwrap();
        assert_eq!(pki::certificates(&old.pem).unwrap().len(), 2);
        for before in [&first, &second] {
            let pem = before.facts(&names()).current.unwrap().pem;
            assert!(old.pem.contains(pem.trim_end()), "{}", old.pem);
        }
        let cut = Stored {
            old: Some("-----BEGIN CERTIFICATE-----\nAA".to_owned()),
            ..changed(first.clone(), Change::Prepare)
        };
        let promoted = changed(cut, Change::Promote).facts(&names());
        assert_eq!(
            promoted.old.unwrap().pem,
            first.facts(&names()).current.unwrap().pem
        );
    }

    #[test]
    fn what_does_not_fit_counts_as_missing() {
        let good = changed(Stored::default(), Change::Begin);
        let other = changed(Stored::default(), Change::Begin);
        let with = |change: &dyn Fn(&mut Stored)| {
            let mut stored = good.clone();
            change(&mut stored);
            stored.facts(&names())
        };
        assert!(
            with(&|s| s.leaf = other.leaf.clone()).leaf.is_none(),
            "another's leaf"
        );
        let key = other.leaf.clone().unwrap().key;
        assert!(
            with(&|s| s.leaf.as_mut().unwrap().key = key.clone())
                .leaf
                .is_none()
        );
        let key = other.current.clone().unwrap().key;
        assert!(
            !with(&|s| s.current.as_mut().unwrap().key = key.clone())
                .current
                .unwrap()
                .signs
        );
        assert!(
            with(&|s| s.current = s.leaf.clone()).current.is_none(),
            "a leaf is no CA"
        );
        let cut = "-----BEGIN CERTIFICATE-----\nAA";
        let part = with(&|s| s.leaf.as_mut().unwrap().certificate.push_str(cut));
        assert!(part.leaf.is_none(), "a chain that nobody can serve");
        let part = with(&|s| s.current.as_mut().unwrap().certificate.push_str(cut));
        assert!(part.current.is_none(), "a chain that nobody can read");
        let bare = with(&|s| {
            let pem = &mut s.current.as_mut().unwrap().certificate;
            pem.truncate(pem.trim_end().len());
        });
        assert!(bare.current.unwrap().pem.ends_with("-----\n"));
        let more = [names(), vec!["c.d.svc".to_owned()]].concat();
        assert!(!good.facts(&more).leaf.unwrap().named);
    }

    #[test]
    fn foreign_content_of_the_secret_is_begun_anew() {
        for text in [
            "",
            "garbage",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let data = [
                CURRENT.0,
                CURRENT.1,
                CERTIFICATE,
                KEY,
                NEXT.0,
                OLD,
                PROMOTED,
            ]
            .map(|key| (key.to_owned(), ByteString(text.as_bytes().to_vec())));
            let secret = Secret {
                data: Some(data.into()),
                ..Secret::default()
            };
            let facts = Stored::read(&secret).facts(&names());
            assert_eq!(facts, Material::default());
            assert_eq!(
                plan(&facts, None, timings(), now()).change,
                Some(Change::Begin)
            );
        }
    }
}
