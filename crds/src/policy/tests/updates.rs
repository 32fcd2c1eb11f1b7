//! What was so before, and what an update may make of it.

use rstest::rstest;
use serde_json::{Value, json};

use super::super::Outcome;
use super::{Known, cluster, create, decide, policies, texts};

#[test]
fn what_was_so_before_an_update_is_no_reason_to_refuse_it() {
    let policies = policies(&json!({"replicas": {"max": 3}, "serviceTypes": ["ClusterIP"]}));
    let old = cluster(&json!({"replicas": 5, "service": {"type": "NodePort"}}));
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"note": "x"});
    let outcome = decide(&policies, &new, Some(&old), &Known::default());
    assert_eq!(texts(&outcome), Vec::<String>::new());
    assert_eq!(outcome.warnings.len(), 2);
    assert!(outcome.warnings[0].ends_with("; accepted because it was so before"));
    new["spec"]["replicas"] = json!(7);
    let outcome = decide(&policies, &new, Some(&old), &Known::default());
    assert_eq!(outcome.errors.len(), 1, "a worse value is refused");
    assert_eq!(outcome.warnings.len(), 1);
}

fn mounts(mounts: &Value) -> Value {
    cluster(&json!({ "mounts": mounts }))
}

fn host(at: &str, path: &str) -> Value {
    json!({"path": at, "hostPath": {"path": path}})
}

fn long(end: &str) -> String {
    format!("registry.example.org/{}/{end}", "a".repeat(120))
}

