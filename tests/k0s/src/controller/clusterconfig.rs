//! Dynamic configuration: the `ClusterConfig` object in the hosted cluster.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Context;
use crate::api;
use crate::config::{self, ClusterConfig};

const POLL: Duration = Duration::from_secs(2);

/// Creates the object when this controller leads and there is none, and passes on what it says,
/// until the end.
pub async fn run(
    context: &Context,
    configs: watch::Sender<ClusterConfig>,
    leading: watch::Receiver<bool>,
) {
    if !context.options.dynamic_config {
        return;
    }
    let mut seen = Value::Null;
    let mut defined = false;
    loop {
        if !defined && *leading.borrow() {
            match define(context).await {
                Ok(()) => defined = true,
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
        match live(context).await {
            Ok(Some(object)) => {
                let spec = object.pointer("/spec").cloned().unwrap_or_default();
                if spec != seen {
                    let config = context.config.with_dynamic(&object).and_then(|config| {
                        config::check_profiles(&config, config::has_old_cgroups())?;
                        Ok(config)
                    });
                    match config {
                        Ok(config) => {
                            configs.send_replace(config);
                            tracing::info!("taken over the live ClusterConfig");
                        }
                        Err(error) => {
                            tracing::error!("the live ClusterConfig is not valid: {error:#}");
                        }
                    }
                    seen = spec;
                }
            }
            Ok(None) if *leading.borrow() && defined => {
                if let Err(error) = create(context).await {
                    tracing::warn!("failed to create the ClusterConfig: {error:#}");
                } else {
                    continue;
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("failed to read the ClusterConfig: {error:#}"),
        }
        // Until there is an object it is asked for more often: its creation is awaited.
        let time = if seen.is_null() {
            Duration::from_millis(200)
        } else {
            POLL
        };
        sleep(time).await;
    }
}

async fn live(context: &Context) -> Result<Option<Value>> {
    let path = "/apis/k0s.k0sproject.io/v1beta1/namespaces/kube-system/clusterconfigs/k0s";
    let request = http::Request::get(path).body(Vec::new())?;
    match context.client.request::<Value>(request).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if api::is_not_found(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn create(context: &Context) -> Result<()> {
    let object = context.config.cluster_wide();
    let (api, _): (Api<DynamicObject>, _) =
        api::api_of(&context.client, "clusterconfigs", &object)?;
    let object: DynamicObject = serde_json::from_value(object)?;
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => tracing::info!("created the ClusterConfig kube-system/k0s"),
        // The definition is new: its resource appears a moment later.
        Err(error) if api::is_not_found(&error) || api::has_code(&error, 409) => {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn define(context: &Context) -> Result<()> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusterconfigs.k0s.k0sproject.io"},
        "spec": {
            "group": "k0s.k0sproject.io",
            "scope": "Namespaced",
            "names": {
                "kind": "ClusterConfig",
                "listKind": "ClusterConfigList",
                "plural": "clusterconfigs",
                "singular": "clusterconfig",
            },
            "versions": [{
                "name": "v1beta1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    },
                }},
            }],
        },
    });
    api::apply(&context.client, "customresourcedefinitions", &definition)
        .await
        .context("failed to define ClusterConfig")
}
