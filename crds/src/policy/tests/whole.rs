//! Actions, selection, updates, scale, limits of namespaces, broken policies, defaults.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use super::super::{Input, Outcome, Policies, validate_policy};
use super::{Known, cluster, create, decide, policies, policy, request, texts, token};
use crate::admission::Operation;
use crate::lookup::{Unknown, Usage};
use crate::v1beta2::PolicyKind;

fn labelled(labels: &[(&str, &str)]) -> Known {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Known {
        labels: labels.collect(),
        ..Known::default()
    }
}

#[test]
fn policies_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Policies>();
}

#[test]
fn an_action_says_what_becomes_of_a_violation() {
    let with = |action: &str| {
        let spec = json!({"action": action, "serviceTypes": ["LoadBalancer"]});
        create(&policies(&spec), &cluster(&json!({})))
    };
    let Outcome {
        errors,
        warnings,
        audits,
    } = with("Enforce");
    assert_eq!((errors.len(), warnings.len(), audits.len()), (1, 0, 0));
    let text = errors[0].to_string();
    assert_eq!(with("Warn").warnings, std::slice::from_ref(&text));
    assert_eq!(with("Warn").errors, []);
    assert_eq!(with("Audit").audits, [text]);
    assert_eq!(with("Audit").warnings, Vec::<String>::new());
}

#[test]
fn a_free_rule_can_have_an_action_of_its_own() {
    let outcome = create(
        &policies(&json!({"rules": [
            {"name": "a", "expression": "false", "action": "Warn"},
            {"name": "b", "expression": "false"},
        ]})),
        &cluster(&json!({})),
    );
    assert_eq!(outcome.errors.len(), 1);
    assert_eq!(outcome.warnings.len(), 1);
}

#[rstest]
#[case(json!({}), true)]
#[case(json!({"matchLabels": {"env": "prod"}}), true)]
#[case(json!({"matchLabels": {"env": "test"}}), false)]
#[case(json!({"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod", "stage"]}]}), true)]
#[case(json!({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}), false)]
#[case(json!({"matchLabels": {"kubernetes.io/metadata.name": "team-a"}}), true)]
#[case(json!({"matchLabels": {"kubernetes.io/metadata.name": "team-b"}}), false)]
fn a_policy_holds_in_the_namespaces_that_it_selects(
    #[case] selector: Value,
    #[case] selected: bool,
) {
    let policies = policies(&json!({"namespaceSelector": selector, "replicas": {"min": 3}}));
    let outcome = decide(
        &policies,
        &cluster(&json!({})),
        None,
        &labelled(&[("env", "prod")]),
    );
    assert_eq!(!outcome.errors.is_empty(), selected);
}

#[test]
fn a_namespace_that_is_not_known_has_its_name_only() {
    let asked = |selector: Value| {
        let policies = policies(&json!({"namespaceSelector": selector, "replicas": {"min": 3}}));
        let object = cluster(&json!({}));
        let outcome = policies.decide(&Input {
            request: &request(&object, None),
            kind: PolicyKind::Cluster,
            mothership: &Unknown,
        });
        !outcome.errors.is_empty()
    };
    assert!(!asked(json!({"matchLabels": {"env": "prod"}})));
    assert!(asked(
        json!({"matchLabels": {"kubernetes.io/metadata.name": "team-a"}})
    ));
}

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

#[test]
fn nothing_is_said_about_what_goes() {
    let policies = policies(&json!({"replicas": {"max": 0}}));
    let mut object = cluster(&json!({"replicas": 1}));
    let mut deleted = request(&object, Some(&object));
    deleted.operation = Operation::Delete;
    let mut status = request(&object, None);
    status.sub_resource = Some("status");
    for request in [&deleted, &status] {
        let outcome = policies.decide(&Input {
            request,
            kind: PolicyKind::Cluster,
            mothership: &Unknown,
        });
        assert_eq!(outcome, Outcome::default());
    }
    object["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z");
    let going = request(&object, Some(&object));
    let outcome = policies.decide(&Input {
        request: &going,
        kind: PolicyKind::Cluster,
        mothership: &Unknown,
    });
    assert_eq!(outcome, Outcome::default());
    // What is new only says so.
    assert_ne!(create(&policies, &object), Outcome::default());
}

fn scale(policies: &Policies, from: i64, to: i64, known: &Known) -> Outcome {
    let scale = |replicas: i64| json!({"kind": "Scale", "spec": {"replicas": replicas}});
    let (new, old) = (scale(to), scale(from));
    let mut request = request(&new, Some(&old));
    request.sub_resource = Some("scale");
    policies.decide(&Input {
        request: &request,
        kind: PolicyKind::Cluster,
        mothership: known,
    })
}

