//! What each condition says, before it has a time.

use crds::v1beta2::{Cluster, ClusterStatus, ServiceType};

use super::functional::{functional, has_served};
use super::rollout::{replicas, scaling, up_to_date};
use crate::apply::Problem;
use crate::apply::key_recovery::Recovery;
use crate::cluster::children::storage;
use crate::cluster::dereference::{CertificateSecret, Observed};
use crate::cluster::status::{
    ACCEPTED, APPLIED, AVAILABLE, CERTIFICATES, DELETING, EXPOSED, FUNCTIONAL, Facts, KEY_DELETING,
    KEY_LOST, KEY_NAME_TAKEN, KEY_REPLACED, KUBECONFIG, SCALING, UP_TO_DATE, condition,
    keys_were_made,
};
use crate::cluster::validate::{Address, Refusal, ValidCluster};

/// One condition before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConditionFinding {
    pub(super) type_: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: String,
    pub(super) message: String,
    /// It is said once more and was not looked at: it holds for the spec that it was found with.
    pub(super) stands: bool,
}

pub(super) fn finding(
    type_: &'static str,
    status: bool,
    reason: impl Into<String>,
    message: impl Into<String>,
) -> ConditionFinding {
    let status = if status { "True" } else { "False" };
    ConditionFinding {
        type_,
        status,
        reason: reason.into(),
        message: message.into(),
        stands: false,
    }
}

pub(super) fn unknown(
    type_: &'static str,
    reason: &str,
    message: impl Into<String>,
) -> ConditionFinding {
    ConditionFinding {
        type_,
        status: "Unknown",
        reason: reason.to_owned(),
        message: message.into(),
        stands: false,
    }
}

/// All conditions of a Cluster that stays.
pub(super) fn findings(facts: &Facts<'_>) -> Vec<ConditionFinding> {
    let deleting = finding(DELETING, false, "NotDeleting", "");
    let accepted = accepted(facts.valid.err());
    let functional = functional(facts);
    let Ok(valid) = facts.valid else {
        // Nothing was built from this spec; what earlier rounds found stays.
        let mut all: Vec<_> = kept(facts);
        let mut cause = accepted.clone();
        if facts.valid.err() == Some(&Refusal::Unread) && !facts.problems.is_empty() {
            cause = applied(None, facts.problems);
            all.retain(|finding| finding.type_ != APPLIED);
            all.push(cause.clone());
        }
        let is_served = has_served(facts.cluster);
        if is_served || cause.status != "True" {
            all.push(if is_served {
                follows(&functional)
            } else {
                available(&[&cause])
            });
        } else {
            all.extend(earlier(facts.cluster.status.as_ref(), AVAILABLE));
        }
        if condition(facts.cluster.status.as_ref(), FUNCTIONAL).is_some() {
            all.push(functional);
        }
        all.extend([accepted, deleting]);
        return all;
    };
    let applied = applied(storage::in_the_way(valid), facts.problems);
    let exposed = exposed(valid);
    let certificates = certificates(facts.observed, facts.cluster);
    let replicas = replicas(facts.observed.control_plane.as_ref());
    let kubeconfig = kubeconfig(facts.observed);
    let available = if has_served(facts.cluster) {
        follows(&functional)
    } else {
        let parts = available(&[&exposed, &certificates, &functional, &kubeconfig]);
        if parts.status != "True" && applied.status != "True" {
            // What was not made explains what is missing.
            available(&[&applied])
        } else {
            parts
        }
    };
    vec![
        accepted,
        applied,
        exposed,
        certificates,
        kubeconfig,
        functional,
        scaling(replicas.all, valid.replicas()),
        up_to_date(facts, &replicas, valid),
        deleting,
        available,
    ]
}

/// Once a control plane has served, only its API says whether it does: a child that is refused takes
/// nothing from those who use it.
fn follows(functional: &ConditionFinding) -> ConditionFinding {
    let available = available(&[functional]);
    ConditionFinding {
        status: functional.status,
        ..available
    }
}

/// The first of these that is missing says why.
fn available(parts: &[&ConditionFinding]) -> ConditionFinding {
    let missing = parts.iter().find(|part| part.status != "True");
    missing.map_or_else(
        || finding(AVAILABLE, true, "Available", "the control plane serves"),
        |part| finding(AVAILABLE, false, part.reason.clone(), part.message.clone()),
    )
}

/// The findings of an earlier round, but for those that every round makes, and for the keys, which are
/// looked after all the same: what could not be done for them is said there. Of the other children
/// nobody knows more than before.
fn kept(facts: &Facts<'_>) -> Vec<ConditionFinding> {
    let status = facts.cluster.status.as_ref();
    let types = [
        APPLIED,
        EXPOSED,
        CERTIFICATES,
        KUBECONFIG,
        SCALING,
        UP_TO_DATE,
    ];
    let is_unread = facts.valid.err() == Some(&Refusal::Unread);
    let now = |found: ConditionFinding| match found.type_ {
        CERTIFICATES if !is_unread => {
            let found = certificates(facts.observed, facts.cluster);
            let all = [found.message.clone()]
                .into_iter()
                .chain(said(facts.problems));
            let all: Vec<_> = all.filter(|said| !said.is_empty()).collect();
            ConditionFinding {
                message: all.join("; "),
                ..found
            }
        }
        KUBECONFIG => kubeconfig(facts.observed),
        _ => found,
    };
    let all = types.into_iter().filter_map(|type_| earlier(status, type_));
    all.map(now).collect()
}

