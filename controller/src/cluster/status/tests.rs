//! The status of a Cluster on its way out.

use serde_json::json;

use super::*;

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
    let new = ending(&cluster, "StatefulSet ns/kmc-demo", at(0));
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
    let again = ending(&cluster, "StatefulSet ns/kmc-demo", at(9));
    assert!(!differs(cluster.status.as_ref(), &again), "{again:?}");
    let next = ending(&cluster, "StatefulSet ns/kmc-demo-etcd", at(9));
    assert!(differs(cluster.status.as_ref(), &next));
    let deleting = condition(Some(&next), DELETING).unwrap();
    assert_eq!(deleting.last_transition_time.0, at(0));
}
