//! While a Secret that the user names cannot be read.

use std::collections::BTreeSet;

use super::*;
use crate::cluster::validate::Refusal;
use crate::kubernetes::store::{Kind, ObjectKey};

fn unread(cluster: &Cluster) -> ClusterStatus {
    let problem = Problem {
        passing: true,
        ..Problem::new(
            &ObjectKey::new(Kind::Secret, "ns", "mine"),
            "secrets is forbidden",
        )
    };
    let mut observed = working(1);
    let secrets = observed.certificate_secrets.values_mut();
    secrets.for_each(|secret| secret.digest = None);
    status(&Facts {
        cluster,
        observed: &observed,
        valid: Err(&Refusal::Unread),
        problems: &[problem],
        left: &BTreeSet::new(),
        is_asked: true,
        unasked_for: Duration::from_secs(60),
        hosted_config: None,
        nodes: Count::Unknown,
        now: at(60),
    })
}

#[test]
fn it_is_said_and_nothing_is_taken_from_a_cluster_that_serves() {
    let settled = settled();
    let new = unread(&settled);
    assert_eq!(says(&new, APPLIED), pair("False", "WriteFailed"));
    for part in ["Secret ns/mine", "forbidden"] {
        let message = &condition(Some(&new), APPLIED).unwrap().message;
        assert!(message.contains(part), "{message}");
    }
    for type_ in [ACCEPTED, CERTIFICATES, UP_TO_DATE, AVAILABLE] {
        let old = says(settled.status.as_ref().unwrap(), type_);
        assert_eq!(says(&new, type_), old, "{type_}");
    }
}

/// What was said of the spec of before holds for that one, whatever keeps the new one from being worked
/// on: who waits for a change must not take it for done.
#[test]
fn what_is_only_said_again_holds_for_the_spec_of_before() {
    let mut cluster = settled();
    cluster.metadata.generation = Some(3);
    let mut refused = cluster.clone();
    refused.spec.version = Some("v1.35.1".to_owned());
    let of = |new: &ClusterStatus, type_| condition(Some(new), type_).unwrap().observed_generation;
    for new in [unread(&cluster), later(&refused, &working(1), &[])] {
        for type_ in [EXPOSED, SCALING, UP_TO_DATE] {
            assert_eq!(of(&new, type_), Some(2), "{type_}");
        }
        for type_ in [ACCEPTED, KUBECONFIG, FUNCTIONAL, AVAILABLE, DELETING] {
            assert_eq!(of(&new, type_), Some(3), "{type_}");
        }
        // Nor in the next round.
        let mut next = refused.clone();
        next.status = Some(new.clone());
        let again = later(&next, &working(1), &[]);
        assert_eq!(of(&again, UP_TO_DATE), Some(2));
    }
    let new = later(&cluster, &written(&cluster, 1), &[]);
    assert_eq!(of(&new, UP_TO_DATE), Some(3));
}

#[test]
fn a_cluster_that_never_served_is_not_available_for_that_reason() {
    let mut cluster = cluster();
    cluster.status = None;
    let new = unread(&cluster);
    assert_eq!(says(&new, ACCEPTED), pair("True", "Accepted"));
    assert_eq!(says(&new, AVAILABLE), pair("False", "WriteFailed"));
    let message = &condition(Some(&new), AVAILABLE).unwrap().message;
    assert!(message.contains("Secret ns/mine"), "{message}");
    assert!(!keys_were_made(Some(&new)));
}

/// As it is not asked for so many seconds.
fn unasked(cluster: &Cluster, ready: i32, problems: &[Problem], lasted: u64) -> ClusterStatus {
    let observed = Observed {
        health: None,
        ..working(ready)
    };
    let valid = validate(cluster, &observed, jiff::SignedDuration::from_hours(1));
    status(&Facts {
        cluster,
        observed: &observed,
        valid: valid.as_ref(),
        problems,
        left: &BTreeSet::new(),
        is_asked: false,
        unasked_for: Duration::from_secs(lasted),
        hosted_config: None,
        nodes: Count::Unknown,
        now: at(60),
    })
}

fn refused_at(cluster: &mut Cluster, second: i64) {
    let conditions = &mut cluster.status.as_mut().unwrap().conditions;
    let applied = conditions.iter_mut().find(|found| found.type_ == APPLIED);
    let applied = applied.unwrap();
    applied.status = "False".to_owned();
    applied.last_transition_time.0 = at(second);
}

