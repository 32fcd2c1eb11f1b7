//! Keys stay what they are while their Cluster lives.

use std::collections::{BTreeMap, BTreeSet};

use mothership::proxy::{Record, Verb};

use super::{Finding, Kind};
use crate::faults::history::{Change, What, owner, version};
use crate::light::children::{at, text};

/// The finalizer that keeps a key.
const KEY_FINALIZER: &str = crds::names::KEY_FINALIZER;

/// The keys that nothing can replace.
fn is_key(name: &str) -> bool {
    ["-ca", "-sa", "-proxy", "-etcd"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// No key is another than it was.
pub fn replaced(changes: &[Change]) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut found: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for change in changes {
        if change.kind != "Secret" || !is_key(&change.name) || change.what == What::Deleted {
            continue;
        }
        let key = text(&change.object, "/data/tls.key");
        let owner = owner(&change.object);
        if key.is_empty() || owner.is_empty() {
            continue;
        }
        let before = *found.entry((&change.name, owner)).or_insert(key);
        if before != key {
            all.push(Finding::new(
                Kind::Key,
                format!("Secret {} has another key", change.name),
            ));
            found.insert((&change.name, owner), key);
        }
    }
    all
}

/// Whether the owner of an object was there, and not on its way out, when that became what it is:
/// by versions, since each watch shows its kind in its own time.
fn owner_lived(changes: &[Change], of: &Change) -> bool {
    let owner = owner(&of.object);
    let its = changes.iter().filter(|change| {
        change.kind == "Cluster"
            && text(&change.object, "/metadata/uid") == owner
            && version(change) <= version(of)
    });
    its.max_by_key(|change| version(change))
        .is_some_and(|last| {
            last.what != What::Deleted && at(&last.object, "/metadata/deletionTimestamp").is_null()
        })
}

/// None is deleted.
pub fn deleted(changes: &[Change], records: &[Record]) -> Vec<Finding> {
    let mut all = Vec::new();
    let gone = changes.iter().filter(|change| {
        change.kind == "Secret" && change.what == What::Deleted && is_key(&change.name)
    });
    for change in gone {
        let by_it = records.iter().any(|record| {
            record.call.verb == Verb::Delete
                && record.upstream / 100 == 2
                && record.call.resource == "secrets"
                && record.call.name == change.name
        });
        if by_it && owner_lived(changes, change) {
            let what = format!("Secret {} was deleted while its Cluster lived", change.name);
            all.push(Finding::new(Kind::Key, what));
        }
    }
    all
}

/// The finalizer of a key goes only when its Cluster does.
pub fn let_go(changes: &[Change]) -> Vec<Finding> {
    let holds = |change: &Change| {
        let finalizers = at(&change.object, "/metadata/finalizers").as_array();
        finalizers
            .into_iter()
            .flatten()
            .any(|name| name == KEY_FINALIZER)
    };
    let mut all = Vec::new();
    let mut held: BTreeSet<(&str, &str)> = BTreeSet::new();
    for change in changes
        .iter()
        .filter(|change| change.kind == "Secret" && is_key(&change.name))
    {
        let uid = text(&change.object, "/metadata/uid");
        let was_held = held.contains(&(&change.name, uid));
        // Somebody who deletes a key gets it back under a new uid: its copy is there before it goes.
        let goes = !at(&change.object, "/metadata/deletionTimestamp").is_null();
        if holds(change) {
            held.insert((&change.name, uid));
        } else if was_held && !goes && owner_lived(changes, change) {
            let what = format!("Secret {} was let go while its Cluster lived", change.name);
            all.push(Finding::new(Kind::Key, what));
        }
    }
    all
}
