//! The kinds that are watched, each read only as far as a decision depends on it.

use std::collections::{BTreeMap, HashSet};

use crds::lookup::{Holder, Namespace, Quota};
use crds::policy::read_policy;
use crds::v1beta2::{
    Cluster, ClusterPolicy, ClusterPolicySpec, ClusterPolicyStatus, JoinTokenRequest,
};
use k8s_openapi::api::core::v1::{
    Namespace as ApiNamespace, ResourceQuota as ApiResourceQuota, Service as ApiService,
};
use k8s_openapi::api::storage::v1::StorageClass as ApiStorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::watcher;
use runtime::{Unreadable, last_known};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::cache::Cache;
use crate::cache::tables::{Key, Ports, Tables};

/// Annotation that kubectl writes with a copy of the whole object.
const LAST_APPLIED: &str = crds::names::LAST_APPLIED_ANNOTATION;
/// Annotation of the class that claims without one get.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// A kind that is watched.
pub(super) trait Watched:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static
{
    /// Which of them. A page is held as text and as objects at once: small ones keep the peak low.
    fn config() -> watcher::Config {
        runtime::watch_config().page_size(100)
    }

    /// Takes one in.
    fn put(self, key: Key, cache: &Cache) {
        self.put_into(key, &mut cache.0.write());
    }

    /// The same, of a kind for which that takes no time.
    fn put_into(self, _key: Key, _tables: &mut Tables) {}

    /// One is gone.
    fn remove(key: &Key, tables: &mut Tables);

    /// Those that are kept.
    fn keys(tables: &Tables) -> Vec<Key>;

    /// All have been listed.
    fn listed(_tables: &mut Tables) {}

    /// What stands for one that does not parse: nothing, unless it was readable before.
    fn stand_in(_unreadable: Unreadable, _tables: &Tables) -> Option<Self> {
        None
    }

    /// Its key.
    fn key(&self) -> Key {
        key(self.meta())
    }

    /// Forgets those that are not among `kept`.
    fn retain(kept: &HashSet<Key>, tables: &mut Tables) {
        for key in Self::keys(tables) {
            if !kept.contains(&key) {
                Self::remove(&key, tables);
            }
        }
    }
}

fn key(metadata: &ObjectMeta) -> Key {
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// A copy of the whole object, which no rule reads.
fn forget_last_applied(metadata: &mut ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

impl Watched for Cluster {
    /// One that was never read is there all the same: it has its name, counts, and may be scaled.
    fn stand_in(unreadable: Unreadable, tables: &Tables) -> Option<Self> {
        let known = tables.clusters.get(&key(&unreadable.metadata));
        let known = known.map(|known| &*known.object);
        Some(last_known(known, &unreadable).unwrap_or_else(|| Self {
            spec: unreadable.part("spec").unwrap_or_default(),
            status: unreadable.status().ok().flatten(),
            metadata: unreadable.metadata,
        }))
    }

    fn put_into(mut self, key: Key, tables: &mut Tables) {
        forget_last_applied(&mut self.metadata);
        tables.put_cluster(key, self);
    }

    fn remove(key: &Key, tables: &mut Tables) {
        tables.remove_cluster(key);
    }

    fn keys(tables: &Tables) -> Vec<Key> {
        tables.clusters.keys().cloned().collect()
    }
}

impl Watched for JoinTokenRequest {
    /// Likewise: the Secret of its name is taken.
    fn stand_in(unreadable: Unreadable, tables: &Tables) -> Option<Self> {
        let known = tables.requests.get(&key(&unreadable.metadata));
        let known = last_known(known.map(|known| &**known), &unreadable);
        Some(known.unwrap_or_else(|| Self {
            spec: unreadable.part("spec").unwrap_or_default(),
            status: unreadable.status().ok().flatten(),
            metadata: unreadable.metadata,
        }))
    }

    fn put_into(mut self, key: Key, tables: &mut Tables) {
        forget_last_applied(&mut self.metadata);
        tables.put_request(key, self);
    }

    fn remove(key: &Key, tables: &mut Tables) {
        tables.remove_request(key);
    }

    fn keys(tables: &Tables) -> Vec<Key> {
        tables.requests.keys().cloned().collect()
    }
}

/// A policy, which holds whether all of it can be read or not: what cannot is a fault of it.
#[derive(Clone, Debug, Resource)]
#[resource(inherit = ClusterPolicy)]
pub(super) struct StoredPolicy {
    metadata: ObjectMeta,
    spec: ClusterPolicySpec,
    status: Option<ClusterPolicyStatus>,
}

impl<'de> Deserialize<'de> for StoredPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Value::deserialize(deserializer)?;
        let policy = read_policy(&object).map_err(D::Error::custom)?;
        Ok(Self {
            metadata: policy.metadata,
            spec: policy.spec,
            status: policy.status,
        })
    }
}

impl Watched for StoredPolicy {
    fn put(mut self, (_, name): Key, cache: &Cache) {
        forget_last_applied(&mut self.metadata);
        if let Some(first) = self.spec.unread.first() {
            let (field, reason) = (&first.field, &first.reason);
            tracing::error!(name, field, reason, "a policy cannot be read whole");
        }
        let policy = ClusterPolicy {
            metadata: self.metadata,
            spec: self.spec,
            status: self.status,
        };
        cache.put_policy(name, policy);
    }

