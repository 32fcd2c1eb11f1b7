//! What becomes of each field, and that it comes back.

use crds::conversion::{ConversionError, convert};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{V1BETA1, V1BETA2, cluster, newer, object, older, request, try_newer, try_older};

/// `{spec, status, annotations}` of each side, the older one as the API server completes it.
#[rstest]
#[case::kubeconfig(
    json!({"spec": {"kubeconfigRef": {"name": "a", "namespace": "b", "key": "c"}}}),
    json!({"spec": {"remoteHostCluster": {"kubeconfigRef": {"name": "a", "namespace": "b", "key": "c"}}, "storage": {"type": "etcd"}}}),
)]
#[case::kine_url(
    json!({"spec": {"kineDataSourceURL": "postgres://u:p@h/d"}}),
    json!({"spec": {"storage": {"type": "kine", "kine": {"dataSourceURL": "postgres://u:p@h/d"}}}}),
)]
#[case::kine_secret(
    json!({"spec": {"kineDataSourceSecretName": "s"}}),
    json!({"spec": {"storage": {"type": "kine", "kine": {"dataSourceSecretName": "s"}}}}),
)]
#[case::etcd(
    json!({"spec": {"etcd": {"image": "i", "args": ["--a"], "autoDeletePVCs": true, "persistence": {"size": 5, "storageClass": "s"}, "defragJob": {"enabled": true}, "resources": {"limits": {"cpu": 1}}}}}),
    json!({"spec": {"storage": {"type": "etcd", "etcd": {"image": "i", "args": ["--a"], "autoDeletePVCs": true, "persistence": {"size": 5, "storageClass": "s"}, "defragJob": {"enabled": true}, "resources": {"limits": {"cpu": 1}}}}}}),
)]
#[case::kine_beside_etcd(
    json!({"spec": {"kineDataSourceURL": "u", "etcd": {"image": "i"}}}),
    json!({"spec": {"storage": {"type": "kine", "kine": {"dataSourceURL": "u"}, "etcd": {"image": "i"}}}}),
)]
#[case::flags(
    json!({"spec": {"controllerPlaneFlags": ["--x"]}}),
    json!({"spec": {"controlPlaneFlags": ["--x"], "storage": {"type": "etcd"}}}),
)]
#[case::service(
    json!({"spec": {"service": {"type": "LoadBalancer", "apiPort": 1, "labels": {"a": "b"}, "annotations": {"c": "d"}, "externalTrafficPolicy": "Local", "loadBalancerClass": "x"}}}),
    json!({
        "spec": {"service": {"type": "LoadBalancer", "apiPort": 1}, "storage": {"type": "etcd"}},
        "annotations": {
            "k0smotron.io/conversion-dropped-service.labels": r#"{"a":"b"}"#,
            "k0smotron.io/conversion-dropped-service.annotations": r#"{"c":"d"}"#,
            "k0smotron.io/conversion-dropped-service.externalTrafficPolicy": r#""Local""#,
            "k0smotron.io/conversion-dropped-service.loadBalancerClass": r#""x""#,
        },
    }),
)]
#[case::empty_service_labels(
    json!({"spec": {"service": {"type": "ClusterIP", "labels": {}}}}),
    json!({
        "spec": {"service": {"type": "ClusterIP"}, "storage": {"type": "etcd"}},
        "annotations": {"k0smotron.io/conversion-dropped-service.labels": "{}"},
    }),
)]
#[case::no_persistence_is_the_default(
    json!({"spec": {"replicas": 3}}),
    json!({"spec": {"replicas": 3, "storage": {"type": "etcd"}}}),
)]
#[case::status(
    json!({"spec": {}, "status": {
        "ready": true, "reconciliationStatus": "done", "replicas": 3, "selector": "a=b", "readyReplicas": 2,
        "updatedReplicas": 1, "endpoint": "https://h:1", "ports": {"api": 1, "konnectivity": 2},
        "conditions": [{"type": "Available", "status": "True"}],
    }}),
    json!({"spec": {"storage": {"type": "etcd"}}, "status": {
        "deprecated": {"v1beta1": {"ready": true, "reconciliationStatus": "done"}},
        "replicas": 3, "selector": "a=b", "readyReplicas": 2,
        "updatedReplicas": 1, "endpoint": "https://h:1", "ports": {"api": 1, "konnectivity": 2},
        "conditions": [{"type": "Available", "status": "True"}],
    }}),
)]
#[case::no_body(json!({}), json!({}))]
#[case::empty_status(json!({"status": {}}), json!({"status": {}}))]
#[case::nulls(json!({"spec": null, "status": null}), json!({"spec": null, "status": null}))]
fn a_cluster_is_the_same_in_both(#[case] mut old: Value, #[case] new: Value) {
    if let Some(spec) = old.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert(
            "persistence".to_owned(),
            json!({"type": "emptyDir", "autoDeletePVCs": false}),
        );
    }
    let (old, new) = (cluster(V1BETA1, old), cluster(V1BETA2, new));
    assert_eq!(newer(&old), new);
    assert_eq!(older(&new), old);
}

