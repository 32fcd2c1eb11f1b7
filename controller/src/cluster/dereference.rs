//! Everything known about one Cluster, from the stores: no request is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::v1beta2::{
    CertificateRef, CertificateType, Cluster, ClusterStatus, PersistenceType, Ports, ServiceType,
    StatusPorts,
};
use crds::volumes::Volumes;
use crds::{labels, names};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use self::nodes::{is_alive, node_address, nodes};
use super::status::keys_were_made;
use crate::apply::desired::APPLIED_HASH;
use crate::hosted::health::{Health, ReadinessPoller};
use crate::kubernetes::Mothership;
use crate::kubernetes::pods::{Lacking, Pods};
use crate::kubernetes::store::{Kind, Live, ObjectKey, Store};
use crate::kubernetes::watches::{Unread, Watches};

mod nodes;

/// The Secret with one CA, or with the key pair of service accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSecret {
    /// The Secret's name.
    pub secret: String,
    /// The user named it in `certificateRefs`: it is only read.
    pub users: bool,
    /// Digest of its certificate or public key; `None` while there is no such Secret, or not the one
    /// that the pods run with.
    pub digest: Option<String>,
    /// The public key that the pods were made with, else the one that they will be.
    pub public_key: Option<String>,
    /// The pods were made with another key: what this one signs nobody trusts.
    pub replaced: bool,
    /// The certificate of a CA, in PEM; the key pair of service accounts has none.
    pub certificate: Option<String>,
}

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
    /// All that it owns.
    pub owned: BTreeMap<ObjectKey, Arc<Live>>,
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
        owned,
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

/// The Secrets of a Cluster's certificates, and which of those that its user names has not been read.
/// From now on those are watched.
fn certificate_secrets(
    cluster: &Cluster,
    store: &Store,
    watches: &Watches,
) -> (BTreeMap<CertificateType, CertificateSecret>, Option<Unread>) {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let uid = cluster.uid().unwrap_or_default();
    let references = cluster.spec.certificate_refs.iter();
    let named = references.filter(|reference| user_named(reference));
    let types: BTreeSet<_> = CertificateType::ROOTS
        .into_iter()
        .chain(named.map(|reference| reference.type_))
        .collect();
    let mut by_name = BTreeSet::new();
    let in_use = public_keys_in_use(cluster, store);
    let secrets = types.into_iter().map(|type_| {
        let found = certificate(cluster, type_, in_use.get(&type_), store);
        let key = ObjectKey::new(Kind::Secret, &namespace, &found.secret);
        let is_watched = match store.get(&key) {
            // The watches by label show what is the Cluster's own.
            Some(live) => live.is_owned_by(&uid),
            None => !is_named(cluster, type_),
        };
        if found.users || !is_watched {
            by_name.insert(found.secret.clone());
        }
        (type_, found)
    });
    let secrets = secrets.collect();
    (secrets, watches.name(&namespace, &name, &by_name))
}

/// Whether the user names the Secret of a certificate.
pub fn is_named(cluster: &Cluster, type_: CertificateType) -> bool {
    let mut references = cluster.spec.certificate_refs.iter();
    references.any(|reference| reference.type_ == type_ && user_named(reference))
}

fn user_named(reference: &CertificateRef) -> bool {
    reference.name.as_ref().is_some_and(|name| !name.is_empty())
}

/// The public keys that the pods were made with, as their StatefulSets say; none while nobody can have
/// come to trust them: one that never worked has to be put right.
fn public_keys_in_use(cluster: &Cluster, store: &Store) -> BTreeMap<CertificateType, String> {
    let status = cluster.status.as_ref();
    if status.is_some_and(ClusterStatus::has_never_served) {
        return BTreeMap::new();
    }
    let name = cluster.name_any();
    let noted = |set: String| -> Option<BTreeMap<CertificateType, String>> {
        let namespace = cluster.namespace().unwrap_or_default();
        let key = ObjectKey::new(Kind::StatefulSet, namespace, set);
        let live = store.get_owned(&key, &cluster.uid().unwrap_or_default())?;
        serde_json::from_str(&live.annotation(names::PUBLIC_KEYS_ANNOTATION)?).ok()
    };
    let mut all = noted(names::etcd(&name)).unwrap_or_default();
    all.extend(noted(names::control_plane(&name)).unwrap_or_default());
    all
}

/// The Secret of one certificate of a Cluster as it is.
pub fn certificate_secret(
    cluster: &Cluster,
    type_: CertificateType,
    store: &Store,
) -> CertificateSecret {
    let in_use = public_keys_in_use(cluster, store);
    certificate(cluster, type_, in_use.get(&type_), store)
}

fn certificate(
    cluster: &Cluster,
    type_: CertificateType,
    in_use: Option<&String>,
    store: &Store,
) -> CertificateSecret {
    let references = &cluster.spec.certificate_refs;
    let named = references
        .iter()
        .find(|reference| reference.type_ == type_ && user_named(reference))
        .and_then(|reference| reference.name.clone());
    let generated = names::certificate(&cluster.name_any(), type_);
    let uid = cluster.uid().unwrap_or_default();
    let secret = named.clone().unwrap_or_else(|| generated.clone());
    let key = ObjectKey::new(
        Kind::Secret,
        cluster.namespace().unwrap_or_default(),
        &secret,
    );
    let live = store.get(&key);
    // Upstream writes the names of what it has made itself back into the spec.
    let users = named.is_some() && !(secret == generated && is_own(cluster, live.as_deref(), &uid));
    // What a user names may be anybody's.
    let live = if users {
        live.filter(|live| !live.deleting)
    } else {
        store.get_fitting(&key, &uid)
    };
    let found = live.as_ref().and_then(|live| live.public_key());
    let replaced = found.is_some() && in_use.is_some_and(|in_use| Some(in_use) != found.as_ref());
    let live = live.filter(|_| !replaced);
    CertificateSecret {
        secret,
        users,
        public_key: in_use.cloned().or(found),
        replaced,
        digest: live
            .as_ref()
            .and_then(|live| live.digest(names::TLS_CERT_KEY)),
        certificate: live.as_ref().and_then(|live| live.ca_certificate()),
    }
}

/// Whether a Secret of a generated name is the Cluster's own; one that is gone was, when all were
/// there.
fn is_own(cluster: &Cluster, live: Option<&Live>, uid: &str) -> bool {
    match live {
        Some(live) => live.is_owned_by(uid),
        None => keys_were_made(cluster.status.as_ref()),
    }
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
