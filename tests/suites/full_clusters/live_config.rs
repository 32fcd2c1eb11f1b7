//! What a running control plane takes over from a changed configuration.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use support::full::world::World;
use support::full::{clusters, hosted, until};

use crate::LEFT;

const PROFILE: &str = "small";

/// Whether the hosted cluster has the worker profile: in its configuration, and as the ConfigMap
/// that k0s makes of it for its workers.
async fn has_profile(client: &Client) -> Result<(bool, bool)> {
    let kind = GroupVersionKind::gvk("k0s.k0sproject.io", "v1beta1", "ClusterConfig");
    let resource = ApiResource::from_gvk(&kind);
    let configs: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "kube-system", &resource);
    let config = configs.get("k0s").await?;
    let profiles = config
        .data
        .pointer("/spec/workerProfiles")
        .and_then(Value::as_array);
    let configured = profiles
        .into_iter()
        .flatten()
        .any(|profile| profile.get("name").and_then(Value::as_str) == Some(PROFILE));
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    let prefix = format!("worker-config-{PROFILE}-");
    let maps = maps.list(&ListParams::default()).await?;
    let made = maps.iter().any(|map| {
        let name = map.metadata.name.as_deref().unwrap_or_default();
        name.starts_with(&prefix)
    });
    Ok((configured, made))
}

/// The control plane's pod and how often it was restarted.
async fn pod(world: &World) -> Result<(Option<String>, i32)> {
    let pods = clusters::pods_ready(world, LEFT, "cluster", 1).await?;
    let pod = pods.into_iter().next().context("no pod")?;
    let status = pod.status.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let restarts = containers.iter().map(|c| c.restart_count).sum();
    Ok((pod.metadata.uid, restarts))
}

pub async fn a_changed_configuration_reaches_the_running_control_plane(
    world: &World,
) -> Result<()> {
    clusters::ensure(world, LEFT, clusters::node_port()).await?;
    let client = hosted::client(world, LEFT).await?;
    let before = pod(world).await?;
    let profile = json!([{"name": PROFILE, "values": {"maxPods": 7, "failCgroupV1": false}}]);
    for (profiles, expected) in [(profile, true), (Value::Null, false)] {
        let started = Instant::now();
        let patch = json!({"spec": {"k0sConfig": {"spec": {"workerProfiles": profiles}}}});
        clusters::api(world, LEFT)
            .patch(LEFT, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        let what = if expected {
            "the new profile in the hosted cluster"
        } else {
            "the end of the profile in the hosted cluster"
        };
        until(what, Duration::from_secs(60), async || {
            match has_profile(&client).await {
                // ConfigMaps of earlier profiles are k0s's own business.
                Ok((configured, made)) if configured == expected && (made || !expected) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        world.say(format!("{what} after {:?}", started.elapsed()));
    }
    ensure!(before == pod(world).await?, "a control-plane pod restarted");
    let cluster = clusters::api(world, LEFT).get(LEFT).await?;
    ensure!(
        clusters::has_condition(&cluster, "Applied", "True"),
        "{}",
        clusters::describe(Some(&cluster))
    );
    Ok(())
}
