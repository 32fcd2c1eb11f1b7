//! What is filled in.

use crds::admission::{Kind, Operation, default, patch};
use crds::version::DEFAULT_VERSION;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, request};

fn created(kind: Kind, object: &Value) -> Value {
    default(kind, &request(Operation::Create, None, Some(object))).unwrap_or_else(|| object.clone())
}

fn filled(service: &str) -> Value {
    json!({
        "image": "quay.io/k0sproject/k0s", "replicas": 1, "version": DEFAULT_VERSION,
        "service": {"type": service, "apiPort": 30443, "konnectivityPort": 30132},
        "storage": {"type": "etcd", "etcd": {
            "image": "quay.io/k0sproject/etcd:v3.7.1", "autoDeletePVCs": false,
            "persistence": {"size": "1Gi"},
        }},
    })
}

#[rstest]
#[case::nothing(json!({}), "ClusterIP")]
#[case::nulls(json!({"replicas": null, "service": null, "storage": {"etcd": null}, "k0sConfig": null}), "ClusterIP")]
#[case::empty_texts(json!({"version": "", "service": {"type": ""}, "storage": {"etcd": {"image": ""}}}), "ClusterIP")]
#[case::a_type(json!({"service": {"type": "NodePort"}}), "NodePort")]
fn what_a_new_cluster_leaves_out_is_filled_in(#[case] spec: Value, #[case] service: &str) {
    assert_eq!(
        created(Kind::Cluster, &cluster(spec))["spec"],
        filled(service)
    );
}

#[rstest]
#[case::missing(json!({"metadata": {"name": "c"}}))]
#[case::null(json!({"metadata": {"name": "c"}, "spec": null}))]
fn a_cluster_without_a_spec_is_one_with_a_node_port(#[case] object: Value) {
    assert_eq!(created(Kind::Cluster, &object)["spec"], filled("NodePort"));
}

#[test]
fn what_is_said_stays() {
    let spec = json!({
        "image": "a/k0s", "replicas": 0, "version": "v1.34.1",
        "service": {"type": "LoadBalancer", "apiPort": 6443, "konnectivityPort": 8132},
        "storage": {"type": "kine", "etcd": {
            "image": "e:1", "autoDeletePVCs": true, "persistence": {"size": "3Gi"},
        }},
        "ingress": {"apiHost": "a", "konnectivityHost": "b", "deploy": false, "port": 8443},
        "k0sConfig": {"spec": {"network": null}},
    });
    let object = cluster(spec);
    let request = request(Operation::Create, None, Some(&object));
    assert_eq!(default(Kind::Cluster, &request), None);
}

#[test]
fn an_ingress_is_made_unless_told_otherwise() {
    let spec = json!({"ingress": {"apiHost": "a", "konnectivityHost": "b"}});
    let ingress = &created(Kind::Cluster, &cluster(spec))["spec"]["ingress"];
    assert_eq!(ingress["deploy"], json!(true));
    assert_eq!(ingress["port"], json!(443));
}

#[test]
fn labelling_an_old_cluster_changes_nothing_else() {
    let old = cluster(json!({"service": {"type": "ClusterIP"}}));
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"a": "b"});
    let request = request(Operation::Update, Some(&old), Some(&new));
    assert_eq!(default(Kind::Cluster, &request), None);
}

#[test]
fn an_empty_service_type_is_filled_in_with_every_change() {
    let old = cluster(json!({"service": {"type": "ClusterIP"}}));
    let new = cluster(json!({"service": {"type": "", "apiPort": 6443}}));
    let request = request(Operation::Update, Some(&old), Some(&new));
    let filled = default(Kind::Cluster, &request).unwrap();
    assert_eq!(
        filled["spec"],
        json!({"service": {"type": "ClusterIP", "apiPort": 6443}})
    );
}

#[test]
fn a_sub_resource_and_what_is_ending_are_left_alone() {
    let mut object = cluster(json!({}));
    let mut scale = request(Operation::Create, None, Some(&object));
    scale.sub_resource = Some("scale");
    assert_eq!(default(Kind::Cluster, &scale), None);
    object["spec"] = json!({"ingress": {}});
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let ending = request(Operation::Update, Some(&object), Some(&object));
    assert_eq!(default(Kind::Cluster, &ending), None);
}

#[test]
fn a_request_without_an_end_is_one_for_ever_and_for_workers() {
    let object = json!({"metadata": {"name": "t"}, "spec": {"clusterName": "c"}});
    assert_eq!(
        created(Kind::JoinTokenRequest, &object)["spec"],
        json!({"clusterName": "c", "expiry": "0s", "role": "worker"})
    );
}

#[test]
fn the_patch_holds_exactly_what_changed() {
    let mut before = cluster(filled("ClusterIP"));
    before["spec"].as_object_mut().unwrap().remove("version");
    let after = created(Kind::Cluster, &before);
    let patch = patch(&before, &after);
    assert_eq!(
        serde_json::to_value(&patch).unwrap(),
        json!([{"op": "add", "path": "/spec/version", "value": DEFAULT_VERSION}])
    );
    let mut patched = before;
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched, after);
}
