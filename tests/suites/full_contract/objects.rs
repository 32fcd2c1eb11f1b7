//! What k0s keeps in the hosted cluster.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use support::full::until;
use support::full::world::World;

use crate::plane;

/// Built-in manifests are applied 15 s after the start; ten times that is a failure.
const WITHIN: Duration = Duration::from_secs(150);

pub async fn the_kubernetes_endpoints_are_the_external_address(world: &World) -> Result<()> {
    let it = plane::plane(world).await?;
    let all: Api<Endpoints> = Api::namespaced(plane::client(world).await?, "default");
    let expected = (vec![it.address.clone()], vec![i32::from(it.api)]);
    until("default/kubernetes", WITHIN, async || {
        let found = all
            .get_opt("kubernetes")
            .await
            .map_err(|error| error.to_string())?;
        let mut subsets = found.and_then(|found| found.subsets).unwrap_or_default();
        let subset = subsets.pop().ok_or("there is none")?;
        let addresses: Vec<String> = subset
            .addresses
            .into_iter()
            .flatten()
            .map(|address| address.ip)
            .collect();
        let ports: Vec<i32> = subset
            .ports
            .into_iter()
            .flatten()
            .map(|port| port.port)
            .collect();
        if (addresses, ports) == expected && subsets.is_empty() {
            Ok(())
        } else {
            Err(format!("it is not {expected:?}"))
        }
    })
    .await
}

/// A worker profile's kubelet settings.
async fn kubelet(client: &Client, profile: &str) -> Result<Value> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    let start = format!("worker-config-{profile}-1.");
    until(&start, WITHIN, async || {
        let maps = maps.list(&kube::api::ListParams::default()).await;
        let maps = maps.map_err(|error| error.to_string())?;
        let found = maps.items.into_iter().find(|map| {
            map.metadata
                .name
                .as_ref()
                .is_some_and(|name| name.starts_with(&start))
        });
        let mut data = found.and_then(|map| map.data).ok_or("there is none")?;
        let text = data
            .remove("kubeletConfiguration")
            .ok_or("no kubeletConfiguration")?;
        for key in ["apiServerAddresses", "konnectivity"] {
            data.remove(key).ok_or_else(|| format!("no {key}"))?;
        }
        serde_json::from_str(&text).map_err(|error| error.to_string())
    })
    .await
}

pub async fn a_live_worker_profile_becomes_a_config_map(world: &World) -> Result<()> {
    let client = plane::client(world).await?;
    let configs = plane::cluster_configs(client.clone());
    let object = until("the ClusterConfig kube-system/k0s", WITHIN, async || {
        configs.get("k0s").await.map_err(|error| error.to_string())
    })
    .await?;
    let spec = object.data.get("spec").context("no spec")?;
    for alone in ["/api", "/storage"] {
        ensure!(
            spec.pointer(alone).is_none_or(Value::is_null),
            "{alone} is the same for all controllers: {spec}"
        );
    }
    let default = kubelet(&client, "default").await?;
    ensure!(
        default.get("clusterDNS") == Some(&json!(["10.96.0.10"])),
        "{default}"
    );
    // k0s refuses settings with which no kubelet would start on a machine like its own.
    let values = json!({"maxPods": 77, "failCgroupV1": false});
    let patch = json!({"spec": {"workerProfiles": [{"name": "live", "values": values}]}});
    configs
        .patch("k0s", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    let live = kubelet(&client, "live").await?;
    ensure!(
        live.get("maxPods") == Some(&json!(77))
            && live.get("clusterDNS") == default.get("clusterDNS"),
        "{live}"
    );
    Ok(())
}

pub async fn manifests_are_applied_and_pruned_with_their_files(world: &World) -> Result<()> {
    let client = plane::client(world).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let stack = "/var/lib/k0s/manifests/contract";
    let manifest = |name: &str, value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"}, "data": {"key": value},
        })
        .to_string()
    };
    // Files come whole, or k0s could read half of one.
    let write = async |file: &str, text: String| {
        let script = format!(
            "mkdir -p {stack} && cat >/tmp/m <<'END'\n{text}\nEND\nmv /tmp/m {stack}/{file}"
        );
        plane::exec(world, &["sh", "-c", &script]).await.map(drop)
    };
    let becomes = async |name: &str, expected: Option<&str>| {
        let what = format!("{name} becomes {expected:?}");
        until(&what, WITHIN, async || {
            let found = maps
                .get_opt(name)
                .await
                .map_err(|error| error.to_string())?;
            let value = found.map(|map| map.data.and_then(|mut data| data.remove("key")));
            let value = value.map(Option::unwrap_or_default);
            if value.as_deref() == expected {
                Ok(())
            } else {
                Err(format!("it is {value:?}"))
            }
        })
        .await
    };
    write("a.yaml", manifest("first", "one")).await?;
    write("b.yaml", manifest("second", "one")).await?;
    becomes("first", Some("one")).await?;
    becomes("second", Some("one")).await?;
    write("a.yaml", manifest("first", "two")).await?;
    becomes("first", Some("two")).await?;
    plane::exec(world, &["rm", &format!("{stack}/b.yaml")]).await?;
    becomes("second", None).await?;
    becomes("first", Some("two")).await
}
