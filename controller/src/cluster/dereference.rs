//! Everything known about one Cluster, from the stores: no request is made.

use std::collections::BTreeMap;

use crds::v1beta2::{CertificateType, Cluster, PersistenceType, Ports, ServiceType, StatusPorts};
use crds::volumes::Volumes;
use crds::{labels, names};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use self::certificates::certificate_secrets;
pub use self::certificates::{CertificateSecret, certificate_secret, is_named};
use self::nodes::{is_alive, node_address, nodes};
use crate::apply::desired::APPLIED_HASH;
use crate::hosted::health::{Health, ReadinessPoller};
use crate::kubernetes::Mothership;
use crate::kubernetes::pods::{Lacking, Pods};
use crate::kubernetes::store::{Kind, ObjectKey, Store};
use crate::kubernetes::watches::Unread;

mod certificates;
mod nodes;

/// The claim of an etcd member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// Its own uid.
    pub uid: String,
    /// Uid of the Cluster whose data it holds, if its label says.
    pub of: Option<String>,
    /// It is being deleted.
    pub deleting: bool,
    /// Its member was added to the others by hand.
    pub added: bool,
}

pub const INITIAL_TOKEN: &str = "ETCD_INITIAL_CLUSTER_TOKEN";

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The Service that exposes the control plane.
    pub service: Option<Service>,
    /// The Service of etcd's clients.
    pub etcd_clients: Option<Service>,
    /// The control plane.
    pub control_plane: Option<StatefulSet>,
    /// Its etcd.
    pub etcd: Option<StatefulSet>,
    /// What its members start with.
    pub etcd_config: Option<ConfigMap>,
    /// The claims of members, by their number, whoever's they are.
    pub claims: BTreeMap<i32, Claim>,
    /// Those of the control plane's pods.
    pub data_claims: Vec<Claim>,
    /// The Secrets of its roots, and of what else the user names.
    pub certificate_secrets: BTreeMap<CertificateType, CertificateSecret>,
    /// The Secrets and ConfigMaps of its own that exist, by name, each with the digest of what was
    /// applied last.
    pub existing: BTreeMap<String, Option<String>>,
    /// Address of a node, for NodePort.
    pub node_address: Option<String>,
    /// The recorded address is still one of a node's, or none of a node's business.
    pub node_address_alive: bool,
    /// The kubeconfig Secret exists.
    pub kubeconfig: bool,
    /// What the hosted API last said.
    pub health: Option<Health>,
    /// What is wrong with its pods.
    pub pods: Pods,
    /// A Secret that the user names of which it is not known whether it is there.
    pub unread: Option<Unread>,
}

impl Observed {
    /// The allocated numbers of the API and konnectivity node ports.
    pub fn node_ports(&self) -> Ports {
        let port = |name: &str| {
            let spec = self.service.as_ref()?.spec.as_ref()?;
            let port = spec
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_deref() == Some(name))?;
            port.node_port.filter(|number| *number != 0)
        };
        Ports {
            api: port(names::API_PORT),
            konnectivity: port(names::KONNECTIVITY_PORT),
        }
    }

    /// Its sets that have fewer ready pods than they are to have: etcd first, without which a control
    /// plane ends again and again.
    pub fn lacking(&self) -> Vec<Lacking> {
        let sets = [self.etcd.as_ref(), self.control_plane.as_ref()];
        sets.into_iter().flatten().filter_map(Lacking::of).collect()
    }

    /// Whether the Service has these numbers.
    pub fn serves(&self, ports: StatusPorts) -> bool {
        let has = |name: &str, number: i32| {
            let spec = self
                .service
                .as_ref()
                .and_then(|service| service.spec.as_ref());
            spec.iter()
                .flat_map(|spec| spec.ports.iter().flatten())
                .any(|port| port.name.as_deref() == Some(name) && port.port == number)
        };
        has(names::API_PORT, ports.api) && has(names::KONNECTIVITY_PORT, ports.konnectivity)
    }

    /// The addresses of the load balancer; IP addresses before host names.
    pub fn load_balancer_addresses(&self) -> Vec<String> {
        let status = self
            .service
            .as_ref()
            .and_then(|service| service.status.as_ref());
        let balancer = status.and_then(|status| status.load_balancer.as_ref());
        let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
        let ingress = || ingress.into_iter().flatten();
        ingress()
            .filter_map(|entry| entry.ip.clone())
            .chain(ingress().filter_map(|entry| entry.hostname.clone()))
            .collect()
    }
}

