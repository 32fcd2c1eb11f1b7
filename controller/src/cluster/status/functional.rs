//! Whether the hosted API answers.

use std::time::Duration;

use crds::names;
use crds::v1beta2::{CertificateType, Cluster, ClusterStatus};
use k8s_openapi::api::apps::v1::StatefulSet;

use super::conditions::{ConditionFinding, earlier, finding, unknown};
use super::nodes::with_count;
use super::pods::{for_want_of_pods, with_pods};
use super::rollout::replicas;
use super::{FUNCTIONAL, Facts};
use crate::apply::Problem;
use crate::cluster::children::storage;
use crate::cluster::dereference::addresses;
use crate::cluster::validate::Refusal;
use crate::kubernetes::store::{Kind, ObjectKey};

/// What the first pod's readiness has proved wrong, or is about to.
const STARTING: [&str; 3] = ["Unreachable", "Timeout", "NotReady"];

/// Whether the control plane has been available once.
pub(super) fn has_served(cluster: &Cluster) -> bool {
    let status = cluster.status.as_ref();
    status.is_some_and(ClusterStatus::was_available)
}

/// What the API has said, or that it has not been asked; where it does not answer, why its pods do not,
/// and where it does, what it has lost already and does not tell. That its spec is refused changes nothing
/// about it.
pub(super) fn functional(facts: &Facts<'_>) -> ConditionFinding {
    let found = for_want_of_pods(facts, said(facts));
    let has_served = has_served(facts.cluster);
    if found.status == "True" {
        let degraded = degraded(facts).filter(|_| has_served);
        return with_count(facts, degraded.unwrap_or(found));
    }
    // With data that is there already it is not new either.
    let is_new = !has_served && !facts.valid.is_ok_and(storage::goes_on);
    let without_etcd = without_etcd(facts).filter(|_| !is_new);
    without_etcd.unwrap_or(found)
}

fn said(facts: &Facts<'_>) -> ConditionFinding {
    let waiting = || {
        unknown(
            FUNCTIONAL,
            "NotAsked",
            "waiting for the control plane's API to respond through its Service",
        )
    };
    let has_served = has_served(facts.cluster);
    let started = replicas(facts.observed.control_plane.as_ref()).ready > 0;
    if facts.observed.health.is_none()
        && has_served
        && started
        && let Some(why) = cannot_be_asked(facts)
    {
        let message = format!("it is not known whether the API serves: {why}");
        return unknown(FUNCTIONAL, "CannotAsk", message);
    }
    match &facts.observed.health {
        None if has_served && !started && !facts.is_asked => finding(
            FUNCTIONAL,
            false,
            "Unreachable",
            "no replica of the control plane is ready",
        ),
        // Another process has asked it before, and this one is about to, or has no way to it for
        // now: that is said elsewhere, and takes nothing from those who use it.
        None if facts.is_asked || facts.valid.is_err() || has_served => {
            earlier(facts.cluster.status.as_ref(), FUNCTIONAL).unwrap_or_else(waiting)
        }
        None => waiting(),
        Some(health) if health.ready && (started || has_served) => {
            finding(FUNCTIONAL, true, "Ready", "")
        }
        // The words of an attempt change from one to the next while pods start, and Service,
        // StatefulSet and the next answer follow the first ready pod one after the other: no news
        // before all have.
        Some(health) if !has_served && (!started || STARTING.contains(&health.reason)) => waiting(),
        Some(health) if !started => finding(
            FUNCTIONAL,
            false,
            health.reason,
            format!(
                "{}; no replica of the control plane is ready",
                health.message
            ),
        ),
        Some(health) => finding(FUNCTIONAL, false, health.reason, health.message.clone()),
    }
}

/// For how long a key may be refused until nobody knows whether its API serves: an API server that has
/// just started refuses everybody everything, and a controller that starts then would tell of a whole fleet.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What keeps this process from asking, until somebody mends it.
fn cannot_be_asked(facts: &Facts<'_>) -> Option<String> {
    if facts.is_asked {
        return None;
    }
    without_address(facts).or_else(|| without_ca(facts))
}

