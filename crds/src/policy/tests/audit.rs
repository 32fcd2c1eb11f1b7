//! What an audit counts and names.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::super::{Existing, MAX_VIOLATING, Policies};
use super::{cluster, policy, token};
use crate::lookup::Unknown;
use crate::v1beta2::{PolicyKind, ViolatingObject};

#[test]
fn an_audit_counts_objects_and_names_the_first() {
    let policies = Policies::new([
        policy(
            "b-tokens",
            &json!({"maxTokenLifetime": "1h", "action": "Audit"}),
        ),
        policy(
            "a-replicas",
            &json!({"replicas": {"max": 1}, "serviceTypes": ["LoadBalancer"]}),
        ),
        policy("c-broken", &json!({"versions": ["?"]})),
    ]);
    let names: Vec<String> = (0..30).map(|n| format!("c{:02}", 29 - n)).collect();
    let mut objects: Vec<Existing<'_>> = names
        .iter()
        .map(|name| Existing {
            kind: PolicyKind::Cluster,
            namespace: "team-a",
            name,
            object: Cow::Owned(cluster(&json!({"replicas": 3}))),
        })
        .collect();
    objects.push(Existing {
        kind: PolicyKind::JoinTokenRequest,
        namespace: "team-a",
        name: "t",
        object: Cow::Owned(token("2h")),
    });
    let audits = policies.audit(objects, &Unknown);
    let counts: Vec<(&str, usize)> = audits
        .iter()
        .map(|audit| (audit.policy.as_str(), audit.violations))
        .collect();
    assert_eq!(
        counts,
        [("a-replicas", 30), ("b-tokens", 1), ("c-broken", 0)]
    );
    assert_eq!(audits[0].violating.len(), MAX_VIOLATING);
    assert_eq!(audits[0].violating[0].name, "c00");
    assert_eq!(
        audits[1].violating,
        [ViolatingObject {
            kind: PolicyKind::JoinTokenRequest,
            namespace: "team-a".to_owned(),
            name: "t".to_owned(),
            message: "spec.expiry: \"2h\": not allowed by policy \"b-tokens\", rule maxTokenLifetime (at most 1h; 0s is a token that never expires)".to_owned(),
        }]
    );
    let times: Vec<Time> = ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"]
        .map(|text| serde_json::from_value(json!(text)).unwrap())
        .into();
    let [good, _, broken] = <[_; 3]>::try_from(audits).unwrap();
    let first = good.clone().status(Some(4), None, &times[0]);
    assert_eq!(first.violations, Some(30));
    assert_eq!(first.conditions[0].status, "True");
    let second = good.status(Some(5), Some(&first), &times[1]);
    assert_eq!(second.conditions[0].last_transition_time, times[0]);
    assert_eq!(second.last_audit.as_ref(), Some(&times[1]));
    let broken = broken.status(Some(5), Some(&first), &times[1]);
    assert_eq!(broken.conditions[0].reason, "Invalid");
    assert_eq!(broken.conditions[0].last_transition_time, times[1]);
    let text = &broken.conditions[0].message;
    assert!(
        text.starts_with("spec.versions[0]: Invalid value: \"?\": "),
        "{text}"
    );
}