/// What is forbidden and was there, what may become of it, and what may not.
#[rstest]
#[case::another_value(
    mounts(&json!([host("/a", "/x")])),
    mounts(&json!([host("/a", "/x"), {"path": "/b", "emptyDir": {}}])),
    mounts(&json!([host("/a", "/")]))
)]
#[case::moved(
    mounts(&json!([host("/a", "/x")])),
    mounts(&json!([{"path": "/b", "emptyDir": {}}, host("/a", "/x")])),
    mounts(&json!([host("/b", "/"), host("/a", "/x")]))
)]
#[case::doubled(
    mounts(&json!([host("/a", "/x"), {"path": "/b", "emptyDir": {}}])),
    mounts(&json!([{"path": "/b", "emptyDir": {}}, host("/a", "/x")])),
    mounts(&json!([host("/a", "/x"), host("/a", "/x")]))
)]
#[case::elsewhere_in_the_container(
    mounts(&json!([host("/a", "/x")])),
    mounts(&json!([{"path": "/a", "readOnly": false, "hostPath": {"path": "/x"}}])),
    mounts(&json!([host("/etc", "/x")]))
)]
#[case::no_longer_read_only(
    mounts(&json!([{"path": "/a", "readOnly": true, "hostPath": {"path": "/x"}}])),
    mounts(&json!([])),
    mounts(&json!([host("/a", "/x")]))
)]
#[case::a_list(
    cluster(&json!({"controlPlaneFlags": ["--debug"]})),
    cluster(&json!({"controlPlaneFlags": ["--debug"], "replicas": 3})),
    cluster(&json!({"controlPlaneFlags": ["--debug", "--enable-k0s-cloud-provider"]}))
)]
#[case::an_object(
    cluster(&json!({"k0sConfig": {"spec": {"a": 1}}})),
    cluster(&json!({"k0sConfig": {"spec": {"a": 1}}, "replicas": 3})),
    cluster(&json!({"k0sConfig": {"spec": {"a": 2}}}))
)]
#[case::a_long_text(
    cluster(&json!({"image": long("old")})),
    cluster(&json!({"image": long("old"), "replicas": 3})),
    cluster(&json!({"image": long("new")}))
)]
#[case::an_image_of_a_volume(
    mounts(&json!([{"path": "/a", "image": {"reference": "docker.io/a"}}])),
    mounts(&json!([{"path": "/b", "emptyDir": {}}, {"path": "/a", "image": {"reference": "docker.io/a"}}])),
    mounts(&json!([
        {"path": "/b", "image": {"reference": "docker.io/b"}}, {"path": "/a", "image": {"reference": "docker.io/a"}},
    ]))
)]
#[case::a_volume_of_an_image_elsewhere_in_the_container(
    mounts(&json!([{"path": "/a", "image": {"reference": "docker.io/a"}}])),
    mounts(&json!([{"path": "/a", "readOnly": false, "image": {"reference": "docker.io/a"}}])),
    mounts(&json!([{"path": "/b", "image": {"reference": "docker.io/a"}}]))
)]
#[case::the_outer_item_of_two(
    mounts(&json!([{"path": "/a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}])),
    mounts(&json!([{"path": "/b", "emptyDir": {}},
        {"path": "/a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}])),
    mounts(&json!([{"path": "/b", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]))
)]
#[case::switched_on(
    cluster(&json!({"persistence": {"type": "emptyDir", "hostPath": "/"}})),
    cluster(&json!({"persistence": {"type": "emptyDir", "hostPath": "/", "autoDeletePVCs": false}, "replicas": 3})),
    cluster(&json!({"persistence": {"type": "hostPath", "hostPath": "/"}}))
)]
#[case::switched_on_further_out(
    cluster(&json!({"persistence": {"type": "emptyDir", "persistentVolumeClaim": {"spec": {"storageClassName": "fast"}}}})),
    cluster(&json!({"persistence": {"type": "emptyDir", "persistentVolumeClaim": {
        "spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}}}})),
    cluster(&json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {"spec": {"storageClassName": "fast"}}}}))
)]
#[case::the_image_of_a_helper_that_did_not_run(
    cluster(&json!({"monitoring": {"enabled": false, "proxyImage": "docker.io/a"}})),
    cluster(&json!({"monitoring": {"proxyImage": "docker.io/a"}, "replicas": 3})),
    cluster(&json!({"monitoring": {"enabled": true, "proxyImage": "docker.io/a"}}))
)]
#[case::a_label(
    json!({"metadata": {"labels": {"team": long("old")}}, "spec": {}}),
    json!({"metadata": {"labels": {"team": long("old")}}, "spec": {"replicas": 3}}),
    json!({"metadata": {"labels": {"team": long("new")}}, "spec": {}})
)]
fn what_is_forbidden_does_not_come_in_by_changing_what_was_there(
    #[case] old: Value,
    #[case] kept: Value,
    #[case] changed: Value,
) {
    let policies = policies(&json!({
        "forbiddenFields": [
            "spec.mounts[*].hostPath", "spec.mounts[*].projected.sources[*].serviceAccountToken",
            "spec.controlPlaneFlags", "spec.k0sConfig", "spec.persistence.hostPath",
            "spec.persistence.persistentVolumeClaim.spec.storageClassName",
        ],
        "images": ["quay.io"],
        "requiredLabels": [{"key": "team", "values": ["blue"]}],
    }));
    let mut old = old;
    let mut kept = kept;
    let mut changed = changed;
    for object in [&mut old, &mut kept, &mut changed] {
        let labels = &mut object["metadata"]["labels"];
        if labels.is_null() {
            *labels = json!({"team": "blue"});
        }
    }
    let outcome = decide(&policies, &kept, Some(&old), &Known::default());
    assert_eq!(texts(&outcome), Vec::<String>::new());
    let outcome = decide(&policies, &changed, Some(&old), &Known::default());
    assert_eq!(outcome.errors.len(), 1, "{outcome:?}");
    // Gone, it does not come back.
    let mut gone = cluster(&json!({}));
    gone["metadata"]["labels"] = json!({"team": "blue"});
    let outcome = decide(&policies, &old, Some(&gone), &Known::default());
    assert_eq!(outcome.errors.len(), 1, "{outcome:?}");
}

/// What was there may become the one, and not the other.
#[rstest]
#[case::another_folder_of_the_node(
    json!({"persistenceTypes": ["emptyDir"]}),
    cluster(&json!({"persistence": {"type": "hostPath", "hostPath": "/srv/k0s"}})),
    cluster(&json!({"persistence": {"type": "hostPath", "hostPath": "/srv/k0s"}, "replicas": 3})),
    cluster(&json!({"persistence": {"type": "hostPath", "hostPath": "/etc/kubernetes"}}))
)]
#[case::no_limit_at_all(
    json!({"resources": {"controlPlane": {"limits": {"memory": {"max": "2Gi"}}}}}),
    cluster(&json!({"resources": {"limits": {"memory": "4096Mi"}}})),
    cluster(&json!({"resources": {"limits": {"memory": "4Gi"}}})),
    cluster(&json!({"resources": {"limits": {"memory": "0"}}}))
)]
#[case::the_version_in_other_words(
    json!({"versions": [">=1.36"]}),
    cluster(&json!({"version": "v1.35.1"})),
    cluster(&json!({"version": "v1.35.1+k0s.0"})),
    cluster(&json!({"version": "v1.35.1-k0s.1"}))
)]
#[case::what_stands_beside_it(
    json!({"forbiddenFields": ["spec.storage.etcd.args"]}),
    cluster(&json!({"storage": {"etcd": {"image": "etcd:v1", "args": ["--x=1"]}}})),
    cluster(&json!({"storage": {"etcd": {"image": "etcd:v2", "args": ["--x=1"]}}})),
    cluster(&json!({"storage": {"etcd": {"image": "etcd:v1", "args": ["--x=2"]}}}))
)]
#[case::no_longer_disabled(
    json!({"forbiddenFields": ["spec.k0sConfig.spec.network.kubeProxy.mode"]}),
    cluster(&json!({"k0sConfig": {"spec": {"network": {"kubeProxy": {"disabled": true, "mode": "ipvs"}}}}})),
    cluster(&json!({"k0sConfig": {"spec": {"network": {"kubeProxy": {"disabled": true, "mode": "ipvs"}}}}, "replicas": 3})),
    cluster(&json!({"k0sConfig": {"spec": {"network": {"kubeProxy": {"disabled": false, "mode": "ipvs"}}}}}))
)]
#[case::another_mode(
    json!({"forbiddenFields": ["spec.k0sConfig.spec.network.kubeProxy.ipvs"]}),
    cluster(&json!({"k0sConfig": {"spec": {"network": {"kubeProxy": {"mode": "iptables", "ipvs": {"strictARP": true}}}}}})),
    cluster(&json!({"k0sConfig": {"spec": {"network": {"kubeProxy": {"mode": "iptables", "ipvs": {"strictARP": true}}}}}, "replicas": 3})),
    cluster(&json!({"k0sConfig": {"spec": {"network": {"kubeProxy": {"mode": "ipvs", "ipvs": {"strictARP": true}}}}}}))
)]
#[case::a_path_in_brackets(
    json!({"forbiddenFields": ["spec.persistence['hostPath']"]}),
    cluster(&json!({"persistence": {"type": "emptyDir", "hostPath": "/"}})),
    cluster(&json!({"persistence": {"type": "emptyDir", "hostPath": "/"}, "replicas": 3})),
    cluster(&json!({"persistence": {"type": "hostPath", "hostPath": "/"}}))
)]
#[case::what_the_webhook_fills_in(
    json!({"forbiddenFields": ["spec.ingress"]}),
    cluster(&json!({"ingress": {"apiHost": "a.example.org"}})),
    cluster(&json!({"ingress": {"apiHost": "a.example.org", "deploy": true}, "replicas": 3})),
    cluster(&json!({"ingress": {"apiHost": "b.example.org", "deploy": true}}))
)]
#[case::a_type_that_the_webhook_fills_in(
    json!({"forbiddenFields": ["spec.service.apiPort"]}),
    cluster(&json!({"service": {"type": "", "apiPort": 31000}})),
    cluster(&json!({"service": {"type": "ClusterIP", "apiPort": 31000}})),
    cluster(&json!({"service": {"type": "NodePort", "apiPort": 31000}}))
)]
#[case::deployed_by_leaving_that_out(
    json!({"forbiddenFields": ["spec.ingress.annotations"]}),
    cluster(&json!({"ingress": {"deploy": false, "annotations": {"a": "b"}}})),
    cluster(&json!({"ingress": {"deploy": false, "annotations": {"a": "b"}, "port": 8443}})),
    cluster(&json!({"ingress": {"annotations": {"a": "b"}}}))
)]
#[case::an_annotation_that_counts_from_now_on(
    json!({"forbiddenFields": [format!("metadata.annotations[{CLASS:?}]")]}),
    json!({"metadata": {"annotations": {CLASS: "\"a\""}}, "spec": {"service": {"type": "ClusterIP"}}}),
    json!({"metadata": {"annotations": {CLASS: "\"a\""}}, "spec": {"service": {"type": "ClusterIP"}, "replicas": 3}}),
    json!({"metadata": {"annotations": {CLASS: "\"a\""}}, "spec": {"service": {"type": "LoadBalancer"}}})
)]
fn what_was_there_is_told_by_what_it_means(
    #[case] spec: Value,
    #[case] old: Value,
    #[case] kept: Value,
    #[case] changed: Value,
) {
    let policies = policies(&spec);
    let outcome = decide(&policies, &kept, Some(&old), &Known::default());
    assert_eq!(texts(&outcome), Vec::<String>::new());
    let outcome = decide(&policies, &changed, Some(&old), &Known::default());
    assert_eq!(outcome.errors.len(), 1, "{outcome:?}");
}

