//! What differs from upstream, by the rows of the table in `docs/compatibility.md`. Each turns
//! upstream's shapes into ours; whatever else differs fails the suite.

use serde_json::{Map, Value, json};
use support::light::children::{at, text};

use super::reduce::UID;

/// Upstream's shapes of one Cluster on their way to ours.
pub struct Shapes {
    /// The Cluster's name.
    pub cluster: String,
    /// By `KIND/NAME`.
    pub objects: Map<String, Value>,
}

/// One documented difference.
pub struct Difference {
    /// The first column of the row.
    pub row: &'static str,
    /// Turns upstream's shapes into ours.
    pub apply: fn(&mut Shapes),
}

impl Shapes {
    /// The names of the control plane, of etcd and so on.
    fn name(&self, suffix: &str) -> String {
        format!("kmc-{}{suffix}", self.cluster)
    }

    fn control_plane(&mut self) -> &mut Value {
        let key = format!("StatefulSet/{}", self.name(""));
        self.objects.entry(key).or_insert(Value::Null)
    }

    fn etcd(&mut self) -> &mut Value {
        let key = format!("StatefulSet/{}", self.name("-etcd"));
        self.objects.entry(key).or_insert(Value::Null)
    }

    fn config(&mut self) -> &mut Value {
        let key = format!("ConfigMap/{}", self.name("-config"));
        self.objects.entry(key).or_insert(Value::Null)
    }

    /// A child that upstream does not have.
    fn add(&mut self, kind: &str, name: &str, component: &str, more: Value) {
        let group = if component == "etcd" {
            "etcd"
        } else {
            "cluster"
        };
        let mut shape = json!({
            "labels": {
                "app": "k0smotron",
                "app.kubernetes.io/component": component,
                "cluster": self.cluster,
                "component": group,
            },
            "owner": [["Cluster", self.cluster]],
        });
        if let (Value::Object(shape), Value::Object(more)) = (&mut shape, more) {
            shape.extend(more);
        }
        self.objects.insert(format!("{kind}/{name}"), shape);
    }
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = object.pointer_mut(pointer) {
        *place = value;
    }
}

fn list<'v>(object: &'v mut Value, pointer: &str) -> Option<&'v mut Vec<Value>> {
    object.pointer_mut(pointer)?.as_array_mut()
}

fn remove(object: &mut Value, pointer: &str, is: impl Fn(&Value) -> bool) {
    if let Some(list) = list(object, pointer) {
        list.retain(|entry| !is(entry));
    }
}

fn first(object: &mut Value, pointer: &str, value: Value) {
    if let Some(list) = list(object, pointer) {
        list.insert(0, value);
    }
}

fn last(object: &mut Value, pointer: &str, value: Value) {
    if let Some(list) = list(object, pointer) {
        list.push(value);
    }
}

/// Mounts in this folder are read-only here.
fn read_only(object: &mut Value, pointer: &str, folder: &str) {
    for mount in list(object, pointer).into_iter().flatten() {
        if text(mount, "/0") == folder {
            set(mount, "/2", json!(true));
        }
    }
}

