//! How long a hundred policies take.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};

use super::super::{Input, Policies};
use super::{Known, cluster, policy, request};
use crate::v1beta2::PolicyKind;

/// What a decision with a hundred policies is promised to take in a release build.
const PROMISE_MICROSECONDS: u128 = 300;

/// Six rules of their own fields in each, and free rules in every third if they are asked for.
fn hundred(free: bool) -> Policies {
    Policies::new((0..100).map(|n| {
        let selector = if n % 4 == 3 {
            json!({"matchLabels": {"env": "other"}})
        } else {
            json!({"matchLabels": {"env": "prod"}})
        };
        let mut spec = json!({
            "namespaceSelector": selector,
            "versions": [">=1.35.0 <1.37.0", "1.34"],
            "images": ["registry.example.com/k0s", "quay.io/k0sproject"],
            "serviceTypes": ["ClusterIP", "LoadBalancer"],
            "replicas": {"min": 1, "max": 5},
            "requiredLabels": [{"key": "team", "pattern": "[a-z]+"}],
            "forbiddenFields": ["spec.patches", "spec.persistence.hostPath", "spec.mounts[*].hostPath"],
        });
        if free && n % 3 == 0 {
            spec["rules"] = json!([
                {"name": "odd", "expression": "object.spec.replicas % 2 == 1"},
                {"name": "mounts", "expression": "!has(object.spec.mounts) || object.spec.mounts.all(m, m.path.startsWith('/'))"},
            ]);
        }
        policy(&format!("p{n:03}"), &spec)
    }))
}

/// One rule in each, a free one in every tenth: what the webhook is measured with.
fn one_each() -> Policies {
    Policies::new((0..100).map(|n| {
        let mut spec = match n % 5 {
            0 => json!({"versions": [">=1.30.0 <1.40.0"]}),
            1 => json!({"images": ["quay.io/k0sproject"]}),
            2 => json!({"replicas": {"max": 5}, "serviceTypes": ["ClusterIP", "NodePort", "LoadBalancer"]}),
            3 => json!({"forbiddenFields": ["spec.persistence.hostPath", "spec.patches"]}),
            _ => json!({"requiredLabels": [{"key": "team"}]}),
        };
        if n % 10 == 0 {
            spec["rules"] = json!([{
                "name": "flags",
                "expression": "!has(object.spec.controlPlaneFlags) || object.spec.controlPlaneFlags.all(f, !f.startsWith('--enable-worker'))",
            }]);
        }
        if n % 20 == 7 {
            spec["namespaceSelector"] = json!({"matchLabels": {"stage": "production"}});
        }
        policy(&format!("load-{n}"), &spec)
    }))
}

/// About 4 KB, as large as Clusters are.
fn object() -> Value {
    let mounts: Vec<Value> = (0..20)
        .map(|n| {
            json!({"path": format!("/etc/mounts/number-{n}"), "readOnly": true,
            "configMap": {"name": format!("configuration-{n}"), "items": [{"key": "a", "path": "a.yaml"}]}})
        })
        .collect();
    let mut object = cluster(&json!({
        "replicas": 3, "version": "v1.36.3-k0s.2", "image": "quay.io/k0sproject/k0s",
        "service": {"type": "LoadBalancer", "apiPort": 6443, "konnectivityPort": 8132},
        "storage": {"type": "etcd", "etcd": {"image": "quay.io/k0sproject/etcd:v3.7.1"}},
        "mounts": mounts,
        "controlPlaneFlags": ["--debug", "--kube-controller-manager-extra-args='--v=2'"],
        "k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig",
            "spec": {"api": {"sans": (0..37).map(|n| format!("host-{n}.example.com")).collect::<Vec<_>>()}}},
    }));
    object["metadata"]["labels"] = json!({"team": "web"});
    object
}

#[test]
fn a_hundred_policies_are_decided_fast() {
    let object = object();
    let known = Known {
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        ..Known::default()
    };
    let request = request(&object, None);
    let input = Input {
        request: &request,
        kind: PolicyKind::Cluster,
        mothership: &known,
    };
    for (mix, policies) in [
        ("six rules each, free ones in every third", hundred(true)),
        ("six rules each", hundred(false)),
        ("one rule each, a free one in every tenth", one_each()),
    ] {
        assert_eq!(policies.decide(&input).errors, []);
        // The fastest of some: what the machine does besides is not what is measured.
        let fastest = (0..200).map(|_| {
            let started = Instant::now();
            black_box(policies.decide(black_box(&input)));
            started.elapsed()
        });
        let fastest = fastest.min().unwrap_or_default();
        println!(
            "100 policies, {mix}; object of {} bytes: {fastest:?} a decision",
            object.to_string().len()
        );
        // Ten times as long is no matter of a busy machine; without optimisation there is no
        // promise.
        if cfg!(not(debug_assertions)) {
            assert!(
                fastest.as_micros() < 10 * PROMISE_MICROSECONDS,
                "{mix}: {fastest:?}"
            );
        }
    }
}