const CLASS: &str = crate::names::LOAD_BALANCER_CLASS_ANNOTATION;

/// A Cluster as a Go client writes it that sets a version alone.
fn zeros() -> Value {
    cluster(&json!({
        "version": "v1.36.3-k0s.2", "persistence": {"type": ""},
        "monitoring": {"enabled": false, "prometheusImage": "", "proxyImage": ""},
        "storage": {
            "type": "etcd",
            "etcd": {
                "image": "", "persistence": {"size": "0", "storageClass": ""},
                "defragJob": {"enabled": false, "image": "", "rule": "", "schedule": ""},
            },
            "nats": {"persistence": {"size": "0", "storageClass": ""}},
        },
    }))
}

#[test]
fn zeros_of_go_clients_are_forbidden_nowhere() {
    let policies = policies(&json!({"forbiddenFields": [
        "spec.monitoring", "spec.persistence", "spec.storage.nats", "spec.storage.etcd.defragJob",
    ]}));
    assert_eq!(create(&policies, &zeros()), Outcome::default());
    for (field, value) in [
        ("/spec/monitoring/enabled", json!(true)),
        ("/spec/persistence/type", json!("hostPath")),
        ("/spec/storage/nats/persistence/size", json!("1Gi")),
        ("/spec/storage/etcd/defragJob/schedule", json!("0 0 * * *")),
    ] {
        let mut object = zeros();
        *object.pointer_mut(field).unwrap() = value;
        assert_eq!(create(&policies, &object).errors.len(), 1, "{field}");
    }
}

