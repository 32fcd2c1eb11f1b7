//! Events about what a person should notice: conditions that flip.

use crds::names::FORCE_UPGRADE_ANNOTATION;
use crds::upgrade;
use crds::v1beta2::{Cluster, ClusterStatus};
use crds::version::K0sVersion;

use crate::cluster::context::{Context, reference};
use crate::cluster::status::{
    ACCEPTED, APPLIED, AVAILABLE, CERTIFICATES, EXPOSED, KEY_REPLACED, UP_TO_DATE, condition,
};

/// Publishes what the new status says otherwise than the old one.
pub fn publish(cluster: &Cluster, new: &ClusterStatus, context: &Context) {
    if let Some(note) = forced_upgrade(cluster, new) {
        context
            .events
            .warning(&reference(cluster), "UpgradeForced", &note);
    }
    for type_ in [ACCEPTED, APPLIED, EXPOSED, CERTIFICATES, AVAILABLE] {
        let Some(now) = condition(Some(new), type_) else {
            continue;
        };
        let before = condition(cluster.status.as_ref(), type_);
        if before.is_some_and(|before| before.status == now.status && before.reason == now.reason) {
            continue;
        }
        let note = if now.message.is_empty() {
            now.type_.clone()
        } else {
            now.message.clone()
        };
        match (type_, now.status.as_str()) {
            (AVAILABLE, "True") => {
                context
                    .events
                    .normal(&reference(cluster), "Available", &note);
            }
            // A Cluster that was never available is only starting.
            (AVAILABLE, _) if before.is_some_and(|before| before.status == "True") => {
                context
                    .events
                    .warning(&reference(cluster), &now.reason, &note);
            }
            (EXPOSED, _) if ["NodeGone", "BalancerGone"].contains(&now.reason.as_str()) => {
                context
                    .events
                    .warning(&reference(cluster), &now.reason, &note);
            }
            (CERTIFICATES, _) if now.reason == KEY_REPLACED => {
                context
                    .events
                    .warning(&reference(cluster), &now.reason, &note);
            }
            (ACCEPTED | APPLIED | EXPOSED, "False") => {
                context
                    .events
                    .warning(&reference(cluster), &now.reason, &note);
            }
            _ => {}
        }
    }
}

/// What an annotation has forced, told once: when the changed spec is seen for the first time.
fn forced_upgrade(cluster: &Cluster, new: &ClusterStatus) -> Option<String> {
    let old = cluster.status.as_ref()?;
    if old.observed_generation == new.observed_generation {
        return None;
    }
    let running: K0sVersion = old.version.as_deref()?.parse().ok()?;
    let wanted: K0sVersion = upgrade::target(&cluster.spec, Some(old)).parse().ok()?;
    if wanted == running || !upgrade::is_forced(cluster, &wanted) {
        return None;
    }
    let against = [AVAILABLE, UP_TO_DATE]
        .into_iter()
        .filter_map(|type_| old.condition(type_))
        .find(|condition| condition.status != "True")?;
    Some(format!(
        "the upgrade from {running} to {wanted} was forced by the annotation \
         {FORCE_UPGRADE_ANNOTATION} although {} was {}: {}",
        against.type_, against.status, against.message
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn cluster(annotation: &str, available: &str, up_to_date: &str) -> Cluster {
        let condition = |type_: &str, status: &str| {
            json!({"type": type_, "status": status, "reason": "R", "message": "m",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        serde_json::from_value(json!({
            "metadata": {
                "name": "demo", "generation": 2,
                "annotations": {"k0smotron.io/force-upgrade": annotation},
            },
            "spec": {"version": "v1.36.3-k0s.2"},
            "status": {
                "version": "v1.36.1-k0s.0", "observedGeneration": 1,
                "conditions": [condition(AVAILABLE, available), condition(UP_TO_DATE, up_to_date)],
            },
        }))
        .unwrap()
    }

    #[rstest]
    #[case::not_healthy("v1.36.3+k0s.2", "False", "True", Some("although Available was False"))]
    #[case::another_upgrade(
        "v1.36.3-k0s.2",
        "True",
        "False",
        Some("although ControlPlaneUpToDate")
    )]
    #[case::nothing_against_it("v1.36.3-k0s.2", "True", "True", None)]
    #[case::stale("v1.36.1-k0s.0", "False", "True", None)]
    fn a_forced_upgrade_is_told(
        #[case] annotation: &str,
        #[case] available: &str,
        #[case] up_to_date: &str,
        #[case] wanted: Option<&str>,
    ) {
        let cluster = cluster(annotation, available, up_to_date);
        let mut new = cluster.status.clone().unwrap();
        assert_eq!(forced_upgrade(&cluster, &new), None, "seen before");
        new.observed_generation = Some(2);
        let note = forced_upgrade(&cluster, &new);
        assert_eq!(note.is_some(), wanted.is_some(), "{note:?}");
        if let (Some(note), Some(wanted)) = (note, wanted) {
            assert!(note.contains(wanted), "{note}");
        }
    }
}
