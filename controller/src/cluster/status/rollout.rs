//! How far the pods of the control plane are with what the spec says.

use crds::names;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Resource;

use super::conditions::{ConditionFinding, finding};
use super::pods::with_pods;
use super::{Facts, SCALING, UP_TO_DATE};
use crate::cluster::children::{self, control_plane};
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

pub(super) fn scaling(now: i32, wanted: i32) -> ConditionFinding {
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
            format!("{now} replicas, {wanted} desired"),
        ),
        std::cmp::Ordering::Equal => finding(SCALING, false, "ControlPlaneWithDesiredReplicas", ""),
    }
}

/// Whether every replica runs what the spec says: the set says so of itself, so it has to be the
/// one that is wanted.
pub(super) fn is_up_to_date(facts: &Facts<'_>, valid: &ValidCluster) -> bool {
    let replicas = replicas(facts.observed.control_plane.as_ref());
    is_wanted(facts, valid) && replicas.is_up_to_date(valid.replicas())
}

/// Whether those replicas that there are run what the spec says, however many are missing.
pub(super) fn run_the_same(facts: &Facts<'_>, valid: &ValidCluster) -> bool {
    let replicas = replicas(facts.observed.control_plane.as_ref());
    is_wanted(facts, valid) && replicas.all > 0 && replicas.is_up_to_date(replicas.all)
}

/// Whether the set is the one that is wanted.
fn is_wanted(facts: &Facts<'_>, valid: &ValidCluster) -> bool {
    let set = facts.observed.control_plane.as_ref();
    // By what was applied, and not by the image: others may write that otherwise, by its digest or
    // another registry.
    let applied = set
        .and_then(|set| set.metadata.annotations.as_ref())
        .and_then(|annotations| annotations.get(names::APPLIED_HASH_ANNOTATION));
    let wanted = control_plane::stateful_set(valid);
    wanted.is_some_and(|wanted| {
        applied.map(String::as_str) == Some(wanted.hash())
            && !facts.left.contains(&wanted.key)
            && facts
                .problems
                .iter()
                .all(|p| p.about != wanted.key.to_string())
    })
}

pub(super) fn up_to_date(
    facts: &Facts<'_>,
    replicas: &Replicas,
    valid: &ValidCluster,
) -> ConditionFinding {
    if is_up_to_date(facts, valid) {
        // What the set says of itself is whether they are made, not whether they start.
        let said = "all replicas are created from the spec";
        let mut message = String::new();
        if replicas.ready < valid.replicas() {
            message = with_pods(facts, UP_TO_DATE, said.to_owned(), "");
        }
        let is_trouble = message.len() > said.len();
        return finding(
            UP_TO_DATE,
            true,
            "AllReplicasUpToDate",
            if is_trouble { message } else { String::new() },
        );
    }
    let is_built = || {
        let all = children::build(valid).wanted;
        all.iter().any(|child| {
            child.key.kind == Kind::StatefulSet
                && child.key.name == names::control_plane(&valid.name)
        })
    };
    let message = if replicas.all > 0 && !is_built() {
        "the StatefulSet of the control plane is not changed while something that its pods need is \
         missing or could not be written"
            .to_owned()
    } else {
        let said = format!(
            "{} of {} replicas are up to date with the spec",
            replicas.updated,
            valid.replicas()
        );
        with_pods(facts, UP_TO_DATE, said, "")
    };
    finding(UP_TO_DATE, false, "NotAllReplicasUpToDate", message)
}

/// Numbers of the control plane's StatefulSet.
#[derive(Default)]
pub(super) struct Replicas {
    pub(super) all: i32,
    pub(super) ready: i32,
    pub(super) updated: i32,
    /// The numbers are about the StatefulSet as it was last written.
    current: bool,
}

impl Replicas {
    pub(super) const fn is_up_to_date(&self, wanted: i32) -> bool {
        self.current && self.updated == wanted && self.all == wanted
    }
}

/// What the StatefulSet says.
pub(super) fn replicas(set: Option<&StatefulSet>) -> Replicas {
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
