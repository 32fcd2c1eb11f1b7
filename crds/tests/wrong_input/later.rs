//! What is right and not honoured yet, and what is odd.

use crds::lookup::Unknown;
use crds::validation::{
    cluster_warnings, conflicts, join_token_request_warnings, not_implemented,
    not_implemented_join_token_request,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, paths, request};

#[rstest]
#[case::ingress(json!({"ingress": {"apiHost": "a", "konnectivityHost": "b"}}), &["spec.ingress"])]
#[case::monitoring(json!({"monitoring": {"enabled": true}}), &["spec.monitoring.enabled"])]
#[case::monitoring_off(json!({"monitoring": {"enabled": false}}), &[])]
#[case::patches(
    json!({"patches": [{"target": {"kind": "a", "component": "b"}, "patch": {"type": "json", "content": "[]"}}]}),
    &["spec.patches"]
)]
#[case::remote(json!({"remoteHostCluster": {"kubeconfigRef": {"name": "a", "namespace": "b"}}}), &["spec.remoteHostCluster"])]
#[case::kine(
    json!({"storage": {"type": "kine", "kine": {"dataSourceURL": "x"}}}), &["spec.storage.type", "spec.storage.kine"]
)]
#[case::kine_without_type(json!({"storage": {"kine": {"dataSourceURL": "x"}}}), &[])]
#[case::nats_without_type(json!({"storage": {"nats": {"persistence": {"size": "0", "storageClass": ""}}}}), &[])]
#[case::nats(json!({"storage": {"type": "nats", "nats": {}}}), &["spec.storage.type", "spec.storage.nats"])]
#[case::defrag(json!({"storage": {"etcd": {"defragJob": {"enabled": true}}}}), &["spec.storage.etcd.defragJob.enabled"])]
#[case::defrag_off(json!({"storage": {"etcd": {"defragJob": {"enabled": false}}}}), &[])]
#[case::projection(
    json!({"mounts": [{"path": "/x", "projected": {"sources": [
        {"configMap": {"name": "a"}}, {"podCertificate": {"signerName": "a", "keyType": "b"}},
    ]}}]}),
    &["spec.mounts[0].projected.sources[1]"]
)]
#[case::all_that_is_honoured(
    json!({
        "replicas": 3, "service": {"type": "LoadBalancer"}, "persistence": {"type": "emptyDir"},
        "k0sConfig": {"spec": {}}, "manifests": [{"name": "a", "emptyDir": {}}],
        "mounts": [{"path": "/a", "emptyDir": {}}], "resources": {}, "controlPlaneFlags": ["-v"],
        "certificateRefs": [{"type": "ca"}], "remoteHostCluster": {},
    }),
    &[]
)]
fn a_field_that_is_not_honoured_yet_is_named(#[case] spec: Value, #[case] wanted: &[&str]) {
    assert_eq!(not_implemented(&cluster(spec).spec), wanted);
}

#[test]
fn a_request_for_a_cluster_elsewhere_is_not_honoured_yet() {
    let mut request = request("t", json!({"clusterName": "c"}));
    assert_eq!(
        not_implemented_join_token_request(&request),
        Vec::<String>::new()
    );
    let annotation = |namespace: &str| {
        Some(
            [(
                "k0smotron.io/cluster-ref-namespace".to_owned(),
                namespace.to_owned(),
            )]
            .into(),
        )
    };
    request.metadata.annotations = annotation("n");
    assert_eq!(
        not_implemented_join_token_request(&request),
        Vec::<String>::new()
    );
    request.metadata.annotations = annotation("other");
    assert_eq!(
        not_implemented_join_token_request(&request),
        ["metadata.annotations[k0smotron.io/cluster-ref-namespace]"]
    );
}

#[test]
fn what_is_odd_and_may_be_right_is_a_warning() {
    let odd = cluster(json!({"replicas": 2, "service": {"type": "NodePort", "apiPort": 6443}}));
    assert_eq!(paths(&cluster_warnings(&odd)), ["spec.replicas"]);
    assert_eq!(
        paths(&conflicts(None, &odd, &Unknown).warnings),
        ["spec.service.apiPort"]
    );
    assert_eq!(cluster_warnings(&cluster(json!({}))), []);
    let kind = |kind: &str| cluster_warnings(&cluster(json!({"k0sConfig": {"kind": kind}})));
    assert_eq!(paths(&kind("Cluster")), ["spec.k0sConfig.kind"]);
    assert_eq!(kind("ClusterConfig"), []);
    let eternal = request("t", json!({"clusterName": "c"}));
    assert_eq!(
        paths(&join_token_request_warnings(&eternal)),
        ["spec.expiry"]
    );
    let daily = request("t", json!({"clusterName": "c", "expiry": "24h"}));
    assert_eq!(join_token_request_warnings(&daily), []);
}
