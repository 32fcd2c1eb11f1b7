//! Services: the exposed one, and two for etcd.

use crds::labels::{self, Component};
use crds::names;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::validate::ValidCluster;
use super::{is_node_port, metadata};
use crate::apply::desired::Wanted;
use crate::kubernetes::store::Kind;

/// Port on which etcd serves clients.
pub const ETCD_CLIENT: i32 = 2379;
/// Port on which etcd members talk to each other.
pub const ETCD_PEER: i32 = 2380;
/// Port of the Service until the API server has allocated the node ports. It serves nobody: the
/// control plane is not built before the numbers are known.
const UNALLOCATED: (i32, i32) = (30443, 30132);

/// The Service that workers and users reach. k0s listens on the very ports that they use, so
/// port, target port and node port are one number.
pub fn exposed(cluster: &ValidCluster) -> Wanted {
    let type_ = cluster.spec.service.type_;
    let (api, konnectivity) = cluster
        .ports
        .as_ref()
        .map_or(UNALLOCATED, |ports| (ports.api, ports.konnectivity));
    let node_port =
        |number: i32| (is_node_port(cluster) && cluster.ports.is_some()).then_some(number);
    let port = |name: &str, number: i32| ServicePort {
        node_port: node_port(number),
        ..service_port(name, number)
    };
    let settings = &cluster.service;
    Wanted::declared(
        Kind::Service,
        Service {
            metadata: exposed_metadata(cluster),
            spec: Some(ServiceSpec {
                type_: Some(type_.to_string()),
                external_traffic_policy: settings
                    .external_traffic_policy
                    .map(|policy| policy.as_str().to_owned()),
                load_balancer_class: settings.load_balancer_class.clone(),
                selector: Some(labels::service_selector(&cluster.name)),
                ports: Some(vec![port("api", api), port("konnectivity", konnectivity)]),
                ..ServiceSpec::default()
            }),
            status: None,
        },
    )
}

/// The Cluster's labels, over them the Service's own, and over them those by which it is found.
fn exposed_metadata(cluster: &ValidCluster) -> ObjectMeta {
    let settings = &cluster.service;
    let mut users = cluster.labels.clone();
    users.extend(settings.labels.clone());
    let component = Component::ControlPlane;
    ObjectMeta {
        labels: Some(labels::metadata(&cluster.name, component, Some(&users))),
        annotations: (!settings.annotations.is_empty()).then(|| settings.annotations.clone()),
        ..metadata(cluster, cluster.service_name(), component)
    }
}

/// Gives each member a name before it is ready, because members find each other by it.
pub fn etcd_members(cluster: &ValidCluster) -> Wanted {
    etcd(
        cluster,
        names::etcd(&cluster.name),
        true,
        true,
        &[("client", ETCD_CLIENT), ("peer", ETCD_PEER)],
    )
}

/// What API servers dial: ready members only, for a member that is still catching up refuses them.
/// Headless too, because a mothership has few addresses for many Clusters; one that was made with
/// an address keeps it, which cannot be taken away.
pub fn etcd_clients(cluster: &ValidCluster) -> Wanted {
    etcd(
        cluster,
        names::etcd_client_service(&cluster.name),
        !cluster.etcd_clients_have_an_address,
        false,
        &[("client", ETCD_CLIENT)],
    )
}

fn etcd(
    cluster: &ValidCluster,
    name: String,
    headless: bool,
    not_ready: bool,
    ports: &[(&str, i32)],
) -> Wanted {
    Wanted::declared(
        Kind::Service,
        Service {
            metadata: metadata(cluster, name, Component::Etcd),
            spec: Some(ServiceSpec {
                type_: Some("ClusterIP".to_owned()),
                cluster_ip: headless.then(|| "None".to_owned()),
                publish_not_ready_addresses: not_ready.then_some(true),
                selector: Some(labels::etcd_selector(&cluster.name)),
                ports: Some(
                    ports
                        .iter()
                        .map(|(name, port)| service_port(name, *port))
                        .collect(),
                ),
                ..ServiceSpec::default()
            }),
            status: None,
        },
    )
}

fn service_port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::Int(number)),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

#[cfg(test)]
mod tests;