/// What v1beta1 cannot say is in its annotation, the rest as expected; and it comes back.
#[rstest]
#[case::patches(
    json!({"spec": {"patches": [{"target": {"kind": "Service", "component": "c"}, "patch": {"type": "json", "content": "[]"}}], "storage": {"type": "etcd"}}}),
    json!([{"path": "/spec/patches", "value": [{"target": {"kind": "Service", "component": "c"}, "patch": {"type": "json", "content": "[]"}}]}]),
)]
#[case::nats(
    json!({"spec": {"storage": {"type": "nats", "etcd": {"image": "i"}, "nats": {"persistence": {"size": "2Gi"}}}}}),
    json!([
        {"path": "/spec/storage/nats", "value": {"persistence": {"size": "2Gi"}}},
        {"path": "/spec/storage/type", "value": "nats", "over": "etcd"},
    ]),
)]
#[case::kine_settings_of_an_etcd(
    json!({"spec": {"storage": {"type": "etcd", "kine": {"dataSourceURL": "u"}}}}),
    json!([{"path": "/spec/storage/kine", "value": {"dataSourceURL": "u"}}]),
)]
#[case::kine_without_a_source(
    json!({"spec": {"storage": {"type": "kine"}}}),
    json!([{"path": "/spec/storage/type", "value": "kine", "over": "etcd"}]),
)]
#[case::remote_host_without_a_kubeconfig(
    json!({"spec": {"remoteHostCluster": {}, "storage": {"type": "etcd"}}}),
    json!([{"path": "/spec/remoteHostCluster", "value": {}}]),
)]
#[case::persistence_that_says_the_default(
    json!({"spec": {"persistence": {"type": "emptyDir", "autoDeletePVCs": false}, "storage": {"type": "etcd"}}}),
    json!([{"path": "/spec/persistence", "value": {"type": "emptyDir", "autoDeletePVCs": false}}]),
)]
#[case::service_labels_written_by_hand(
    json!({
        "spec": {"service": {"type": "ClusterIP"}, "storage": {"type": "etcd"}},
        "annotations": {"k0smotron.io/conversion-dropped-service.labels": r#"{ "a": "b" }"#},
    }),
    json!([{
        "path": "annotation:k0smotron.io/conversion-dropped-service.labels",
        "value": r#"{ "a": "b" }"#, "over": r#"{"a":"b"}"#,
    }]),
)]
fn what_only_v1beta2_says_goes_along(#[case] new: Value, #[case] carried: Value) {
    let new = cluster(V1BETA2, new);
    let old = older(&new);
    let text = old["metadata"]["annotations"]["k0smotron.io/only-in-v1beta2"].as_str();
    assert_eq!(
        serde_json::from_str::<Value>(text.unwrap()).unwrap(),
        carried
    );
    assert_eq!(newer(&old), new);
}

#[rstest]
#[case::an_empty_source(json!({"spec": {"kineDataSourceURL": ""}}))]
#[case::no_persistence(json!({"spec": {"replicas": 1}}))]
#[case::an_annotation_of_v1beta2s(json!({
    "spec": {"service": {"labels": {"a": "b"}}},
    "annotations": {"k0smotron.io/conversion-dropped-service.labels": "{}", "mine": "x"},
}))]
fn what_only_v1beta1_says_goes_along(#[case] old: Value) {
    let old = cluster(V1BETA1, old);
    let new = newer(&old);
    assert!(new["metadata"]["annotations"]["k0smotron.io/only-in-v1beta1"].is_string());
    assert_eq!(older(&new), old);
}

#[rstest]
#[case::no_json("{")]
#[case::a_list("[]")]
#[case::numbers(r#"{"a":1}"#)]
fn an_annotation_that_is_no_field_stays_one(#[case] text: &str) {
    let key = "k0smotron.io/conversion-dropped-service.labels";
    let new = cluster(
        V1BETA2,
        json!({"spec": {"storage": {"type": "etcd"}}, "annotations": {key: text}}),
    );
    let old = older(&new);
    assert_eq!(old["metadata"]["annotations"][key], text);
    assert_eq!(old["spec"].get("service"), None);
    assert_eq!(newer(&old), new);
}

