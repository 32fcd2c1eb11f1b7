//! Who may reach etcd: all of the hosted cluster, its Secrets among it, is in there.

use crds::labels::{self, Component};
use crds::names;

use super::services::{CLIENT_PORT, PEER_PORT};
use crate::apply::desired::Desired;
use crate::cluster::children::network_policy::{from, policy};
use crate::cluster::validate::ValidCluster;

/// The control plane as a client; members also as peers, who ask each other before they start.
pub fn members(cluster: &ValidCluster) -> Desired {
    let control_plane = labels::control_plane_selector(&cluster.name);
    let etcd = labels::etcd_selector(&cluster.name);
    policy(
        cluster,
        names::etcd(&cluster.name),
        Component::Etcd,
        etcd.clone(),
        vec![
            from(vec![control_plane, etcd.clone()], &[CLIENT_PORT]),
            from(vec![etcd], &[PEER_PORT]),
        ],
    )
}
