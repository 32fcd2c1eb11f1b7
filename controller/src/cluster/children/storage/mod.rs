//! Storage: which kind a Cluster has is decided here, and each kind has a file with the objects that
//! belong to it. Which kinds are not implemented yet is in `crds::validation::not_implemented`.

pub mod etcd;

use crds::v1beta2::CertificateType;
use serde_json::Value;

use crate::apply::desired::{Desired, Recipe};
use crate::cluster::validate::ValidCluster;

/// What is there before the certificates are.
pub fn services(cluster: &ValidCluster) -> Vec<Desired> {
    vec![
        etcd::services::members(cluster),
        etcd::services::clients(cluster),
    ]
}

/// Who may reach it, where the Cluster asks for that.
pub fn network_policy(cluster: &ValidCluster) -> Option<Desired> {
    Some(etcd::network_policy::members(cluster))
}

/// What members are told.
pub fn config(cluster: &ValidCluster) -> Option<Desired> {
    etcd::initial::members_config(cluster)
}

/// The certificates that it needs besides those of every cluster.
pub fn leaves(cluster: &ValidCluster) -> Vec<(CertificateType, Recipe)> {
    etcd::certificates::leaves(cluster)
}

/// The members.
pub fn stateful_set(cluster: &ValidCluster) -> Option<Desired> {
    etcd::stateful_set(cluster)
}

/// Why it is not made, and with it no control plane: one that never gets its storage only fails
/// again and again.
pub fn in_the_way(cluster: &ValidCluster) -> Option<String> {
    etcd::claims::in_the_way(cluster)
}

/// How many of its members serve.
pub fn ready_members(cluster: &ValidCluster) -> i32 {
    etcd::ready_members(cluster)
}

/// Whether it goes on with data that was there before.
pub fn goes_on(cluster: &ValidCluster) -> bool {
    etcd::initial::says_existing(cluster)
}

/// `spec.storage` of the k0s configuration.
pub fn k0s_config(cluster: &ValidCluster) -> Value {
    etcd::k0s_config(cluster)
}