/// Nobody reaches it without its Service, for however short a time that cannot be made again.
fn without_address(facts: &Facts<'_>) -> Option<String> {
    let meta = &facts.cluster.metadata;
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let service = names::service(name.unwrap_or_default(), facts.cluster.spec.service.type_);
    let key = ObjectKey::new(Kind::Service, namespace.unwrap_or_default(), service);
    if addresses(facts.observed.service.as_ref()).is_empty() {
        let mut problems = facts.problems.iter();
        let why = problems.find(|problem| problem.about == key.to_string());
        return Some(why.map_or_else(
            || format!("{key} is missing or has no address"),
            |problem| format!("{key}: {}", problem.message),
        ));
    }
    let recorded = || facts.cluster.recorded_ports().both();
    let ports = facts
        .valid
        .map_or_else(|_| recorded(), |valid| valid.served_ports);
    ports
        .is_none()
        .then(|| format!("{key} does not have the ports of the control plane"))
}

fn without_ca(facts: &Facts<'_>) -> Option<String> {
    if facts.valid.err() == Some(&Refusal::Unread) {
        return None;
    }
    let ca = facts
        .observed
        .certificate_secrets
        .get(&CertificateType::Ca)?;
    let namespace = facts.cluster.metadata.namespace.as_deref();
    let key = ObjectKey::new(Kind::Secret, namespace.unwrap_or_default(), &ca.secret);
    let mut problems = facts.problems.iter();
    let of_ca = problems.find(|problem| !problem.passing && problem.about == key.to_string());
    let kubeconfig = names::kubeconfig(facts.cluster.metadata.name.as_deref().unwrap_or_default());
    let kubeconfig = ObjectKey::new(Kind::Secret, namespace.unwrap_or_default(), kubeconfig);
    let is_about = |problem: &&Problem| problem.about == kubeconfig.to_string();
    let is_refused = of_ca.is_some() || facts.problems.iter().any(|it| is_about(&it));
    let is_missing = || ca.certificate.is_none() && facts.problems.iter().all(|it| !it.passing);
    match of_ca {
        _ if is_refused && facts.unasked_for < PATIENCE => None,
        Some(problem) => Some(format!("{key}: {}", problem.message)),
        None if is_missing() => Some(format!("{key}: see CertificatesAvailable")),
        None => None,
    }
}

/// What an API that is ready has lost already: the next loss may be an outage.
fn degraded(facts: &Facts<'_>) -> Option<ConditionFinding> {
    let observed = facts.observed;
    let (ready, ready_members) = (
        replicas(observed.control_plane.as_ref()).ready,
        replicas(observed.etcd.as_ref()).ready,
    );
    let lost = |what: &str, ready: i32, all: i32| {
        (ready < all).then(|| format!("{} of {all} {what} are not ready", all - ready))
    };
    let etcd = lost("etcd members", ready_members, members(facts));
    let wanted = match facts.valid {
        Ok(valid) => valid.replicas(),
        Err(_) => asked_of(observed.control_plane.as_ref()),
    };
    let replicas = lost("control-plane replicas", ready, wanted);
    let all: Vec<_> = etcd.into_iter().chain(replicas).collect();
    let message = || with_pods(facts, FUNCTIONAL, all.join(", "), "see the pods");
    (!all.is_empty()).then(|| finding(FUNCTIONAL, true, "Degraded", message()))
}

/// How many members etcd has; of a spec that is refused nothing is taken.
fn members(facts: &Facts<'_>) -> i32 {
    let recorded = || facts.cluster.status.as_ref()?.etcd_members;
    match facts.valid {
        Ok(valid) => valid.etcd_members,
        Err(_) => recorded().unwrap_or_else(|| asked_of(facts.observed.etcd.as_ref())),
    }
}

/// How many pods a set is to have as it was last written.
fn asked_of(set: Option<&StatefulSet>) -> i32 {
    let asked = set.and_then(|set| set.spec.as_ref()?.replicas);
    asked.unwrap_or_default()
}

/// Why a control plane that has served does not answer, if it is for want of its etcd.
fn without_etcd(facts: &Facts<'_>) -> Option<ConditionFinding> {
    if members(facts) == 0 || replicas(facts.observed.etcd.as_ref()).ready > 0 {
        return None;
    }
    let name = facts.cluster.metadata.name.as_deref().unwrap_or_default();
    let message = format!(
        "no etcd member is ready. A member that has lost its data does not start on its own: \
         it would serve an empty cluster. See \"etcd does not start\" in \
         docs/troubleshooting.md, and the pods {}-*",
        names::etcd(name)
    );
    let message = with_pods(facts, FUNCTIONAL, message, "");
    Some(finding(FUNCTIONAL, false, "EtcdNotReady", message))
}
