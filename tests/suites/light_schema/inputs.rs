//! Specs: a wrong one, the field that the error has to name, and the same corrected.

use serde_json::{Value, json};

pub fn claim(metadata: &Value) -> Value {
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {
        "metadata": metadata,
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }}})
}

pub fn clusters() -> Vec<(Value, &'static str, Value)> {
    let projected =
        |sources: &Value| json!({"mounts": [{"path": "/a", "projected": {"sources": [sources]}}]});
    vec![
        (
            json!({"replicas": -1}),
            "spec.replicas",
            json!({"replicas": 0}),
        ),
        (
            json!({"replicas": "3"}),
            "spec.replicas",
            json!({"replicas": 3}),
        ),
        (
            json!({"version": 1.36}),
            "spec.version",
            json!({"version": "v1.36.3"}),
        ),
        (
            json!({"service": {"type": "Ingress"}}),
            "spec.service.type",
            json!({"service": {"type": "NodePort"}}),
        ),
        (
            json!({"service": {"apiPort": 0}}),
            "spec.service.apiPort",
            json!({"service": {"type": "NodePort", "apiPort": 0}}),
        ),
        (
            json!({"service": {"type": "LoadBalancer", "konnectivityPort": 0}}),
            "spec.service.konnectivityPort",
            json!({"service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0}}),
        ),
        (
            json!({"service": {"apiPort": 65536}}),
            "spec.service.apiPort",
            json!({"service": {"apiPort": 65535}}),
        ),
        (
            json!({"service": {"konnectivityPort": -1}}),
            "spec.service.konnectivityPort",
            json!({"service": {"konnectivityPort": 1}}),
        ),
        (
            json!({"service": {"apiPort": 30132}}),
            "spec.service.konnectivityPort",
            json!({"service": {"apiPort": 30133}}),
        ),
        (
            json!({"persistence": {"type": "pvc"}}),
            "spec.persistence.persistentVolumeClaim",
            claim(&json!({})),
        ),
        (
            json!({"persistence": {"type": "hostPath"}}),
            "spec.persistence.hostPath",
            json!({"persistence": {"type": "hostPath", "hostPath": "/data"}}),
        ),
        (
            claim(&json!({"labels": {"a": 1}})),
            "spec.persistence.persistentVolumeClaim.metadata.labels.a",
            claim(&json!({"labels": {"a": "1"}})),
        ),
        (
            json!({"storage": {"type": "redis"}}),
            "spec.storage.type",
            json!({"storage": {"type": "kine"}}),
        ),
        (
            json!({"storage": {"etcd": {"persistence": {"size": "big"}}}}),
            "spec.storage.etcd.persistence.size",
            json!({"storage": {"etcd": {"persistence": {"size": 1_073_741_824}}}}),
        ),
        (
            json!({"k0sConfig": {"apiVersion": "v1"}}),
            "spec.k0sConfig.apiVersion",
            json!({"k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "any": 1}}),
        ),
        (
            json!({"k0sConfig": "spec: {}"}),
            "spec.k0sConfig",
            json!({"k0sConfig": {"spec": {}}}),
        ),
        (
            json!({"controlPlaneFlags": "--a"}),
            "spec.controlPlaneFlags",
            json!({"controlPlaneFlags": ["--a"]}),
        ),
        (
            json!({"certificateRefs": [{"type": "server"}]}),
            "spec.certificateRefs[0].type",
            json!({"certificateRefs": [{"type": "ca"}]}),
        ),
        (
            json!({"certificateRefs": [{"name": "x"}]}),
            "spec.certificateRefs[0].type",
            json!({"certificateRefs": [{"name": "x", "type": "sa"}]}),
        ),
        (
            json!({"manifests": [{"emptyDir": {}}]}),
            "spec.manifests[0].name",
            json!({"manifests": [{"name": "a", "emptyDir": {}}]}),
        ),
        (
            json!({"manifests": [{"name": "a.b", "emptyDir": {}}]}),
            "spec.manifests[0].name",
            json!({"manifests": [{"name": "a-b", "emptyDir": {}}]}),
        ),
        (
            json!({"mounts": [{"emptyDir": {}}]}),
            "spec.mounts[0].path",
            json!({"mounts": [{"path": "/a", "emptyDir": {}}]}),
        ),
        (
            json!({"mounts": [{"path": "", "emptyDir": {}}]}),
            "spec.mounts[0].path",
            json!({"mounts": [{"path": "/", "emptyDir": {}}]}),
        ),
        (
            json!({"mounts": [{"path": "/a", "configMap": {"name": "a", "defaultMode": "0644"}}]}),
            "spec.mounts[0].configMap.defaultMode",
            json!({"mounts": [{"path": "/a", "configMap": {"name": "a", "defaultMode": 420}}]}),
        ),
        (
            projected(&json!({"podCertificate": {"keyType": "ED25519"}})),
            "spec.mounts[0].projected.sources[0].podCertificate.signerName",
            projected(&json!({"podCertificate": {"keyType": "ED25519", "signerName": "a/b"}})),
        ),
        (
            json!({"resources": {"limits": {"cpu": "two"}}}),
            "spec.resources.limits.cpu",
            json!({"resources": {"limits": {"cpu": 2}}}),
        ),
        (
            json!({"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]}),
            "spec.topologySpreadConstraints[0].topologyKey",
            json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]}),
        ),
        (
            json!({"ingress": {"apiHost": "a"}}),
            "spec.ingress.konnectivityHost",
            json!({"ingress": {"apiHost": "a", "konnectivityHost": "b"}}),
        ),
        (
            json!({"monitoring": {}}),
            "spec.monitoring.enabled",
            json!({"monitoring": {"enabled": false}}),
        ),
        (
            json!({"patches": [{"target": {"kind": "a", "component": "b"}, "patch": {"type": "yaml", "content": ""}}]}),
            "spec.patches[0].patch.type",
            json!({"patches": [{"target": {"kind": "a", "component": "b"}, "patch": {"type": "merge", "content": ""}}]}),
        ),
        (
            json!({"remoteHostCluster": {"kubeconfigRef": {"name": "a"}}}),
            "spec.remoteHostCluster.kubeconfigRef.namespace",
            json!({"remoteHostCluster": {"kubeconfigRef": {"name": "a", "namespace": "b"}}}),
        ),
    ]
}

pub fn requests() -> Vec<(Value, &'static str, Value)> {
    vec![
        (json!({}), "spec.clusterName", json!({"clusterName": "c"})),
        (
            json!({"clusterName": ""}),
            "spec.clusterName",
            json!({"clusterName": "c"}),
        ),
        (
            json!({"clusterName": "c".repeat(64)}),
            "spec.clusterName",
            json!({"clusterName": "c".repeat(63)}),
        ),
        (
            json!({"clusterName": "c", "role": "node"}),
            "spec.role",
            json!({"clusterName": "c", "role": "controller"}),
        ),
        (
            json!({"clusterName": "c", "expiry": "1d"}),
            "spec.expiry",
            json!({"clusterName": "c", "expiry": "24h"}),
        ),
        (
            json!({"clusterName": "c", "expiry": "-1h"}),
            "spec.expiry",
            json!({"clusterName": "c", "expiry": "1h30m"}),
        ),
        (
            json!({"clusterName": "c", "expiry": "1h; reboot"}),
            "spec.expiry",
            json!({"clusterName": "c", "expiry": "0s"}),
        ),
    ]
}
