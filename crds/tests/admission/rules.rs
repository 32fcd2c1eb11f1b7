//! One accepted and one refused case a rule, and what is said about the refused one.

use crds::admission::Kind;
use serde_json::{Value, json};

use crate::{cluster, create, paths, serving, update, with_status};

struct Rule {
    /// What it is about.
    name: &'static str,
    /// The spec of a Cluster that has served; `Null` for one that is new.
    old: Value,
    accepted: Value,
    refused: Value,
    /// The field that is refused.
    path: &'static str,
}

const VERSION: &str = "v1.35.1-k0s.0";

fn rule(
    name: &'static str,
    old: Value,
    accepted: Value,
    refused: Value,
    path: &'static str,
) -> Rule {
    Rule {
        name,
        old,
        accepted,
        refused,
        path,
    }
}

fn claim(size: &str, class: &str, name: &str) -> Value {
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": size}},
        },
    }}})
}

fn etcd(persistence: Value) -> Value {
    json!({"storage": {"type": "etcd", "etcd": {"persistence": persistence}}})
}

fn network(settings: Value) -> Value {
    json!({"k0sConfig": {"spec": {"network": settings}}})
}

fn patch(type_: &str, content: &str) -> Value {
    json!({"patches": [{
        "target": {"kind": "Service", "component": "control-plane"},
        "patch": {"type": type_, "content": content},
    }]})
}

