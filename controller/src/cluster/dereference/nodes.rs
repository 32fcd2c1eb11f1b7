//! The nodes of the mothership, for Clusters that are reached at one of them.

use crds::v1beta2::Cluster;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;

use crate::kubernetes::store::{Kind, Store};
use crate::kubernetes::watches::Watches;

/// Every node. A Cluster that finds none with its address is looked at again when one changes.
pub(super) fn nodes(cluster: &Cluster, store: &Store, watches: &Watches) -> Vec<Node> {
    let read = || -> Vec<Node> {
        let all = store.of_kind(Kind::Node).into_iter();
        all.filter_map(|(_, live)| live.read()).collect()
    };
    let nodes = read();
    let is_found = node_address(&nodes).is_some() && is_alive(cluster, &nodes);
    if is_found {
        return nodes;
    }
    watches.wake_with_nodes(
        &cluster.namespace().unwrap_or_default(),
        &cluster.name_any(),
    );
    // One may have come in between.
    read()
}

/// The first external address of any node, else the first internal one: what upstream takes.
pub(super) fn node_address(nodes: &[Node]) -> Option<String> {
    let mut nodes: Vec<_> = nodes.iter().collect();
    nodes.sort_by_key(|node| node.metadata.name.clone());
    let of = |types: &[&str]| {
        nodes.iter().find_map(|node| {
            node_addresses(node)
                .find(|(type_, _)| types.contains(type_))
                .map(|(_, address)| address.to_owned())
        })
    };
    of(&["ExternalDNS", "ExternalIP"]).or_else(|| of(&["InternalIP"]))
}

/// Whether the recorded address, if there is one, is a node's.
pub(super) fn is_alive(cluster: &Cluster, nodes: &[Node]) -> bool {
    cluster.recorded_host().is_none_or(|recorded| {
        let mut addresses = nodes.iter().flat_map(node_addresses);
        addresses.any(|(_, address)| address == recorded)
    })
}

fn node_addresses(node: &Node) -> impl Iterator<Item = (&str, &str)> {
    node.status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten())
        .map(|address| (address.type_.as_str(), address.address.as_str()))
}
