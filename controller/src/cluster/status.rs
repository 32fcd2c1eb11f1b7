//! What a Cluster says about itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::conditions::{self as api, Said};
use crds::labels;
use crds::v1beta2::{Cluster, ClusterStatus, DeprecatedStatus, V1Beta1Status};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::Value;

use super::context::{Context, Error};
use super::dereference::Observed;
use super::validate::{Address, Refusal, ValidCluster};
use crate::apply::Problem;
use crate::hosted::nodes::Count;
use crate::kubernetes::store::ObjectKey;

mod conditions;
mod events;
mod functional;
mod nodes;
mod pods;
mod rollout;
#[cfg(test)]
mod tests;

use crate::cluster::status::conditions::{ConditionFinding, finding, findings};
pub use crate::cluster::status::functional::PATIENCE;
use crate::cluster::status::rollout::{is_up_to_date, replicas, run_the_same};

/// The spec can be worked on.
pub const ACCEPTED: &str = "Accepted";
/// Every child could be written.
pub const APPLIED: &str = "Applied";
/// Workers can reach the control plane.
pub const EXPOSED: &str = ClusterStatus::EXPOSED;
/// The CAs and the key pair of service accounts are there.
pub const CERTIFICATES: &str = ClusterStatus::CERTIFICATES;
/// The kubeconfig Secret is there.
pub const KUBECONFIG: &str = ClusterStatus::KUBECONFIG;
/// The hosted API answers that it is ready.
pub const FUNCTIONAL: &str = ClusterStatus::FUNCTIONAL;
/// The number of replicas is changing.
pub const SCALING: &str = "ControlPlaneScaling";
/// Every replica runs what the spec says.
pub const UP_TO_DATE: &str = "ControlPlaneUpToDate";
/// The Cluster is being deleted.
pub const DELETING: &str = "Deleting";
/// All of it works.
pub const AVAILABLE: &str = ClusterStatus::AVAILABLE;

/// All that a Cluster is told of.
const OURS: [&str; 10] = [
    ACCEPTED,
    APPLIED,
    EXPOSED,
    CERTIFICATES,
    KUBECONFIG,
    FUNCTIONAL,
    SCALING,
    UP_TO_DATE,
    DELETING,
    AVAILABLE,
];

/// Reason for a key that was there and is not any more.
const KEY_LOST: &str = ClusterStatus::KEY_LOST;
/// Reason for a key whose Secret somebody deletes.
const KEY_DELETING: &str = ClusterStatus::KEY_DELETING;
/// Reason for a key whose name somebody else's Secret has.
const KEY_NAME_TAKEN: &str = ClusterStatus::KEY_NAME_TAKEN;
/// Reason for a key that is another one than the pods run with.
const KEY_REPLACED: &str = ClusterStatus::KEY_REPLACED;

/// For how long after a Cluster was created numbers of replicas alone are no news.
const STARTS: Duration = Duration::from_mins(1);

/// Writes the status if it says anything new, and tells people. What is no news yet comes back as
/// the time after which it is.
pub async fn write(
    cluster: &Arc<Cluster>,
    new: ClusterStatus,
    context: &Context,
) -> Result<Option<Duration>, Error> {
    let old = ours(cluster);
    let old = old.as_ref();
    if old == Some(&new) {
        return Ok(None);
    }
    if !differs(old, &new)
        && let Some(rest) = starts_for(cluster, Timestamp::now())
    {
        return Ok(Some(rest));
    }
    let primary = &context.primary;
    let write = primary.status(cluster, &new);
    if let Some(rest) = primary.in_time(cluster, (old, &new), write).await? {
        return Ok(Some(rest));
    }
    // What could not be written is tried again, and would be told again.
    events::publish(cluster, &new, context);
    Ok(None)
}

/// The last status without the conditions of others. They stay theirs: they are no news, and nobody
/// writes them who does not look after them.
pub fn ours(cluster: &Cluster) -> Option<ClusterStatus> {
    let mut status = cluster.status.clone()?;
    let is_ours = |condition: &Condition| OURS.contains(&condition.type_.as_str());
    status.conditions.retain(is_ours);
    Some(status)
}

/// How long a Cluster still counts as one that starts.
fn starts_for(cluster: &Cluster, now: Timestamp) -> Option<Duration> {
    let created = cluster.metadata.creation_timestamp.as_ref()?.0;
    // By a clock that is behind it was made in the future; that costs a few writes and hides nothing.
    let age = Duration::try_from(now.duration_since(created)).ok()?;
    STARTS.checked_sub(age).filter(|rest| !rest.is_zero())
}

/// Since when children are refused, or keys while the spec is; nothing if the last status does not say
/// that they are.
pub fn refused_since(cluster: &Cluster) -> Option<Timestamp> {
    let said = [APPLIED, CERTIFICATES].into_iter();
    said.filter_map(|type_| condition(cluster.status.as_ref(), type_))
        .filter(|found| found.status == "False")
        .map(|found| found.last_transition_time.0)
        .max()
}

/// Everything that the status follows from.
pub struct Facts<'a> {
    /// The Cluster with its last status.
    pub cluster: &'a Cluster,
    /// What is there.
    pub observed: &'a Observed,
    /// What it is built from, or why nothing is.
    pub valid: Result<&'a ValidCluster, &'a Refusal>,
    /// What could not be done.
    pub problems: &'a [Problem],
    /// What is not yet as it is wanted, though nothing is wrong with it.
    pub left: &'a BTreeSet<ObjectKey>,
    /// The hosted API is being asked whether it is ready.
    pub is_asked: bool,
    /// For how long it has not been.
    pub unasked_for: Duration,
    /// What of the k0s configuration the hosted cluster has; nothing if that is not known.
    pub hosted_config: Option<Value>,
    /// The hosted cluster's nodes.
    pub nodes: Count,
    /// Now.
    pub now: Timestamp,
}

