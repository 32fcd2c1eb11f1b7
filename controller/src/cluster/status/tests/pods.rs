//! While pods are not ready.

use super::*;
use crate::kubernetes::pods::{NOT_LISTED, Pods, Trouble};

const IMAGE: &str = "pod kmc-demo-0, container controller: ImagePullBackOff (image x)";

fn known(what: &str) -> Pods {
    Pods::Known(Some(Trouble::new(what, "")))
}

fn message(status: &ClusterStatus, type_: &str) -> String {
    condition(Some(status), type_).unwrap().message.clone()
}

/// One that has never served.
fn starting() -> Cluster {
    let mut cluster = cluster();
    cluster.status = None;
    cluster
}

fn seen(cluster: &Cluster, observed: Observed, pods: Pods) -> ClusterStatus {
    later(cluster, &Observed { pods, ..observed }, &[])
}

#[rstest]
#[case::that_starts(starting(), pair("Unknown", "NotAsked"))]
#[case::that_has_served(settled(), pair("False", "Unreachable"))]
fn what_is_wrong_with_pods_explains_an_api_that_does_not_answer(
    #[case] mut cluster: Cluster,
    #[case] otherwise: (String, String),
) {
    let before = seen(&cluster, unreachable(0), Pods::Unknown);
    assert_eq!(says(&before, FUNCTIONAL), otherwise);
    assert_eq!(says(&before, AVAILABLE).1, otherwise.1);
    cluster.status = Some(before);

    let new = seen(&cluster, unreachable(0), known(IMAGE));
    for type_ in [FUNCTIONAL, AVAILABLE] {
        assert_eq!(says(&new, type_), pair("False", "PodsNotReady"));
        assert_eq!(message(&new, type_), IMAGE);
    }
    assert!(differs(cluster.status.as_ref(), &new), "it is written");
    cluster.status = Some(new);

    // Another process says nothing else until it knows.
    for health in [unreachable(0).health, None] {
        let observed = Observed {
            health,
            ..unreachable(0)
        };
        let same = seen(&cluster, observed, Pods::Unknown);
        assert_eq!(says(&same, FUNCTIONAL), pair("False", "PodsNotReady"));
        assert_eq!(message(&same, AVAILABLE), IMAGE);
    }
    let over = seen(&cluster, unreachable(0), Pods::Known(None));
    assert_eq!(says(&over, FUNCTIONAL), otherwise);
}

fn unlisted() -> Pods {
    Pods::Failed(Trouble::new(NOT_LISTED, "pods is forbidden"))
}

/// Or of which one hears only that it has not been asked.
#[rstest]
#[case::that_starts(starting(), pair("Unknown", "NotAsked"))]
#[case::that_has_served(settled(), pair("False", "Unreachable"))]
fn that_pods_cannot_be_listed_is_said_in_the_place_of_what_was_known_of_them(
    #[case] mut cluster: Cluster,
    #[case] otherwise: (String, String),
) {
    let lists = "the pods could not be listed: pods is forbidden";
    let plain = seen(&cluster, unreachable(0), Pods::Known(None));
    for before in [plain.clone(), seen(&cluster, unreachable(0), known(IMAGE))] {
        cluster.status = Some(before);
        let new = seen(&cluster, unreachable(0), unlisted());
        assert_eq!(says(&new, FUNCTIONAL), otherwise);
        let wanted = format!("{}: {lists}", message(&plain, FUNCTIONAL));
        for type_ in [FUNCTIONAL, AVAILABLE] {
            assert_eq!(message(&new, type_), wanted);
        }
        // Said once, also by another process, whether it has asked the API or not.
        cluster.status = Some(new.clone());
        for pods in [unlisted(), Pods::Unknown] {
            for health in [unreachable(0).health, None] {
                let observed = Observed {
                    health,
                    ..unreachable(0)
                };
                let same = seen(&cluster, observed, pods.clone());
                assert_eq!(message(&same, FUNCTIONAL), wanted);
            }
        }
        for health in [unreachable(0).health, None] {
            let observed = Observed {
                health,
                ..unreachable(0)
            };
            let over = seen(&cluster, observed, Pods::Known(None));
            assert_eq!(message(&over, FUNCTIONAL), message(&plain, FUNCTIONAL));
        }
    }
    // What an earlier process said of them is not known either.
    cluster.status = Some(seen(&cluster, unreachable(0), known(IMAGE)));
    let observed = Observed {
        health: None,
        ..unreachable(0)
    };
    let new = seen(&cluster, observed, unlisted());
    assert_eq!(says(&new, FUNCTIONAL), pair("False", "PodsNotReady"));
    assert_eq!(message(&new, AVAILABLE), lists);
}

#[test]
fn what_is_lost_is_said_with_that_its_pods_cannot_be_listed() {
    let mut cluster = settled();
    cluster.spec.replicas = 3;
    let new = seen(&cluster, working(2), unlisted());
    assert_eq!(says(&new, FUNCTIONAL), pair("True", "Degraded"));
    let cluster = settled();
    let waits = seen(&cluster, written(&cluster, 0), unlisted());
    for said in [message(&new, FUNCTIONAL), message(&waits, UP_TO_DATE)] {
        assert!(said.ends_with("listed: pods is forbidden"), "{said}");
    }
}

#[test]
fn pods_do_not_explain_an_api_that_answers() {
    for reason in ["Unauthorized", "Tls", "Invalid"] {
        let mut observed = unreachable(1);
        observed.health.as_mut().unwrap().reason = reason;
        let new = seen(&settled(), observed, known(IMAGE));
        assert_eq!(says(&new, FUNCTIONAL), pair("False", reason));
    }
    let new = seen(&settled(), working(1), known(IMAGE));
    assert_eq!(says(&new, FUNCTIONAL), pair("True", "Ready"));
}