fn rules() -> Vec<Rule> {
    let node_port = |api: i32| json!({"service": {"type": "NodePort", "apiPort": api}});
    let own = |type_: &str, address: &str| json!({"service": {"type": type_}, "externalAddress": address});
    let ingress = |version: &str, host: &str| json!({"version": version, "ingress": {"apiHost": host, "konnectivityHost": "k.x"}});
    let kine = |kine: Value| json!({"replicas": 3, "storage": {"type": "kine", "kine": kine}});
    let host = |namespace: &str| json!({"remoteHostCluster": {"kubeconfigRef": {"name": "a", "namespace": namespace}}});
    let reference =
        |type_: &str, name: &str| json!({"certificateRefs": [{"type": type_, "name": name}]});
    vec![
        rule(
            "the storage type stays",
            json!({}),
            json!({"storage": {"type": "etcd"}, "replicas": 3}),
            json!({"storage": {"type": "kine", "kine": {"dataSourceURL": "postgres://db"}}}),
            "spec.storage.type",
        ),
        rule(
            "etcd volumes do not shrink",
            etcd(json!({"size": "2Gi"})),
            etcd(json!({"size": "2048Mi"})),
            etcd(json!({"size": "1Gi"})),
            "spec.storage.etcd.persistence.size",
        ),
        rule(
            "the storage class of etcd stays",
            etcd(json!({"storageClass": "fast"})),
            etcd(json!({"storageClass": "fast", "size": "2Gi"})),
            etcd(json!({"storageClass": "slow"})),
            "spec.storage.etcd.persistence.storageClass",
        ),
        rule(
            "nats keeps its members",
            json!({"storage": {"type": "nats"}}),
            json!({"storage": {"type": "nats"}, "image": "a/k0s"}),
            json!({"storage": {"type": "nats"}, "replicas": 3}),
            "spec.replicas",
        ),
        rule(
            "no claims are added to a StatefulSet",
            json!({}),
            json!({"persistence": {"type": "hostPath", "hostPath": "/a"}}),
            claim("1Gi", "fast", ""),
            "spec.persistence.type",
        ),
        rule(
            "no claims are taken from a StatefulSet",
            claim("1Gi", "fast", ""),
            claim("1Gi", "fast", "kmc-c"),
            json!({}),
            "spec.persistence.type",
        ),
        rule(
            "claims do not shrink",
            claim("2Gi", "fast", ""),
            claim("3Gi", "fast", ""),
            claim("1Gi", "fast", ""),
            "spec.persistence.persistentVolumeClaim.spec.resources.requests.storage",
        ),
        rule(
            "the storage class of claims stays",
            claim("1Gi", "fast", ""),
            claim("2Gi", "fast", ""),
            claim("1Gi", "slow", ""),
            "spec.persistence.persistentVolumeClaim.spec.storageClassName",
        ),
        rule(
            "the name of claims stays",
            claim("1Gi", "fast", "data"),
            claim("2Gi", "fast", "data"),
            claim("1Gi", "fast", "other"),
            "spec.persistence.persistentVolumeClaim.metadata.name",
        ),
        rule(
            "workers keep finding the Service",
            own("ClusterIP", "a.example.org"),
            own("LoadBalancer", "a.example.org"),
            own("LoadBalancer", "b.example.org"),
            "spec.service.type",
        ),
        rule(
            "workers keep finding the API port",
            node_port(0),
            node_port(30443),
            node_port(31000),
            "spec.service.apiPort",
        ),
        rule(
            "workers keep finding the konnectivity port",
            json!({}),
            json!({"service": {"konnectivityPort": 30132}, "replicas": 3}),
            json!({"service": {"konnectivityPort": 30133}}),
            "spec.service.konnectivityPort",
        ),
        rule(
            "the network of Services stays",
            json!({}),
            network(json!({"serviceCIDR": "10.96.0.0/12", "provider": "calico"})),
            network(json!({"serviceCIDR": "10.0.0.0/12"})),
            "spec.k0sConfig.spec.network.serviceCIDR",
        ),
        rule(
            "the network of pods stays",
            network(json!({"podCIDR": "10.1.0.0/16"})),
            network(json!({"podCIDR": "10.1.0.0/16", "kubeProxy": {"disabled": true}})),
            json!({}),
            "spec.k0sConfig.spec.network.podCIDR",
        ),
        rule(
            "the domain stays",
            json!({}),
            network(json!({"clusterDomain": "cluster.local"})),
            network(json!({"clusterDomain": "example.org"})),
            "spec.k0sConfig.spec.network.clusterDomain",
        ),
        rule(
            "keys stay",
            json!({}),
            reference("ca", "c-ca"),
            reference("ca", "mine"),
            "spec.certificateRefs[0].name",
        ),
        rule(
            "keys of the user's own stay",
            reference("sa", "mine"),
            json!({"certificateRefs": [{"type": "sa", "name": "mine"}, {"type": "ca"}]}),
            json!({}),
            "spec.certificateRefs",
        ),
        rule(
            "an old k0s is not reached through an ingress",
            Value::Null,
            ingress("v1.34.1-k0s.0", "a.x"),
            ingress("v1.34.0-k0s.0", "a.x"),
            "spec.version",
        ),
        rule(
            "a host of an ingress is a name",
            Value::Null,
            ingress(VERSION, "a.x"),
            ingress(VERSION, "https://a.x"),
            "spec.ingress.apiHost",
        ),
        rule(
            "hosts of an ingress differ",
            Value::Null,
            ingress(VERSION, "a.x"),
            ingress(VERSION, "k.x"),
            "spec.ingress.konnectivityHost",
        ),
        rule(
            "replicas share a database",
            Value::Null,
            kine(json!({"dataSourceSecretName": "a"})),
            kine(json!({})),
            "spec.storage.kine",
        ),
        rule(
            "a JSON patch is a list of operations",
            Value::Null,
            patch("json", "- op: remove\n  path: /spec/ports/0"),
            patch("json", "spec: {}"),
            "spec.patches[0].patch.content",
        ),
        rule(
            "a merge patch is an object",
            Value::Null,
            patch("merge", "spec:\n  type: ClusterIP"),
            patch("strategic", "{"),
            "spec.patches[0].patch.content",
        ),
        rule(
            "the Secret of another namespace is not used",
            Value::Null,
            host("n"),
            host("kube-system"),
            "spec.remoteHostCluster.kubeconfigRef.namespace",
        ),
    ]
}

/// A spec with the version of a Cluster that has served.
fn versioned(mut spec: Value) -> Value {
    if spec.get("version").is_none() {
        spec["version"] = json!(VERSION);
    }
    cluster(spec)
}

