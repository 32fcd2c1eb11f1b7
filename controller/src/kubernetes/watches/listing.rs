//! A list that has begun, and what has gone because it is not in it.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::Following;
use crate::kubernetes::store::{Live, ObjectKey, Store, Touched};

/// A list of one watch. One that was cut off is begun anew.
#[derive(Default)]
pub(super) struct Listing {
    listed: HashSet<ObjectKey>,
    /// What was written before it began and no watch has delivered. A watch that was cut off may never
    /// do so, nor tell of its end.
    undelivered: Vec<(ObjectKey, Arc<Live>)>,
}

impl Listing {
    /// A list that is about to be asked for.
    pub(super) fn begin(of: &Following, store: &Store) -> Self {
        let mut undelivered = store.undelivered(of.kind);
        undelivered.retain(|(key, live)| of.delivers(key, live));
        Self {
            listed: HashSet::new(),
            undelivered,
        }
    }

    /// An object is in it.
    pub(super) fn has(&mut self, key: Option<ObjectKey>) {
        self.listed.extend(key);
    }

    /// The list is whole.
    pub(super) fn end(self, of: &Following, store: &Store) -> Touched {
        // What this watch has delivered, or a list that was cut off. A Secret that is named may have been
        // left there by an earlier watch of it.
        let mut held = match &of.named {
            Some(key) => vec![key.clone()],
            None => store.held_by(of.kind, of.holder),
        };
        held.retain(|key| !self.listed.contains(key));
        let undelivered = self.undelivered.into_iter();
        let gone = undelivered.filter(|(key, _)| !self.listed.contains(key));
        let mut touched: Touched = held
            .iter()
            .flat_map(|key| store.release(key, None, of.holder))
            .collect();
        touched.extend(gone.flat_map(|(key, known)| store.remove_undelivered(&key, &known)));
        touched
    }
}

impl Following {
    /// Whether this watch shows an object that says this, as long as it is there.
    fn delivers(&self, key: &ObjectKey, live: &Live) -> bool {
        match &self.named {
            Some(named) => named == key,
            None => selects(self.labels, live.value().pointer("/metadata/labels")),
        }
    }
}

/// Whether a selector selects these labels. One of another form than those that are used selects
/// nothing here.
fn selects(selector: &str, labels: Option<&Value>) -> bool {
    let label = |key: &str| labels.and_then(|labels| labels.get(key));
    match selector.split_once('=') {
        None => selector.is_empty() || label(selector).is_some(),
        Some((key, value)) => label(key).and_then(Value::as_str) == Some(value),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use rstest::rstest;
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::super::selectors;
    use super::*;
    use crate::kubernetes::store::Kind;

    const OURS: &str = "app=k0smotron";

    fn following(labels: &'static str) -> Following {
        Following {
            kind: Kind::Secret,
            holder: 1,
            labels,
            what: String::new(),
            named: None,
            end: CancellationToken::new(),
        }
    }

    fn key() -> ObjectKey {
        ObjectKey::new(Kind::Secret, "n", "a")
    }

    fn secret(version: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": version,
                "labels": {"app": "k0smotron"},
                "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                    "name": "demo", "uid": "1", "controller": true}]},
        }))
        .unwrap()
    }

    /// The watch was cut off when it was written, and it went before the watch had begun anew.
    #[test]
    fn what_was_written_and_has_gone_before_a_watch_has_shown_it_is_forgotten() {
        let (store, of) = (Store::default(), following(OURS));
        store.put(Kind::Secret, secret("1"), 0);
        let touched = Listing::begin(&of, &store).end(&of, &store);
        assert!(!store.has(&key()), "it is believed for ever");
        let woken: Vec<_> = touched
            .iter()
            .map(|(_, owner)| owner.name.as_str())
            .collect();
        assert_eq!(woken, ["demo"]);
        // The answer to another write of it may still come.
        store.put(Kind::Secret, secret("2"), 0);
        assert!(!store.has(&key()));

        let named = Following {
            named: Some(key()),
            ..following("")
        };
        store.put_read(Kind::Secret, secret("2"));
        Listing::begin(&named, &store).end(&named, &store);
        assert!(!store.has(&key()), "its user names it");
    }

    #[test]
    fn what_a_list_cannot_know_of_stays() {
        let (store, of) = (Store::default(), following(OURS));
        let lists = |of: &Following, between: &dyn Fn(&mut Listing)| {
            let mut listing = Listing::begin(of, &store);
            between(&mut listing);
            listing.end(of, &store);
            store.has(&key())
        };
        // It came after the list, ...
        assert!(lists(&of, &|_| drop(store.put(
            Kind::Secret,
            secret("1"),
            0
        ))));
        // ... was written since, was delivered by another watch, is in the list, ...
        assert!(lists(&of, &|_| drop(store.put(
            Kind::Secret,
            secret("2"),
            0
        ))));
        assert!(lists(&of, &|_| drop(store.put(
            Kind::Secret,
            secret("2"),
            2
        ))));
        assert!(lists(&of, &|_| ()));
        store.remove(&key(), &store.get(&key()).unwrap());
        store.put(Kind::Secret, secret("3"), 0);
        assert!(lists(&of, &|listing| listing.has(Some(key()))));
        // ... or is none of this watch's.
        assert!(lists(&following("app.kubernetes.io/component"), &|_| ()));
        let named = Following {
            named: Some(ObjectKey::new(Kind::Secret, "n", "b")),
            ..following("")
        };
        assert!(lists(&named, &|_| ()));
        assert!(!lists(&of, &|_| ()), "and nothing else does");
    }

    /// Each is of a form that is understood.
    #[test]
    fn every_selector_selects_what_has_its_label_and_nothing_else() {
        for (kind, selector) in selectors() {
            let (key, value) = selector.split_once('=').unwrap_or((selector, "any"));
            let plain = |text: &str| {
                text.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
            };
            assert!(plain(key) && plain(value), "{kind} {selector:?}");
            let is_all = selector.is_empty();
            assert!(selects(selector, Some(&json!({key: value, "more": "x"}))));
            for others in [None, Some(json!({})), Some(json!({"more": value}))] {
                assert_eq!(selects(selector, others.as_ref()), is_all, "{selector:?}");
            }
            let another = selects(selector, Some(&json!({key: "another"})));
            assert_eq!(another, !selector.contains('='), "{selector:?}");
        }
    }

    #[rstest]
    #[case("a!=b")]
    #[case("a==b")]
    #[case("a in (b)")]
    #[case("!a")]
    #[case("a=b,c=d")]
    fn a_selector_of_another_form_selects_nothing(#[case] selector: &str) {
        assert!(!selects(selector, Some(&json!({"a": "b", "c": "d"}))));
    }
}
