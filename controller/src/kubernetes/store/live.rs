//! One object of the mothership as it was last seen, pruned.

use std::sync::Arc;

use crds::labels;
use crds::names::{self, FIELD_MANAGER, TLS_CERT_KEY};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::prune::prune;
use super::text::{Samples, Text};
use super::{Kind, ObjectKey, Owner};

/// One object as it was last seen.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its controller owner.
    pub owner: Option<Arc<Owner>>,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// The field manager, other than ours, that changed it last; status apart.
    pub rival: Option<String>,
    /// Who looks at it although they do not own it.
    onlooker: Option<Arc<Owner>>,
    /// Which watches deliver it, one bit each.
    pub(super) holders: u32,
    json: Text,
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
            .map(|reference| {
                Arc::new(Owner {
                    kind: reference.kind.clone(),
                    name: reference.name.clone(),
                    uid: reference.uid.clone(),
                })
            });
        let live = Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            owner,
            deleting: metadata.deletion_timestamp.is_some(),
            rival: last_other_manager(metadata),
            onlooker: onlooker(kind, &object).map(Arc::new),
            holders: 0,
            json: Text::Plain("".into()),
        };
        let tree = prune(kind, object);
        Self {
            json: Text::Plain(Value::Object(tree).to_string().into()),
            ..live
        }
    }

    /// Keeps it in less memory.
    pub(super) fn pack(&mut self, samples: &mut Samples) {
        self.json = samples.pack(&self.json.get());
    }

    /// Who looks at it, in the form of an owner.
    pub(super) fn onlooker(&self, key: &ObjectKey) -> Option<(String, Arc<Owner>)> {
        Some((key.namespace.clone(), self.onlooker.clone()?))
    }

    /// Whether a reconcile finds the same in both.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.json.get() == other.json.get()
    }

    /// The pruned object.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.json.get()).unwrap_or_default()
    }

    /// A digest of what it says, but for its status: that of a set changes with each of its pods.
    pub fn said(&self) -> String {
        let mut object = self.value();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        if let Some(metadata) = metadata {
            metadata.remove("resourceVersion");
        }
        super::digest(object.to_string().as_bytes())
    }

    /// The pruned object as its type; `None` when it does not fit, which a kind of the API server
    /// always does.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.json.get()).ok()
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

/// A claim outlives its Cluster, so nothing but its name and its label lead to one. Of a node nothing
/// leads to the Clusters that wait for one.
fn onlooker(kind: Kind, object: &DynamicObject) -> Option<Owner> {
    let (kind, name) = match kind {
        Kind::PersistentVolumeClaim => {
            let named = object.metadata.name.as_deref();
            let named = named.and_then(names::cluster_of_etcd_claim);
            let labelled = || object.labels().get(labels::CLUSTER).map(String::as_str);
            ("Cluster", named.or_else(labelled)?.to_owned())
        }
        Kind::Node => ("Node", object.name_any()),
        _ => return None,
    };
    Some(Owner {
        kind: kind.to_owned(),
        name,
        uid: String::new(),
    })
}

fn last_other_manager(metadata: &ObjectMeta) -> Option<String> {
    let entries = metadata.managed_fields.iter().flatten();
    entries
        .filter(|entry| entry.subresource.is_none())
        .filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone())
}