fn decide(rule: &Rule, new: &Value) -> crds::admission::Decision {
    let new = versioned(new.clone());
    if rule.old.is_null() {
        return create(Kind::Cluster, &new);
    }
    let old = with_status(versioned(rule.old.clone()), serving(VERSION));
    update(Kind::Cluster, &old, &new)
}

#[test]
fn every_rule_accepts_what_works_and_refuses_what_does_not() {
    for rule in rules() {
        let accepted = decide(&rule, &rule.accepted);
        assert_eq!(accepted.errors, [], "{}", rule.name);
        let refused = decide(&rule, &rule.refused);
        assert_eq!(paths(&refused), [rule.path], "{}", rule.name);
    }
}

#[test]
fn as_long_as_nothing_was_made_everything_can_be_corrected() {
    for rule in rules().iter().filter(|rule| rule.old.is_object()) {
        let old = versioned(rule.old.clone());
        let decision = update(Kind::Cluster, &old, &versioned(rule.refused.clone()));
        assert_eq!(decision.errors, [], "{}", rule.name);
    }
}

#[test]
fn where_nobody_has_joined_the_service_can_move_and_that_is_said() {
    let mut status = serving(VERSION);
    status["nodes"] = json!({"joined": 0, "ready": 0});
    let old = with_status(versioned(json!({})), status);
    let new = versioned(json!({"service": {"type": "NodePort", "apiPort": 31000}}));
    let decision = update(Kind::Cluster, &old, &new);
    assert_eq!(decision.errors, []);
    let about = |path: &str| decision.warnings.iter().any(|text| text.starts_with(path));
    assert!(about("spec.service.type"), "{:?}", decision.warnings);
    assert!(about("spec.service.apiPort"), "{:?}", decision.warnings);
}

/// A load balancer that never comes, for example: the ports are recorded long before anybody serves.
#[test]
fn what_has_never_served_can_move() {
    let status = |version: Option<&str>, functional: &str| {
        json!({
            "version": version, "ports": {"api": 30443, "konnectivity": 30132}, "replicas": 1,
            "readyReplicas": 0, "conditions": [super::condition(functional, "Unknown")],
        })
    };
    let new = versioned(json!({"service": {"type": "NodePort", "apiPort": 31000}}));
    for (status, may) in [
        (status(None, "ControlPlaneFunctional"), true),
        (status(Some(VERSION), "ControlPlaneFunctional"), false),
        // An earlier installation's.
        (status(None, "Available"), false),
    ] {
        let old = with_status(versioned(json!({})), status.clone());
        let errors = update(Kind::Cluster, &old, &new).errors;
        assert_eq!(errors.is_empty(), may, "{status}: {errors:?}");
    }
}

#[test]
fn behind_an_ingress_the_service_can_move() {
    let ingress = json!({"apiHost": "a.x", "konnectivityHost": "k.x"});
    let old = with_status(versioned(json!({"ingress": ingress})), serving(VERSION));
    let new = versioned(json!({"ingress": ingress, "service": {"type": "LoadBalancer"}}));
    assert_eq!(update(Kind::Cluster, &old, &new).errors, []);
}

#[test]
fn everything_wrong_is_named_at_once() {
    let old = with_status(versioned(json!({})), serving(VERSION));
    let new = cluster(json!({
        "version": "v1.37.0", "replicas": -1, "service": {"type": "NodePort", "apiPort": 70000},
        "storage": {"type": "nats"}, "k0sConfig": {"spec": {"network": {"podCIDR": "10.9.0.0/16"}}},
    }));
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &new)),
        [
            "spec.replicas",
            "spec.service.apiPort",
            "spec.storage.type",
            "spec.service.type",
            "spec.service.apiPort",
            "spec.k0sConfig.spec.network.podCIDR",
            "spec.version",
        ]
    );
}

/// The texts as they are shown. They are a part of the product: a change of them is to be seen.
#[test]
fn the_texts_of_all_refusals() {
    let mut text = String::new();
    for rule in rules() {
        text.extend([rule.name, "\n"]);
        for error in decide(&rule, &rule.refused).errors {
            text.extend(["  ", &error.to_string(), "\n"]);
        }
    }
    insta::assert_snapshot!(text);
}