#[rstest]
#[case::a_type("object.spec.persistence.type == 'emptyDir'")]
#[case::a_size("object.spec.storage.etcd.persistence.size == '1Gi'")]
#[case::an_image("object.spec.storage.etcd.image.startsWith('quay.io/')")]
#[case::nothing("!has(object.spec.storage.etcd.persistence.storageClass)")]
#[case::as_it_was("oldObject == null || oldObject.spec.persistence.type == 'emptyDir'")]
fn a_free_rule_sees_what_the_product_takes_zeros_for(#[case] expression: &str) {
    let policies = policies(&json!({"rules": [
        {"name": "read", "expression": expression, "message": "no"},
    ]}));
    let object = zeros();
    assert_eq!(create(&policies, &object), Outcome::default());
    let outcome = decide(&policies, &object, Some(&object), &Known::default());
    assert_eq!(texts(&outcome), Vec::<String>::new());
}

#[test]
fn a_cluster_without_a_version_has_the_one_that_it_runs() {
    let policies = policies(&json!({"versions": [">=1.36.0"]}));
    let runs = |version: &str| {
        let mut object = cluster(&json!({}));
        object["status"] = json!({ "version": version });
        object
    };
    let mut old = runs("v1.35.1-k0s.0");
    assert_eq!(create(&policies, &old).errors.len(), 1);
    assert_eq!(
        create(&policies, &runs("v1.36.1-k0s.0")),
        Outcome::default()
    );
    assert_eq!(create(&policies, &runs("")), Outcome::default());
    // Not to say it anymore does not make it a newer one.
    let new = old.clone();
    old["spec"]["version"] = json!("v1.36.3-k0s.2");
    let outcome = decide(&policies, &new, Some(&old), &Known::default());
    assert_eq!(outcome.errors.len(), 1, "{outcome:?}");
}