/// What a condition says already.
pub(super) fn earlier(
    status: Option<&ClusterStatus>,
    type_: &'static str,
) -> Option<ConditionFinding> {
    let old = condition(status, type_)?;
    let status = match old.status.as_str() {
        "True" => "True",
        "False" => "False",
        _ => "Unknown",
    };
    Some(ConditionFinding {
        type_,
        status,
        reason: old.reason.clone(),
        message: old.message.clone(),
        stands: true,
    })
}

fn accepted(refusal: Option<&Refusal>) -> ConditionFinding {
    match refusal {
        None | Some(Refusal::Unread) => finding(ACCEPTED, true, "Accepted", ""),
        Some(Refusal::NotImplemented(paths)) => finding(
            ACCEPTED,
            false,
            "NotImplemented",
            format!(
                "not implemented by this version: {}; nothing is changed until the fields are removed",
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
                    "{}; nothing is changed until this is corrected",
                    all.join("; ")
                ),
            )
        }
    }
}

fn applied(claims_in_the_way: Option<String>, problems: &[Problem]) -> ConditionFinding {
    let reason = match (&claims_in_the_way, problems) {
        (Some(_), _) => "LeftoverClaims",
        (None, []) => return finding(APPLIED, true, "Applied", ""),
        (None, problems) if problems.iter().all(|p| p.passing) => "WriteFailed",
        (None, _) => "ChildRefused",
    };
    let all: Vec<_> = claims_in_the_way
        .into_iter()
        .chain(said(problems))
        .collect();
    finding(APPLIED, false, reason, all.join("; "))
}

fn said(problems: &[Problem]) -> impl Iterator<Item = String> {
    problems
        .iter()
        .map(|problem| format!("{}: {}", problem.about, problem.message))
}

fn exposed(valid: &ValidCluster) -> ConditionFinding {
    match &valid.address {
        Address::Waiting { reason, message } => finding(EXPOSED, false, *reason, message.clone()),
        _ if valid.ports.is_none() => finding(
            EXPOSED,
            false,
            "WaitingForPorts",
            "the API server has not allocated the node ports yet",
        ),
        Address::External(host)
            if valid.address_is_gone && valid.spec.service.type_ == ServiceType::LoadBalancer =>
        {
            finding(
                EXPOSED,
                true,
                "BalancerGone",
                format!(
                    "the load balancer does not give the Service {} the address {host} any more, \
                     which workers use: see the events of the Service, or set \
                     spec.externalAddress",
                    valid.service_name()
                ),
            )
        }
        Address::External(host) if valid.address_is_gone => finding(
            EXPOSED,
            true,
            "NodeGone",
            format!(
                "no node has the address {host} any more; it was chosen when the Cluster was \
                 created and is kept: give it to another node or recreate the Cluster"
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

fn kubeconfig(observed: &Observed) -> ConditionFinding {
    if observed.kubeconfig {
        return finding(KUBECONFIG, true, "Created", "");
    }
    let waiting = "the kubeconfig is created as soon as the address and the certificates are known";
    finding(KUBECONFIG, false, "Waiting", waiting)
}

fn certificates(observed: &Observed, cluster: &Cluster) -> ConditionFinding {
    let unfit = || {
        let all = observed.certificate_secrets.values();
        all.filter(|secret| secret.digest.is_none())
    };
    let missing = || unfit().filter(|secret| !secret.replaced && secret.recovery.is_none());
    let recovered = |how| unfit().filter(move |secret| secret.recovery == Some(how));
    let taken = || recovered(Recovery::NameTaken);
    let replaced = || unfit().filter(|secret| secret.replaced && secret.recovery.is_none());
    let named = |secrets: Vec<&CertificateSecret>| {
        let names: Vec<_> = secrets
            .iter()
            .map(|secret| secret.secret.as_str())
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let were_made = keys_were_made(cluster.status.as_ref());
    let reason = if were_made && missing().any(|secret| !secret.users) {
        KEY_LOST
    } else if missing().next().is_some() {
        "SecretMissing"
    } else if replaced().next().is_some() {
        KEY_REPLACED
    } else if taken().next().is_some() {
        KEY_NAME_TAKEN
    } else {
        KEY_DELETING
    };
    let missing = named(missing().collect())
        .map(|names| format!("Secrets are missing or have no tls.crt: {names}"));
    let replaced = named(replaced().collect()).map(|names| {
        format!(
            "Secrets hold another key than the one that the control plane was started with: \
             {names}. Put the old key and its certificate back: machines and kubeconfigs trust \
             nothing else, and a pod that restarts now does not fit the others. Until then no \
             certificate, kubeconfig or token is recreated and no pod is changed. Replacing a key \
             is not implemented by this version"
        )
    });
    let taken = named(taken().collect()).map(|names| {
        format!(
            "Secrets already exist and do not belong to this Cluster: {names}. Delete them: the \
             keys of these names are kept, and their Secrets are recreated with the same keys then"
        )
    });
    let deleting = named(recovered(Recovery::ComesBack).collect()).map(|names| {
        format!(
            "Secrets are being deleted: {names}. Their keys are kept, and they are recreated with \
             the same keys once they have gone"
        )
    });
    let all = [missing, replaced, taken, deleting];
    let all: Vec<_> = all.into_iter().flatten().collect();
    if all.is_empty() {
        return finding(CERTIFICATES, true, "Created", "");
    }
    finding(CERTIFICATES, false, reason, all.join("; "))
}
