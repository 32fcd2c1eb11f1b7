//! What others do to a Cluster and its children.

use super::*;

/// Somebody has put the template back, and it is not put right at once.
#[test]
fn what_is_left_for_a_moment_is_not_what_runs() {
    let mut cluster = settled();
    let before = cluster.status.clone().unwrap().version;
    cluster.spec.version = Some("v1.36.4".to_owned());
    let observed = written(&cluster, 1);
    let valid = validate(&cluster, &observed, jiff::SignedDuration::from_hours(1)).unwrap();
    let after = |left: &BTreeSet<ObjectKey>| {
        status(&Facts {
            cluster: &cluster,
            observed: &observed,
            valid: Ok(&valid),
            problems: &[],
            left,
            is_asked: true,
            unasked_for: Duration::from_secs(60),
            hosted_config: None,
            nodes: Count::Unknown,
            now: at(60),
        })
    };
    let set = control_plane::stateful_set(&valid).unwrap().key;
    let left = after(&BTreeSet::from([set]));
    assert_eq!(
        says(&left, UP_TO_DATE),
        pair("False", "NotAllReplicasUpToDate")
    );
    assert_eq!(left.version, before);
    let right = after(&BTreeSet::new());
    assert_eq!(
        says(&right, UP_TO_DATE),
        pair("True", "AllReplicasUpToDate")
    );
    assert_ne!(right.version, before);
}

/// Who writes what somebody else says takes it from them.
#[test]
fn conditions_of_others_are_not_written_when_a_cluster_ends() {
    let mut cluster = settled();
    let mut theirs = cluster.status.clone().unwrap().conditions[0].clone();
    theirs.type_ = "Audited".to_owned();
    cluster.status.as_mut().unwrap().conditions.push(theirs);
    let ending = ending(&cluster, "WaitingForPods", "", at(60));
    assert!(condition(Some(&ending), "Audited").is_none());
    assert!(condition(Some(&ending), ACCEPTED).is_some());
}
