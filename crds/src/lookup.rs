//! What a decision may look up besides the object: a mothership, as far as it is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::v1beta2::Cluster;

/// A namespace, as far as decisions depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Who has what only one can have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Kind, such as `Service`.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What a namespace uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of Clusters.
    pub clusters: usize,
    /// Control-plane pods that they ask for together.
    pub replicas: i64,
}

/// A limit of a `ResourceQuota` of a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Name of the `ResourceQuota`.
    pub name: String,
    /// What is limited, as the quota calls it, such as `pods` or `requests.cpu`.
    pub resource: String,
    /// The limit.
    pub hard: Quantity,
    /// How much of it is taken.
    pub used: Quantity,
}

/// What is known of the mothership. Every answer comes from memory; `None` and an empty list stand
/// for what is not known as well, so that nothing is refused for want of knowledge.
pub trait Mothership {
    /// A namespace.
    fn namespace(&self, _name: &str) -> Option<Namespace> {
        None
    }

    /// A Cluster that is stored.
    fn cluster(&self, _namespace: &str, _name: &str) -> Option<Arc<Cluster>> {
        None
    }

    /// Services and Clusters that have a node port. The Service of a Cluster is named as the
    /// Cluster that owns it.
    fn node_port(&self, _port: i32) -> Vec<Holder> {
        Vec::new()
    }

    /// The node ports that the mothership gives out, when they are known.
    fn node_port_range(&self) -> Option<std::ops::RangeInclusive<i32>> {
        None
    }

    /// Clusters that are reached under a host name of an ingress or a gateway.
    fn host(&self, _host: &str) -> Vec<Holder> {
        Vec::new()
    }

    /// Clusters that are reached at an external address and port.
    fn address(&self, _address: &str, _port: i32) -> Vec<Holder> {
        Vec::new()
    }

    /// Clusters whose data directories are this folder of nodes.
    fn host_path(&self, _path: &str) -> Vec<Holder> {
        Vec::new()
    }

    /// Whether there is a JoinTokenRequest of this name.
    fn has_request(&self, _namespace: &str, _name: &str) -> bool {
        false
    }

    /// Whether there is a storage class of this name, or a default one.
    fn storage_class(&self, _name: Option<&str>) -> Option<bool> {
        None
    }

    /// What the Clusters of a namespace use, the named one left out.
    fn usage(&self, _namespace: &str, _but: &str) -> Usage {
        Usage::default()
    }

    /// The limits of the quotas of a namespace.
    fn quotas(&self, _namespace: &str) -> Vec<Quota> {
        Vec::new()
    }
}

/// Nothing is known: for decisions about a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unknown;

impl Mothership for Unknown {}
