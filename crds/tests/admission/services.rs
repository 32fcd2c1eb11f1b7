//! What v1beta1 has in the spec of a Service and v1beta2 in annotations.

use crds::admission::{Decision, Kind};
use crds::names::{
    EXTERNAL_TRAFFIC_POLICY_ANNOTATION, LOAD_BALANCER_CLASS_ANNOTATION,
    SERVICE_ANNOTATIONS_ANNOTATION, SERVICE_LABELS_ANNOTATION,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, create, update};

fn annotated(type_: &str, annotations: Value) -> Value {
    let mut cluster = cluster(json!({"version": "v1.36.3-k0s.2", "service": {"type": type_}}));
    cluster["metadata"]["annotations"] = annotations;
    cluster
}

fn warned_of(decision: &Decision, key: &str) -> bool {
    assert_eq!(decision.errors, []);
    let path = format!("metadata.annotations[{key}]");
    decision.warnings.iter().any(|text| text.starts_with(&path))
}

#[rstest]
#[case::no_json(SERVICE_LABELS_ANNOTATION, "a=b")]
#[case::no_map(SERVICE_ANNOTATIONS_ANNOTATION, "[1]")]
#[case::no_label(SERVICE_LABELS_ANNOTATION, r#"{"a": "not a value"}"#)]
#[case::no_key(SERVICE_ANNOTATIONS_ANNOTATION, r#"{"not a key": ""}"#)]
#[case::no_quotes(EXTERNAL_TRAFFIC_POLICY_ANNOTATION, "Local")]
#[case::no_policy(EXTERNAL_TRAFFIC_POLICY_ANNOTATION, r#""Nearby""#)]
#[case::no_class(LOAD_BALANCER_CLASS_ANNOTATION, r#""not a class""#)]
fn what_means_nothing_is_ignored_and_said(#[case] key: &str, #[case] text: &str) {
    let new = annotated("LoadBalancer", json!({key: text}));
    assert!(warned_of(&create(Kind::Cluster, &new), key));
    // The same of an annotation that comes later, although the spec stays as it is.
    let old = annotated("LoadBalancer", json!({}));
    assert!(warned_of(&update(Kind::Cluster, &old, &new), key));
    assert_eq!(update(Kind::Cluster, &new, &new), Decision::default());
}

#[rstest]
#[case("ClusterIP", EXTERNAL_TRAFFIC_POLICY_ANNOTATION, r#""Local""#)]
#[case("ClusterIP", LOAD_BALANCER_CLASS_ANNOTATION, r#""a""#)]
#[case("NodePort", LOAD_BALANCER_CLASS_ANNOTATION, r#""a""#)]
fn what_the_type_has_no_use_for_is_said(
    #[case] type_: &str,
    #[case] key: &str,
    #[case] text: &str,
) {
    let decision = create(Kind::Cluster, &annotated(type_, json!({key: text})));
    assert!(warned_of(&decision, key));
    let fitting = annotated("LoadBalancer", json!({key: text}));
    assert!(!warned_of(&create(Kind::Cluster, &fitting), key));
}

#[test]
fn a_class_that_changes_is_said_to_stay() {
    let key = LOAD_BALANCER_CLASS_ANNOTATION;
    let of = |class: &str| annotated("LoadBalancer", json!({key: class}));
    assert!(warned_of(
        &update(Kind::Cluster, &of(r#""a""#), &of(r#""b""#)),
        key
    ));
}
