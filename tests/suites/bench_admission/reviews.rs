//! Reviews as the API server sends them.

use serde_json::{Value, json};

/// A Cluster of about this many bytes.
fn cluster(namespace: &str, name: &str, bytes: usize) -> Value {
    let mut object = json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "Cluster",
        "metadata": {
            "name": name, "namespace": namespace, "generation": 1,
            "uid": "b5e0cc51-9c5a-4bd0-8e1b-2a3f61a2a001",
            "labels": {"team": "blue", "stage": "test"},
            "annotations": {"example.org/owner": "platform"},
        },
        "spec": {
            "replicas": 3, "image": "quay.io/k0sproject/k0s", "version": "v1.36.3-k0s.2",
            "service": {"type": "ClusterIP", "apiPort": 30443, "konnectivityPort": 30132},
            "storage": {"type": "etcd", "etcd": {
                "image": "quay.io/k0sproject/etcd:v3.7.1", "autoDeletePVCs": false,
                "args": ["--max-request-bytes=2000000"], "persistence": {"size": "2Gi"}}},
            "controlPlaneFlags": ["--debug", "--kube-controller-manager-extra-args='--v=2'"],
            "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
            "k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig", "spec": {
                "telemetry": {"enabled": false}, "workerProfiles": []}},
        },
    });
    let profile = |index: usize| {
        json!({"name": format!("profile-{index}"), "values": {
            "maxPods": 110, "failSwapOn": false, "nodeStatusUpdateFrequency": "10s",
            "systemReserved": {"cpu": "100m", "memory": "200Mi"}}})
    };
    let mut size = object.to_string().len();
    if let Some(profiles) = object
        .pointer_mut("/spec/k0sConfig/spec/workerProfiles")
        .and_then(Value::as_array_mut)
    {
        while size < bytes {
            let profile = profile(profiles.len());
            size += profile.to_string().len() + 1;
            profiles.push(profile);
        }
    }
    object
}

/// A review of a Cluster of about this many bytes: a new one, or one that gets a label.
pub fn review(namespace: &str, number: usize, bytes: usize, is_new: bool) -> Vec<u8> {
    let name = format!("load-{number}");
    let old = cluster(namespace, &name, bytes);
    let mut new = old.clone();
    let label = json!({"metadata": {"labels": {"changed": number.to_string()}}});
    json_patch::merge(&mut new, &label);
    let kind = json!({"group": "k0smotron.io", "version": "v1beta2", "kind": "Cluster"});
    let resource = json!({"group": "k0smotron.io", "version": "v1beta2", "resource": "clusters"});
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": format!("705ab4f5-6393-11e8-b7cc-{number:012}"),
            "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "name": name, "namespace": namespace,
            "operation": if is_new { "CREATE" } else { "UPDATE" },
            "userInfo": {"username": "alice", "groups": ["developers", "system:authenticated"]},
            "object": new,
            "oldObject": if is_new { Value::Null } else { old },
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
    .to_string()
    .into_bytes()
}

/// A hundred policies, of all kinds, of which every tenth has a CEL rule and all but a few select
/// the namespace.
pub fn policies() -> Vec<Value> {
    (0..100)
        .map(|index| {
            let mut spec = match index % 5 {
                0 => json!({"versions": [">=1.30.0 <1.40.0"]}),
                1 => json!({"images": ["quay.io/k0sproject"]}),
                2 => json!({"replicas": {"max": 5}, "serviceTypes": ["ClusterIP", "NodePort"]}),
                3 => json!({"forbiddenFields": ["spec.persistence.hostPath", "spec.patches"]}),
                _ => json!({"requiredLabels": [{"key": "team"}]}),
            };
            if index % 10 == 0 {
                let rules = json!({"rules": [{
                    "name": "flags",
                    "expression": "!has(object.spec.controlPlaneFlags) || object.spec.controlPlaneFlags.all(f, !f.startsWith('--enable-worker'))",
                }]});
                json_patch::merge(&mut spec, &rules);
            }
            if index % 20 == 7 {
                let selector = json!({"namespaceSelector": {"matchLabels": {"stage": "production"}}});
                json_patch::merge(&mut spec, &selector);
            }
            json!({
                "apiVersion": "k0smotron.io/v1beta2",
                "kind": "ClusterPolicy",
                "metadata": {"name": format!("load-{index}")},
                "spec": spec,
            })
        })
        .collect()
}
