//! Every rule, with one object that it lets through and one that it refuses, in kubectl's words.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::light::scene::Scene;

use super::objects::{accepted, apply, cluster, refused, running, token, try_apply, with};

const VERSION: &str = "v1.36.3-k0s.2";

pub fn plain() -> Value {
    json!({"version": VERSION, "service": {"type": "ClusterIP"}})
}

/// What the spec gets, how it is let through, how it is refused, and the field that is named.
fn new_clusters() -> Vec<(Value, Value, &'static str)> {
    let ingress = |api: &str| json!({"ingress": {"apiHost": api, "konnectivityHost": "k.example.org", "annotations": {"a": "b"}}});
    let k0s = |spec: Value| json!({"k0sConfig": {"spec": spec}});
    let patch = |type_: &str, content: &str| {
        json!({"patches": [{"target": {"kind": "Service", "component": "control-plane"},
            "patch": {"type": type_, "content": content}}]})
    };
    vec![
        (
            json!({"version": "v1.36.3"}),
            json!({"version": "latest"}),
            "spec.version",
        ),
        (
            json!({"image": "registry.example.org:5000/k0s"}),
            json!({"image": "registry.example.org/k0s:v1"}),
            "spec.image",
        ),
        (
            json!({"externalAddress": "api.example.org"}),
            json!({"externalAddress": "https://api.example.org:6443"}),
            "spec.externalAddress",
        ),
        (
            json!({"service": {"apiPort": 6443, "konnectivityPort": 8132}}),
            json!({"service": {"apiPort": 70000, "konnectivityPort": 8132}}),
            "spec.service.apiPort",
        ),
        (
            json!({"persistence": {"type": "hostPath", "hostPath": "/var/lib/x"}}),
            json!({"persistence": {"type": "hostPath"}}),
            "spec.persistence.hostPath",
        ),
        (
            json!({"storage": {"etcd": {"persistence": {"size": "2Gi"}}}}),
            json!({"storage": {"etcd": {"persistence": {"size": "-1Gi"}}}}),
            "spec.storage.etcd.persistence.size",
        ),
        (
            json!({"replicas": 1, "storage": {"type": "kine", "kine": {}}}),
            json!({"replicas": 3, "storage": {"type": "kine", "kine": {}}}),
            "spec.storage.kine",
        ),
        (
            json!({"k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "spec": {}}}),
            json!({"k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1", "spec": {}}}),
            "spec.k0sConfig",
        ),
        (
            k0s(json!({"network": {"provider": "calico", "podCIDR": "10.1.0.0/16"}})),
            k0s(json!({"network": {"provider": "Calico"}})),
            "spec.k0sConfig.spec.network.provider",
        ),
        (
            k0s(json!({"network": {"isLeftOut": 1}})),
            k0s(json!({"netwrok": {"provider": "custom"}})),
            "did you mean network?",
        ),
        (
            k0s(json!({"api": {"sans": ["api.example.org", "192.0.2.1", "fd00::1"]}})),
            k0s(json!({"api": {"sans": ["api.example.org", "*.example.org"]}})),
            "spec.k0sConfig.spec.api.sans[1]",
        ),
        (
            k0s(json!({"api": {"address": "192.0.2.1"}})),
            k0s(json!({"api": {"sans": "api.example.org"}})),
            "spec.k0sConfig.spec.api.sans",
        ),
        (
            k0s(json!({"controllerManager": {"extraArgs": {"profiling": "false"}}})),
            k0s(json!({"controllerManager": {"extraArgs": {"profiling": false}}})),
            "spec.k0sConfig.spec.controllerManager.extraArgs",
        ),
        (
            k0s(
                json!({"network": {"dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/112"}}}),
            ),
            k0s(json!({"network": {"dualStack": {"enabled": true}}})),
            "spec.k0sConfig.spec.network.dualStack.IPv6podCIDR",
        ),
        (
            json!({"controlPlaneFlags": ["--debug", "--flag 'a value'"]}),
            json!({"controlPlaneFlags": ["--flag 'a value"]}),
            "spec.controlPlaneFlags[0]",
        ),
        (
            json!({"certificateRefs": [{"type": "ca", "name": "my-ca"}, {"type": "sa", "name": "my-sa"},
                {"type": "proxy", "name": "my-proxy"}, {"type": "etcd", "name": "my-etcd"}]}),
            json!({"certificateRefs": [{"type": "ca", "name": "a"}, {"type": "ca", "name": "b"}]}),
            "spec.certificateRefs",
        ),
        (
            patch("json", r#"[{"op": "remove", "path": "/spec"}]"#),
            patch("json", "spec: {}"),
            "spec.patches[0].patch.content",
        ),
        (
            patch("merge", "metadata: {labels: {a: b}}"),
            patch("merge", "[1, 2"),
            "spec.patches[0].patch.content",
        ),
        (
            ingress("a.example.org"),
            ingress("k.example.org"),
            "spec.ingress.konnectivityHost",
        ),
        (
            json!({"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}}),
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            "spec.resources",
        ),
        (
            json!({"serviceAccount": "builder"}),
            json!({"serviceAccount": "Not A Name"}),
            "spec.serviceAccount",
        ),
        (
            json!({"kubeconfigSecretMetadata": {"labels": {"a": "b"}}}),
            json!({"kubeconfigSecretMetadata": {"labels": {"a": "not a value"}}}),
            "spec.kubeconfigSecretMetadata.labels",
        ),
        (
            json!({"remoteHostCluster": {"kubeconfigRef": {"name": "host", "namespace": "OWN"}}}),
            json!({"remoteHostCluster": {"kubeconfigRef": {"name": "host", "namespace": "kube-system"}}}),
            "spec.remoteHostCluster.kubeconfigRef.namespace",
        ),
    ]
}

pub async fn every_rule_lets_one_through_and_refuses_one(scene: &Scene) -> Result<()> {
    let own = |change: &Value| -> Result<Value> {
        let text = change.to_string().replace("OWN", &scene.namespace);
        Ok(serde_json::from_str(&text)?)
    };
    let rules = new_clusters();
    for (index, (good, bad, field)) in rules.iter().enumerate() {
        let name = format!("rule-{index}");
        let object = |change: &Value| -> Result<Value> {
            let change = own(change)?;
            Ok(cluster(&name, &with(plain(), &change)))
        };
        let said = try_apply(scene, &object(good)?).await?;
        accepted(&said).with_context(|| format!("{field}: {good}"))?;
        let said = try_apply(scene, &object(bad)?).await?;
        refused(&said, &[field]).with_context(|| format!("{field}: {bad}"))?;
    }
    let long = "n".repeat(44);
    refused(
        &try_apply(scene, &cluster(&long, &plain())).await?,
        &["metadata.name"],
    )?;
    accepted(&try_apply(scene, &cluster(&"n".repeat(43), &plain())).await?)?;

    for (good, bad, field) in [
        (
            json!({"expiry": "24h"}),
            json!({"expiry": "-1h"}),
            "spec.expiry",
        ),
        (
            json!({"clusterName": "one"}),
            json!({"clusterName": "Not A Name"}),
            "spec.clusterName",
        ),
    ] {
        let spec = json!({"clusterName": "one", "expiry": "1h"});
        let said = try_apply(scene, &token("one", &with(spec.clone(), &good))).await?;
        accepted(&said).with_context(|| field.to_owned())?;
        let said = try_apply(scene, &token("one", &with(spec, &bad))).await?;
        refused(&said, &[field])?;
    }
    scene.say(format!("{} rules about new objects", rules.len() + 3));
    Ok(())
}

/// What a running Cluster has, a change that is let through, one that is refused, and its field.
fn changes() -> Vec<(Value, Value, Value, &'static str)> {
    let claim = |size: &str| {
        json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}}})
    };
    let etcd = |change: Value| json!({"storage": {"etcd": change}});
    let network = |change: Value| json!({"k0sConfig": {"spec": {"network": change}}});
    vec![
        (
            json!({}),
            json!({"replicas": 3}),
            json!({"storage": {"type": "nats", "nats": {}}}),
            "spec.storage.type",
        ),
        (
            json!({}),
            json!({"controlPlaneFlags": ["--debug"]}),
            claim("1Gi"),
            "spec.persistence.type",
        ),
        (
            etcd(json!({"persistence": {"size": "2Gi"}})),
            etcd(json!({"persistence": {"size": "3Gi"}})),
            etcd(json!({"persistence": {"size": "1Gi"}})),
            "spec.storage.etcd.persistence.size",
        ),
        (
            etcd(json!({"persistence": {"size": "2Gi", "storageClass": "a"}})),
            etcd(json!({"args": ["--max-request-bytes=2000000"]})),
            etcd(json!({"persistence": {"storageClass": "b"}})),
            "spec.storage.etcd.persistence.storageClass",
        ),
        (claim("2Gi"), claim("3Gi"), claim("1Gi"), "spec.persistence"),
        (
            json!({}),
            json!({"resources": {"requests": {"cpu": "100m"}}}),
            json!({"service": {"type": "LoadBalancer"}}),
            "spec.service.type",
        ),
        (
            json!({}),
            json!({"externalAddress": "192.0.2.9"}),
            json!({"service": {"apiPort": 6443}}),
            "spec.service.apiPort",
        ),
        (
            network(json!({"serviceCIDR": "10.112.0.0/12"})),
            network(json!({"provider": "custom"})),
            network(json!({"serviceCIDR": "10.128.0.0/12"})),
            "spec.k0sConfig.spec.network.serviceCIDR",
        ),
        (
            network(json!({})),
            network(json!({"dualStack": {"enabled": false}})),
            network(
                json!({"dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/112"}}),
            ),
            "spec.k0sConfig.spec.network.dualStack.enabled",
        ),
        (
            json!({}),
            json!({"kubeconfigSecretMetadata": {"labels": {"a": "b"}}}),
            json!({"certificateRefs": [{"type": "ca", "name": "another"}]}),
            "spec.certificateRefs",
        ),
        (
            etcd(json!({"image": "quay.io/k0sproject/etcd:v3.6.12"})),
            etcd(json!({"image": "quay.io/k0sproject/etcd:v3.7.1"})),
            etcd(json!({"image": "quay.io/k0sproject/etcd:v3.5.27"})),
            "spec.storage.etcd.image",
        ),
    ]
}