#[test]
fn scale_is_held_against_the_stored_cluster() {
    let policies = policies(&json!({
        "replicas": {"max": 3}, "serviceTypes": ["LoadBalancer"],
        "rules": [{"name": "odd", "expression": "object.spec.replicas % 2 == 1 && request.subResource == 'scale'"}],
    }));
    let stored = cluster(&json!({"replicas": 1, "service": {"type": "NodePort"}}));
    let known = Known {
        cluster: Some(serde_json::from_value(stored).unwrap()),
        ..Known::default()
    };
    let outcome = scale(&policies, 1, 3, &known);
    assert_eq!(texts(&outcome), Vec::<String>::new());
    assert_eq!(outcome.warnings.len(), 1, "the service was so before");
    let outcome = scale(&policies, 1, 4, &known);
    assert_eq!(outcome.errors.len(), 2, "{outcome:?}");
    let outcome = scale(&policies, 1, 5, &Known::default());
    assert_eq!(outcome.errors.len(), 1, "what is not known is not asked");
    let late = cluster(&json!({"replicas": 5, "service": {"type": "LoadBalancer"}}));
    let late = Known {
        cluster: Some(serde_json::from_value(late).unwrap()),
        ..Known::default()
    };
    let outcome = scale(&policies, 1, 5, &late);
    assert_eq!(outcome.errors.len(), 1, "the watch is late: {outcome:?}");
}

#[rstest]
#[case::room(2, 5, 1, true)]
#[case::one_too_many(3, 3, 1, false)]
#[case::pods(1, 8, 3, false)]
#[case::just_fits(1, 7, 3, true)]
fn a_new_cluster_has_to_fit_into_its_namespace(
    #[case] clusters: usize,
    #[case] replicas: i64,
    #[case] wanted: i64,
    #[case] fits: bool,
) {
    let policies = policies(&json!({"namespaceLimits": {"clusters": 3, "replicas": 10}}));
    let known = Known {
        usage: Usage { clusters, replicas },
        ..Known::default()
    };
    let object = cluster(&json!({"replicas": wanted}));
    let outcome = decide(&policies, &object, None, &known);
    assert_eq!(outcome.errors.is_empty(), fits, "{outcome:?}");
}

#[test]
fn only_growth_is_held_against_the_limits_of_a_namespace() {
    let policies = policies(&json!({"namespaceLimits": {"clusters": 1, "replicas": 4}}));
    let known = Known {
        usage: Usage {
            clusters: 7,
            replicas: 9,
        },
        ..Known::default()
    };
    assert_eq!(texts(&scale(&policies, 5, 3, &known)), Vec::<String>::new());
    assert_eq!(texts(&scale(&policies, 3, 3, &known)), Vec::<String>::new());
    assert_eq!(
        texts(&scale(&policies, 3, 5, &known)),
        [
            "spec.replicas: \"5\": is not allowed by policy \"teams\", rule namespaceLimits (at most 4 control-plane pods in this namespace, whose other clusters have 9)"
        ]
    );
}

#[rstest]
#[case(json!({"versions": ["latest"]}), "spec.versions[0]")]
#[case(json!({"images": ["k0sproject"]}), "spec.images[0]")]
#[case(json!({"forbiddenFields": ["status.x"]}), "spec.forbiddenFields[0]")]
#[case(json!({"requiredLabels": [{"key": "a", "pattern": "["}]}), "spec.requiredLabels[0].pattern")]
#[case(json!({"resources": {"etcd": {"limits": {"cpu": {"max": "much"}}}}}), "spec.resources.etcd.limits.cpu.max")]
#[case(json!({"rules": [{"name": "a", "expression": "object.spec ="}]}), "spec.rules[0].expression")]
#[case(json!({"rules": [{"name": "a", "expression": "true", "messageExpression": "nobody"}]}), "spec.rules[0].messageExpression")]
#[case(json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}, "replicas": {"max": 1}}), "spec.namespaceSelector")]
fn a_policy_that_cannot_be_read_holds_back_what_is_new_only(
    #[case] spec: Value,
    #[case] path: &str,
) {
    let faults = validate_policy(&policy("teams", &spec));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].path, path);
    let policies = policies(&spec);
    assert_eq!(policies.faults("teams"), Some(faults.as_slice()));
    let object = cluster(&json!({"replicas": 1}));
    let outcome = create(&policies, &object);
    let text = outcome.errors[0].to_string();
    assert!(
        text.contains("policy \"teams\", which cannot be read"),
        "{text}"
    );
    assert!(text.contains(path), "{text}");
    let outcome = decide(&policies, &object, Some(&object), &Known::default());
    assert_eq!(texts(&outcome), Vec::<String>::new());
    assert!(!outcome.warnings.is_empty());
}

