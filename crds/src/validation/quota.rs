//! Warns when a `ResourceQuota` of the namespace has no room for a Cluster's children.

use std::collections::BTreeMap;

use super::Errors;
use crate::lookup::Mothership;
use crate::quantity::amount;
use crate::v1beta2::{Cluster, PersistenceType, ServiceType, StorageType};

/// A quota changes by the minute, and pods come when there is room: no reason to refuse.
pub(super) fn warn(
    warnings: &mut Errors,
    old: Option<&Cluster>,
    new: &Cluster,
    known: &dyn Mothership,
) {
    let quotas = known.quotas(new.metadata.namespace.as_deref().unwrap_or_default());
    if quotas.is_empty() {
        return;
    }
    let (before, now) = (old.map(demand).unwrap_or_default(), demand(new));
    for quota in quotas {
        let resource = match quota.resource.as_str() {
            "cpu" => "requests.cpu",
            "memory" => "requests.memory",
            other => other.strip_prefix("count/").unwrap_or(other),
        };
        let of = |demand: &Demand| demand.get(resource).copied().unwrap_or_default();
        let more = of(&now) - of(&before);
        let (Some(hard), Some(used)) = (amount(&quota.hard.0), amount(&quota.used.0)) else {
            continue;
        };
        if more > 0.0 && used + more > hard {
            let message = format!(
                "exceeds the ResourceQuota {}: requested: {}={more}, used: {}, limited: {}",
                quota.name, quota.resource, quota.used.0, quota.hard.0
            );
            warnings
                .warning("spec", "", message)
                .hint("pods and volumes are pending until there is room");
        }
    }
}

type Demand = BTreeMap<String, f64>;

/// What a Cluster's children take of a quota.
fn demand(cluster: &Cluster) -> Demand {
    let spec = &cluster.spec;
    let replicas = f64::from(spec.replicas.max(0));
    let members = match spec.storage.type_ {
        StorageType::Etcd => {
            let recorded = cluster
                .status
                .as_ref()
                .and_then(|status| status.etcd_members);
            f64::from(recorded.unwrap_or_else(|| spec.initial_etcd_members()))
        }
        StorageType::Kine | StorageType::Nats => 0.0,
    };
    let claim = spec
        .persistence
        .as_ref()
        .filter(|persistence| persistence.type_ == PersistenceType::Pvc);
    let mut demand = Demand::new();
    let mut add = |resource: String, amount: f64| *demand.entry(resource).or_default() += amount;
    add("pods".to_owned(), replicas + members);
    add(
        "persistentvolumeclaims".to_owned(),
        members + if claim.is_some() { replicas } else { 0.0 },
    );
    add(
        "requests.storage".to_owned(),
        members * amount(&spec.storage.etcd.persistence.size.0).unwrap_or_default(),
    );
    let size = claim.and_then(|persistence| {
        let claim = persistence
            .persistent_volume_claim
            .as_ref()?
            .spec
            .as_ref()?;
        amount(
            &claim
                .resources
                .as_ref()?
                .requests
                .as_ref()?
                .get("storage")?
                .0,
        )
    });
    add(
        "requests.storage".to_owned(),
        replicas * size.unwrap_or_default(),
    );
    match spec.service.type_ {
        ServiceType::ClusterIP => {}
        ServiceType::NodePort => add("services.nodeports".to_owned(), 2.0),
        ServiceType::LoadBalancer => {
            add("services.loadbalancers".to_owned(), 1.0);
            add("services.nodeports".to_owned(), 2.0);
        }
    }
    let containers = [
        (replicas, &spec.resources),
        (members, &spec.storage.etcd.resources),
    ];
    for (pods, resources) in containers {
        let Some(resources) = resources else { continue };
        for (kind, quantities) in [
            ("requests", &resources.requests),
            ("limits", &resources.limits),
        ] {
            for (resource, quantity) in quantities.iter().flatten() {
                let each = amount(&quantity.0).unwrap_or_default();
                add(format!("{kind}.{resource}"), pods * each);
            }
        }
    }
    demand
}
