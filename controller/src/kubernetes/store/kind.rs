//! The kinds of objects that are watched in the mothership, and how an object of one is called.

use crds::names;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ApiResource;

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
    /// `networking.k8s.io/v1` `NetworkPolicy`.
    NetworkPolicy,
    /// `v1` Node.
    Node,
    /// `v1` `PersistentVolumeClaim`: only read.
    PersistentVolumeClaim,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Service,
        Self::ConfigMap,
        Self::Secret,
        Self::StatefulSet,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::Node,
        Self::PersistentVolumeClaim,
    ];

    /// All that tells one kind from another.
    fn row(self) -> Row {
        let row = |name, resource, watched, kept| Row {
            name,
            resource,
            watched,
            kept,
        };
        match self {
            Self::Service => row("Service", erased::<Service>, &[OURS], Kept::All),
            Self::ConfigMap => row("ConfigMap", erased::<ConfigMap>, &[OURS], Kept::Said),
            // Certificate, token and other Secrets carry different labels in an installation that
            // upstream made.
            Self::Secret => row(
                "Secret",
                erased::<Secret>,
                &[
                    OURS,
                    "cluster.x-k8s.io/cluster-name",
                    "app.kubernetes.io/component=jointoken",
                ],
                Kept::Digests,
            ),
            Self::StatefulSet => row("StatefulSet", erased::<StatefulSet>, &[OURS], Kept::All),
            Self::PodDisruptionBudget => row(
                "PodDisruptionBudget",
                erased::<PodDisruptionBudget>,
                &[OURS],
                Kept::Said,
            ),
            Self::NetworkPolicy => row(
                "NetworkPolicy",
                erased::<NetworkPolicy>,
                &[OURS],
                Kept::Said,
            ),
            Self::Node => row("Node", erased::<Node>, &[""], Kept::Addresses),
            Self::PersistentVolumeClaim => row(
                "PersistentVolumeClaim",
                erased::<PersistentVolumeClaim>,
                &[""],
                Kept::Metadata,
            ),
        }
    }

    /// Group, version and plural, as the API client wants them.
    pub fn api_resource(self) -> ApiResource {
        (self.row().resource)()
    }

    /// The kind's name, for messages and metric labels.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// What is watched: one watch for each of these selectors of labels.
    pub fn watched(self) -> &'static [&'static str] {
        self.row().watched
    }

    /// Whether one of this name is of any interest. A StatefulSet takes claims by their names, whatever
    /// their labels say, and whoever has made them.
    pub fn concerns(self, name: &str) -> bool {
        self != Self::PersistentVolumeClaim || names::may_be_our_claim(name)
    }

    /// What is kept of an object.
    pub(super) fn kept(self) -> Kept {
        self.row().kept
    }
}

/// What there is to know of a kind.
struct Row {
    name: &'static str,
    resource: fn() -> ApiResource,
    watched: &'static [&'static str],
    kept: Kept,
}

/// What is kept of an object, besides its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Spec and status.
    All,
    /// All but a status.
    Said,
    /// A digest of each key, and what a certificate says.
    Digests,
    /// Addresses, and of the metadata the name.
    Addresses,
    /// Nothing.
    Metadata,
}

/// What all children are labelled with.
const OURS: &str = "app=k0smotron";

fn erased<K: kube::Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, empty for a cluster-scoped kind.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// A key from its parts.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for ObjectKey {
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