#[rstest]
#[case(json!({"maxTokenLifetime": "0s"}), "spec.maxTokenLifetime")]
#[case(json!({"maxTokenLifetime": "a day"}), "spec.maxTokenLifetime")]
#[case(json!({"replicas": {"min": 3, "max": 1}}), "spec.replicas")]
#[case(json!({"requiredLabels": [{"key": "a b"}]}), "spec.requiredLabels[0].key")]
#[case(json!({"rules": [{"name": "a", "expression": "true"}, {"name": "a", "expression": "true"}]}), "spec.rules[1].name")]
#[case(json!({"rules": [{"name": "A b", "expression": "true"}]}), "spec.rules[0].name")]
#[case(json!({"defaults": {"labels": {"a b": "c"}}}), "spec.defaults.labels[a b]")]
#[case(json!({"defaults": {"spec": {"replicas": 3}}}), "spec.defaults.spec.replicas")]
#[case(json!({"defaults": {"spec": {"service": {"type": "LoadBalancer"}}}}), "spec.defaults.spec.service.type")]
#[case(json!({"defaults": {"spec": {"replica": 3}}}), "spec.defaults.spec.replica")]
#[case(json!({"defaults": {"spec": {"controlPlaneFlags": "--debug"}}}), "spec.defaults.spec")]
#[case(json!({"resources": {"etcd": {"limits": {"cpu": {"min": 2, "max": 1}}}}}), "spec.resources.etcd.limits.cpu")]
fn what_makes_no_sense_is_refused_at_the_policys_own_admission(
    #[case] spec: Value,
    #[case] path: &str,
) {
    let faults = validate_policy(&policy("teams", &spec));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].path, path);
}

#[test]
fn a_fault_of_an_expression_has_line_and_column() {
    let spec =
        json!({"rules": [{"name": "a", "expression": "object.spec.replicas == 1 &&\n  self.x"}]});
    let faults = validate_policy(&policy("teams", &spec));
    assert!(
        faults[0]
            .message
            .starts_with("line 2, column 3: unknown variable \"self\""),
        "{faults:?}"
    );
}

#[test]
fn a_policy_about_clusters_has_nothing_to_say_about_tokens() {
    let policies = policies(&json!({"versions": ["latest"], "replicas": {"max": 0}}));
    assert_eq!(create(&policies, &token("0s")), Outcome::default());
}

fn fill(spec: &[Value], object: &mut Value, operation: Operation) -> bool {
    let list = spec.iter().enumerate();
    let policies = Policies::new(
        list.map(|(index, defaults)| policy(&format!("p{index}"), &json!({"defaults": defaults}))),
    );
    let submitted = object.clone();
    let mut request = request(&submitted, None);
    request.operation = operation;
    let input = Input {
        request: &request,
        kind: super::kind(&submitted),
        mothership: &Unknown,
    };
    policies.apply_defaults(&input, object)
}

#[test]
fn defaults_fill_in_what_is_left_out_and_nothing_else() {
    let defaults = [
        json!({"labels": {"team": "none", "tier": "b"}, "spec": {
            "version": "v1.35.1", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}}),
        json!({"labels": {"tier": "c", "x": "y"}, "spec": {"version": "v1.36.0"}}),
    ];
    let mut object = cluster(&json!({"resources": {"requests": {"cpu": "2"}}}));
    object["metadata"]["labels"] = json!({"team": "web"});
    assert!(fill(&defaults, &mut object, Operation::Create));
    assert_eq!(
        object["metadata"]["labels"],
        json!({"team": "web", "tier": "b", "x": "y"})
    );
    assert_eq!(
        object["spec"],
        json!({"version": "v1.35.1", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}})
    );
    let again = object.clone();
    assert!(!fill(&defaults, &mut object, Operation::Create));
    assert_eq!(object, again);
}

#[test]
fn defaults_are_for_new_clusters_only() {
    let defaults = [json!({"spec": {"version": "v1.35.1"}})];
    let mut object = cluster(&json!({}));
    assert!(!fill(&defaults, &mut object, Operation::Update));
    let mut request = token("1h");
    assert!(!fill(&defaults, &mut request, Operation::Create));
}

#[test]
fn what_is_met_is_reported_as_well() {
    let policies = policies(&json!({
        "replicas": {"max": 3}, "storageTypes": ["etcd"], "namespaceLimits": {"clusters": 1},
        "rules": [{"name": "one", "expression": "object.spec.replicas == 1"}],
    }));
    let object = cluster(&json!({"replicas": 2}));
    let mut found = BTreeMap::new();
    let request = request(&object, None);
    let input = Input {
        request: &request,
        kind: PolicyKind::Cluster,
        mothership: &Unknown,
    };
    policies.check(&input, &mut |finding| {
        found.insert(finding.rule, finding.errors.len());
    });
    let wanted = [
        ("namespaceLimits", 0),
        ("one", 1),
        ("replicas", 0),
        ("storageTypes", 0),
    ];
    assert_eq!(found, BTreeMap::from(wanted));
}
