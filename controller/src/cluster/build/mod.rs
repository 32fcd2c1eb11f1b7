//! Pure functions from a valid Cluster to the objects that it wants; one file a child.
//!
//! A child whose inputs are not there yet is not built: what exists of it stays. Rounds of build
//! and apply go on until nothing changes, so a child follows as soon as its inputs do.

use std::collections::{BTreeMap, BTreeSet};

use crds::labels::{self, Component};
use crds::names;
use crds::v1beta2::{CertificateType, ServiceType};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::dereference::AUTHORITIES;
use super::validate::{Address, ValidCluster};
use crate::apply::desired::{COPY_SUFFIX, Wanted};
use crate::kubernetes::store::{Key, Kind};

pub mod certificates;
pub mod control_plane;
pub mod disruption_budget;
pub mod endpoint;
pub mod etcd;
pub mod k0s_config;
pub mod kubeconfig;
pub mod pod;
pub mod quantity;
pub mod services;
pub mod telemetry;

/// What a Cluster wants.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// Objects that have to be there.
    pub wanted: Vec<Wanted>,
    /// Objects that go if they are there and the Cluster's own. Whatever else it owns stays.
    pub obsolete: BTreeSet<Key>,
}

/// Builds every child whose inputs are known.
pub fn build(cluster: &ValidCluster) -> Built {
    let mut wanted = vec![
        services::exposed(cluster),
        services::etcd_members(cluster),
        services::etcd_clients(cluster),
        telemetry::config(cluster),
    ];
    wanted.extend(etcd::initial::members_config(cluster));
    wanted.extend(certificates::all(cluster));
    wanted.extend(kubeconfig::secret(cluster));
    wanted.extend(k0s_config::config_map(cluster));
    if !matches!(cluster.address, Address::Internal) {
        wanted.extend(endpoint::config_map(cluster));
    }
    wanted.extend(etcd::stateful_set(cluster));
    // One that never gets an etcd only fails again and again.
    if etcd::claims::in_the_way(cluster).is_none() {
        wanted.extend(control_plane::stateful_set(cluster));
    }
    wanted.extend(disruption_budget::all(cluster));
    let obsolete = obsolete(cluster, &wanted);
    Built { wanted, obsolete }
}

/// What an earlier spec, or an earlier life of a key, asked for. No key is among them but copies.
fn obsolete(cluster: &ValidCluster, wanted: &[Wanted]) -> BTreeSet<Key> {
    let name = cluster.name.as_str();
    let key = |kind, name| Key::new(kind, &cluster.namespace, name);
    let services = ServiceType::ALL
        .iter()
        .map(|type_| key(Kind::Service, names::service(name, *type_)));
    let budgets = [names::control_plane(name), names::etcd(name)]
        .map(|name| key(Kind::PodDisruptionBudget, name));
    let endpoint = matches!(cluster.address, Address::Internal)
        .then(|| key(Kind::ConfigMap, names::endpoint_config(name)));
    let copies = AUTHORITIES.map(|type_| {
        let original = names::certificate(name, type_);
        key(Kind::Secret, format!("{original}{COPY_SUFFIX}"))
    });
    services
        .chain(budgets)
        .chain(endpoint)
        .chain(copies)
        .filter(|key| wanted.iter().all(|wanted| wanted.key != *key))
        .collect()
}

/// Metadata of a child: the user's labels and its component's, never the user's annotations.
pub(super) fn metadata(cluster: &ValidCluster, name: String, component: Component) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(labels::metadata(
            &cluster.name,
            component,
            Some(&cluster.labels),
        )),
        owner_references: Some(vec![cluster.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Whether everything that a pod mounts is there: a pod that starts before waits for minutes.
pub(super) fn all_exist<'a>(
    cluster: &ValidCluster,
    mut names: impl Iterator<Item = &'a str>,
) -> bool {
    names.all(|name| cluster.existing.contains(name))
}

/// Name of the Secret with a leaf certificate: the user's where `certificateRefs` names one.
pub(super) fn certificate_secret(cluster: &ValidCluster, type_: CertificateType) -> String {
    cluster.authority(type_).map_or_else(
        || names::certificate(&cluster.name, type_),
        |named| named.secret.clone(),
    )
}

/// The Secret of this type is there.
pub(super) fn certificate_exists(cluster: &ValidCluster, type_: CertificateType) -> bool {
    cluster.authority(type_).map_or_else(
        || {
            cluster
                .existing
                .contains(&names::certificate(&cluster.name, type_))
        },
        |named| named.digest.is_some(),
    )
}

/// Whether the cluster is exposed by node ports.
pub(super) fn is_node_port(cluster: &ValidCluster) -> bool {
    cluster.spec.service.type_ == ServiceType::NodePort
}

/// A map of strings from pairs.
pub(super) fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
