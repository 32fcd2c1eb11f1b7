//! Children that are no longer wanted: which of them go now, and which wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crds::names;
use k8s_openapi::api::apps::v1::StatefulSet;

use crate::apply::damping::GONE;
use crate::apply::desired::{COPY_SUFFIX, Desired};
use crate::apply::{Applied, Outcome, Round};
use crate::kubernetes::store::{Kind, Live, ObjectKey, Store};
use crate::kubernetes::writer::{Deletion, WriteError};

/// What goes of that which the Cluster owns.
pub(super) fn unwanted<'o>(
    store: &Store,
    owned: &'o BTreeMap<ObjectKey, Arc<Live>>,
    obsolete: &BTreeSet<ObjectKey>,
) -> Vec<(&'o ObjectKey, &'o Arc<Live>)> {
    owned
        .iter()
        .filter(|(key, live)| !live.deleting && obsolete.contains(key))
        // A copy is needed until the key that it stands for is there again.
        .filter(|(key, live)| match key.name.strip_suffix(COPY_SUFFIX) {
            Some(original) if key.kind == Kind::Secret => {
                let original = ObjectKey::new(Kind::Secret, &key.namespace, original);
                store.get(&original).is_some_and(|original| {
                    !original.deleting
                        && original.digest(names::TLS_KEY_KEY) == live.digest(names::TLS_KEY_KEY)
                })
            }
            _ => true,
        })
        .collect()
}

/// What is obsolete and goes now. The old way in may be the only one while the new one could not be
/// made, and pods listen and mount as their template says until all of them have another.
pub(super) fn going<'o>(
    store: &Store,
    uid: &str,
    wanted: &[Desired],
    before: &'o BTreeMap<ObjectKey, Arc<Live>>,
    obsolete: &BTreeSet<ObjectKey>,
    applied: &Applied,
) -> Vec<(&'o ObjectKey, &'o Arc<Live>)> {
    let failed = |key: &ObjectKey| {
        applied.left.contains(key) || applied.problems.iter().any(|p| p.about == key.to_string())
    };
    let is_made = |key: &ObjectKey| wanted.iter().any(|wanted| wanted.key == *key) && !failed(key);
    let is_set = |key: &ObjectKey| key.kind == Kind::StatefulSet;
    let is_stuck = !before.keys().filter(|key| is_set(key)).all(is_made)
        || wanted.iter().map(|wanted| &wanted.key).any(|key| {
            let is_lost = is_set(key) && !before.contains_key(key);
            is_lost || matches!(key.kind, Kind::Service | Kind::StatefulSet) && failed(key)
        });
    // As it is now: the template may have changed a moment ago.
    let sets = store.owned_by(uid);
    let rolls = sets
        .iter()
        .any(|(key, live)| is_set(key) && live.read().is_some_and(|set| is_rolling(&set)));
    let mut going = unwanted(store, before, obsolete);
    going.retain(|(key, _)| match key.kind {
        Kind::Service | Kind::ConfigMap => !is_stuck && !rolls,
        _ => true,
    });
    going
}

impl Round<'_> {
    /// Deletes what is obsolete. Who makes it again and again is fought like one who edits a child.
    pub(super) async fn remove(&self, key: &ObjectKey, live: &Live) -> Outcome {
        if let Err(said) = self.may_write(key, GONE) {
            return said;
        }
        match self.writer.delete(key, live).await {
            Ok(Deletion::Begun) => {
                let rival = live.rival.clone();
                self.damping.wrote(key, GONE, rival, Instant::now());
            }
            // What else there is to do may follow from that.
            Ok(Deletion::Gone) => {
                self.damping.succeeded(key);
                return Outcome::Changed;
            }
            // It has changed, which brings us back.
            Err(WriteError::Conflict { .. }) => self.damping.succeeded(key),
            Err(error) => return self.failed(key, GONE, &error.into()),
        }
        Outcome::Same
    }
}

/// Whether some of a set's pods may be of a template that is not the newest: one that has to start
/// anew before its turn does so from the old one, whether any of them is ready at the moment or not.
pub fn is_rolling(set: &StatefulSet) -> bool {
    // Of one that was made a moment ago nobody knows which pods are there: they may have been kept when
    // an earlier one was deleted.
    let status = set.status.clone().unwrap_or_default();
    let is_seen = status.observed_generation >= set.metadata.generation;
    !(is_seen && status.updated_replicas.unwrap_or_default() >= status.replicas)
}
