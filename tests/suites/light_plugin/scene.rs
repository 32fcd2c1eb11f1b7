//! The API server that commands talk to, and the controller's part.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::v1beta2::Cluster;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use support::light::pool::{self, Lent};

use crate::person::{Ended, Person};

/// Long enough for a busy machine; a test that works never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A mothership with the product's kinds, and its administrator.
pub async fn installed() -> Result<(Lent, Person)> {
    let light = pool::lend().await?;
    let person = Person::new(light.admin_kubeconfig()?)?;
    Ok((light, person))
}

pub async fn until<T>(mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

pub async fn set_status(api: &Api<Cluster>, name: &str, status: &Value) -> Result<()> {
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

pub fn run_blocking(
    person: &Arc<Person>,
    line: &'static str,
) -> tokio::task::JoinHandle<Result<Ended>> {
    let person = person.clone();
    tokio::task::spawn_blocking(move || person.runs(line))
}

/// What a join token is before it is packed.
pub fn token_kubeconfig() -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "k0s",
        "clusters": [{"name": "k0s", "cluster": {"server": "https://demo:6443",
            "certificate-authority-data": "Q0E="}}],
        "users": [{"name": "kubelet-bootstrap", "user": {"token": "a1b2c3.x"}}],
        "contexts": [{"name": "k0s",
            "context": {"cluster": "k0s", "user": "kubelet-bootstrap"}}],
    })
    .to_string()
}

/// A kubeconfig as k0s packs it.
pub fn packed(kubeconfig: &str) -> Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(kubeconfig.as_bytes())?;
    Ok(STANDARD.encode(gzip.finish()?))
}

/// The kubeconfig in a token.
pub fn unpacked(token: &str) -> Result<String> {
    let bytes = STANDARD.decode(token.trim())?;
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
    Ok(text)
}

pub fn secret(name: &str, key: &str, value: &str) -> Result<Secret> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name}, "data": {key: STANDARD.encode(value)},
    }))?)
}
