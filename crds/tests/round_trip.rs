//! Objects survive being read and written.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking, its helpers too, and reads better with literals passed as they are"
)]

use crds::v1beta2::{
    CertificateType, Cluster, JoinTokenRequest, JoinTokenRole, PersistenceType, ServiceType,
    StorageType,
};
use rstest::rstest;
use serde_json::{Value, json};

fn cluster(spec: Value) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "Cluster",
        "metadata": {"name": "c", "namespace": "n"},
        "spec": spec,
    })
}

/// Everything that was given is still there afterwards; defaults may have come to it.
fn contains(path: &str, all: &Value, part: &Value) {
    match (all, part) {
        (Value::Object(all), Value::Object(part)) => {
            for (key, value) in part {
                let path = format!("{path}.{key}");
                contains(
                    &path,
                    all.get(key).unwrap_or_else(|| panic!("{path} is lost")),
                    value,
                );
            }
        }
        (Value::Array(all), Value::Array(part)) => {
            assert_eq!(all.len(), part.len(), "{path}");
            for (index, (all, part)) in all.iter().zip(part).enumerate() {
                contains(&format!("{path}[{index}]"), all, part);
            }
        }
        _ => assert_eq!(all, part, "{path}"),
    }
}

#[rstest]
#[case::plain(json!({"replicas": 1, "version": "v1.36.3-k0s.2", "service": {"type": "ClusterIP"}}))]
#[case::ha(json!({"replicas": 3, "service": {"type": "LoadBalancer"}}))]
#[case::nodeport(json!({"service": {"type": "NodePort", "apiPort": 31443, "konnectivityPort": 31132}}))]
#[case::allocated_ports(json!({"service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0}}))]
#[case::ingress(json!({"ingress": {
    "apiHost": "api.example.com", "konnectivityHost": "kon.example.com", "className": "haproxy",
    "deploy": false, "port": 8443, "annotations": {"haproxy.org/ssl-passthrough": "true"},
}}))]
#[case::kine(json!({"storage": {"type": "kine", "kine": {
    "dataSourceURL": "postgres://u:p@pg:5432/k?sslmode=disable", "dataSourceSecretName": "s",
}}}))]
#[case::nats(json!({"storage": {"type": "nats", "nats": {"persistence": {"size": "2Gi", "storageClass": "fast"}}}}))]
#[case::manifests(json!({
    "manifests": [
        {"name": "m1", "configMap": {"name": "m1"}},
        {"name": "m2", "secret": {"secretName": "m2", "items": [{"key": "a", "path": "b"}]}},
    ],
    "mounts": [
        {"path": "/opt/x", "readOnly": true, "configMap": {"name": "m1"}},
        {"path": "/opt/y", "hostPath": {"path": "/srv", "type": "Directory"}},
    ],
}))]
#[case::pvc(json!({
    "persistence": {
        "type": "pvc",
        "autoDeletePVCs": true,
        "persistentVolumeClaim": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "kmc-vol", "namespace": "n", "labels": {"a": "b"},
                "annotations": {"c": "d"}, "finalizers": ["e/f"],
            },
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "200Mi"}}},
            "status": {"phase": "Pending"},
        },
    },
    "storage": {"type": "etcd", "etcd": {
        "args": ["--quota-backend-bytes=1"], "autoDeletePVCs": true,
        "persistence": {"size": "50Mi"},
        "defragJob": {"enabled": true},
        "resources": {"limits": {"memory": "1Gi"}},
    }},
}))]
#[case::rest(json!({
    "externalAddress": "1.2.3.4",
    "controlPlaneFlags": ["--enable-worker", "--labels 'a b'"],
    "certificateRefs": [{"type": "ca", "name": "my-ca"}, {"type": "apiserver-etcd-client"}],
    "k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "spec": {"anything": [1, null, {"x": 1.5}]}},
    "kubeconfigSecretMetadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
    "monitoring": {"enabled": true, "prometheusImage": "p", "proxyImage": "q"},
    "patches": [{"target": {"kind": "Service", "component": "control-plane"}, "patch": {"type": "strategic", "content": "{}"}}],
    "remoteHostCluster": {"kubeconfigRef": {"name": "a", "namespace": "b", "key": "c"}},
    "resources": {"requests": {"cpu": "500m"}},
    "serviceAccount": "sa",
    "topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"a": "b"}},
    }],
}))]
fn nothing_of_a_cluster_is_lost(#[case] spec: Value) {
    let given = cluster(spec);
    let read: Cluster = serde_json::from_value(given.clone()).unwrap();
    let written = serde_json::to_value(&read).unwrap();
    contains("", &written, &given);
    assert_eq!(serde_json::from_value::<Cluster>(written).unwrap(), read);
}

#[test]
fn absent_fields_have_the_schemas_defaults() {
    let read: Cluster = serde_json::from_value(cluster(json!({}))).unwrap();
    let spec = read.spec;
    assert_eq!(spec.replicas, 1);
    assert_eq!(spec.image, "quay.io/k0sproject/k0s");
    assert_eq!(spec.service.type_, ServiceType::ClusterIP);
    assert_eq!(
        (spec.service.api_port, spec.service.konnectivity_port),
        (30443, 30132)
    );
    assert_eq!(spec.storage.type_, StorageType::Etcd);
    assert_eq!(spec.storage.etcd.image, "quay.io/k0sproject/etcd:v3.7.1");
    assert_eq!(spec.storage.etcd.persistence.size.0, "1Gi");
}