/// The status as it should be.
pub fn status(facts: &Facts<'_>) -> ClusterStatus {
    let old = facts.cluster.status.clone().unwrap_or_default();
    let generation = facts.cluster.metadata.generation;
    let findings = findings(facts);
    let available = findings
        .iter()
        .any(|f| f.type_ == AVAILABLE && f.status == "True");
    let summary = findings
        .iter()
        .find(|f| f.type_ == AVAILABLE)
        .map(|f| f.message.clone())
        .filter(|_| !available)
        .unwrap_or_else(|| "Reconciliation successful".to_owned());
    let mut new = ClusterStatus {
        conditions: timed(&findings, &old.conditions, generation, facts.now),
        observed_generation: generation,
        ..old
    };
    nodes::record(&facts.nodes, &mut new);
    let Ok(valid) = facts.valid else { return new };
    let replicas = replicas(facts.observed.control_plane.as_ref());
    new.replicas = Some(replicas.all);
    new.ready_replicas = Some(replicas.ready);
    new.updated_replicas = Some(replicas.updated);
    new.selector = Some(labels::to_selector(&labels::control_plane_selector(
        &valid.name,
    )));
    if valid.has_ports || new.endpoint.is_none() {
        new.endpoint = valid.endpoint();
    }
    // A number is known to be free only once the Service has it: one that was refused must not
    // bind the Cluster.
    if valid.has_ports {
        new.ports = valid.ports;
    }
    new.etcd_members = valid.begun_members();
    if facts.hosted_config.is_some() {
        new.k0s_config.clone_from(&facts.hosted_config);
    }
    new.external_address = match &valid.address {
        Address::External(host) => Some(host.clone()),
        Address::Internal => None,
        Address::Waiting { .. } => new.external_address,
    };
    // Until the pods of an upgrade are ready it can be left again, and that is judged by this. The
    // first is what those pods run that there are, as long as the others may take to come. The set
    // counts for what it is: a change of it that was not written has not happened.
    let old = facts.cluster.status.as_ref();
    let runs = if old.is_none_or(|old| old.version.is_none()) {
        run_the_same(facts, valid)
    } else {
        replicas.ready == valid.replicas() && is_up_to_date(facts, valid)
    };
    if available && runs {
        new.version = Some(valid.running_version());
    }
    new.deprecated = Some(DeprecatedStatus {
        v1beta1: Some(V1Beta1Status {
            ready: Some(replicas.ready == valid.replicas()),
            reconciliation_status: Some(summary),
        }),
    });
    new
}

/// The status of a Cluster that is being deleted: what was found last, and what is waited for or
/// in the way.
pub fn ending(cluster: &Cluster, reason: &str, message: &str, now: Timestamp) -> ClusterStatus {
    let old = ours(cluster).unwrap_or_default();
    let now = timed(
        &[
            finding(DELETING, true, reason, message),
            finding(AVAILABLE, false, "Deleting", message),
        ],
        &old.conditions,
        cluster.metadata.generation,
        now,
    );
    let mut conditions = old.conditions.clone();
    for condition in now {
        match conditions.iter_mut().find(|c| c.type_ == condition.type_) {
            Some(old) => *old = condition,
            None => conditions.push(condition),
        }
    }
    ClusterStatus { conditions, ..old }
}

/// Whether the status has to be written at once. While a Cluster starts that has never been
/// available, numbers of replicas alone are no news: they change with each pod.
pub fn differs(old: Option<&ClusterStatus>, new: &ClusterStatus) -> bool {
    let Some(old) = old else { return true };
    if old == new {
        return false;
    }
    if new.was_available() {
        return true;
    }
    let news = |status: &ClusterStatus| {
        let mut status = status.clone();
        status
            .conditions
            .retain(|c| c.type_ != SCALING && c.type_ != UP_TO_DATE);
        status.replicas = None;
        status.ready_replicas = None;
        status.updated_replicas = None;
        status.deprecated = None;
        status
    };
    news(old) != news(new)
}

/// The condition of a type.
pub fn condition<'a>(status: Option<&'a ClusterStatus>, type_: &str) -> Option<&'a Condition> {
    status?.condition(type_)
}

/// Whether every key was there once: from then on one that is missing is lost, and never made
/// anew.
pub fn keys_were_made(status: Option<&ClusterStatus>) -> bool {
    status.is_some_and(ClusterStatus::keys_were_made)
}

/// Whether a condition of this type is True.
pub fn is_true(status: Option<&ClusterStatus>, type_: &str) -> bool {
    status.is_some_and(|status| status.is_true(type_))
}

/// Gives findings their times, of which one moves only when its status flips, and the generation of
/// the spec that they hold for.
fn timed(
    findings: &[ConditionFinding],
    old: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let each = findings.iter().map(|finding| {
        let stands = old
            .iter()
            .find(|old| finding.stands && old.type_ == finding.type_);
        let said = Said {
            type_: finding.type_,
            status: finding.status,
            reason: &finding.reason,
            message: &finding.message,
            generation: stands.map_or(generation, |stands| stands.observed_generation),
        };
        api::since(old, &said, now)
    });
    each.collect()
}
