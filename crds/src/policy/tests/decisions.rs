//! One accepted and one refused object a rule of policies.

use rstest::rstest;
use serde_json::{Value, json};

use super::{cluster, create, policies, texts, token};

/// A rule, an object that meets it, one that doesn't, and what is said about that.
#[rstest]
#[case::versions(
    json!({"versions": [">=1.35.0 <1.37.0"]}),
    cluster(&json!({"version": "v1.36.3-k0s.2"})),
    cluster(&json!({"version": "v1.34.1+k0s.0"})),
    "spec.version: Invalid value: \"v1.34.1+k0s.0\": not allowed by policy \"teams\", rule versions (allowed: >=1.35.0 <1.37.0)"
)]
#[case::a_version_left_out(
    json!({"versions": ["1.35"]}),
    cluster(&json!({"version": "v1.35.9"})),
    cluster(&json!({})),
    "spec.version: Invalid value: \"v1.36.3-k0s.2\": not allowed by policy \"teams\", rule versions (allowed: 1.35)"
)]
#[case::a_version_that_is_none(
    json!({"versions": ["*"]}),
    cluster(&json!({})),
    cluster(&json!({"version": "latest"})),
    "spec.version: Invalid value: \"latest\": not allowed by policy \"teams\", rule versions (allowed: *)"
)]
#[case::images(
    json!({"images": ["quay.io/k0sproject"]}),
    cluster(&json!({"image": "quay.io/k0sproject/k0s"})),
    cluster(&json!({"image": "quay.io/k0sproject-evil/k0s"})),
    "spec.image: Invalid value: \"quay.io/k0sproject-evil/k0s\": not allowed by policy \"teams\", rule images (allowed from: quay.io/k0sproject)"
)]
#[case::image_of_etcd(
    json!({"images": ["quay.io/k0sproject"]}),
    cluster(&json!({"storage": {"type": "nats", "etcd": {"image": "example.com/etcd"}}})),
    cluster(&json!({"storage": {"type": "etcd", "etcd": {"image": "example.com/etcd:v3"}}})),
    "spec.storage.etcd.image: Invalid value: \"example.com/etcd:v3\": not allowed by policy \"teams\", rule images (allowed from: quay.io/k0sproject)"
)]
#[case::image_of_a_volume(
    json!({"images": ["quay.io"]}),
    cluster(&json!({"mounts": [{"path": "/a", "image": {"reference": "quay.io/a/b"}}]})),
    cluster(&json!({"mounts": [{"path": "/a", "image": {"reference": "b"}}]})),
    "spec.mounts[0].image.reference: Invalid value: \"b\": not allowed by policy \"teams\", rule images (allowed from: quay.io)"
)]
#[case::image_of_the_monitoring(
    json!({"images": ["quay.io", "docker.io/library"]}),
    cluster(&json!({"monitoring": {"proxyImage": "nginx:1.19.10"}})),
    cluster(&json!({"monitoring": {"proxyImage": "bitnami/nginx"}})),
    "spec.monitoring.proxyImage: Invalid value: \"bitnami/nginx\": not allowed by policy \"teams\", rule images (allowed from: quay.io, docker.io/library)"
)]
#[case::service_types(
    json!({"serviceTypes": ["ClusterIP", "LoadBalancer"]}),
    cluster(&json!({})),
    cluster(&json!({"service": {"type": "NodePort"}})),
    "spec.service.type: Invalid value: \"NodePort\": not allowed by policy \"teams\", rule serviceTypes (allowed: ClusterIP, LoadBalancer)"
)]
#[case::storage_types(
    json!({"storageTypes": ["etcd"]}),
    cluster(&json!({})),
    cluster(&json!({"storage": {"type": "kine"}})),
    "spec.storage.type: Invalid value: \"kine\": not allowed by policy \"teams\", rule storageTypes (allowed: etcd)"
)]
#[case::persistence_types(
    json!({"persistenceTypes": ["emptyDir", "pvc"]}),
    cluster(&json!({"persistence": {"type": "pvc"}})),
    cluster(&json!({"persistence": {"type": "hostPath"}})),
    "spec.persistence.type: Invalid value: \"hostPath\": not allowed by policy \"teams\", rule persistenceTypes (allowed: emptyDir, pvc)"
)]
#[case::replicas(
    json!({"replicas": {"min": 1, "max": 3}}),
    cluster(&json!({"replicas": 3})),
    cluster(&json!({"replicas": 5})),
    "spec.replicas: Invalid value: \"5\": not allowed by policy \"teams\", rule replicas (allowed: 1 to 3)"
)]
#[case::replicas_left_out(
    json!({"replicas": {"min": 3}}),
    cluster(&json!({"replicas": 3})),
    cluster(&json!({})),
    "spec.replicas: Invalid value: \"1\": not allowed by policy \"teams\", rule replicas (at least 3)"
)]
#[case::limits(
    json!({"resources": {"controlPlane": {"limits": {"memory": {"max": "2Gi"}}}}}),
    cluster(&json!({"resources": {"limits": {"memory": "2048Mi"}}})),
    cluster(&json!({"resources": {"limits": {"memory": "3Gi"}}})),
    "spec.resources.limits.memory: Invalid value: \"3Gi\": not allowed by policy \"teams\", rule resources (at most 2Gi)"
)]
#[case::limits_left_out(
    json!({"resources": {"controlPlane": {"limits": {"memory": {"max": "2Gi"}}}}}),
    cluster(&json!({"resources": {"limits": {"memory": "1Gi"}}})),
    cluster(&json!({})),
    "spec.resources.limits.memory: Required value: required by policy \"teams\", rule resources (at most 2Gi)"
)]
#[case::requests(
    json!({"resources": {"etcd": {"requests": {"cpu": {"min": "100m", "max": 1}}}}}),
    cluster(&json!({"storage": {"etcd": {"resources": {"limits": {"cpu": "500m"}}}}})),
    cluster(&json!({"storage": {"etcd": {"resources": {"requests": {"cpu": "50m"}}}}})),
    "spec.storage.etcd.resources.requests.cpu: Invalid value: \"50m\": not allowed by policy \"teams\", rule resources (allowed: 100m to 1)"
)]
#[case::resources_of_etcd_without_etcd(
    json!({"resources": {"etcd": {"requests": {"cpu": {"min": "100m"}}}}}),
    cluster(&json!({"storage": {"type": "nats"}})),
    cluster(&json!({"storage": {"type": "etcd"}})),
    "spec.storage.etcd.resources.requests.cpu: Required value: required by policy \"teams\", rule resources (at least 100m)"
)]
#[case::forbidden_fields(
    json!({"forbiddenFields": ["spec.patches", "spec.mounts[*].hostPath"]}),
    cluster(&json!({"patches": [], "mounts": [{"path": "/a", "emptyDir": {}}]})),
    cluster(&json!({"mounts": [{"path": "/a"}, {"path": "/b", "hostPath": {"path": "/"}}]})),
    "spec.mounts[1].hostPath: Forbidden: not allowed by policy \"teams\", rule forbiddenFields (leave it out)"
)]
#[case::forbidden_text(
    json!({"forbiddenFields": ["spec.persistence.hostPath"]}),
    cluster(&json!({"persistence": {"type": "emptyDir"}})),
    cluster(&json!({"persistence": {"type": "hostPath", "hostPath": "/data"}})),
    "spec.persistence.hostPath: Forbidden: not allowed by policy \"teams\", rule forbiddenFields (leave it out)"
)]
#[case::token_life(
    json!({"maxTokenLifetime": "24h"}),
    token("24h"),
    token("24h1s"),
    "spec.expiry: Invalid value: \"24h1s\": not allowed by policy \"teams\", rule maxTokenLifetime (at most 24h; 0s is a token that never expires)"
)]
#[case::token_for_ever(
    json!({"maxTokenLifetime": "24h"}),
    token("1m"),
    token("0s"),
    "spec.expiry: Invalid value: \"0s\": not allowed by policy \"teams\", rule maxTokenLifetime (at most 24h; 0s is a token that never expires)"
)]
#[case::token_with_a_life_that_is_none(
    json!({"maxTokenLifetime": "24h"}),
    token("1m"),
    token("soon"),
    "spec.expiry: Invalid value: \"soon\": not allowed by policy \"teams\", rule maxTokenLifetime (at most 24h; 0s is a token that never expires)"
)]
#[case::free_rule(
    json!({"rules": [{"name": "odd", "expression": "object.spec.replicas % 2 == 1", "message": "odd numbers only"}]}),
    cluster(&json!({"replicas": 3})),
    cluster(&json!({"replicas": 2})),
    "spec: Invalid value: odd numbers only (policy \"teams\", rule odd)"
)]
#[case::free_rule_with_a_message_that_is_made(
    json!({"rules": [{"name": "odd", "expression": "object.spec.replicas % 2 == 1", "fieldPath": "spec.replicas",
        "messageExpression": "'not ' + string(object.spec.replicas)"}]}),
    cluster(&json!({"replicas": 3})),
    cluster(&json!({"replicas": 2})),
    "spec.replicas: Invalid value: not 2 (policy \"teams\", rule odd)"
)]
#[case::free_rule_whose_message_fails(
    json!({"rules": [{"name": "odd", "expression": "object.spec.replicas % 2 == 1",
        "messageExpression": "object.nothing"}]}),
    cluster(&json!({"replicas": 3})),
    cluster(&json!({"replicas": 2})),
    "spec: Invalid value: failed expression: object.spec.replicas % 2 == 1 (policy \"teams\", rule odd)"
)]
#[case::free_rule_that_fails(
    json!({"rules": [{"name": "odd", "expression": "object.spec.replicas % 2 == 1"}]}),
    cluster(&json!({"replicas": 1})),
    cluster(&json!({})),
    "spec: Invalid value: expression cannot be evaluated: no such field: object.spec.replicas (policy \"teams\", rule odd)"
)]
#[case::free_rule_about_tokens(
    json!({"rules": [{"name": "workers", "kinds": ["JoinTokenRequest"], "expression": "object.spec.expiry != '1h'"}]}),
    cluster(&json!({})),
    token("1h"),
    "spec: Invalid value: failed expression: object.spec.expiry != '1h' (policy \"teams\", rule workers)"
)]
#[case::free_rule_about_who_asks(
    json!({"rules": [{"name": "who", "expression": "!('dev' in request.userInfo.groups) || object.spec.replicas < 3", "message": "developers get one"}]}),
    cluster(&json!({"replicas": 1})),
    cluster(&json!({"replicas": 3})),
    "spec: Invalid value: developers get one (policy \"teams\", rule who)"
)]
fn every_rule_accepts_and_refuses(
    #[case] spec: Value,
    #[case] accepted: Value,
    #[case] refused: Value,
    #[case] message: &str,
) {
    let policies = policies(&spec);
    assert_eq!(policies.faults("teams"), Some([].as_slice()));
    assert_eq!(texts(&create(&policies, &accepted)), Vec::<String>::new());
    assert_eq!(texts(&create(&policies, &refused)), [message]);
}