/// What Go's encoder writes for fields that its program has left out.
#[test]
fn zeros_are_read_as_absent_fields() {
    let read = |spec: Value| -> Cluster { serde_json::from_value(cluster(spec)).unwrap() };
    let left_out = read(json!({
        "persistence": {}, "storage": {"kine": {}, "etcd": {"defragJob": {}}, "nats": {"persistence": {}}},
        "monitoring": {"enabled": false}, "ingress": {"apiHost": "a", "konnectivityHost": "b"},
        "certificateRefs": [{"type": "ca"}], "remoteHostCluster": {"kubeconfigRef": {"name": "a", "namespace": "n"}},
    }));
    let zeros = read(json!({
        "image": "", "version": "", "externalAddress": "", "serviceAccount": "",
        "service": {"type": ""},
        "persistence": {"type": "", "hostPath": "", "autoDeletePVCs": false},
        "storage": {
            "type": "etcd",
            "etcd": {
                "image": "", "persistence": {"size": "0", "storageClass": ""},
                "defragJob": {"enabled": false, "image": "", "rule": "", "schedule": ""},
            },
            "kine": {"dataSourceURL": "", "dataSourceSecretName": ""},
            "nats": {"persistence": {"size": 0, "storageClass": ""}},
        },
        "monitoring": {"enabled": false, "prometheusImage": "", "proxyImage": ""},
        "ingress": {"apiHost": "a", "konnectivityHost": "b", "className": ""},
        "certificateRefs": [{"type": "ca", "name": ""}],
        "remoteHostCluster": {"kubeconfigRef": {"name": "a", "namespace": "n", "key": ""}},
    }));
    assert_eq!(zeros, left_out);
}

#[test]
fn quantities_may_be_numbers() {
    let read: Cluster = serde_json::from_value(cluster(json!({
        "resources": {"limits": {"cpu": 2, "memory": "1Gi"}},
        "storage": {"etcd": {"persistence": {"size": 1_073_741_824}}},
        "mounts": [{"path": "/x", "emptyDir": {"sizeLimit": 1024}}],
    })))
    .unwrap();
    let limits = read.spec.resources.unwrap().limits.unwrap();
    assert_eq!(limits["cpu"].0, "2");
    assert_eq!(read.spec.storage.etcd.persistence.size.0, "1073741824");
    assert_eq!(
        read.spec.mounts[0]
            .volume
            .empty_dir
            .as_ref()
            .unwrap()
            .size_limit
            .as_ref()
            .unwrap()
            .0,
        "1024"
    );
}

#[test]
fn an_unknown_persistence_is_read_and_kept() {
    let given = cluster(json!({"persistence": {"type": "nfs"}}));
    let read: Cluster = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(
        read.spec.persistence.as_ref().unwrap().type_,
        PersistenceType::Other("nfs".to_owned())
    );
    contains("", &serde_json::to_value(read).unwrap(), &given);
}

#[test]
fn a_mount_has_no_name() {
    let given = cluster(json!({"mounts": [{"path": "/x", "emptyDir": {}}]}));
    let read: Cluster = serde_json::from_value(given).unwrap();
    let mount = serde_json::to_value(&read.spec.mounts[0]).unwrap();
    assert_eq!(
        mount,
        json!({"path": "/x", "readOnly": false, "emptyDir": {}})
    );
}

#[test]
fn statuses_keep_their_json_names() {
    let given = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "metadata": {"name": "c"}, "spec": {},
        "status": {
            "conditions": [{
                "type": "Available", "status": "False", "reason": "Waiting", "message": "m",
                "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 3,
            }],
            "deprecated": {"v1beta1": {"ready": true, "reconciliationStatus": "done"}},
            "endpoint": "https://1.2.3.4:30443", "etcdMembers": 3, "externalAddress": "1.2.3.4",
            "observedGeneration": 3, "ports": {"api": 30443, "konnectivity": 30132},
            "readyReplicas": 1, "replicas": 2, "selector": "a=b", "updatedReplicas": 1,
            "version": "v1.36.3+k0s.2",
        },
    });
    let read: Cluster = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(
        serde_json::to_value(read).unwrap()["status"],
        given["status"]
    );

    let given = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest", "metadata": {"name": "t"},
        "spec": {"clusterName": "c", "expiry": "1h", "role": "controller"},
        "status": {
            "tokenID": "abcdef", "expiresAt": "2026-01-02T03:04:05Z", "observedGeneration": 1,
            "deprecated": {"v1beta1": {"reconciliationStatus": "done", "clusterUID": "u"}},
        },
    });
    let read: JoinTokenRequest = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(read.spec.role, JoinTokenRole::Controller);
    assert_eq!(serde_json::to_value(read).unwrap(), given);
}

#[test]
fn a_request_defaults_to_a_worker_for_ever() {
    let read: JoinTokenRequest = serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest", "metadata": {"name": "t"},
        "spec": {"clusterName": "c"},
    }))
    .unwrap();
    assert_eq!(
        (read.spec.expiry.as_str(), read.spec.role),
        ("0s", JoinTokenRole::Worker)
    );
}

#[test]
fn names_of_values_are_those_of_the_json() {
    for certificate in CertificateType::ALL {
        assert_eq!(
            serde_json::to_value(certificate).unwrap(),
            certificate.as_str()
        );
    }
    for service in ServiceType::ALL {
        assert_eq!(serde_json::to_value(service).unwrap(), service.as_str());
    }
    for storage in [StorageType::Etcd, StorageType::Kine, StorageType::Nats] {
        assert_eq!(serde_json::to_value(storage).unwrap(), storage.as_str());
    }
    for role in [JoinTokenRole::Worker, JoinTokenRole::Controller] {
        assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
    }
}
