//! Storage: which kind a Cluster has is decided here, and each kind has a file with the objects that
//! belong to it. Which kinds are not implemented yet is in `crds::validation::not_implemented`.

pub mod etcd;

use crds::labels;
use crds::v1beta2::CertificateType;
use serde_json::Value;

use crate::apply::desired::{Desired, Recipe};
use crate::cluster::dereference::Claim;
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
    etcd::claims::in_the_way(cluster).or_else(|| data_in_the_way(cluster))
}

/// What an earlier control plane of the name has left is beside what this one is given: certificates
/// that another CA has signed, and manifests that are applied once more. A claim that is prepared for
/// this Cluster says so.
fn data_in_the_way(cluster: &ValidCluster) -> Option<String> {
    let has_begun = cluster.begun_members().is_some() || cluster.control_plane.is_some();
    if has_begun {
        return None;
    }
    let foreign = |claim: &&Claim| claim.deleting || claim.of.as_ref() != Some(&cluster.uid);
    let foreign = cluster.data_claims.iter().filter(foreign);
    let (ending, left): (Vec<_>, Vec<_>) = foreign.partition(|claim| claim.deleting);
    if ending.is_empty() && left.is_empty() {
        return None;
    }
    let names = |claims: &[&Claim]| {
        let names: Vec<_> = claims.iter().map(|claim| claim.name.as_str()).collect();
        names.join(" ")
    };
    Some(if left.is_empty() {
        format!(
            "the control plane is created as soon as these claims, which are being deleted, are \
             gone: {}",
            names(&ending)
        )
    } else {
        let (namespace, left) = (&cluster.namespace, names(&left));
        let (uid, label) = (&cluster.uid, labels::CLUSTER_UID);
        format!(
            "there is data of an earlier control plane of this name, which does not fit the keys of \
             this one, so neither etcd nor a control plane is created. Either delete it, all that is \
             needed of it is made again: kubectl -n {namespace} delete pvc {left}. Or keep it, if it \
             was prepared for this Cluster: kubectl -n {namespace} label --overwrite pvc {left} \
             {label}={uid}"
        )
    })
}

/// Whether it goes on with data that was there before.
pub fn goes_on(cluster: &ValidCluster) -> bool {
    etcd::initial::says_existing(cluster)
}

/// `spec.storage` of the k0s configuration.
pub fn k0s_config(cluster: &ValidCluster) -> Value {
    etcd::k0s_config(cluster)
}
