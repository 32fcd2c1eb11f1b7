//! Objects with random faults.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{serving, with_status};

/// A Cluster that uses most fields.
pub fn whole() -> Value {
    let object = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {
            "name": "c", "namespace": "n", "generation": 2, "labels": {"a": "b"},
            "annotations": {"k0smotron.io/force-upgrade": "v1.36.3"},
        },
        "spec": {
            "replicas": 3, "image": "quay.io/k0sproject/k0s", "version": "v1.35.1-k0s.0",
            "externalAddress": "192.0.2.1",
            "service": {"type": "NodePort", "apiPort": 30443, "konnectivityPort": 30132},
            "ingress": {"apiHost": "a.x", "konnectivityHost": "k.x", "annotations": {"a": "b"}},
            "persistence": {"type": "pvc", "persistentVolumeClaim": {
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            }},
            "storage": {
                "type": "etcd",
                "etcd": {
                    "image": "quay.io/k0sproject/etcd:v3.6.14",
                    "persistence": {"size": "1Gi", "storageClass": "fast"},
                    "defragJob": {"enabled": true},
                },
                "kine": {"dataSourceURL": "postgres://a@b"},
                "nats": {"persistence": {"size": "1Gi"}},
            },
            "k0sConfig": {
                "apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig",
                "spec": {"network": {"podCIDR": "10.1.0.0/16", "provider": "calico"}},
            },
            "controlPlaneFlags": ["--debug", "--labels 'a=b'"],
            "certificateRefs": [{"type": "ca", "name": "mine"}],
            "manifests": [{"name": "m", "configMap": {"name": "m"}}],
            "mounts": [{"path": "/x", "secret": {"secretName": "s"}}],
            "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
            }],
            "kubeconfigSecretMetadata": {"labels": {"a": "b"}},
            "monitoring": {"enabled": true},
            "patches": [{
                "target": {"kind": "Service", "component": "control-plane"},
                "patch": {"type": "merge", "content": "{a: 1}"},
            }],
            "remoteHostCluster": {"kubeconfigRef": {"name": "a", "namespace": "n"}},
        },
    });
    with_status(object, serving("v1.35.1-k0s.0"))
}

/// A JoinTokenRequest that uses every field.
pub fn token() -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "metadata": {
            "name": "t", "namespace": "n",
            "annotations": {"k0smotron.io/cluster-ref-namespace": "other"},
        },
        "spec": {"clusterName": "c", "expiry": "24h", "role": "worker"},
        "status": {"tokenID": "abcdef", "expiresAt": "2026-01-01T00:00:00Z"},
    })
}

/// Any JSON.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "v1.36.3",
            "1Gi",
            "-1",
            "0s",
            "etcd:v3.5.1",
            "pvc",
            "nats",
            "/",
            ""
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![
            "[a-z]{0,4}",
            prop::sample::select(vec![
                "spec", "metadata", "status", "service", "storage", "ingress", "replicas"
            ])
            .prop_map(ToOwned::to_owned),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What is done to one place of an object.
#[derive(Clone, Debug)]
pub enum Fault {
    Gone,
    Instead(Value),
}

pub fn faults() -> impl Strategy<Value = Vec<(prop::sample::Index, Fault)>> {
    let fault = prop_oneof![
        1 => Just(Fault::Gone),
        3 => any_json().prop_map(Fault::Instead),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), fault), 0..5)
}

/// The object with all of it done.
pub fn broken(mut object: Value, faults: &[(prop::sample::Index, Fault)]) -> Value {
    for (index, fault) in faults {
        let mut places = Vec::new();
        collect(&object, String::new(), &mut places);
        if places.is_empty() {
            break;
        }
        let place = index.get(&places);
        match fault {
            Fault::Instead(value) => *object.pointer_mut(place).unwrap() = value.clone(),
            Fault::Gone => {
                let (parent, name) = place.rsplit_once('/').unwrap();
                match object.pointer_mut(parent).unwrap() {
                    Value::Object(fields) => {
                        fields.remove(&name.replace("~1", "/").replace("~0", "~"));
                    }
                    Value::Array(items) => {
                        items.remove(name.parse().unwrap());
                    }
                    _ => {}
                }
            }
        }
    }
    object
}

fn collect(value: &Value, place: String, places: &mut Vec<String>) {
    let mut inner = |name: &str, value: &Value| {
        let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
        places.push(place.clone());
        collect(value, place, places);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| inner(name, value)),
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                inner(&index.to_string(), value);
            }
        }
        _ => {}
    }
}