/// The Service went while no controller ran, and cannot be made again.
#[test]
fn a_service_that_is_lost_takes_from_available_what_nobody_knows() {
    let cluster = settled();
    let gone: fn(&mut Cluster, &mut Observed) = |_, observed| observed.service = None;
    let headless: fn(&mut Cluster, &mut Observed) = |_, observed| {
        let spec = observed.service.as_mut().unwrap().spec.as_mut().unwrap();
        spec.cluster_ips = Some(vec!["None".to_owned()]);
    };
    let portless: fn(&mut Cluster, &mut Observed) = |cluster, observed| {
        cluster.status.as_mut().unwrap().ports = None;
        let spec = observed.service.as_mut().unwrap().spec.as_mut().unwrap();
        spec.ports = None;
    };
    let key = ObjectKey::new(Kind::Service, "ns", "kmc-demo");
    let denied = [Problem::new(&key, "denied")];
    for lost in [gone, headless, portless] {
        for version in [None, Some("v1.35.1".to_owned())] {
            for ready in [0, 1] {
                let (mut cluster, mut observed) = (cluster.clone(), working(ready));
                cluster.spec.version.clone_from(&version);
                observed.health = None;
                lost(&mut cluster, &mut observed);
                let valid = validate(&cluster, &observed, jiff::SignedDuration::from_hours(1));
                let new = status(&Facts {
                    cluster: &cluster,
                    observed: &observed,
                    valid: valid.as_ref(),
                    problems: &denied,
                    left: &BTreeSet::new(),
                    is_asked: false,
                    unasked_for: Duration::from_secs(60),
                    hosted_config: None,
                    nodes: Count::Unknown,
                    now: at(60),
                });
                let wanted = match ready {
                    0 => pair("False", "Unreachable"),
                    _ => pair("Unknown", "CannotAsk"),
                };
                assert_eq!(says(&new, AVAILABLE), wanted);
                let message = &condition(Some(&new), AVAILABLE).unwrap().message;
                assert_eq!(
                    message.contains("Service ns/kmc-demo"),
                    ready == 1,
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn an_authority_that_cannot_be_read_takes_from_available_what_nobody_knows() {
    let cluster = settled();
    let problem = |passing| {
        let key = ObjectKey::new(Kind::Secret, "ns", "demo-ca");
        vec![Problem {
            passing,
            ..Problem::new(&key, "said so")
        }]
    };
    // For now it changes nothing.
    let new = unasked(&cluster, 1, &problem(true), 60);
    let old = says(cluster.status.as_ref().unwrap(), FUNCTIONAL);
    assert_eq!(says(&new, FUNCTIONAL), old);
    assert_eq!(says(&new, AVAILABLE), pair("True", "Available"));
    // Nor does a refusal for a moment, with which others say what is wrong.
    let mut cluster = cluster;
    for lasted in [0, 29] {
        let new = unasked(&cluster, 1, &problem(false), lasted);
        assert_eq!(says(&new, AVAILABLE), pair("True", "Available"), "{lasted}");
        assert_eq!(says(&new, APPLIED), pair("False", "ChildRefused"));
        // Of which something else may be refused for long.
        refused_at(&mut cluster, -86_400);
    }
    // Until somebody mends it nobody knows; without a replica there is nothing to ask.
    for (ready, problems, wanted, why) in [
        (
            1,
            problem(false),
            pair("Unknown", "CannotAsk"),
            "ns/demo-ca: said so",
        ),
        (1, vec![], pair("Unknown", "CannotAsk"), "ns/demo-ca: see"),
        (
            0,
            problem(false),
            pair("False", "Unreachable"),
            "no replica",
        ),
    ] {
        let new = unasked(&cluster, ready, &problems, 30);
        assert_eq!(says(&new, AVAILABLE), wanted);
        let message = &condition(Some(&new), AVAILABLE).unwrap().message;
        assert!(message.contains(why), "{message}");
    }
    // Nor is that changed by a spec that is refused, whatever was said of the one before.
    let mut cluster = settled();
    cluster.spec.version = Some("v1.35.1".to_owned());
    let new = unasked(&cluster, 1, &problem(false), 30);
    assert_eq!(says(&new, AVAILABLE), pair("Unknown", "CannotAsk"));
}
