//! What is known of a cluster that has been available once.

use crds::v1beta2::StatusNodes;

use super::*;
use crate::cluster::validate::Refusal;

/// A Cluster of three replicas that starts.
fn starting() -> Cluster {
    let mut cluster = cluster();
    cluster.spec.replicas = 3;
    cluster.status = None;
    cluster
}

/// The same where there is room for one replica only, which is up to date or not.
fn with_one_pod(updated: bool) -> Cluster {
    let mut cluster = starting();
    let mut observed = written(&cluster, 1);
    let set = observed.control_plane.as_mut().unwrap();
    set.status.as_mut().unwrap().updated_replicas = Some(i32::from(updated));
    cluster.status = Some(later(&cluster, &observed, &[]));
    cluster
}

fn refused(cluster: &Cluster, observed: &Observed, refusal: &Refusal) -> ClusterStatus {
    status(&Facts {
        cluster,
        observed,
        valid: Err(refusal),
        problems: &[],
        left: &BTreeSet::new(),
        is_asked: true,
        unasked_for: Duration::from_secs(60),
        hosted_config: None,
        nodes: Count::Unknown,
        now: at(120),
    })
}

fn refusals() -> [Refusal; 2] {
    [
        Refusal::NotImplemented(vec!["spec.x".to_owned()]),
        Refusal::Unread,
    ]
}

#[test]
fn a_control_plane_that_never_gets_all_its_replicas_has_served_all_the_same() {
    let mut cluster = with_one_pod(true);
    let status = cluster.status.as_ref().unwrap();
    assert_eq!(says(status, AVAILABLE), pair("True", "Available"));
    assert!(status.version.is_some());
    for refusal in refusals() {
        let new = refused(&cluster, &working(1), &refusal);
        assert_eq!(says(&new, AVAILABLE), pair("True", "Available"));
    }
    // Also in the second round of an outage.
    for _ in 0..2 {
        let new = later(&cluster, &unreachable(1), &[]);
        assert_eq!(says(&new, AVAILABLE), pair("False", "Unreachable"));
        cluster.status = Some(new);
    }
    for refusal in refusals() {
        let new = refused(&cluster, &unreachable(1), &refusal);
        assert_eq!(says(&new, AVAILABLE), pair("False", "Unreachable"));
    }
}

/// Of which version is then not known.
#[test]
fn pods_that_never_ran_the_same_have_served_all_the_same() {
    let mut cluster = with_one_pod(false);
    let status = cluster.status.as_mut().unwrap();
    assert_eq!(says(status, AVAILABLE), pair("True", "Available"));
    assert_eq!(status.version, None);
    status.nodes = Some(StatusNodes::default());
    for _ in 0..2 {
        let new = later(&cluster, &unreachable(1), &[]);
        assert_eq!(says(&new, AVAILABLE), pair("False", "Unreachable"));
        assert!(!new.has_never_served());
        cluster.status = Some(new);
    }
    // One that answered before anybody could reach it sums up on.
    let mut begins = starting();
    begins.spec.service.type_ = crds::v1beta2::ServiceType::LoadBalancer;
    begins.status = Some(ClusterStatus {
        nodes: Some(StatusNodes::default()),
        ..ClusterStatus::default()
    });
    let new = later(&begins, &working(1), &[]);
    assert_eq!(
        says(&new, AVAILABLE),
        pair("False", "WaitingForLoadBalancer")
    );
}

#[test]
fn what_is_lost_is_said_whether_the_spec_is_refused_or_not() {
    let mut cluster = settled();
    let status = cluster.status.as_mut().unwrap();
    status.etcd_members = Some(3);
    let set = |ready: i32| {
        serde_json::from_value(json!({
            "spec": {"replicas": 3, "selector": {}, "serviceName": "x", "template": {}},
            "status": {"replicas": 3, "readyReplicas": ready},
        }))
        .unwrap()
    };
    let of = |replicas: i32, members: i32, observed: Observed| Observed {
        control_plane: set(replicas),
        etcd: set(members),
        ..observed
    };
    for refusal in refusals() {
        for (replicas, members, lost) in [(2, 3, "1 of 3 control"), (3, 2, "1 of 3 etcd")] {
            let new = refused(&cluster, &of(replicas, members, working(1)), &refusal);
            assert_eq!(says(&new, FUNCTIONAL), pair("True", "Degraded"));
            let message = &condition(Some(&new), FUNCTIONAL).unwrap().message;
            assert!(message.starts_with(lost), "{message}");
        }
        let new = refused(&cluster, &of(3, 3, working(1)), &refusal);
        assert_eq!(says(&new, FUNCTIONAL), pair("True", "Ready"));
        let new = refused(&cluster, &of(3, 0, unreachable(1)), &refusal);
        assert_eq!(says(&new, AVAILABLE), pair("False", "EtcdNotReady"));
    }
}
