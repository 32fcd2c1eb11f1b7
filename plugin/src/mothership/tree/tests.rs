use serde_json::{Value, json};

use super::*;
use crate::mothership::view::tests::{cluster, object};
use crate::output::Paint;

fn child(kind: &str, name: &str, component: &str, rest: &Value) -> DynamicObject {
    let mut value = json!({
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": name, "uid": format!("uid-{name}"),
            "creationTimestamp": "2026-11-22T10:00:00Z",
            "labels": {"app": "k0smotron", "cluster": "demo", "component": component},
        },
    });
    for (key, more) in rest.as_object().into_iter().flatten() {
        match (
            value.get_mut(key).and_then(Value::as_object_mut),
            more.as_object(),
        ) {
            (Some(known), Some(more)) => known.extend(more.clone()),
            _ => value[key] = more.clone(),
        }
    }
    object(value)
}

fn owned(by: &str) -> Value {
    json!({"ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": by, "uid": format!("uid-{by}")}
    ]})
}

fn observed() -> Observed {
    let waiting = json!({"state": {"waiting": {"reason": "ImagePullBackOff",
        "message": "Back-off pulling image"}}});
    Observed {
        children: vec![
            child(
                "StatefulSet",
                "kmc-demo-etcd",
                "etcd",
                &json!({
                    "spec": {"replicas": 1}, "status": {"readyReplicas": 1},
                }),
            ),
            child(
                "Pod",
                "kmc-demo-etcd-0",
                "etcd",
                &json!({
                    "metadata": owned("kmc-demo-etcd"),
                    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
                }),
            ),
            child(
                "PersistentVolumeClaim",
                "etcd-data-kmc-demo-etcd-0",
                "etcd",
                &json!({
                    "status": {"phase": "Pending"},
                }),
            ),
            child(
                "StatefulSet",
                "kmc-demo",
                "cluster",
                &json!({
                    "spec": {"replicas": 3},
                    "status": {"readyReplicas": 1, "updatedReplicas": 2, "updateRevision": "b",
                        "currentRevision": "a"},
                }),
            ),
            child(
                "Pod",
                "kmc-demo-0",
                "cluster",
                &json!({
                    "metadata": owned("kmc-demo"),
                    "status": {
                        "conditions": [{"type": "Ready", "status": "False"}],
                        "containerStatuses": [waiting],
                    },
                }),
            ),
            child(
                "Pod",
                "kmc-demo-1",
                "cluster",
                &json!({
                    "metadata": owned("kmc-demo"),
                    "status": {"phase": "Pending", "conditions": [
                        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                         "message": "0/1 nodes are available:\n1 Insufficient memory."},
                    ]},
                }),
            ),
            child(
                "Service",
                "kmc-demo-lb",
                "cluster",
                &json!({
                    "spec": {"type": "LoadBalancer", "ports": [{"name": "api", "port": 6443}]},
                }),
            ),
            child(
                "Service",
                "kmc-demo-etcd",
                "etcd",
                &json!({
                    "spec": {"type": "ClusterIP", "ports": [{"name": "client", "port": 2379}]},
                }),
            ),
            child(
                "Service",
                "kmc-demo-nodeport",
                "cluster",
                &json!({
                    "spec": {"type": "NodePort", "ports": [
                        {"name": "api", "port": 31443, "nodePort": 31443},
                        {"name": "konnectivity", "port": 31132, "nodePort": 31132},
                    ]},
                }),
            ),
            child("Secret", "demo-ca", "", &json!({})),
            child(
                "Secret",
                "demo-kubeconfig",
                "cluster",
                &json!({
                    "metadata": {"labels": {"app.kubernetes.io/component": "kubeconfig"}},
                }),
            ),
            child("ConfigMap", "kmc-demo-config", "cluster", &json!({})),
            child("ConfigMap", "kmc-demo-config", "cluster", &json!({})),
        ],
        requests: vec![object(json!({
            "metadata": {"name": "demo-worker-x7k2p",
                "creationTimestamp": "2026-11-22T10:04:00Z"},
            "spec": {"clusterName": "demo", "role": "worker"},
            "status": {"tokenID": "a1b2c3", "expiresAt": "2026-11-23T10:04:00Z", "conditions": [
                {"type": "JoinTokenSecretCreated", "status": "True", "reason": "Created"},
            ]},
        }))],
        events: vec![crate::mothership::event::tests::event(
            "kmc-demo-etcd-0",
            "u-5",
            &json!({"type": "Warning", "reason": "BackOff", "message": "Back-off restarting"}),
        )],
        ends: [(
            "demo-ca".to_owned(),
            "2027-11-22T10:00:00Z".parse().unwrap(),
        )]
        .into(),
        gaps: vec!["no permission to list poddisruptionbudgets".into()],
    }
}

fn status() -> Value {
    json!({"observedGeneration": 2, "conditions": [
        {"type": "Available", "status": "False", "reason": "NotAllReplicasReady",
         "message": "1 of 3 control-plane pods is ready",
         "lastTransitionTime": "2026-11-22T10:03:00Z"},
        {"type": "Accepted", "status": "True", "reason": "Accepted",
         "lastTransitionTime": "2026-11-22T10:00:01Z"},
        {"type": "Deleting", "status": "False", "reason": "NotDeleting",
         "lastTransitionTime": "2026-11-22T10:00:01Z"},
    ]})
}

fn now() -> Timestamp {
    "2026-11-22T10:05:30Z".parse().unwrap()
}

#[test]
fn everything_has_its_place_and_its_reason() {
    let tree = build(&cluster(status()), &observed(), now());
    insta::assert_snapshot!("tree", table(&tree, now()).render(Paint::Never));
}

#[test]
fn a_cluster_that_nobody_looked_at_says_so() {
    let tree = build(&cluster(json!({})), &Observed::default(), now());
    insta::assert_snapshot!(table(&tree, now()).render(Paint::Never), @r"
    NAME           READY     REASON      SINCE   MESSAGE
    Cluster/demo   Unknown   <pending>   5m30s   the controller has not answered yet
    ");
}

#[test]
fn conditions_of_an_older_spec_count_for_nothing() {
    let mut old = status();
    old["observedGeneration"] = json!(1);
    let tree = build(&cluster(old), &Observed::default(), now());
    let conditions = &tree.children[0];
    assert!(
        conditions
            .children
            .iter()
            .all(|node| node.ready != Health::Good)
    );
}

#[test]
fn claims_of_one_set_are_not_given_to_another() {
    assert!(is_claim_of("etcd-data-kmc-demo-etcd-0", "-kmc-demo-etcd-"));
    assert!(!is_claim_of("etcd-data-kmc-demo-etcd-0", "-kmc-demo-"));
    assert!(is_claim_of("kmc-demo-kmc-demo-12", "-kmc-demo-"));
}

#[test]
fn programs_read_stable_names() {
    let tree = serde_json::to_value(build(&cluster(status()), &observed(), now())).unwrap();
    assert_eq!(tree["ready"], "False");
    assert_eq!(tree["children"][0]["name"], "Conditions");
    assert_eq!(tree["children"][1]["children"][0]["reason"], "1/1");
}
