//! The Service that workers and users reach.

use crds::labels::{self, Component};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::apply::desired::Desired;
use crate::cluster::children::common::{is_node_port, metadata, service_port};
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// Port of the Service until the API server has allocated the node ports. It serves nobody: the
/// control plane is not built before the numbers are known.
const UNALLOCATED: (i32, i32) = (30443, 30132);

/// The Service that workers and users reach. k0s listens on the very ports that they use, so
/// port, target port and node port are one number.
pub fn exposed(cluster: &ValidCluster) -> Desired {
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
    Desired::declared(
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

#[cfg(test)]
mod tests;
