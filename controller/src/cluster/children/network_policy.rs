//! Who may reach the pods, where the spec asks for it. A NetworkPolicy that selects a pod shuts out
//! all that no policy lets in; the kubelet of its node is let in by every network plugin.

use crds::labels::{self, Component, Labels};
use crds::names;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::apply::desired::Desired;
use crate::cluster::children::common::metadata;
use crate::cluster::children::storage;
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// Whether the spec asks for any.
pub fn is_asked(cluster: &ValidCluster) -> bool {
    let asked = cluster.spec.network_policy.as_ref();
    asked.is_some_and(|policy| policy.enabled)
}

/// One for the control plane, and those of its storage.
pub fn all(cluster: &ValidCluster) -> Vec<Desired> {
    if !is_asked(cluster) {
        return Vec::new();
    }
    let control_plane = cluster.served_ports.map(|ports| {
        // Until the Service has others, pods listen where they did. Workers and users come from anywhere, most of them through a node.
        let ports = [ports.api, ports.konnectivity];
        policy(
            cluster,
            names::control_plane(&cluster.name),
            Component::ControlPlane,
            labels::control_plane_selector(&cluster.name),
            vec![from(Vec::new(), &ports)],
        )
    });
    control_plane
        .into_iter()
        .chain(storage::network_policy(cluster))
        .collect()
}

/// Lets in at these ports whoever has one of these sets of labels, without any everybody.
pub fn from(selectors: Vec<Labels>, ports: &[i32]) -> NetworkPolicyIngressRule {
    let peers: Vec<_> = selectors
        .into_iter()
        .map(|labels| NetworkPolicyPeer {
            pod_selector: Some(select(labels)),
            ..NetworkPolicyPeer::default()
        })
        .collect();
    let ports = ports.iter().map(|port| NetworkPolicyPort {
        port: Some(IntOrString::Int(*port)),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    });
    NetworkPolicyIngressRule {
        from: (!peers.is_empty()).then_some(peers),
        ports: Some(ports.collect()),
    }
}

/// A policy for the pods of one component.
pub fn policy(
    cluster: &ValidCluster,
    name: String,
    component: Component,
    selector: Labels,
    ingress: Vec<NetworkPolicyIngressRule>,
) -> Desired {
    Desired::declared(
        Kind::NetworkPolicy,
        NetworkPolicy {
            metadata: metadata(cluster, name, component),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(select(selector)),
                policy_types: Some(vec!["Ingress".to_owned()]),
                ingress: Some(ingress),
                egress: None,
            }),
        },
    )
}

fn select(labels: Labels) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        ..LabelSelector::default()
    }
}