/// A cluster of three replicas and members, with so many ready.
fn of_three(replicas: i32, members: i32) -> Observed {
    let mut observed = unreachable(replicas);
    observed.etcd = serde_json::from_value(json!({
        "spec": {"replicas": 3, "selector": {}, "serviceName": "x", "template": {}},
        "status": {"replicas": 3, "readyReplicas": members},
    }))
    .unwrap();
    observed
}

/// A Service that leads nowhere is not the fault of the one pod that waits for its node.
#[test]
fn pods_that_are_ready_do_not_hide_why_the_api_does_not_answer() {
    let mut cluster = settled();
    cluster.spec.replicas = 3;
    for (replicas, members) in [(1, 3), (2, 2), (3, 2)] {
        let mut cluster = cluster.clone();
        let observed = || of_three(replicas, members);
        let new = seen(&cluster, observed(), known(IMAGE));
        for type_ in [FUNCTIONAL, AVAILABLE] {
            assert_eq!(says(&new, type_), pair("False", "Unreachable"));
            assert_eq!(message(&new, type_), format!("nobody listens: {IMAGE}"));
        }
        cluster.status = Some(new.clone());
        // Said once, also by another process, whether it has asked or not.
        for pods in [Pods::Unknown, known(IMAGE)] {
            for health in [observed().health, None] {
                let observed = Observed {
                    health,
                    ..observed()
                };
                let same = seen(&cluster, observed, pods.clone());
                assert_eq!(message(&same, AVAILABLE), message(&new, AVAILABLE));
            }
        }
        let over = seen(&cluster, observed(), Pods::Known(None));
        assert_eq!(message(&over, FUNCTIONAL), "nobody listens");
    }
    // Nobody serves, or etcd lacks its quorum.
    for (replicas, members) in [(0, 3), (1, 1), (3, 1)] {
        let new = seen(&cluster, of_three(replicas, members), known(IMAGE));
        assert_eq!(says(&new, FUNCTIONAL), pair("False", "PodsNotReady"));
    }
}

#[test]
fn what_is_lost_is_said_with_its_cause_as_long_as_it_is_lost() {
    let mut cluster = settled();
    cluster.spec.replicas = 3;
    let spec = cluster.clone();
    let lacks = || {
        let mut observed = working(2);
        let set = observed.control_plane.as_mut().unwrap();
        set.status.as_mut().unwrap().replicas = 3;
        let hour = jiff::SignedDuration::from_hours(1);
        let valid = fixtures::written(validate(&spec, &observed, hour).unwrap());
        observed.existing = valid.existing;
        observed
    };
    let plain = seen(&cluster, lacks(), Pods::Unknown);
    assert_eq!(says(&plain, FUNCTIONAL), pair("True", "Degraded"));
    let (degraded, rollout) = (message(&plain, FUNCTIONAL), message(&plain, UP_TO_DATE));
    let lost = degraded.strip_suffix(": see the pods").unwrap();

    let new = seen(&cluster, lacks(), known(IMAGE));
    assert_eq!(says(&new, AVAILABLE), pair("True", "Available"));
    assert_eq!(message(&new, FUNCTIONAL), format!("{lost}: {IMAGE}"));
    assert_eq!(message(&new, UP_TO_DATE), format!("{rollout}: {IMAGE}"));
    cluster.status = Some(new.clone());
    let same = seen(&cluster, lacks(), Pods::Unknown);
    assert!(!differs(Some(&new), &same), "{same:?}");
    let over = seen(&cluster, lacks(), Pods::Known(None));
    assert_eq!(message(&over, FUNCTIONAL), degraded);
    assert_eq!(message(&over, UP_TO_DATE), rollout);
    // As many as before are lost, and not those.
    let mut fewer = lacks();
    let set = fewer.control_plane.as_mut().unwrap();
    set.status.as_mut().unwrap().ready_replicas = Some(1);
    let other = seen(&cluster, fewer, Pods::Unknown);
    assert!(message(&other, FUNCTIONAL).ends_with(": see the pods"));
}

#[test]
fn an_etcd_that_does_not_start_is_named_with_its_cause() {
    let mut cluster = settled();
    let observed = || Observed {
        etcd: None,
        ..unreachable(0)
    };
    let ends = "pod kmc-demo-etcd-0, container etcd: CrashLoopBackOff (exit code 1)";
    let new = seen(&cluster, observed(), known(ends));
    assert_eq!(says(&new, AVAILABLE), pair("False", "EtcdNotReady"));
    let said = message(&new, AVAILABLE);
    assert!(said.contains("etcd does not start"), "{said}");
    assert!(said.ends_with(ends), "{said}");
    cluster.status = Some(new.clone());
    let same = seen(&cluster, observed(), Pods::Unknown);
    assert!(!differs(Some(&new), &same), "{same:?}");
}

/// A pod is up to date as soon as it is created, whether its image exists or not.
#[test]
fn replicas_that_do_not_start_are_not_called_up_to_date_without_a_word() {
    let cluster = settled();
    let mut new = seen(&cluster, written(&cluster, 0), known(IMAGE));
    assert_eq!(says(&new, UP_TO_DATE), pair("True", "AllReplicasUpToDate"));
    assert!(message(&new, UP_TO_DATE).ends_with(IMAGE));
    let mut cluster = cluster;
    cluster.status = Some(new);
    new = seen(&cluster, written(&cluster, 0), Pods::Unknown);
    assert!(message(&new, UP_TO_DATE).ends_with(IMAGE), "said once");
    for (ready, pods) in [(0, Pods::Known(None)), (1, known(IMAGE))] {
        new = seen(&cluster, written(&cluster, ready), pods);
        assert_eq!(message(&new, UP_TO_DATE), "");
    }
}
