//! Pure functions from a valid Cluster to the objects that it wants; one file a child.
//!
//! A child whose inputs are not there yet is not built but *kept*: what exists of it stays. Rounds
//! of build and apply go on until nothing changes, so a child follows as soon as its inputs do.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crds::{
    labels::{self, Component},
    names,
    v1beta2::{CertificateType, ServiceType},
};

use crate::kubernetes::store::{Key, Kind};

use super::{
    validate::{Address, ValidCluster},
    wanted::Wanted,
};

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
    /// Objects that stay as they are if they are there.
    pub keep: BTreeSet<Key>,
}

impl Built {
    fn add(&mut self, object: Option<Wanted>, kind: Kind, namespace: &str, name: &str) {
        match object {
            Some(object) => self.wanted.push(object),
            None => drop(self.keep.insert(Key::new(kind, namespace, name))),
        }
    }
}

/// Builds every child whose inputs are known.
pub fn build(cluster: &ValidCluster) -> Built {
    let mut built = Built::default();
    let (name, namespace) = (cluster.name.as_str(), cluster.namespace.as_str());
    built.wanted.push(services::exposed(cluster));
    built.wanted.push(services::etcd_members(cluster));
    built.wanted.push(services::etcd_clients(cluster));
    built.wanted.push(etcd::members_config(cluster));
    built.wanted.push(telemetry::config(cluster));
    for (type_, object) in certificates::all(cluster) {
        built.add(
            object,
            Kind::Secret,
            namespace,
            &names::certificate(name, type_),
        );
    }
    built.add(
        kubeconfig::secret(cluster),
        Kind::Secret,
        namespace,
        &names::kubeconfig(name),
    );
    built.add(
        k0s_config::config_map(cluster),
        Kind::ConfigMap,
        namespace,
        &names::config(name),
    );
    if !matches!(cluster.address, Address::Internal) {
        built.add(
            endpoint::config_map(cluster),
            Kind::ConfigMap,
            namespace,
            &names::endpoint_config(name),
        );
    }
    built.add(
        etcd::stateful_set(cluster),
        Kind::StatefulSet,
        namespace,
        &names::etcd(name),
    );
    built.add(
        control_plane::stateful_set(cluster),
        Kind::StatefulSet,
        namespace,
        &names::control_plane(name),
    );
    built.wanted.extend(disruption_budget::all(cluster));
    built
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
