//! The Services of etcd: one by which members find each other, one that API servers dial.

use crds::labels::{self, Component};
use crds::names;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use crate::apply::desired::Desired;
use crate::cluster::children::common::{metadata, service_port};
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// Port on which etcd serves clients.
pub const CLIENT_PORT: i32 = 2379;
/// Port on which etcd members talk to each other.
pub const PEER_PORT: i32 = 2380;
/// Gives each member a name before it is ready, because members find each other by it.
pub fn members(cluster: &ValidCluster) -> Desired {
    service(
        cluster,
        names::etcd(&cluster.name),
        true,
        true,
        &[("client", CLIENT_PORT), ("peer", PEER_PORT)],
    )
}

/// What API servers dial: ready members only, for a member that is still catching up refuses them.
/// Headless too, because a mothership has few addresses for many Clusters; one that was made with
/// an address keeps it, which cannot be taken away.
pub fn clients(cluster: &ValidCluster) -> Desired {
    service(
        cluster,
        names::etcd_client_service(&cluster.name),
        !cluster.etcd_clients_have_an_address,
        false,
        &[("client", CLIENT_PORT)],
    )
}

fn service(
    cluster: &ValidCluster,
    name: String,
    headless: bool,
    not_ready: bool,
    ports: &[(&str, i32)],
) -> Desired {
    Desired::declared(
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
