//! Talking to an API server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::Request;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

/// The field manager of everything that the stand-in applies, as k0s's.
pub const MANAGER: &str = "k0s";

/// A client from a kubeconfig file.
///
/// # Errors
/// When the file cannot be read or used.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let text = std::fs::read_to_string(kubeconfig)
        .with_context(|| format!("failed to read {}", kubeconfig.display()))?;
    client_from_text(&text)
        .await
        .with_context(|| format!("unusable {}", kubeconfig.display()))
}

/// A client from the text of a kubeconfig.
///
/// # Errors
/// When it cannot be used.
pub async fn client_from_text(kubeconfig: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    from_config(config)
}

/// A client from a prepared configuration, with patience that suits a loop.
///
/// # Errors
/// When its certificates cannot be used.
pub fn from_config(mut config: Config) -> Result<Client> {
    config.connect_timeout = Some(Duration::from_secs(3));
    config.read_timeout = Some(Duration::from_secs(30));
    config.write_timeout = Some(Duration::from_secs(10));
    Ok(Client::try_from(config)?)
}

/// Asks a path with GET and returns the answer's text.
///
/// # Errors
/// When there is no answer, or one that is not a success.
pub async fn get_text(client: &Client, path: &str) -> Result<String> {
    let request = Request::get(path).body(Vec::new())?;
    Ok(client.request_text(request).await?)
}

/// Waits until the API server says that it is ready.
pub async fn wait_ready(client: &Client) {
    loop {
        let asked = tokio::time::timeout(Duration::from_secs(2), get_text(client, "/readyz")).await;
        if matches!(asked, Ok(Ok(_))) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The API of an object's kind, in its namespace if it has one.
pub fn api_of(
    client: &Client,
    plural: &str,
    object: &Value,
) -> Result<(Api<DynamicObject>, String)> {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let api_version = text("/apiVersion").context("an object without apiVersion")?;
    let kind = text("/kind").context("an object without kind")?;
    let name = text("/metadata/name").context("an object without name")?;
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api = match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    Ok((api, name.to_owned()))
}

/// Applies an object of the kind with this plural, whoever owned its fields before.
///
/// # Errors
/// When the object is not whole or the API server refuses it.
pub async fn apply(client: &Client, plural: &str, object: &Value) -> Result<()> {
    let (api, name) = api_of(client, plural, object)?;
    api.patch(
        &name,
        &PatchParams::apply(MANAGER).force(),
        &Patch::Apply(object),
    )
    .await
    .with_context(|| format!("failed to apply {plural}/{name}"))?;
    Ok(())
}

/// Whether an error is the API server's "not found".
pub fn is_not_found(error: &kube::Error) -> bool {
    has_code(error, 404)
}

/// Whether an error is the API server's answer with this code.
pub fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
