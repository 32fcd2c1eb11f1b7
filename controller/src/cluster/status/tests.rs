//! What a Cluster says about itself: on its way out, after a restart, during upgrades and outages.

mod nodes;
mod others;
mod pods;
mod reasons;
mod served;
mod unread;

use std::collections::{BTreeMap, BTreeSet};

use crds::names;
use rstest::rstest;
use serde_json::json;

use super::super::validate::validate;
use super::*;
use crate::cluster::children::control_plane;
use crate::cluster::fixtures;
use crate::hosted::health::Health;
use crate::kubernetes::store::ObjectKey;

fn cluster() -> Cluster {
    let at = "2026-01-01T00:00:00Z";
    let condition = |type_: &str, status: &str, reason: &str| {
        json!({"type": type_, "status": status, "reason": reason, "message": "",
               "lastTransitionTime": at, "observedGeneration": 1})
    };
    serde_json::from_value(json!({
        "metadata": {"name": "demo", "namespace": "ns", "uid": "1", "generation": 2},
        "spec": {},
        "status": {
            "version": "v1.36.3-k0s.2",
            "replicas": 1,
            "conditions": [
                condition(ACCEPTED, "True", "Accepted"),
                condition(DELETING, "False", "NotDeleting"),
                condition(AVAILABLE, "True", "Available"),
            ],
        },
    }))
    .unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

#[test]
fn the_end_of_a_cluster_changes_two_conditions_and_nothing_else() {
    let mut cluster = cluster();
    let old = cluster.status.clone().unwrap();
    let new = ending(&cluster, "WaitingForPods", "StatefulSet ns/kmc-demo", at(0));
    let types: Vec<_> = new.conditions.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(types, [ACCEPTED, DELETING, AVAILABLE]);
    assert_eq!(new.conditions.first(), old.conditions.first());
    for (type_, status) in [(DELETING, "True"), (AVAILABLE, "False")] {
        let found = condition(Some(&new), type_).unwrap();
        assert_eq!(found.status, status);
        assert!(found.message.contains("kmc-demo"), "{}", found.message);
        assert_eq!(found.last_transition_time.0, at(0));
    }
    assert_eq!(new.version, old.version);
    assert!(differs(cluster.status.as_ref(), &new));

    cluster.status = Some(new);
    let again = ending(&cluster, "WaitingForPods", "StatefulSet ns/kmc-demo", at(9));
    assert!(!differs(cluster.status.as_ref(), &again), "{again:?}");
    let next = ending(
        &cluster,
        "WaitingForPods",
        "StatefulSet ns/kmc-demo-etcd",
        at(9),
    );
    assert!(differs(cluster.status.as_ref(), &next));
    let deleting = condition(Some(&next), DELETING).unwrap();
    assert_eq!(deleting.last_transition_time.0, at(0));
}

/// What is there when all of it works, with this many ready pods of the newest specification.
fn working(ready: i32) -> Observed {
    let ports = json!([{"name": "api", "port": 30443}, {"name": "konnectivity", "port": 30132}]);
    Observed {
        service: serde_json::from_value(
            json!({"spec": {"clusterIPs": ["10.0.0.7"], "ports": ports}}),
        )
        .unwrap(),
        control_plane: serde_json::from_value(json!({
            "status": {"replicas": 1, "updatedReplicas": 1, "readyReplicas": ready},
        }))
        .unwrap(),
        etcd: serde_json::from_value(json!({"status": {"readyReplicas": 1}})).unwrap(),
        kubeconfig: true,
        health: Some(Health {
            ready: true,
            reason: "Ready",
            message: String::new(),
            at: at(0),
        }),
        ..fixtures::made()
    }
}

/// The same where the set is the one that the Cluster asks for.
fn written(cluster: &Cluster, ready: i32) -> Observed {
    let mut observed = working(ready);
    let valid = |observed: &Observed| {
        validate(cluster, observed, jiff::SignedDuration::from_hours(1)).unwrap()
    };
    let config = control_plane::revision::mounted(&valid(&observed)).unwrap();
    observed.existing.insert(config, None);
    let wanted = control_plane::stateful_set(&valid(&observed)).unwrap();
    let set = observed.control_plane.as_mut().unwrap();
    let hash = (
        names::APPLIED_HASH_ANNOTATION.to_owned(),
        wanted.hash().to_owned(),
    );
    set.metadata.annotations = Some([hash].into());
    observed
}

#[rstest]
#[case::before_its_pod_is_ready(0, "v1.36.1-k0s.0")]
#[case::once_its_pod_is_ready(1, "v1.36.3-k0s.2")]
fn an_upgrade_has_ended_when_its_pods_are_ready(#[case] ready: i32, #[case] wanted: &str) {
    let mut cluster = cluster();
    cluster.spec.version = Some("v1.36.3-k0s.2".to_owned());
    cluster.status.as_mut().unwrap().version = Some("v1.36.1-k0s.0".to_owned());
    let observed = written(&cluster, ready);
    let valid = validate(&cluster, &observed, jiff::SignedDuration::from_hours(1)).unwrap();
    let new = status(&Facts {
        cluster: &cluster,
        observed: &observed,
        valid: Ok(&valid),
        problems: &[],
        left: &BTreeSet::new(),
        is_asked: true,
        unasked_for: Duration::from_secs(60),
        hosted_config: None,
        nodes: Count::Unknown,
        now: at(0),
    });
    assert!(is_true(Some(&new), AVAILABLE), "{:?}", new.conditions);
    assert_eq!(new.version.as_deref(), Some(wanted));
}

#[test]
fn of_a_version_that_cannot_be_reached_only_the_conditions_tell() {
    let mut cluster = cluster();
    cluster.spec.version = Some("v1.35.1".to_owned());
    let observed = working(1);
    let refusal = validate(&cluster, &observed, jiff::SignedDuration::from_hours(1)).unwrap_err();
    let new = status(&Facts {
        cluster: &cluster,
        observed: &observed,
        valid: Err(&refusal),
        problems: &[],
        left: &BTreeSet::new(),
        is_asked: true,
        unasked_for: Duration::from_secs(60),
        hosted_config: None,
        nodes: Count::Unknown,
        now: at(0),
    });
    let accepted = condition(Some(&new), ACCEPTED).unwrap();
    assert_eq!(
        (accepted.status.as_str(), accepted.reason.as_str()),
        ("False", "Invalid")
    );
    assert!(
        accepted.message.contains("is older than v1.36.3+k0s.2"),
        "{}",
        accepted.message
    );
    let mut old = cluster.status.unwrap();
    old.conditions.clone_from(&new.conditions);
    old.observed_generation = new.observed_generation;
    assert_eq!(new, old);
}

/// A Cluster that has served, with what it says about itself then.
fn settled() -> Cluster {
    let mut cluster = cluster();
    let observed = written(&cluster, 1);
    let valid = validate(&cluster, &observed, jiff::SignedDuration::from_hours(1)).unwrap();
    let facts = Facts {
        cluster: &cluster,
        observed: &observed,
        valid: Ok(&valid),
        problems: &[],
        left: &BTreeSet::new(),
        is_asked: true,
        unasked_for: Duration::from_secs(60),
        hosted_config: None,
        nodes: Count::Unknown,
        now: at(0),
    };
    let new = status(&facts);
    cluster.status = Some(new);
    cluster
}

fn later(cluster: &Cluster, observed: &Observed, problems: &[Problem]) -> ClusterStatus {
    let valid = validate(cluster, observed, jiff::SignedDuration::from_hours(1));
    status(&Facts {
        cluster,
        observed,
        valid: valid.as_ref(),
        problems,
        left: &BTreeSet::new(),
        is_asked: true,
        unasked_for: Duration::from_secs(60),
        hosted_config: None,
        nodes: Count::Unknown,
        now: at(60),
    })
}

fn says(status: &ClusterStatus, type_: &str) -> (String, String) {
    let found = condition(Some(status), type_).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_process_that_has_not_asked_yet_says_nothing_new() {
    let cluster = settled();
    let observed = Observed {
        health: None,
        ..written(&cluster, 1)
    };
    let new = later(&cluster, &observed, &[]);
    assert!(!differs(cluster.status.as_ref(), &new), "{new:?}");
}

#[test]
fn numbers_of_replicas_are_no_news_for_the_first_minute_and_no_longer() {
    let mut cluster = settled();
    let created = cluster
        .metadata
        .creation_timestamp
        .insert(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(
            100,
        )))
        .0;
    let rest = |seconds: i64| {
        starts_for(&cluster, created + jiff::SignedDuration::from_secs(seconds))
            .map(|rest| rest.as_secs())
    };
    assert_eq!(rest(0), Some(60));
    assert_eq!(rest(59), Some(1));
    assert_eq!(rest(60), None);
    assert_eq!(rest(-3600), None);
}

#[test]
fn a_refused_child_leaves_a_control_plane_that_serves_available() {
    let cluster = settled();
    let key = crate::kubernetes::store::ObjectKey::new(
        crate::kubernetes::store::Kind::ConfigMap,
        "ns",
        "kmc-demo-config",
    );
    let refused = Problem::new(&key, "denied");
    let failed = Problem {
        passing: true,
        ..Problem::new(&key, "no answer")
    };
    for (problems, reason) in [
        (vec![refused.clone()], "ChildRefused"),
        (vec![failed.clone()], "WriteFailed"),
        (vec![failed, refused], "ChildRefused"),
    ] {
        let new = later(&cluster, &working(1), &problems);
        assert_eq!(says(&new, APPLIED), pair("False", reason));
        assert_eq!(says(&new, AVAILABLE), pair("True", "Available"));
    }
}

fn unreachable(ready: i32) -> Observed {
    Observed {
        health: Some(Health {
            ready: false,
            reason: "Unreachable",
            message: "nobody listens".to_owned(),
            at: at(0),
        }),
        ..working(ready)
    }
}

#[rstest]
#[case::no_replica_is_ready(0)]
#[case::the_replica_counts_as_ready(1)]
fn an_outage_is_called_by_its_name(#[case] ready: i32) {
    let new = later(&settled(), &unreachable(ready), &[]);
    assert_eq!(says(&new, FUNCTIONAL), pair("False", "Unreachable"));
    assert_eq!(says(&new, AVAILABLE), pair("False", "Unreachable"));
}

#[test]
fn a_cluster_whose_spec_is_refused_is_still_looked_at() {
    let mut cluster = settled();
    cluster.spec.version = Some("v1.35.1".to_owned());
    let new = later(&cluster, &working(1), &[]);
    assert_eq!(says(&new, ACCEPTED), pair("False", "Invalid"));
    assert_eq!(says(&new, AVAILABLE), pair("True", "Available"));
    let new = later(&cluster, &unreachable(0), &[]);
    assert_eq!(says(&new, AVAILABLE), pair("False", "Unreachable"));
    assert_eq!(
        says(&new, EXPOSED),
        says(cluster.status.as_ref().unwrap(), EXPOSED)
    );
}

/// What was not written has not happened, whatever the set says about itself as it was.
#[test]
fn a_version_that_was_not_written_is_not_recorded() {
    let mut cluster = settled();
    let before = cluster.status.clone().unwrap().version;
    let old = written(&cluster, 1);
    cluster.spec.version = Some("v1.36.99-k0s.0".to_owned());
    let new = later(&cluster, &written(&cluster, 1), &[]);
    assert_ne!(new.version, before, "written, it is recorded");
    let set = crate::kubernetes::store::ObjectKey::new(
        crate::kubernetes::store::Kind::StatefulSet,
        "ns",
        "kmc-demo",
    );
    for problems in [
        vec![],
        vec![Problem::new(&set, "denied")],
        vec![Problem {
            passing: true,
            ..Problem::new(&set, "no answer")
        }],
    ] {
        let new = later(&cluster, &old, &problems);
        assert_eq!(new.version, before, "{problems:?}");
        let (status, _) = says(&new, UP_TO_DATE);
        assert_eq!(status, "False", "{problems:?}");
        assert_eq!(says(&new, AVAILABLE), pair("True", "Available"));
    }
}

#[test]
fn a_set_that_cannot_be_made_is_not_called_late() {
    let cluster = settled();
    let observed = Observed {
        existing: BTreeMap::new(),
        ..written(&cluster, 1)
    };
    let new = later(&cluster, &observed, &[]);
    let found = condition(Some(&new), UP_TO_DATE).unwrap();
    assert_eq!(found.status, "False");
    assert!(found.message.contains("is missing"), "{}", found.message);
}

#[test]
fn data_that_was_given_and_does_not_start_is_not_waited_for_in_silence() {
    let mut cluster = cluster();
    cluster.status = None;
    let told = serde_json::json!({"data": {"ETCD_INITIAL_CLUSTER_STATE": "existing"}});
    let observed = Observed {
        health: None,
        etcd: None,
        etcd_config: serde_json::from_value(told).unwrap(),
        ..working(0)
    };
    let new = later(&cluster, &observed, &[]);
    assert_eq!(says(&new, FUNCTIONAL), pair("False", "EtcdNotReady"));
}
