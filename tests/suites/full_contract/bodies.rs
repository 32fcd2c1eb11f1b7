//! The objects that the control plane is made of.

use anyhow::Result;
use mothership::Image;
use mothership::components::K0sVersion;
use serde_json::{Value, json};

use crate::plane::{ETCD, K0S, NAMESPACE, PLAIN_PORT, PREFIX, SANS};

/// What a pod of k0s is for.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    /// A control plane as the product makes it.
    Whole { api: u16, konnectivity: u16 },
    /// A control plane with the defaults of k0s.
    Plain,
    /// Commands beside no control plane.
    Idle,
}

fn configuration(spec: &Value) -> String {
    json!({
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": spec,
    })
    .to_string()
}

/// The configurations that k0s is started with, good ones and bad ones.
pub fn configurations(address: &str, api: u16, konnectivity: u16) -> Value {
    let health = ["/readyz", "/livez", "/healthz"].map(|path| json!({"path": path}));
    let authentication = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": true, "conditions": health},
    });
    let full = json!({
        "api": {
            "externalAddress": address,
            "port": api,
            "sans": SANS,
            "extraArgs": {"authentication-config": "/etc/k0s/authentication.yaml"},
        },
        "konnectivity": {"agentPort": konnectivity},
        "network": {"provider": "custom"},
        "storage": {"type": "etcd", "etcd": {"externalCluster": {
            "endpoints": [format!("http://{ETCD}.{NAMESPACE}.svc:2379")],
            "etcdPrefix": PREFIX,
        }}},
    });
    json!({"metadata": {"name": K0S}, "data": {
        "authentication.yaml": authentication.to_string(),
        "k0s.yaml": configuration(&full),
        "plain.yaml": configuration(&json!({})),
        "section.yaml": configuration(&json!({"apis": {}})),
        "field.yaml": configuration(&json!({"konnectivity": {"agentPorts": 1}})),
        "type.yaml": configuration(&json!({"api": {"port": "many"}})),
        "value.yaml": configuration(&json!({"storage": {"type": "floppy"}})),
    }})
}

/// The pod of k0s, with no more rights than the product gives it.
pub fn k0s(name: &str, by: Use) -> Result<Value> {
    let image = Image::K0s(K0sVersion::Current).reference()?;
    let confined = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {
            "drop": ["ALL"],
            "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"],
        },
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let mounts = json!([
        {"name": "config", "mountPath": "/etc/k0s", "readOnly": true},
        {"name": "data", "mountPath": "/var/lib/k0s"},
        {"name": "run", "mountPath": "/run"},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "authorities", "mountPath": "/authorities", "readOnly": true},
    ]);
    let health = json!({"httpGet": {"scheme": "HTTPS", "port": "api", "path": "/readyz"}});
    let open = json!({"tcpSocket": {"port": "api"}});
    let (file, copy, mut probe, [api, konnectivity]) = match by {
        Use::Whole { api, konnectivity } => {
            let copy = "mkdir -p /var/lib/k0s/pki && cp /authorities/* /var/lib/k0s/pki/";
            ("k0s.yaml", copy, health, [api, konnectivity])
        }
        Use::Plain => ("plain.yaml", "true", open, [PLAIN_PORT, 8132]),
        Use::Idle => ("", "true", json!({"exec": {"command": ["true"]}}), [1, 2]),
    };
    if let Some(probe) = probe.as_object_mut() {
        probe.insert("periodSeconds".to_owned(), json!(1));
    }
    let command = if matches!(by, Use::Idle) {
        json!(["sleep", "10000"])
    } else {
        json!([
            "/sbin/tini",
            "--",
            "k0s",
            "controller",
            format!("--config=/etc/k0s/{file}"),
            "--enable-dynamic-config",
        ])
    };
    let empty = |name: &str| json!({"name": name, "emptyDir": {}});
    Ok(json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "initContainers": [{
                "name": "authorities",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", copy],
                "securityContext": confined,
                "volumeMounts": mounts,
            }],
            "containers": [{
                "name": "k0s",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "ports": [
                    {"name": "api", "containerPort": api},
                    {"name": "konnectivity", "containerPort": konnectivity},
                ],
                "readinessProbe": probe,
                "securityContext": confined,
                "volumeMounts": mounts,
            }],
            "volumes": [
                {"name": "config", "configMap": {"name": K0S}},
                {"name": "authorities", "secret": {"secretName": K0S}},
                empty("data"), empty("run"), empty("tmp"),
            ],
        },
    }))
}

/// The etcd that the whole one uses.
pub fn etcd() -> Value {
    json!({
        "metadata": {"name": ETCD, "labels": {"app": ETCD}},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "etcd",
                "image": mothership::image::ETCD,
                "imagePullPolicy": "IfNotPresent",
                "command": ["etcd"],
                "args": [
                    "--data-dir=/data/etcd",
                    "--listen-client-urls=http://0.0.0.0:2379",
                    format!("--advertise-client-urls=http://{ETCD}.{NAMESPACE}.svc:2379"),
                ],
                "readinessProbe": {"tcpSocket": {"port": 2379}, "periodSeconds": 1},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}
