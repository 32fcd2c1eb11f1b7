//! Objects that are read in one version, changed and written back.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::server::Server;
use crate::{V1BETA2, annotations, cluster, newer, older, request};

fn nats() -> Value {
    cluster(
        V1BETA2,
        json!({
            "spec": {
                "storage": {"type": "nats", "etcd": {"image": "i"}, "nats": {"persistence": {"size": "2Gi"}}},
                "patches": [{"target": {"kind": "Service", "component": "c"}, "patch": {"type": "json", "content": "[]"}}],
            },
            "status": {"replicas": 1, "selector": "a=b", "ports": {"api": 1, "konnectivity": 2}},
        }),
    )
}

#[test]
fn a_change_through_v1beta1_keeps_nats_and_patches() {
    let mut old = older(&nats());
    old["spec"]["replicas"] = json!(3);
    old["spec"]["controllerPlaneFlags"] = json!(["--x"]);
    old["metadata"]["labels"] = json!({"a": "b"});
    let mut wanted = nats();
    wanted["spec"]["replicas"] = json!(3);
    wanted["spec"]["controlPlaneFlags"] = json!(["--x"]);
    wanted["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(newer(&old), wanted);
}

#[test]
fn without_its_etcd_settings_a_nats_cluster_stays_one() {
    let mut old = older(&nats());
    old["spec"].as_object_mut().unwrap().remove("etcd");
    let new = newer(&old);
    assert_eq!(
        new["spec"]["storage"],
        json!({"type": "nats", "nats": {"persistence": {"size": "2Gi"}}})
    );
}

#[test]
fn a_kine_source_set_through_v1beta1_wins_over_nats() {
    let mut old = older(&nats());
    old["spec"]["kineDataSourceURL"] = json!("mysql://x");
    let new = newer(&old);
    assert_eq!(new["spec"]["storage"]["type"], "kine");
    assert_eq!(new["spec"]["storage"]["kine"]["dataSourceURL"], "mysql://x");
    assert!(new["spec"]["patches"].is_array());
}

#[test]
fn persistence_set_through_v1beta1_wins() {
    let said = json!({"type": "emptyDir", "autoDeletePVCs": false});
    let given = cluster(
        V1BETA2,
        json!({"spec": {"persistence": said, "storage": {"type": "etcd"}}}),
    );
    let mut old = older(&given);
    old["spec"]["persistence"] = json!({"type": "hostPath", "hostPath": "/x"});
    let new = newer(&old);
    assert_eq!(new["spec"]["persistence"], old["spec"]["persistence"]);
    assert!(annotations(&new).is_null());
}

#[test]
fn service_labels_changed_or_removed_through_v1beta1_are_so_in_v1beta2() {
    let key = "k0smotron.io/conversion-dropped-service.labels";
    let given = cluster(
        V1BETA2,
        json!({"spec": {"service": {"type": "ClusterIP"}, "storage": {"type": "etcd"}}, "annotations": {key: r#"{ "a": "b" }"#}}),
    );
    let mut old = older(&given);
    old["spec"]["service"]["labels"]["a"] = json!("c");
    assert_eq!(annotations(&newer(&old)), &json!({key: r#"{"a":"c"}"#}));
    old["spec"]["service"]
        .as_object_mut()
        .unwrap()
        .remove("labels");
    assert!(annotations(&newer(&old)).is_null());
}

#[test]
fn a_request_moved_to_another_namespace_through_v1beta1_is_moved() {
    let key = "k0smotron.io/cluster-ref-namespace";
    let given = request(
        V1BETA2,
        json!({"spec": {"clusterName": "k"}, "annotations": {key: "n"}}),
    );
    let mut old = older(&given);
    old["spec"]["clusterRef"]["namespace"] = json!("other");
    assert_eq!(annotations(&newer(&old)), &json!({key: "other"}));
}

#[test]
fn the_status_does_not_depend_on_annotations() {
    let mut old = older(&nats());
    old["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    assert_eq!(newer(&old)["status"], nats()["status"]);
}

#[test]
fn a_change_through_v1beta2_wins_over_what_v1beta1_said() {
    let old = cluster(
        crate::V1BETA1,
        json!({"spec": {"kineDataSourceURL": "", "persistence": {"type": "emptyDir"}}}),
    );
    let mut new = newer(&old);
    new["spec"]["storage"] = json!({"type": "kine", "kine": {"dataSourceURL": "mysql://x"}});
    let read = older(&new);
    assert_eq!(read["spec"]["kineDataSourceURL"], "mysql://x");
}

/// What a client holds may be written with other defaults than it was read with.
#[rstest]
#[case::nothing(json!({}))]
#[case::nodeport(json!({"service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0}}))]
#[case::nats(json!({"storage": {"type": "nats"}}))]
#[case::kine(json!({"storage": {"type": "kine", "kine": {"dataSourceSecretName": "s"}}}))]
#[case::claim(json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {"spec": {}}}}))]
fn labelling_through_v1beta1_changes_no_spec(#[case] spec: Value) {
    let server = Server::new("Cluster");
    let stored = server.stored(&cluster(V1BETA2, json!({"spec": spec})));
    let mut read = server.read_v1beta1(&stored);
    read["metadata"]["labels"] = json!({"a": "b"});
    let written = server.stored(&read);
    assert_eq!(written["spec"], stored["spec"]);
    assert_eq!(written["metadata"].get("annotations"), None);
}

#[rstest]
#[case::no_json("{", "expected a sequence")]
#[case::another_field(r#"[{"path": "/metadata/name", "value": "x"}]"#, "/metadata/name")]
#[case::the_status(
    r#"[{"path": "/status/ports", "value": {"api": 1, "konnectivity": 2}}]"#,
    "/status/ports"
)]
#[case::an_annotation(r#"[{"path": "annotation:not ours", "value": "x"}]"#, "not ours")]
#[case::a_beginning(r#"[{"path": "/specs", "value": "x"}]"#, "/specs")]
#[case::what_nobody_can_read(r#"[{"path": "/spec/patches", "value": "x"}]"#, "expected a sequence")]
#[case::an_unknown_word(
    r#"[{"path": "/spec/storage/type", "value": "tape", "over": "etcd"}]"#,
    "tape"
)]
fn a_tampered_annotation_is_named_and_goes_along(#[case] text: &str, #[case] message: &str) {
    let mut old = older(&nats());
    old["metadata"]["annotations"] = json!({"k0smotron.io/only-in-v1beta2": text});
    let new = newer(&old);
    let error = annotations(&new)["k0smotron.io/conversion-error"].as_str();
    let error = error.unwrap();
    let beginning = "metadata.annotations[k0smotron.io/only-in-v1beta2]: ";
    assert!(error.starts_with(beginning), "{error}");
    assert!(error.contains(message), "{error}");
    assert_eq!(older(&new), old);
}

/// One object that cannot be read would take the list of all with it.
#[rstest]
#[case::no_json("{")]
#[case::another_field(r#"[{"path": "/metadata/name", "value": "x"}]"#)]
#[case::the_status(r#"[{"path": "/status/ports", "value": {"api": 7, "konnectivity": 8}}]"#)]
#[case::an_annotation(r#"[{"path": "annotation:not ours", "value": "x"}]"#)]
#[case::what_nobody_can_read(r#"[{"path": "/spec/replicas", "value": "x"}]"#)]
#[case::an_unknown_word(r#"[{"path": "/spec/service", "value": {"type": "x"}}]"#)]
fn a_tampered_annotation_is_passed_over_when_read(#[case] text: &str) {
    let mut new = nats();
    let plain = older(&new);
    new["metadata"]["annotations"] = json!({"k0smotron.io/only-in-v1beta1": text});
    let read = older(&new);
    assert_eq!(
        (&read["spec"], &read["status"]),
        (&plain["spec"], &plain["status"])
    );
    assert_eq!(newer(&read), new);
}

proptest! {
    #[test]
    fn whatever_the_body_is_there_is_an_answer(
        spec in crate::generator::any_json(),
        status in crate::generator::any_json(),
        text in ".{0,40}",
        kind in prop::sample::select(vec!["Cluster", "JoinTokenRequest"]),
        from in prop::sample::select(vec![crate::V1BETA1, V1BETA2]),
        to in prop::sample::select(vec![crate::V1BETA1, V1BETA2]),
    ) {
        let given = crate::object(kind, from, json!({
            "spec": spec, "status": status,
            "annotations": {"k0smotron.io/only-in-v1beta1": text, "k0smotron.io/only-in-v1beta2": text},
        }));
        if let Ok(result) = crds::conversion::convert(given, to) {
            prop_assert_eq!(&result["apiVersion"], to);
        }
    }
}
