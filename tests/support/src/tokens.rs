//! Requests for join tokens.

use anyhow::{Context as _, Result};
use crds::v1beta2::JoinTokenRequest;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

/// Asks for a worker's token of this cluster.
pub async fn request(
    api: &Api<JoinTokenRequest>,
    name: &str,
    cluster: &str,
    expiry: &str,
) -> Result<()> {
    let body: JoinTokenRequest = serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "JoinTokenRequest",
        "metadata": {"name": name},
        "spec": {"clusterName": cluster, "expiry": expiry},
    }))?;
    api.create(&PostParams::default(), &body)
        .await
        .context("creating a JoinTokenRequest")?;
    Ok(())
}