#[rstest]
#[case::own_namespace(
    json!({"spec": {"clusterRef": {"name": "k", "namespace": "n"}, "expiry": "1h", "role": "worker"}}),
    json!({"spec": {"clusterName": "k", "expiry": "1h", "role": "worker"}}),
)]
#[case::other_namespace(
    json!({"spec": {"clusterRef": {"name": "k", "namespace": "other"}}}),
    json!({"spec": {"clusterName": "k"}, "annotations": {"k0smotron.io/cluster-ref-namespace": "other"}}),
)]
#[case::status(
    json!({"spec": {"clusterRef": {"name": "k", "namespace": "n"}}, "status": {
        "reconciliationStatus": "done", "clusterUID": "u", "tokenID": "abcdef", "expiresAt": "2026-01-02T03:04:05Z",
        "observedGeneration": 1, "conditions": [{"type": "JoinTokenSecretCreated"}],
    }}),
    json!({"spec": {"clusterName": "k"}, "status": {
        "deprecated": {"v1beta1": {"reconciliationStatus": "done", "clusterUID": "u"}},
        "tokenID": "abcdef", "expiresAt": "2026-01-02T03:04:05Z",
        "observedGeneration": 1, "conditions": [{"type": "JoinTokenSecretCreated"}],
    }}),
)]
fn a_request_is_the_same_in_both(#[case] old: Value, #[case] new: Value) {
    let (old, new) = (request(V1BETA1, old), request(V1BETA2, new));
    assert_eq!(newer(&old), new);
    assert_eq!(older(&new), old);
}

/// Upstream writes the annotation for the request's own namespace too.
#[test]
fn an_annotation_with_the_own_namespace_comes_back() {
    let new = request(
        V1BETA2,
        json!({"spec": {"clusterName": "k"}, "annotations": {"k0smotron.io/cluster-ref-namespace": "n"}}),
    );
    let old = older(&new);
    assert_eq!(
        old["spec"]["clusterRef"],
        json!({"name": "k", "namespace": "n"})
    );
    assert_eq!(newer(&old), new);
}

#[test]
fn in_its_own_version_an_object_stays_as_it_is() {
    for version in [V1BETA1, V1BETA2] {
        let given = cluster(version, json!({"spec": {"storage": 1}, "more": [null]}));
        assert_eq!(convert(given.clone(), version).unwrap(), given);
    }
}

#[rstest]
#[case("Pod", V1BETA1, V1BETA2, "kind: Unsupported value: \"Pod\"")]
#[case(
    "Cluster",
    "k0smotron.io/v1",
    V1BETA2,
    "apiVersion: Unsupported value: \"k0smotron.io/v1\""
)]
#[case(
    "Cluster",
    V1BETA1,
    "v1",
    "desiredAPIVersion: Unsupported value: \"v1\""
)]
fn what_is_unknown_is_named(
    #[case] kind: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] message: &str,
) {
    let error = convert(object(kind, from, json!({})), to).unwrap_err();
    assert!(error.to_string().starts_with(message), "{error}");
}

#[rstest]
#[case::spec(json!({"spec": 1}), "spec: must be an object, not a number")]
#[case::service(json!({"spec": {"service": "x"}}), "spec.service: must be an object, not a string")]
#[case::labels(json!({"spec": {"service": {"labels": []}}}), "spec.service.labels: must be an object of strings, not a list")]
#[case::policy(json!({"spec": {"service": {"externalTrafficPolicy": true}}}), "spec.service.externalTrafficPolicy: must be Cluster or Local, not a boolean")]
#[case::status(json!({"status": []}), "status: must be an object, not a list")]
#[case::annotations(json!({"annotations": {"a": 1}}), "metadata.annotations: must be an object of strings, not an object")]
fn a_field_of_the_wrong_type_is_named(#[case] body: Value, #[case] message: &str) {
    let error = try_newer(&cluster(V1BETA1, body)).unwrap_err();
    assert!(matches!(error, ConversionError::Type { .. }));
    assert_eq!(error.to_string(), message);
}

#[rstest]
#[case::storage(json!({"spec": {"storage": "x"}}), "spec.storage: must be an object, not a string")]
#[case::deprecated(json!({"status": {"deprecated": {"v1beta1": 1}}}), "status.deprecated.v1beta1: must be an object, not a number")]
fn a_field_of_the_wrong_type_is_named_the_other_way(#[case] body: Value, #[case] message: &str) {
    let error = try_older(&cluster(V1BETA2, body)).unwrap_err();
    assert_eq!(error.to_string(), message);
}
