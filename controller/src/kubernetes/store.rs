//! The objects that the controller has seen, pruned to what a reconcile compares.
//!
//! Objects are kept as JSON text: a parsed tree of the same object takes five times as much
//! memory, and a reconcile reads fewer than twenty of them. Of Secrets only a digest per key is
//! kept, and the certificate of a certificate authority, which is public.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Node, Secret, Service},
    policy::v1::PodDisruptionBudget,
};
use kube::{api::ApiResource, core::DynamicObject};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use serde_json::Value;

mod prune;

pub use prune::digest;
use prune::prune;

/// The kinds that are watched beside the product's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1` Service.
    Service,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` Secret.
    Secret,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `policy/v1` PodDisruptionBudget.
    PodDisruptionBudget,
    /// `v1` Node.
    Node,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Service,
        Self::ConfigMap,
        Self::Secret,
        Self::StatefulSet,
        Self::PodDisruptionBudget,
        Self::Node,
    ];

    /// Group, version and plural, as the API client wants them.
    pub fn api_resource(self) -> ApiResource {
        match self {
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::Node => ApiResource::erase::<Node>(&()),
        }
    }

    /// The kind's name, for messages and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::StatefulSet => "StatefulSet",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::Node => "Node",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, empty for a cluster-scoped kind.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// A key from its parts.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// The controller owner reference of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Kind of the owner, for example `Cluster`.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner.
    pub uid: String,
}

/// One object as it was last seen.
#[derive(Debug)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its controller owner.
    pub owner: Option<Owner>,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// Which watches deliver it, one bit each.
    holders: u32,
    json: Box<str>,
}

impl Live {
    /// The pruned object.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// The pruned object as its type; `None` when it does not fit, which a kind of the API server
    /// always does.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.json).ok()
    }

    /// An annotation's value.
    pub fn annotation(&self, name: &str) -> Option<String> {
        Some(
            self.value()
                .get("metadata")?
                .get("annotations")?
                .get(name)?
                .as_str()?
                .to_owned(),
        )
    }
}

#[derive(Default)]
struct Inner {
    objects: HashMap<Key, Arc<Live>>,
    by_owner: HashMap<String, BTreeSet<Key>>,
}

/// The shared store; cheap to clone.
#[derive(Clone, Default)]
pub struct Store(Arc<RwLock<Inner>>);

/// Owners of an object before and after a change: who has to look at it.
pub type Touched = Vec<(String, Owner)>;

impl Store {
    /// The object with this key.
    pub fn get(&self, key: &Key) -> Option<Arc<Live>> {
        self.0.read().objects.get(key).cloned()
    }

    /// The object with this key if its controller owner has this uid.
    pub fn get_owned(&self, key: &Key, owner_uid: &str) -> Option<Arc<Live>> {
        self.get(key)
            .filter(|live| live.owner.as_ref().is_some_and(|o| o.uid == owner_uid))
    }

    /// Everything whose controller owner has this uid.
    pub fn owned_by(&self, owner_uid: &str) -> BTreeMap<Key, Arc<Live>> {
        let inner = self.0.read();
        inner
            .by_owner
            .get(owner_uid)
            .into_iter()
            .flatten()
            .filter_map(|key| Some((key.clone(), inner.objects.get(key)?.clone())))
            .collect()
    }

    /// Every object of a kind.
    pub fn of_kind(&self, kind: Kind) -> Vec<(Key, Arc<Live>)> {
        self.0
            .read()
            .objects
            .iter()
            .filter(|(key, _)| key.kind == kind)
            .map(|(key, live)| (key.clone(), live.clone()))
            .collect()
    }

    /// How many objects of each kind are kept.
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for key in self.0.read().objects.keys() {
            *counts.entry(key.kind).or_default() += 1;
        }
        counts
    }

    /// Takes in an object that a watch (its bit in `holder`) or an own write (`holder` 0) brought.
    /// An object older than the one that is kept changes nothing.
    pub fn put(&self, kind: Kind, object: DynamicObject, holder: u32) -> Touched {
        let Some(name) = object.metadata.name.clone() else {
            return Vec::new();
        };
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let key = Key {
            kind,
            namespace,
            name,
        };
        let mut live = pruned(kind, object);
        let mut inner = self.0.write();
        let before = inner.objects.get(&key).cloned();
        if let Some(before) = &before {
            live.holders = before.holders | holder;
            if is_older(&live.resource_version, &before.resource_version) {
                return Vec::new();
            }
        } else {
            live.holders = holder;
        }
        let mut touched = Vec::new();
        if let Some(before) = before.as_ref().and_then(|b| b.owner.clone()) {
            inner.disown(&before.uid, &key);
            touched.push((key.namespace.clone(), before));
        }
        if let Some(owner) = live.owner.clone() {
            inner
                .by_owner
                .entry(owner.uid.clone())
                .or_default()
                .insert(key.clone());
            if !touched.iter().any(|(_, o)| *o == owner) {
                touched.push((key.namespace.clone(), owner));
            }
        }
        inner.objects.insert(key, Arc::new(live));
        touched
    }

    /// A watch no longer delivers the object with this uid: it is gone, unless another watch still
    /// has it. An object made anew under the same name stays.
    pub fn release(&self, key: &Key, uid: Option<&str>, holder: u32) -> Touched {
        let mut inner = self.0.write();
        let Some(live) = inner.objects.get(key).cloned() else {
            return Vec::new();
        };
        if uid.is_some_and(|uid| uid != live.uid) {
            return Vec::new();
        }
        let holders = live.holders & !holder;
        if holders != 0 {
            inner.objects.insert(
                key.clone(),
                Arc::new(Live {
                    uid: live.uid.clone(),
                    resource_version: live.resource_version.clone(),
                    owner: live.owner.clone(),
                    deleting: live.deleting,
                    holders,
                    json: live.json.clone(),
                }),
            );
            return Vec::new();
        }
        inner.remove(key)
    }

    /// The object is gone, whoever delivered it.
    pub fn remove(&self, key: &Key) -> Touched {
        self.0.write().remove(key)
    }
}

impl Inner {
    fn disown(&mut self, uid: &str, key: &Key) {
        if let Some(keys) = self.by_owner.get_mut(uid) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_owner.remove(uid);
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Touched {
        let Some(live) = self.objects.remove(key) else {
            return Vec::new();
        };
        let Some(owner) = live.owner.clone() else {
            return Vec::new();
        };
        self.disown(&owner.uid, key);
        vec![(key.namespace.clone(), owner)]
    }
}

/// Whether `a` is an older version than `b` of one object. Kubernetes compares resourceVersions
/// as numbers since 1.35; every server backed by etcd has always numbered them.
pub fn is_older(a: &str, b: &str) -> bool {
    matches!((a.parse::<u64>(), b.parse::<u64>()), (Ok(a), Ok(b)) if a < b)
}

fn pruned(kind: Kind, object: DynamicObject) -> Live {
    let metadata = &object.metadata;
    let owner = metadata
        .owner_references
        .iter()
        .flatten()
        .find(|reference| reference.controller == Some(true))
        .map(|reference| Owner {
            kind: reference.kind.clone(),
            name: reference.name.clone(),
            uid: reference.uid.clone(),
        });
    let live = Live {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        owner,
        deleting: metadata.deletion_timestamp.is_some(),
        holders: 0,
        json: "".into(),
    };
    let tree = prune(kind, object);
    Live {
        json: Value::Object(tree).to_string().into_boxed_str(),
        ..live
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::*;

    fn secret(rv: &str, owner: &str, value: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "a", "namespace": "n", "uid": "u1", "resourceVersion": rv,
                "managedFields": [{"manager": "x"}],
                "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                    "name": owner, "uid": owner, "controller": true}]},
            "data": {"tls.key": value}
        }))
        .unwrap()
    }

    fn key() -> Key {
        Key::new(Kind::Secret, "n", "a")
    }

    #[test]
    fn secrets_keep_digests_and_never_their_data() {
        let store = Store::default();
        store.put(Kind::Secret, secret("1", "c", "c2VjcmV0"), 1);
        let text = store.get(&key()).unwrap().value().to_string();
        assert!(!text.contains("c2VjcmV0"), "{text}");
        assert!(!text.contains("managedFields"), "{text}");
        assert!(text.contains(&digest(b"secret")), "{text}");
    }

    #[test]
    fn an_older_version_changes_nothing() {
        let store = Store::default();
        store.put(Kind::Secret, secret("10", "c", "bmV3"), 1);
        assert!(
            store
                .put(Kind::Secret, secret("9", "c", "b2xk"), 1)
                .is_empty()
        );
        assert_eq!(store.get(&key()).unwrap().resource_version, "10");
    }

    #[test]
    fn losing_its_owner_wakes_the_old_and_the_new_one() {
        let store = Store::default();
        store.put(Kind::Secret, secret("1", "c", "eA=="), 1);
        let touched = store.put(Kind::Secret, secret("2", "d", "eA=="), 1);
        let names: Vec<_> = touched
            .iter()
            .map(|(_, owner)| owner.name.as_str())
            .collect();
        assert_eq!(names, ["c", "d"]);
        assert!(store.owned_by("c").is_empty());
        assert_eq!(store.owned_by("d").len(), 1);
    }

    #[test]
    fn an_object_of_two_watches_stays_until_both_let_go() {
        let store = Store::default();
        store.put(Kind::Secret, secret("1", "c", "eA=="), 1);
        store.put(Kind::Secret, secret("1", "c", "eA=="), 2);
        assert!(store.release(&key(), None, 1).is_empty());
        assert!(store.get(&key()).is_some());
        assert_eq!(store.release(&key(), None, 2).len(), 1);
        assert!(store.get(&key()).is_none());
    }
}
