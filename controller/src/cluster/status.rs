//! What a Cluster says about itself.

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::StatefulSet,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::Resource;

use crds::{
    labels,
    v1beta2::{Cluster, ClusterStatus, DeprecatedStatus, V1Beta1Status},
};

use super::{
    apply::Problem,
    dereference::Observed,
    validate::{Address, Refusal, ValidCluster},
};

/// The spec can be worked on.
pub const ACCEPTED: &str = "Accepted";
/// Every child could be written.
pub const APPLIED: &str = "Applied";
/// Workers can reach the control plane.
pub const EXPOSED: &str = "ControlPlaneExposed";
/// The certificate authorities are there.
pub const CERTIFICATES: &str = "CertificatesAvailable";
/// The kubeconfig Secret is there.
pub const KUBECONFIG: &str = "KubeconfigSecretAvailable";
/// The hosted API answers that it is ready.
pub const FUNCTIONAL: &str = "ControlPlaneFunctional";
/// The number of replicas is changing.
pub const SCALING: &str = "ControlPlaneScaling";
/// Every replica runs what the spec says.
pub const UP_TO_DATE: &str = "ControlPlaneUpToDate";
/// The Cluster is being deleted.
pub const DELETING: &str = "Deleting";
/// All of it works.
pub const AVAILABLE: &str = "Available";

/// Reason for a key that was there and is not any more.
const KEY_LOST: &str = "KeyLost";

/// One condition before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

fn finding(
    type_: &'static str,
    status: bool,
    reason: impl Into<String>,
    message: impl Into<String>,
) -> Finding {
    let status = if status { "True" } else { "False" };
    Finding {
        type_,
        status,
        reason: reason.into(),
        message: message.into(),
    }
}

fn unknown(type_: &'static str, reason: &str, message: impl Into<String>) -> Finding {
    Finding {
        type_,
        status: "Unknown",
        reason: reason.to_owned(),
        message: message.into(),
    }
}

