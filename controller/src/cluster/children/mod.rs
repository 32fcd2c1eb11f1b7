//! Pure functions from a valid Cluster to the objects that it wants: a file for each, or
//! for those that are made alike.
//!
//! A child whose inputs are not there yet is not built: what exists of it stays. Rounds of build
//! and apply go on until nothing changes, so a child follows as soon as its inputs do. Pods read
//! their configuration once: their set follows when it and the ports of the Service are written.

use std::collections::BTreeSet;

use crds::names;
use crds::v1beta2::{CertificateType, Cluster, ServiceType};
use kube::{Resource as _, ResourceExt as _};

use crate::apply::desired::{COPY_SUFFIX, Desired};
use crate::cluster::dereference::Observed;
use crate::cluster::status::keys_were_made;
use crate::cluster::validate::{Address, ValidCluster};
use crate::kubernetes::store::{Kind, ObjectKey};

pub mod certificates;
mod common;
pub mod control_plane;
pub mod disruption_budget;
pub mod exposure;
pub mod kubeconfig;
pub mod network_policy;
pub mod pod;
pub mod storage;
pub mod telemetry;

use self::control_plane::revision;
use self::exposure::{endpoint, service};

/// What a Cluster wants.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// Objects that have to be there.
    pub wanted: Vec<Desired>,
    /// Objects that go if they are there and the Cluster's own. Whatever else it owns stays.
    pub obsolete: BTreeSet<ObjectKey>,
}

/// Builds every child whose inputs are known.
pub fn build(cluster: &ValidCluster) -> Built {
    let mut wanted = vec![service::exposed(cluster)];
    wanted.extend(storage::services(cluster));
    wanted.push(telemetry::config(cluster));
    let storage_config = storage::config(cluster);
    let configs = if cluster.has_ports {
        revision::config_maps(cluster)
    } else {
        Vec::new()
    };
    let has = |config: Option<&Desired>| config.is_some_and(|config| cluster.has(config));
    let has_storage_config = has(storage_config.as_ref());
    let has_config = has(configs.first());
    wanted.extend(storage_config);
    wanted.extend(certificates::all(cluster));
    wanted.extend(kubeconfig::secret(cluster).filter(|_| cluster.has_ports));
    wanted.extend(configs);
    if cluster.has_ports && !matches!(cluster.address, Address::Internal) {
        wanted.extend(endpoint::config_map(cluster));
    }
    if has_storage_config {
        wanted.extend(storage::stateful_set(cluster));
    }
    if has_config && storage::in_the_way(cluster).is_none() {
        wanted.extend(control_plane::stateful_set(cluster));
    }
    wanted.extend(disruption_budget::all(cluster));
    wanted.extend(network_policy::all(cluster));
    let obsolete = obsolete(cluster, &wanted);
    Built { wanted, obsolete }
}

/// What there is to do for a Cluster whose spec is refused: the keys that it has are kept.
pub fn keys_of(cluster: &Cluster, observed: &Observed) -> Built {
    let mut built = Built::default();
    if keys_were_made(cluster.status.as_ref())
        && let Some(owner) = cluster.controller_owner_ref(&())
    {
        let namespace = cluster.namespace().unwrap_or_default();
        built.wanted = certificates::keys(&owner, &namespace, &observed.certificate_secrets);
        built.obsolete = copies(&namespace, &owner.name).collect();
    }
    built
}

/// Copies of keys that were deleted: each goes once its key is back.
fn copies(namespace: &str, name: &str) -> impl Iterator<Item = ObjectKey> {
    CertificateType::ROOTS.into_iter().map(move |type_| {
        let original = names::certificate(name, type_);
        ObjectKey::new(Kind::Secret, namespace, format!("{original}{COPY_SUFFIX}"))
    })
}

/// What an earlier spec, or an earlier life of a key, asked for. No key is among them but copies.
fn obsolete(cluster: &ValidCluster, wanted: &[Desired]) -> BTreeSet<ObjectKey> {
    let name = cluster.name.as_str();
    let key = |kind, name| ObjectKey::new(kind, &cluster.namespace, name);
    let services = ServiceType::ALL
        .iter()
        .map(|type_| key(Kind::Service, names::service(name, *type_)));
    let of_pods =
        |kind| [names::control_plane(name), names::etcd(name)].map(|name| key(kind, name));
    // One that is asked for and was not built stays: without it everybody is let in.
    let policies = (!network_policy::is_asked(cluster)).then(|| of_pods(Kind::NetworkPolicy));
    let endpoint = matches!(cluster.address, Address::Internal)
        .then(|| key(Kind::ConfigMap, names::endpoint_config(name)));
    services
        .chain(of_pods(Kind::PodDisruptionBudget))
        .chain(policies.into_iter().flatten())
        .chain(endpoint)
        .chain(revision::earlier(cluster).map(|name| key(Kind::ConfigMap, name)))
        .chain(copies(&cluster.namespace, name))
        .filter(|key| wanted.iter().all(|wanted| wanted.key != *key))
        .collect()
}

#[cfg(test)]
mod tests;
