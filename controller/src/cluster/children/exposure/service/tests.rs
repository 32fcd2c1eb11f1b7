//! What the Service of each type says, and what of a live one it leaves.

use crds::names;
use crds::v1beta2::Cluster;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::cluster::LEAF_LIFETIME;
use crate::cluster::dereference::Observed;
use crate::cluster::validate::validate;

const LABELS: &str = names::SERVICE_LABELS_ANNOTATION;
const ANNOTATIONS: &str = names::SERVICE_ANNOTATIONS_ANNOTATION;
const POLICY: &str = names::EXTERNAL_TRAFFIC_POLICY_ANNOTATION;
const CLASS: &str = names::LOAD_BALANCER_CLASS_ANNOTATION;

/// A Cluster that was written as v1beta1.
fn cluster(type_: &str, annotations: &Value) -> Cluster {
    serde_json::from_value(json!({
        "metadata": {"name": "demo", "namespace": "ns", "uid": "1",
            "labels": {"team": "a", "tier": "b"}, "annotations": annotations},
        "spec": {"version": "v1.36.3", "service": {"type": type_}},
    }))
    .unwrap()
}

fn all() -> Value {
    json!({
        "note": "the Cluster's own",
        LABELS: r#"{"tier": "edge", "app": "mine", "component": "etcd"}"#,
        ANNOTATIONS: r#"{"example.com/pool": "public"}"#,
        POLICY: r#""Local""#,
        CLASS: r#""example.com/internal""#,
    })
}

fn built(cluster: &Cluster, live: Option<Value>) -> Value {
    let observed = Observed {
        service: live.map(|live| serde_json::from_value(live).unwrap()),
        ..Observed::default()
    };
    exposed(&validate(cluster, &observed, LEAF_LIFETIME).unwrap()).body
}

#[test]
fn what_v1beta1_says_of_the_service_is_on_its_metadata_and_never_in_its_selector() {
    let body = built(&cluster("NodePort", &all()), None);
    let mut annotations = body["metadata"]["annotations"].clone();
    let own = annotations.as_object_mut().unwrap();
    own.remove(names::APPLIED_HASH_ANNOTATION).unwrap();
    assert_eq!(annotations, json!({"example.com/pool": "public"}));
    assert_eq!(
        body["metadata"]["labels"],
        json!({"team": "a", "tier": "edge", "app": "k0smotron", "cluster": "demo",
            "component": "cluster", "app.kubernetes.io/component": "control-plane"})
    );
    assert_eq!(
        body["spec"]["selector"],
        json!({"app": "k0smotron", "cluster": "demo", "component": "cluster"})
    );
}

#[rstest]
#[case("ClusterIP", Value::Null, Value::Null)]
#[case("NodePort", json!("Local"), Value::Null)]
#[case("LoadBalancer", json!("Local"), json!("example.com/internal"))]
fn a_service_says_only_what_its_type_allows(
    #[case] type_: &str,
    #[case] policy: Value,
    #[case] class: Value,
) {
    let body = built(&cluster(type_, &all()), None);
    assert_eq!(body["spec"]["externalTrafficPolicy"], policy);
    assert_eq!(body["spec"]["loadBalancerClass"], class);
}

#[rstest]
#[case::set_later(json!({"type": "LoadBalancer"}), Value::Null)]
#[case::changed(json!({"type": "LoadBalancer", "loadBalancerClass": "old"}), json!("old"))]
#[case::not_yet_a_balancer(json!({"type": "ClusterIP"}), json!("example.com/internal"))]
fn the_class_of_a_load_balancer_that_exists_stays(#[case] live: Value, #[case] class: Value) {
    let body = built(
        &cluster("LoadBalancer", &all()),
        Some(json!({"spec": live})),
    );
    assert_eq!(body["spec"]["loadBalancerClass"], class);
}

#[test]
fn a_class_that_is_no_longer_asked_for_stays_too() {
    let live = json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "old"}});
    let body = built(&cluster("LoadBalancer", &json!({})), Some(live));
    assert_eq!(body["spec"]["loadBalancerClass"], "old");
}

#[test]
fn what_means_nothing_leaves_the_service_as_it_is_without() {
    let nonsense = json!({
        LABELS: r#"{"no key!": "a", "level": "no value!"}"#,
        ANNOTATIONS: "{",
        POLICY: "Local",
        CLASS: "7",
    });
    let body = built(&cluster("LoadBalancer", &nonsense), None);
    assert_eq!(body, built(&cluster("LoadBalancer", &json!({})), None));
}
