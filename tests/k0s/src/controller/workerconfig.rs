//! Worker profiles: a ConfigMap for each, which a joining worker reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Context, bootstrap, until_leading};
use crate::config::ClusterConfig;
use crate::{api, merge, signals, version};

const LABEL: &str = "app.kubernetes.io/component";
const COMPONENT: &str = "worker-config";
const NAMESPACE: &str = "kube-system";

/// Keeps the config maps as the live configuration wants them, until the end.
pub async fn run(
    context: &Context,
    mut live: watch::Receiver<ClusterConfig>,
    mut leading: watch::Receiver<bool>,
) {
    loop {
        until_leading(&mut leading).await;
        let config = live.borrow_and_update().clone();
        if let Err(error) = reconcile(context, &config).await {
            tracing::warn!("failed to write the worker profiles: {error:#}");
            sleep(Duration::from_millis(500)).await;
            continue;
        }
        tokio::select! {
            () = changed(&mut live) => {}
            () = signals::off(&mut leading) => {}
        }
    }
}

/// Waits for another configuration: for ever when none will come.
async fn changed(live: &mut watch::Receiver<ClusterConfig>) {
    if live.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn reconcile(context: &Context, config: &ClusterConfig) -> Result<()> {
    let minor = version::minor(&version::k0s());
    let wanted = config_maps(
        config,
        &minor,
        context.enabled("konnectivity-server"),
        context.enabled("kube-proxy"),
    )?;
    let names: BTreeSet<&String> = wanted.keys().collect();
    let role = format!("system:bootstrappers:worker-config-{minor}");
    let rules = json!([{
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": names,
        "verbs": ["get", "list", "watch"],
    }]);
    let rbac = "rbac.authorization.k8s.io";
    let access = json!({
        "apiVersion": format!("{rbac}/v1"),
        "kind": "Role",
        "metadata": {"name": role, "namespace": NAMESPACE},
        "rules": rules,
    });
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"),
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": NAMESPACE},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": role},
        "subjects": [bootstrap::group("system:bootstrappers"), bootstrap::group("system:nodes")],
    });
    api::apply(&context.client, "roles", &access).await?;
    api::apply(&context.client, "rolebindings", &binding).await?;
    for (name, data) in &wanted {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels(&minor)},
            "data": data,
        });
        api::apply(&context.client, "configmaps", &object).await?;
    }
    // Profiles of other minor versions belong to controllers that are being replaced or to come.
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), NAMESPACE);
    let selector = format!("{LABEL}={COMPONENT},app.kubernetes.io/version={minor}");
    for map in maps.list(&ListParams::default().labels(&selector)).await? {
        if let Some(name) = map.metadata.name.filter(|name| !names.contains(name)) {
            maps.delete(&name, &DeleteParams::default()).await?;
        }
    }
    tracing::info!("{} worker profiles are in place", wanted.len());
    Ok(())
}

fn labels(minor: &str) -> Value {
    json!({
        "app.kubernetes.io/managed-by": "k0s",
        LABEL: COMPONENT,
        "app.kubernetes.io/version": minor,
    })
}

/// The config maps by name, each with its data.
fn config_maps(
    config: &ClusterConfig,
    minor: &str,
    konnectivity: bool,
    kube_proxy: bool,
) -> Result<BTreeMap<String, BTreeMap<&'static str, String>>> {
    let mut profiles = vec![("default", Value::Null)];
    for profile in &config.worker_profiles {
        profiles.push((&profile.name, Value::Object(profile.values.clone())));
    }
    let mut maps = BTreeMap::new();
    for (name, values) in profiles {
        let mut kubelet = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "clusterDNS": config.dns_ip().into_iter().collect::<Vec<_>>(),
            "clusterDomain": config.network.cluster_domain,
            "failSwapOn": false,
            "rotateCertificates": true,
        });
        if !values.is_null() {
            merge::merge(&mut kubelet, &values);
        }
        let endpoint = config.konnectivity_endpoint();
        let proxy_off = config
            .network
            .kube_proxy
            .as_ref()
            .and_then(|proxy| proxy.get("disabled"));
        let mut data = BTreeMap::from([
            ("apiServerAddresses", json!([config.api_endpoint().to_string()]).to_string()),
            ("kubeletConfiguration", serde_json::to_string(&kubelet)?),
            (
                "konnectivity",
                json!({"enabled": konnectivity, "agentPort": endpoint.port, "externalAddress": config.konnectivity.external_address})
                    .to_string(),
            ),
            (
                "standIn",
                json!({
                    "kubeProxy": kube_proxy && proxy_off != Some(&Value::Bool(true)),
                    "podCIDR": config.network.pod_cidr,
                    "networkProvider": config.network.provider,
                })
                .to_string(),
            ),
        ]);
        if let Some(image) = &config.pause_image {
            data.insert("pauseImage", Value::from(image.as_str()).to_string());
        }
        maps.insert(format!("worker-config-{name}-{minor}"), data);
    }
    Ok(maps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_its_config_map() {
        let config = ClusterConfig::parse(
            "spec: {api: {externalAddress: h}, konnectivity: {agentPort: 30132}, workerProfiles: [{name: big, values: {maxPods: 500, clusterDomain: x}}]}",
        )
        .unwrap();
        let maps = config_maps(&config, "1.36", true, true).unwrap();
        assert_eq!(
            maps.keys().collect::<Vec<_>>(),
            ["worker-config-big-1.36", "worker-config-default-1.36"]
        );
        let kubelet = |name: &str| -> Value {
            serde_json::from_str(&maps[name]["kubeletConfiguration"]).unwrap()
        };
        assert_eq!(kubelet("worker-config-big-1.36")["maxPods"], 500);
        assert_eq!(kubelet("worker-config-big-1.36")["clusterDomain"], "x");
        assert_eq!(
            kubelet("worker-config-default-1.36")["clusterDNS"][0],
            "10.96.0.10"
        );
        assert!(maps["worker-config-big-1.36"]["konnectivity"].contains("30132"));
        assert!(maps["worker-config-big-1.36"]["apiServerAddresses"].contains("h:6443"));
    }
}