pub async fn every_rule_on_changes_lets_one_through_and_refuses_one(scene: &Scene) -> Result<()> {
    let rules = changes();
    for (index, (has, good, bad, field)) in rules.iter().enumerate() {
        let name = format!("rule-{index}");
        let spec = with(plain(), has);
        running(scene, &name, &spec, VERSION).await?;
        let said = try_apply(scene, &cluster(&name, &with(spec.clone(), good))).await?;
        accepted(&said).with_context(|| format!("{field}: {good}"))?;
        let said = try_apply(scene, &cluster(&name, &with(spec, bad))).await?;
        refused(&said, &[field]).with_context(|| format!("{field}: {bad}"))?;
    }
    let spec = json!({"clusterName": "rule-0", "expiry": "1h"});
    accepted(&apply(scene, &token("one", &spec)).await?)?;
    let status = r#"{"status": {"tokenID": "abcdef"}}"#;
    let patch = [
        "patch",
        "jtr",
        "one",
        "--subresource=status",
        "--type=merge",
        "--patch",
        status,
    ];
    accepted(&scene.kubectl(&patch, "").await?)?;
    let longer = with(spec, &json!({"expiry": "2h"}));
    refused(&try_apply(scene, &token("one", &longer)).await?, &["spec"])?;
    scene.say(format!("{} rules about changes", rules.len() + 1));
    Ok(())
}

pub async fn all_that_is_wrong_is_said_at_once(scene: &Scene) -> Result<()> {
    let wrong = json!({
        "version": "newest",
        "image": "registry.example.org/k0s:v1",
        "externalAddress": "https://x",
        "controlPlaneFlags": ["--a 'b"],
        "serviceAccount": "Not A Name",
    });
    let said = try_apply(scene, &cluster("one", &with(plain(), &wrong))).await?;
    refused(
        &said,
        &[
            "spec.version",
            "spec.image",
            "spec.externalAddress",
            "spec.controlPlaneFlags[0]",
            "spec.serviceAccount",
            // The value, and what to do.
            "newest",
            "v1.36.3",
        ],
    )?;
    // What works but will have a consequence is said as well.
    let later = with(plain(), &json!({"monitoring": {"enabled": true}}));
    let said = try_apply(scene, &cluster("one", &later)).await?;
    accepted(&said)?;
    ensure!(
        said.err.contains("Warning:") && said.err.contains("spec.monitoring.enabled"),
        "{said:?}"
    );
    Ok(())
}