/// Addresses of a Service inside the mothership.
pub fn addresses(service: Option<&Service>) -> Vec<String> {
    let spec = service.and_then(|service| service.spec.as_ref());
    spec.and_then(|spec| spec.cluster_ips.clone())
        .unwrap_or_default()
        .into_iter()
        .filter(|ip| ip != "None" && !ip.is_empty())
        .collect()
}

/// Reads the stores.
pub fn dereference(
    cluster: &Cluster,
    mothership: &Mothership,
    prober: &ReadinessPoller,
) -> Observed {
    let Mothership { store, watches, .. } = mothership;
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    let uid = cluster.uid().unwrap_or_default();
    let owned = store.owned_by(&uid);
    let mine = |kind: Kind, child: &str| owned.get(&ObjectKey::new(kind, &namespace, child));
    let service = names::service(&name, cluster.spec.service.type_);
    let of_node =
        cluster.spec.service.type_ == ServiceType::NodePort && cluster.spec.asked_host().is_none();
    let nodes = if of_node {
        nodes(cluster, store, watches)
    } else {
        Vec::new()
    };
    let (certificate_secrets, unread) = certificate_secrets(cluster, store, watches);
    let (claims, data_claims) = claims(cluster, store);
    let observed = Observed {
        service: mine(Kind::Service, &service).and_then(|live| live.read()),
        etcd_clients: mine(Kind::Service, &names::etcd_client_service(&name))
            .and_then(|live| live.read()),
        control_plane: mine(Kind::StatefulSet, &names::control_plane(&name))
            .and_then(|live| live.read()),
        etcd: mine(Kind::StatefulSet, &names::etcd(&name)).and_then(|live| live.read()),
        etcd_config: mine(Kind::ConfigMap, &names::etcd_config(&name)).and_then(|live| live.read()),
        claims,
        data_claims,
        certificate_secrets,
        unread,
        existing: owned
            .iter()
            .filter(|(key, live)| {
                matches!(key.kind, Kind::Secret | Kind::ConfigMap) && !live.deleting
            })
            .map(|(key, live)| (key.name.clone(), live.annotation(APPLIED_HASH)))
            .collect(),
        node_address_alive: !of_node || is_alive(cluster, &nodes),
        node_address: node_address(&nodes),
        kubeconfig: mine(Kind::Secret, &names::kubeconfig(&name)).is_some(),
        health: prober.last(&uid),
        pods: Pods::Known(None),
    };
    if observed.lacking().is_empty() {
        return observed;
    }
    let pods = mothership.pods.last(&uid);
    Observed { pods, ..observed }
}

/// The claims of a Cluster's members and of its control plane, and of more than it has: whether there
/// are such tells how many an earlier Cluster had.
fn claims(cluster: &Cluster, store: &Store) -> (BTreeMap<i32, Claim>, Vec<Claim>) {
    let (namespace, cluster_name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let claim = |name: String| {
        let live = store.get(&ObjectKey::new(
            Kind::PersistentVolumeClaim,
            &namespace,
            &name,
        ))?;
        let meta: ObjectMeta =
            serde_json::from_value(live.value().get("metadata")?.clone()).ok()?;
        let noted = |all: Option<BTreeMap<String, String>>, key| all?.remove(key);
        Some(Claim {
            name,
            uid: live.uid.clone(),
            of: noted(meta.labels, labels::CLUSTER_UID),
            deleting: live.deleting,
            added: noted(meta.annotations, names::ETCD_MEMBER_ADDED_ANNOTATION)
                .is_some_and(|value| value != "false"),
        })
    };
    let all = || 0..=cluster.spec.replicas.clamp(8, 99);
    let members =
        all().filter_map(|index| Some((index, claim(names::etcd_claim(&cluster_name, index))?)));
    let persistence = cluster.spec.persistence.as_ref();
    let has_claims = persistence.is_some_and(|it| it.type_ == PersistenceType::Pvc);
    let data = if has_claims {
        let volume = Volumes::new(&cluster_name, &cluster.spec).data;
        all()
            .filter_map(|index| claim(names::control_plane_claim(&volume, &cluster_name, index)))
            .collect()
    } else {
        Vec::new()
    };
    (members.collect(), data)
}

/// Whether a set is one of ours: upstream's members have no token of their own.
pub fn knows_token(set: &StatefulSet) -> bool {
    let pod = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    pod.into_iter()
        .flat_map(|pod| &pod.containers)
        .flat_map(|container| container.env.iter().flatten())
        .any(|variable| variable.name == INITIAL_TOKEN)
}

#[cfg(test)]
mod tests;
