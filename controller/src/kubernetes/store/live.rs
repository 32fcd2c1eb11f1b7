//! One object of the mothership as it was last seen, pruned.

use crds::labels;
use crds::names::{FIELD_MANAGER, TLS_CERT_KEY};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::prune::prune;
use super::{Kind, ObjectKey, Owner};

/// One object as it was last seen.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its controller owner.
    pub owner: Option<Owner>,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// The field manager, other than ours, that changed it last; status apart.
    pub rival: Option<String>,
    /// The Cluster that looks at it although it does not own it.
    pub(super) cluster: Option<String>,
    /// Which watches deliver it, one bit each.
    pub(super) holders: u32,
    json: Box<str>,
}

impl Live {
    /// Whether the controller owner has this uid: what others own is never written or deleted.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.uid == uid)
    }

    /// What is kept of an object.
    pub fn new(kind: Kind, object: DynamicObject) -> Self {
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
        let live = Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            owner,
            deleting: metadata.deletion_timestamp.is_some(),
            rival: last_other_manager(metadata),
            // A claim outlives its Cluster, so nothing but its label leads to one.
            cluster: match kind {
                Kind::PersistentVolumeClaim => object.labels().get(labels::CLUSTER).cloned(),
                _ => None,
            },
            holders: 0,
            json: "".into(),
        };
        let tree = prune(kind, object);
        Self {
            json: Value::Object(tree).to_string().into_boxed_str(),
            ..live
        }
    }

    /// The Cluster that looks at it, in the form of an owner.
    pub(super) fn onlooker(&self, key: &ObjectKey) -> Option<(String, Owner)> {
        let owner = Owner {
            kind: "Cluster".to_owned(),
            name: self.cluster.clone()?,
            uid: String::new(),
        };
        Some((key.namespace.clone(), owner))
    }

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
        self.noted("annotations", name)
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<String> {
        self.noted("labels", name)
    }

    fn noted(&self, map: &str, name: &str) -> Option<String> {
        let value = self.value();
        let map = value.get("metadata")?.get(map)?;
        Some(map.get(name)?.as_str()?.to_owned())
    }

    /// Whether the owner with this uid may rely on it: it stays, and is not another's.
    pub(super) fn fits(&self, owner_uid: &str) -> bool {
        let owner = self.owner.as_ref();
        !self.deleting && owner.is_none_or(|owner| owner.uid == owner_uid)
    }

    /// The digest of one key of a Secret.
    pub fn digest(&self, key: &str) -> Option<String> {
        Some(self.value().get("digests")?.get(key)?.as_str()?.to_owned())
    }

    /// The digest of the public key in a Secret, whichever certificate of that key it holds.
    pub fn public_key(&self) -> Option<String> {
        let value = self.value();
        let key = || Some(value.get("certificate")?.get("key")?.as_str()?.to_owned());
        key().or_else(|| self.digest(TLS_CERT_KEY))
    }

    /// The certificate in a Secret with a CA, in PEM.
    pub fn ca_certificate(&self) -> Option<String> {
        let value = self.value();
        Some(value.get("certificate")?.get("pem")?.as_str()?.to_owned())
    }
}

fn last_other_manager(metadata: &ObjectMeta) -> Option<String> {
    let entries = metadata.managed_fields.iter().flatten();
    entries
        .filter(|entry| entry.subresource.is_none())
        .filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone())
}