/// Everything that the status follows from.
pub struct Facts<'a> {
    /// The Cluster with its last status.
    pub cluster: &'a Cluster,
    /// What is there.
    pub observed: &'a Observed,
    /// What it is built from, or why nothing is.
    pub valid: Result<&'a ValidCluster, &'a Refusal>,
    /// Children that could not be written.
    pub problems: &'a [Problem],
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
        conditions: timed(findings, &old.conditions, generation, facts.now),
        observed_generation: generation,
        ..old
    };
    let Ok(valid) = facts.valid else { return new };
    let replicas = replicas(facts.observed.control_plane.as_ref());
    new.replicas = Some(replicas.all);
    new.ready_replicas = Some(replicas.ready);
    new.updated_replicas = Some(replicas.updated);
    new.selector = Some(labels::to_selector(&labels::control_plane_selector(
        &valid.name,
    )));
    new.endpoint = valid.endpoint();
    // A number is known to be free only once the Service has it: one that was refused must not
    // bind the Cluster.
    if valid
        .ports
        .is_some_and(|ports| facts.observed.serves(ports))
    {
        new.ports = valid.ports;
    }
    new.etcd_members = Some(valid.etcd_members);
    new.external_address = match &valid.address {
        Address::External(host) => Some(host.clone()),
        Address::Internal => None,
        Address::Waiting { .. } => new.external_address,
    };
    if available && replicas.is_up_to_date(valid.replicas()) {
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

/// Whether the status has to be written. Until a Cluster has been available once, numbers of
/// replicas alone are no news: its pods start, and nobody scales what does not run.
pub fn differs(old: Option<&ClusterStatus>, new: &ClusterStatus) -> bool {
    let Some(old) = old else { return true };
    if old == new {
        return false;
    }
    if new.version.is_some() {
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
    status?
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

/// Whether every key was there once: from then on one that is missing is lost, and never made
/// anew. A condition that was True says so, and so does the reason that follows it.
pub fn keys_were_made(status: Option<&ClusterStatus>) -> bool {
    let condition = condition(status, CERTIFICATES);
    condition.is_some_and(|condition| condition.status == "True" || condition.reason == KEY_LOST)
        || status.is_some_and(|status| status.version.is_some())
}

/// Whether a condition of this type is True.
pub fn is_true(status: Option<&ClusterStatus>, type_: &str) -> bool {
    condition(status, type_).is_some_and(|condition| condition.status == "True")
}

fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let deleting = if facts.cluster.metadata.deletion_timestamp.is_some() {
        finding(DELETING, true, "Deleting", "the Cluster is being deleted")
    } else {
        finding(DELETING, false, "NotDeleting", "")
    };
    let accepted = accepted(facts.valid.err());
    let Ok(valid) = facts.valid else {
        // Nothing was built from this spec; what earlier rounds found stays.
        let mut all: Vec<_> = kept(facts.cluster.status.as_ref());
        let (reason, message) = (accepted.reason.clone(), accepted.message.clone());
        if !is_true(facts.cluster.status.as_ref(), AVAILABLE) {
            all.push(finding(AVAILABLE, false, reason, message));
        }
        all.extend([accepted, deleting]);
        return all;
    };
    let applied = applied(facts.problems);
    let exposed = exposed(valid, facts.observed);
    let certificates = certificates(facts.observed, facts.cluster.status.as_ref());
    let functional = functional(facts.observed, has_served(facts.cluster));
    let kubeconfig = if facts.observed.kubeconfig {
        finding(KUBECONFIG, true, "Created", "")
    } else {
        finding(
            KUBECONFIG,
            false,
            "Waiting",
            "the kubeconfig is made as soon as the address and the certificates are known",
        )
    };
    let available = [
        &deleting,
        &applied,
        &exposed,
        &certificates,
        &functional,
        &kubeconfig,
    ]
    .into_iter()
    .find(|f| (f.status == "True") == (f.type_ == DELETING))
    .map_or_else(
        || finding(AVAILABLE, true, "Available", "the control plane serves"),
        |f| finding(AVAILABLE, false, f.reason.clone(), f.message.clone()),
    );
    let replicas = replicas(facts.observed.control_plane.as_ref());
    vec![
        accepted,
        applied,
        exposed,
        certificates,
        kubeconfig,
        functional,
        scaling(replicas.all, valid.replicas()),
        up_to_date(&replicas, valid.replicas()),
        deleting,
        available,
    ]
}

/// The findings of an earlier round, but for those that every round makes.
fn kept(status: Option<&ClusterStatus>) -> Vec<Finding> {
    let types = [
        APPLIED,
        EXPOSED,
        CERTIFICATES,
        KUBECONFIG,
        FUNCTIONAL,
        SCALING,
        UP_TO_DATE,
        AVAILABLE,
    ];
    types
        .into_iter()
        .filter_map(|type_| {
            let old = condition(status, type_)?;
            if type_ == AVAILABLE && old.status != "True" {
                return None;
            }
            let status = match old.status.as_str() {
                "True" => "True",
                "False" => "False",
                _ => "Unknown",
            };
            Some(Finding {
                type_,
                status,
                reason: old.reason.clone(),
                message: old.message.clone(),
            })
        })
        .collect()
}

fn accepted(refusal: Option<&Refusal>) -> Finding {
    match refusal {
        None => finding(ACCEPTED, true, "Accepted", ""),
        Some(Refusal::NotImplemented(paths)) => finding(
            ACCEPTED,
            false,
            "NotImplemented",
            format!(
                "this version does not honour {}; nothing is changed until the fields are removed",
                paths.join(", ")
            ),
        ),
        Some(Refusal::Invalid(errors)) => {
            let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
            finding(
                ACCEPTED,
                false,
                "Invalid",
                format!(
                    "{}; nothing is changed until this is mended",
                    all.join("; ")
                ),
            )
        }
    }
}

fn applied(problems: &[Problem]) -> Finding {
    if problems.is_empty() {
        return finding(APPLIED, true, "Applied", "");
    }
    let all: Vec<_> = problems
        .iter()
        .map(|p| format!("{}: {}", p.key, p.message))
        .collect();
    finding(APPLIED, false, "ChildRefused", all.join("; "))
}

fn exposed(valid: &ValidCluster, observed: &Observed) -> Finding {
    match &valid.address {
        Address::Waiting { reason, message } => finding(EXPOSED, false, *reason, message.clone()),
        _ if valid.ports.is_none() => finding(
            EXPOSED,
            false,
            "WaitingForPorts",
            "the API server has not allocated the node ports yet",
        ),
        Address::External(host) if !observed.node_address_alive => finding(
            EXPOSED,
            true,
            "NodeGone",
            format!(
                "no node has the address {host} any more; it was chosen when the Cluster was \
                 made and stays: give it to another node or make the Cluster anew"
            ),
        ),
        Address::External(host) => finding(
            EXPOSED,
            true,
            "ClusterWithExternalAddress",
            format!("reachable at {host}"),
        ),
        Address::Internal => finding(
            EXPOSED,
            true,
            "InsideOnly",
            format!(
                "reachable inside the mothership at {}",
                valid.service_host()
            ),
        ),
    }
}

fn certificates(observed: &Observed, old: Option<&ClusterStatus>) -> Finding {
    let missing = || {
        let all = observed.authorities.values();
        all.filter(|authority| authority.digest.is_none())
    };
    let lost = keys_were_made(old) && missing().any(|authority| !authority.users);
    let missing: Vec<_> = missing()
        .map(|authority| authority.secret.as_str())
        .collect();
    if missing.is_empty() {
        return finding(CERTIFICATES, true, "Created", "");
    }
    finding(
        CERTIFICATES,
        false,
        if lost { KEY_LOST } else { "SecretMissing" },
        format!(
            "without a Secret or without tls.crt in it: {}",
            missing.join(", ")
        ),
    )
}

/// Whether the control plane has been available once.
fn has_served(cluster: &Cluster) -> bool {
    cluster
        .status
        .as_ref()
        .is_some_and(|status| status.version.is_some())
}

fn functional(observed: &Observed, has_served: bool) -> Finding {
    let waiting = || {
        unknown(
            FUNCTIONAL,
            "NotAsked",
            "waiting for the control plane's API to answer through its Service",
        )
    };
    let started = replicas(observed.control_plane.as_ref()).ready > 0;
    match &observed.health {
        None => waiting(),
        Some(health) if health.ready && (started || has_served) => {
            finding(FUNCTIONAL, true, "Ready", "")
        }
        // The words of an attempt change from one to the next while pods start, and Service and
        // StatefulSet follow the first ready pod one after the other: no news before both have.
        Some(health) if !started || (!has_served && health.reason == "Unreachable") => waiting(),
        Some(health) => finding(FUNCTIONAL, false, health.reason, health.message.clone()),
    }
}

fn scaling(now: i32, wanted: i32) -> Finding {
    match now.cmp(&wanted) {
        std::cmp::Ordering::Less => finding(
            SCALING,
            true,
            "ScalingUp",
            format!("{now} of {wanted} replicas"),
        ),
        std::cmp::Ordering::Greater => finding(
            SCALING,
            true,
            "ScalingDown",
            format!("{now} replicas, {wanted} wanted"),
        ),
        std::cmp::Ordering::Equal => finding(SCALING, false, "ControlPlaneWithDesiredReplicas", ""),
    }
}

fn up_to_date(replicas: &Replicas, wanted: i32) -> Finding {
    if replicas.is_up_to_date(wanted) {
        finding(UP_TO_DATE, true, "AllReplicasUpToDate", "")
    } else {
        finding(
            UP_TO_DATE,
            false,
            "NotAllReplicasUpToDate",
            format!(
                "{} of {wanted} replicas run what the spec says",
                replicas.updated
            ),
        )
    }
}

#[derive(Default)]
struct Replicas {
    all: i32,
    ready: i32,
    updated: i32,
    /// The numbers are about the StatefulSet as it was last written.
    current: bool,
}

impl Replicas {
    const fn is_up_to_date(&self, wanted: i32) -> bool {
        self.current && self.updated == wanted && self.all == wanted
    }
}

fn replicas(set: Option<&StatefulSet>) -> Replicas {
    let Some((set, status)) = set.and_then(|set| Some((set, set.status.as_ref()?))) else {
        return Replicas::default();
    };
    Replicas {
        all: status.replicas,
        ready: status.ready_replicas.unwrap_or_default(),
        updated: status.updated_replicas.unwrap_or_default(),
        current: status.observed_generation.unwrap_or_default()
            >= set.meta().generation.unwrap_or_default(),
    }
}

/// Gives findings their times: one moves only when its status flips.
fn timed(
    findings: Vec<Finding>,
    old: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    findings
        .into_iter()
        .map(|f| {
            let before = old.iter().find(|condition| condition.type_ == f.type_);
            Condition {
                type_: f.type_.to_owned(),
                status: f.status.to_owned(),
                last_transition_time: before
                    .filter(|before| before.status == f.status)
                    // The API server keeps whole seconds.
                    .map_or_else(
                        || Time(whole_second(now)),
                        |b| b.last_transition_time.clone(),
                    ),
                reason: f.reason,
                // What the schema of conditions allows.
                message: f.message.chars().take(32_768).collect(),
                observed_generation: generation,
            }
        })
        .collect()
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