/// All of them.
pub static DIFFERENCES: [Difference; 13] = [
    Difference {
        row: "Entrypoint",
        apply: |shapes| {
            let name = format!("kmc-entrypoint-{}-config", shapes.cluster);
            shapes.objects.remove(&format!("ConfigMap/{name}"));
            let set = shapes.control_plane();
            remove(set, "/volumes", |volume| text(volume, "/name") == name);
            remove(set, "/containers/0/mounts", |mount| {
                text(mount, "/0") == "/k0smotron-entrypoint.sh"
            });
        },
    },
    Difference {
        row: "k0s configuration",
        apply: |shapes| {
            let name = shapes.name("-config");
            let set = shapes.control_plane();
            remove(set, "/containers/0/envFrom", |kind| kind == "configMapRef");
            first(
                set,
                "/containers/0/mounts",
                json!(["/etc/k0smotron", "", true]),
            );
            let volume = json!({"kind": "configMap", "name": name, "ref": name});
            first(set, "/volumes", volume);
            // A change that k0s reads at its start only rolls the pods by it.
            last(set, "/podAnnotations", json!("k0smotron.io/config-digest"));
        },
    },
    Difference {
        row: "CA files",
        apply: |shapes| read_only(shapes.control_plane(), "/init/0/mounts", "/certs-init"),
    },
    Difference {
        row: "Probes of the control plane",
        apply: |shapes| {
            let probes = json!({"startupProbe": ["httpGet"], "readinessProbe": ["httpGet"]});
            set(shapes.control_plane(), "/containers/0/probes", probes);
        },
    },
    Difference {
        row: "Anonymous access to the hosted API",
        apply: |shapes| {
            let config = shapes.config();
            let key = json!("authentication.yaml");
            last(config, "/keys", key);
            if let Some(Value::Object(api)) = config.pointer_mut("/k0s/spec/api") {
                let file = "/etc/k0smotron/authentication.yaml";
                api.insert(
                    "extraArgs".to_owned(),
                    json!({"authentication-config": file}),
                );
            }
        },
    },
    Difference {
        row: "etcd's start",
        apply: |shapes| {
            let probes = json!({"startupProbe": ["httpGet"], "readinessProbe": ["httpGet"]});
            let set_ = shapes.etcd();
            set(set_, "/init", json!([]));
            set(set_, "/containers/0/probes", probes);
            first(set_, "/containers/0/env", json!("POD_NAME"));
        },
    },
    Difference {
        row: "etcd's initial cluster",
        apply: |shapes| {
            let keys = ["", "_STATE", "_TOKEN"].map(|key| format!("ETCD_INITIAL_CLUSTER{key}"));
            let name = shapes.name("-etcd-config");
            shapes.add("ConfigMap", &name, "etcd", json!({"keys": keys}));
            for variable in &keys[1..] {
                last(shapes.etcd(), "/containers/0/env", json!(variable));
            }
        },
    },
    Difference {
        row: "etcd's claims",
        apply: |shapes| {
            let claims = format!("PersistentVolumeClaim/etcd-data-{}-etcd-", shapes.name(""));
            let all = shapes.objects.iter_mut();
            for (_, claim) in all.filter(|(key, _)| key.starts_with(&claims)) {
                if let Some(Value::Object(labels)) = claim.pointer_mut("/labels") {
                    labels.insert("k0smotron.io/cluster-uid".to_owned(), json!(UID));
                }
            }
        },
    },
    Difference {
        row: "etcd's clients",
        apply: |shapes| {
            let name = shapes.name("-etcd-client");
            let selector =
                json!({"app": "k0smotron", "cluster": shapes.cluster, "component": "etcd"});
            let service = json!({
                "type": "ClusterIP",
                "headless": true,
                "selector": selector,
                "ports": [["client", 2379, 2379, null]],
                "publishNotReady": false,
            });
            shapes.add("Service", &name, "etcd", service);
            set(
                shapes.config(),
                "/k0s/spec/storage/etcd/externalCluster/endpoints",
                json!([format!("https://{name}:2379")]),
            );
        },
    },
    Difference {
        row: "PodDisruptionBudgets",
        apply: |shapes| {
            if at(shapes.control_plane(), "/replicas").as_i64() >= Some(3) {
                let (name, etcd) = (shapes.name(""), shapes.name("-etcd"));
                shapes.add("PodDisruptionBudget", &name, "control-plane", json!({}));
                shapes.add("PodDisruptionBudget", &etcd, "etcd", json!({}));
            }
        },
    },
    Difference {
        row: "`podManagementPolicy` of the control plane",
        apply: |shapes| set(shapes.control_plane(), "/policy", json!("Parallel")),
    },
    Difference {
        row: "Security of the pods",
        apply: |shapes| {
            // A read-only root file system, with what k0s writes outside its data directory.
            let control_plane = shapes.control_plane();
            for name in ["run", "tmp"] {
                let mount = json!([format!("/{name}"), "", false]);
                last(control_plane, "/containers/0/mounts", mount);
                let volume = json!({"kind": "emptyDir", "name": name, "ref": ""});
                last(control_plane, "/volumes", volume);
            }
            read_only(
                shapes.etcd(),
                "/containers/0/mounts",
                "/var/lib/k0s/pki/etcd/",
            );
        },
    },
    Difference {
        row: "Annotations of the Cluster",
        apply: |shapes| {
            // A Cluster without any shows it too: `kubectl apply` notes one on it.
            remove(shapes.control_plane(), "/podAnnotations", |name| {
                name == "kubectl.kubernetes.io/last-applied-configuration"
            });
        },
    },
];
