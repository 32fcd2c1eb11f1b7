//! `default/kubernetes` at the external address: the API server would write its own, which
//! workers outside the pod network cannot reach.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Context, until_leading};
use crate::api;

const POLL: Duration = Duration::from_secs(5);

/// Keeps the endpoints right, until the end.
pub async fn run(context: &Context, mut leading: watch::Receiver<bool>) {
    if !context.reconciles_endpoints() {
        return;
    }
    loop {
        until_leading(&mut leading).await;
        let time = match reconcile(context).await {
            Ok(()) => POLL,
            Err(error) => {
                tracing::warn!("failed to write the endpoints of default/kubernetes: {error:#}");
                Duration::from_secs(1)
            }
        };
        sleep(time).await;
    }
}

async fn reconcile(context: &Context) -> Result<()> {
    let endpoint = context.config.api_endpoint();
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
        .await
        .with_context(|| format!("cannot resolve {}", endpoint.host))?;
    let mut addresses: Vec<String> = found.map(|address| address.ip().to_string()).collect();
    addresses.sort();
    addresses.dedup();
    ensure!(!addresses.is_empty(), "{} has no addresses", endpoint.host);
    let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let subsets = json!([{
        "addresses": addresses,
        "ports": [{"name": "https", "port": endpoint.port, "protocol": "TCP"}],
    }]);
    let path = "/api/v1/namespaces/default/endpoints/kubernetes";
    let request = http::Request::get(path).body(Vec::new())?;
    match context.client.request::<Value>(request).await {
        Ok(live) if live.get("subsets") == Some(&subsets) => return Ok(()),
        Err(error) if !api::is_not_found(&error) => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "subsets": subsets,
    });
    tracing::info!("pointing default/kubernetes to {endpoint}");
    api::apply(&context.client, "endpoints", &object).await
}
