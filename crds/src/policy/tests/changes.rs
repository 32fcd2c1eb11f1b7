//! Policies that come, change and go while others stay.

use std::time::Instant;

use super::*;

/// Rules that look at places of their own and at one that all look at.
fn ruled(name: &str, most: usize) -> ClusterPolicy {
    let rule = |index: usize| {
        let own = format!("object.metadata.annotations[\"{name}-{most}-{index}\"]");
        json!({
            "name": format!("r{index}"),
            "expression": format!("object.spec.replicas <= {most} || {own}.matches(\"{name}{most}\")"),
        })
    };
    let rules: Vec<Value> = (0..10).map(rule).collect();
    policy(name, &json!({ "rules": rules }))
}

fn said(policies: &Policies) -> Vec<String> {
    let mut object = cluster(&json!({"replicas": 3}));
    object["metadata"]["annotations"] = json!({"b-1-4": "b1"});
    texts(&create(policies, &object))
}

#[test]
fn one_after_the_other_they_say_what_they_say_together() {
    let mut policies = Policies::default();
    for (name, most) in [("c", 5), ("a", 9), ("b", 1), ("a", 2)] {
        policies = policies.with(&ruled(name, most));
    }
    let together = Policies::new([ruled("a", 2), ruled("b", 1), ruled("c", 5)]);
    assert_eq!(said(&policies), said(&together));
    assert!(said(&policies).len() > 10, "{:?}", said(&policies));

    policies = policies.without("a");
    assert_eq!(
        said(&policies),
        said(&Policies::new([ruled("b", 1), ruled("c", 5)]))
    );
    assert_eq!(policies.len(), 2);
}

#[test]
fn a_policy_that_changes_again_and_again_is_no_leak() {
    let mut policies = Policies::default();
    let turns = (0..100).find(|turn| {
        policies = policies.with(&ruled("a", *turn));
        policies.is_sparse()
    });
    assert!(turns.is_some());
    assert!(!Policies::new([ruled("a", 1)]).is_sparse());
}

#[test]
fn to_take_one_in_costs_what_one_costs() {
    let many: Vec<ClusterPolicy> = (0..50)
        .map(|index| ruled(&format!("p{index}"), 5))
        .collect();
    let started = Instant::now();
    let policies = Policies::new(&many);
    let all = started.elapsed();
    let started = Instant::now();
    let more = policies.with(&ruled("p7", 6));
    let one = started.elapsed();
    assert_eq!(more.len(), 50);
    assert!(one < all / 5, "one takes {one:?}, all {all:?}");
}
