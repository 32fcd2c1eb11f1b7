//! Whom a member of etcd without data starts with, and whether at all.

use std::collections::BTreeSet;

use crds::labels::Component;
use crds::names;
use k8s_openapi::api::core::v1::ConfigMap;

use super::services::PEER_PORT;
use super::{INITIAL_CLUSTER, INITIAL_STATE, INITIAL_TOKEN, claims, knows_token, ready_members};
use crate::apply::desired::Desired;
use crate::cluster::children::common::{map, metadata};
use crate::cluster::children::storage;
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// What no member reads: that the initial cluster was closed once, and the uids of the claims whose
/// annotation has let a member join since.
pub(super) const CLOSED: &str = "CLOSED";
const IS_CLOSED: &str = "true";
/// The state in which a member without data joins others or does not start.
pub(super) const EXISTING: &str = "existing";

/// Whom a member starts with. A ConfigMap and not the pod template, which would roll every member
/// when their number changes; only a member without data goes by it. `None` while claims that are
/// not this Cluster's are in the way.
pub fn members_config(cluster: &ValidCluster) -> Option<Desired> {
    if storage::in_the_way(cluster).is_some() {
        return None;
    }
    let service = names::etcd(&cluster.name);
    let used = used_annotations(cluster);
    let is_closed = used
        .as_ref()
        .is_some_and(|used| claims::added(cluster).is_subset(used));
    let members = if is_closed {
        closed(&service)
    } else {
        (0..cluster.etcd_members)
            .map(|i| format!("{service}-{i}=https://{service}-{i}.{service}:{PEER_PORT}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let state = if exists(cluster) { EXISTING } else { "new" };
    let mut data = map([
        (INITIAL_CLUSTER, members.as_str()),
        (INITIAL_STATE, state),
        (INITIAL_TOKEN, &cluster.uid),
    ]);
    if let Some(used) = used {
        let words: Vec<_> = std::iter::once(IS_CLOSED).chain(used).collect();
        data.insert(CLOSED.to_owned(), words.join(" "));
    }
    Some(Desired::declared(
        Kind::ConfigMap,
        ConfigMap {
            metadata: metadata(cluster, names::etcd_config(&cluster.name), Component::Etcd),
            data: Some(data),
            ..ConfigMap::default()
        },
    ))
}

/// Whether there is data that somebody relies on: from then on a member that finds none must not
/// begin anew with nothing. Once said it stays so, whatever becomes of the status.
fn exists(cluster: &ValidCluster) -> bool {
    match &cluster.etcd_config {
        _ if cluster.was_available => true,
        Some(_) => says_existing(cluster),
        // Upstream's, which may have run for years although nothing of it is ready now, or another
        // Cluster's, which was given to this one.
        None => {
            cluster.etcd.as_ref().is_some_and(|set| !knows_token(set))
                || ready_members(cluster) > 0
                || claims::are_taken_over(cluster)
        }
    }
}

/// Whether members were told so already. The initial cluster is closed only then.
pub fn says_existing(cluster: &ValidCluster) -> bool {
    let config = cluster.etcd_config.as_ref();
    config.is_some_and(|config| {
        config.get(INITIAL_STATE).map(String::as_str) == Some(EXISTING)
            || config.contains_key(CLOSED)
    })
}

/// The claims whose annotation lets no member join any more; `None` as long as every member may
/// join without data. Under its old identity one that has lost its own would vote as if it had
/// never acknowledged anything, and writes that two of three hold would be lost with the next
/// leader. The last to start of all has to join once, and so has one that was removed and added
/// anew. Where what was noted is lost, every annotation that is there has been used.
fn used_annotations(cluster: &ValidCluster) -> Option<BTreeSet<&str>> {
    let all = cluster.etcd_members;
    if all <= 1 || !exists(cluster) {
        return None;
    }
    let added = claims::added(cluster);
    if ready_members(cluster) >= all {
        return Some(added);
    }
    let config = cluster.etcd_config.as_ref();
    let noted = |key| config.and_then(|config| config.get(key));
    let was_closed = match (noted(CLOSED), noted(INITIAL_CLUSTER)) {
        (Some(closed), _) => {
            let mut words = closed.split(' ');
            if words.next() == Some(IS_CLOSED) {
                return Some(words.filter(|uid| added.contains(uid)).collect());
            }
            true
        }
        (None, Some(members)) => *members == closed(&names::etcd(&cluster.name)),
        (None, None) => cluster.was_available || claims::are_taken_over(cluster),
    };
    was_closed.then_some(added)
}

/// An initial cluster that no member finds itself in.
fn closed(service: &str) -> String {
    format!("members-are-added-by-hand=https://{service}:{PEER_PORT}")
}
