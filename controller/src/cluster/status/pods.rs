//! What pods have to do with it. What they told an earlier process counts until this one has asked.

use super::conditions::{ConditionFinding, earlier, finding};
use super::nodes::apart;
use super::rollout::replicas;
use super::{FUNCTIONAL, Facts};
use crate::cluster::dereference::Observed;
use crate::kubernetes::pods::{NOT_LISTED, Pods};

/// Reason for an API that does not answer because of its pods.
const PODS_NOT_READY: &str = "PodsNotReady";

/// What is said of an API that nobody serves, or that lacks its etcd. What else one answers is of its
/// own making.
const WITHOUT_PODS: [&str; 5] = [
    "NotAsked",
    "Unreachable",
    "Timeout",
    "NotReady",
    PODS_NOT_READY,
];

/// What was found of the API, or what is wrong with its pods if that explains it; and both if it may.
pub(super) fn for_want_of_pods(facts: &Facts<'_>, found: ConditionFinding) -> ConditionFinding {
    if found.status == "True" || !WITHOUT_PODS.contains(&found.reason.as_str()) {
        return found;
    }
    let beside = |found: ConditionFinding| ConditionFinding {
        message: with_pods(facts, FUNCTIONAL, found.message.clone(), ""),
        ..found
    };
    if are_enough(facts.observed) {
        // What was said before says it already.
        return match facts.observed.health {
            None => found,
            Some(_) => beside(found),
        };
    }
    let found = without_lists(found);
    match &facts.observed.pods {
        Pods::Known(Some(trouble)) => {
            finding(FUNCTIONAL, false, PODS_NOT_READY, trouble.to_string())
        }
        Pods::Known(None) => found,
        // It is said once more, and what it says of pods may be over.
        Pods::Failed(trouble) if found.reason == PODS_NOT_READY => ConditionFinding {
            message: trouble.to_string(),
            ..found
        },
        Pods::Failed(_) => beside(found),
        Pods::Unknown => earlier(facts.cluster.status.as_ref(), FUNCTIONAL)
            .filter(|earlier| earlier.reason == PODS_NOT_READY)
            .unwrap_or_else(|| beside(found)),
    }
}

/// What is only said once more, without that pods could not be listed then.
fn without_lists(found: ConditionFinding) -> ConditionFinding {
    match found.message.split_once(&format!(": {NOT_LISTED}")) {
        Some((said, _)) => ConditionFinding {
            message: said.to_owned(),
            ..found
        },
        None => found,
    }
}

/// Whether an API can answer with the pods that are ready: one of its own, and more than half of etcd's.
fn are_enough(observed: &Observed) -> bool {
    let etcd = observed.etcd.as_ref();
    let members = etcd.and_then(|set| set.spec.as_ref()?.replicas);
    let has_quorum = replicas(etcd).ready > members.unwrap_or(1) / 2;
    has_quorum && replicas(observed.control_plane.as_ref()).ready > 0
}

/// What is said under a condition, and what is wrong with the pods, or else this.
pub(super) fn with_pods(
    facts: &Facts<'_>,
    type_: &'static str,
    said: String,
    otherwise: &str,
) -> String {
    let begin = format!("{said}: ");
    let why = match &facts.observed.pods {
        Pods::Known(trouble) => trouble.as_ref().map(ToString::to_string),
        Pods::Failed(trouble) => Some(trouble.to_string()),
        Pods::Unknown => earlier(facts.cluster.status.as_ref(), type_)
            .and_then(|earlier| Some(apart(&earlier.message).0.strip_prefix(&begin)?.to_owned())),
    };
    match why.as_deref().unwrap_or(otherwise) {
        "" => said,
        why => begin + why,
    }
}