#[rstest]
#[case(json!({"key": "team"}), Some("web"), None)]
#[case(json!({"key": "team"}), None, Some("metadata.FIELD[team]: Required value: required by policy \"teams\", rule RULE"))]
#[case(json!({"key": "team", "values": ["web", "data"]}), Some("data"), None)]
#[case(json!({"key": "team", "values": ["web", "data"]}), Some("ops"), Some("metadata.FIELD[team]: Invalid value: \"ops\": not allowed by policy \"teams\", rule RULE (one of web, data)"))]
#[case(json!({"key": "team", "pattern": "[a-z]+"}), Some("web"), None)]
#[case(json!({"key": "team", "pattern": "[a-z]+"}), Some("web1"), Some("metadata.FIELD[team]: Invalid value: \"web1\": not allowed by policy \"teams\", rule RULE (a value that matches [a-z]+)"))]
#[case(json!({"key": "team", "pattern": "a|b"}), Some("ac"), Some("metadata.FIELD[team]: Invalid value: \"ac\": not allowed by policy \"teams\", rule RULE (a value that matches a|b)"))]
fn labels_and_annotations_can_be_required(
    #[case] required: Value,
    #[case] value: Option<&str>,
    #[case] message: Option<&str>,
) {
    for (field, rule) in [
        ("labels", "requiredLabels"),
        ("annotations", "requiredAnnotations"),
    ] {
        let mut object = cluster(&json!({}));
        if let Some(value) = value {
            object["metadata"][field] = json!({"team": value});
        }
        let outcome = create(&policies(&json!({rule: [required]})), &object);
        let wanted = message.map(|message| message.replace("FIELD", field).replace("RULE", rule));
        assert_eq!(texts(&outcome), Vec::from_iter(wanted));
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let policies = policies(&json!({
        "versions": ["1.35"], "serviceTypes": ["LoadBalancer"], "replicas": {"min": 3},
        "requiredLabels": [{"key": "team"}, {"key": "tier"}],
        "rules": [{"name": "never", "expression": "false"}],
    }));
    assert_eq!(create(&policies, &cluster(&json!({}))).errors.len(), 6);
}

/// k0s takes no notice of capitals, so neither do rules about what is written for it.
#[rstest]
#[case(json!({"forbiddenFields": ["spec.k0sConfig.spec.api.extraArgs"]}))]
#[case(json!({"rules": [{"name": "a", "message": "no",
    "expression": "!has(object.spec.k0sConfig.spec.api.extraArgs)"}]}))]
fn a_field_of_k0s_is_known_in_any_spelling(#[case] spec: Value) {
    let policies = policies(&spec);
    let with = |config: Value| cluster(&json!({"k0sConfig": config}));
    let said = |config: Value| create(&policies, &with(config)).errors.len();
    let args = json!({"profiling": "false"});
    assert_eq!(said(json!({"spec": {"api": {"extraArgs": args}}})), 1);
    assert_eq!(said(json!({"Spec": {"API": {"ExtraArgs": args}}})), 1);
    assert_eq!(
        said(json!({"spec": {"api": {"sans": ["a.example.org"]}}})),
        0
    );
}