    fn remove((_, name): &Key, tables: &mut Tables) {
        tables.remove_policy(name);
    }

    fn keys(tables: &Tables) -> Vec<Key> {
        let names = tables.policies().keys();
        names.map(|name| (String::new(), name.clone())).collect()
    }

    fn listed(tables: &mut Tables) {
        tables.policies_are_listed();
    }
}

/// A Service, as far as its node ports go.
#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = ApiService)]
pub(super) struct Service {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    ports: Vec<ServicePort>,
    health_check_node_port: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ServicePort {
    node_port: Option<i32>,
}

impl Watched for Service {
    fn config() -> watcher::Config {
        // Most Services of a cluster are of this type, and none of them has a node port.
        runtime::watch_config()
            .page_size(100)
            .fields("spec.type!=ClusterIP")
    }

    fn put_into(self, key: Key, tables: &mut Tables) {
        let owner = self
            .metadata
            .owner_references
            .iter()
            .flatten()
            .find(|owner| {
                owner.kind == "Cluster" && owner.api_version.starts_with("k0smotron.io/")
            });
        let (kind, name) = match owner {
            Some(owner) => ("Cluster", &owner.name),
            None => ("Service", &key.1),
        };
        let holder = Holder {
            kind,
            namespace: key.0.clone(),
            name: name.clone(),
        };
        let spec = self.spec;
        let ports = spec.ports.iter().map(|port| port.node_port);
        let ports = ports
            .chain([spec.health_check_node_port])
            .flatten()
            .filter(|port| *port != 0);
        let ports = ports.collect();
        tables.put_service(key, Ports { holder, ports });
    }

    fn remove(key: &Key, tables: &mut Tables) {
        tables.remove_service(key);
    }

    fn keys(tables: &Tables) -> Vec<Key> {
        tables.services.keys().cloned().collect()
    }
}

/// A namespace's metadata.
#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = ApiNamespace)]
pub(super) struct NamespaceMeta {
    metadata: ObjectMeta,
}

impl Watched for NamespaceMeta {
    fn put_into(mut self, (_, name): Key, tables: &mut Tables) {
        forget_last_applied(&mut self.metadata);
        tables.put_namespace(Namespace {
            name,
            labels: self.metadata.labels.unwrap_or_default(),
            annotations: self.metadata.annotations.unwrap_or_default(),
        });
    }

    fn remove((_, name): &Key, tables: &mut Tables) {
        tables.namespaces.remove(name);
    }

    fn keys(tables: &Tables) -> Vec<Key> {
        let names = tables.namespaces.keys();
        names.map(|name| (String::new(), name.clone())).collect()
    }
}

/// A storage class's metadata.
#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = ApiStorageClass)]
pub(super) struct StorageClass {
    metadata: ObjectMeta,
}

impl Watched for StorageClass {
    fn put_into(self, (_, name): Key, tables: &mut Tables) {
        let annotations = self.metadata.annotations.unwrap_or_default();
        let is_default = annotations
            .get(DEFAULT_CLASS)
            .is_some_and(|value| value == "true");
        tables.storage_classes.insert(name, is_default);
    }

    fn remove((_, name): &Key, tables: &mut Tables) {
        tables.storage_classes.remove(name);
    }

    fn keys(tables: &Tables) -> Vec<Key> {
        let names = tables.storage_classes.keys();
        names.map(|name| (String::new(), name.clone())).collect()
    }

    fn listed(tables: &mut Tables) {
        tables.storage_classes_listed = true;
    }
}

/// A quota's limits and how much of each is taken.
#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = ApiResourceQuota)]
pub(super) struct ResourceQuota {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ResourceQuotaSpec,
    #[serde(default)]
    status: ResourceQuotaStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceQuotaSpec {
    scopes: Vec<String>,
    scope_selector: Option<Selected>,
}

/// That there is one is all that counts.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Selected {}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct ResourceQuotaStatus {
    hard: BTreeMap<String, Quantity>,
    used: BTreeMap<String, Quantity>,
}

impl Watched for ResourceQuota {
    fn put_into(self, key: Key, tables: &mut Tables) {
        // What it counts depends on more than is known of pods that do not exist yet.
        let is_scoped = !self.spec.scopes.is_empty() || self.spec.scope_selector.is_some();
        let ResourceQuotaStatus { hard, mut used } = self.status;
        let quotas = hard
            .into_iter()
            .filter(|_| !is_scoped)
            .filter_map(|(resource, hard)| {
                Some(Quota {
                    name: key.1.clone(),
                    used: used.remove(&resource)?,
                    resource,
                    hard,
                })
            });
        let quotas = quotas.collect();
        tables.quotas.insert(key, quotas);
    }

    fn remove(key: &Key, tables: &mut Tables) {
        tables.quotas.remove(key);
    }

    fn keys(tables: &Tables) -> Vec<Key> {
        tables.quotas.keys().cloned().collect()
    }
}
