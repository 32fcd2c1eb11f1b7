//! Join tokens where no hosted API ever answers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::v1beta2::JoinTokenRequest;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::controlled::scene::Scene;
use crate::controlled::{PATIENCE, until};

/// Of the token that cannot be revoked, and with it the time that the case takes.
const EXPIRY: Duration = Duration::from_secs(20);

fn requests(scene: &Scene) -> Api<JoinTokenRequest> {
    Api::namespaced(scene.admin.clone(), &scene.namespace)
}

async fn request(scene: &Scene, name: &str, cluster: &str, expiry: &str) -> Result<()> {
    let body: JoinTokenRequest = serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "JoinTokenRequest",
        "metadata": {"name": name},
        "spec": {"clusterName": cluster, "expiry": expiry},
    }))?;
    requests(scene)
        .create(&PostParams::default(), &body)
        .await
        .context("creating a JoinTokenRequest")?;
    Ok(())
}

/// Waits until a condition has this reason; the request and the message.
async fn says(
    scene: &Scene,
    name: &str,
    type_: &str,
    reason: &str,
) -> Result<(JoinTokenRequest, String)> {
    let what = format!("{name} says {type_} for {reason}");
    let (said, _) = until(&what, PATIENCE, async || {
        let request = requests(scene).get(name).await;
        let request = request.map_err(|error| error.to_string())?;
        let conditions = request.status.iter().flat_map(|found| &found.conditions);
        let message = conditions
            .into_iter()
            .find(|condition| condition.type_ == type_ && condition.reason == reason)
            .map(|condition| condition.message.clone());
        match message {
            Some(message) => Ok((request, message)),
            None => Err(format!("{:?}", request.status)),
        }
    })
    .await?;
    Ok(said)
}

async fn gone(scene: &Scene, name: &str, within: Duration) -> Result<Duration> {
    let what = format!("{name} is gone");
    let ((), took) = until(&what, within, async || {
        match requests(scene).get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.status)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    Ok(took)
}

/// No token, no id and no Secret come of a request that has to wait.
async fn has_nothing(scene: &Scene, request: &JoinTokenRequest, name: &str) -> Result<()> {
    let id = request.status.as_ref().and_then(|s| s.token_id.as_ref());
    ensure!(id.is_none(), "the id {id:?} is recorded");
    let secret = scene.get("Secret", name).await?;
    ensure!(secret.is_none(), "there is a Secret");
    Ok(())
}

pub async fn a_request_waits_for_its_cluster_and_says_so(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    request(scene, "early", "demo", "1h").await?;
    let (found, message) =
        says(scene, "early", "JoinTokenSecretCreated", "ClusterNotFound").await?;
    ensure!(
        message.contains("demo") && message.contains("spec.clusterName"),
        "{message:?} names neither the Cluster nor the field"
    );
    has_nothing(scene, &found, "early").await?;

    let spec = json!({"service": {"type": "ClusterIP"}});
    scene.create("demo", spec).await?;
    let (found, message) =
        says(scene, "early", "JoinTokenSecretCreated", "ClusterNotReady").await?;
    ensure!(
        message.contains("demo"),
        "{message:?} does not name the Cluster"
    );
    scene.settled().await?;
    has_nothing(scene, &found, "early").await?;

    let mark = scene.mark().await;
    let requests = requests(scene);
    requests.delete("early", &DeleteParams::default()).await?;
    gone(scene, "early", PATIENCE).await?;
    let asked = scene.asked(mark).await?;
    ensure!(
        asked.total() == 0,
        "for a request that held nothing: {asked}"
    );
    controller.stop().await
}

/// A request whose Cluster says that its API serves, which it does not, as this is the first thing
/// that a new controller sees.
async fn believed(scene: &Scene, name: &str, expiry: &str) -> Result<JoinTokenRequest> {
    let condition = json!({
        "type": "ControlPlaneFunctional", "status": "True", "reason": "Ready", "message": "",
        "lastTransitionTime": Timestamp::now().to_string(),
    });
    let status = json!({"status": {"conditions": [condition]}});
    scene
        .raw()
        .patch_status("demo", &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    request(scene, name, "demo", expiry).await?;
    let controller = scene.controller().await?;
    let (found, _) = says(scene, name, "JoinTokenSecretCreated", "HostedUnreachable").await?;
    controller.stop().await?;
    // Nobody else writes, so that a conflict is one of the controller with itself.
    for entry in scene.audit().entries()? {
        let code = entry.response_status.as_ref().map(|status| status.code);
        ensure!(
            !entry.is_by(&scene.user) || code != Some(409),
            "a conflict: {entry:?}"
        );
    }
    Ok(found)
}

pub async fn a_token_is_recorded_first_and_one_that_cannot_be_revoked_is_named(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("demo", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    controller.stop().await?;

    let expiry = format!("{}s", EXPIRY.as_secs());
    believed(scene, "ever", "0s").await?;
    let short = believed(scene, "short", &expiry).await?;
    for (name, expires) in [("ever", false), ("short", true)] {
        let status = requests(scene).get(name).await?.status.unwrap_or_default();
        ensure!(status.token_id.is_some(), "{name}: no id is recorded");
        ensure!(
            status.expires_at.is_some() == expires,
            "{name} ends at {:?}",
            status.expires_at
        );
        let secret = scene.get("Secret", name).await?;
        ensure!(secret.is_none(), "{name} is handed out before it works");
    }

    let controller = scene.controller().await?;
    for name in ["short", "ever"] {
        let (requests, params) = (requests(scene), DeleteParams::default());
        requests.delete(name, &params).await?;
    }
    for name in ["short", "ever"] {
        let (found, message) = says(scene, name, "Deleting", "HostedUnreachable").await?;
        let id = found.status.and_then(|status| status.token_id);
        let id = id.context("the id is gone")?;
        ensure!(
            message.contains(&id) && message.contains("hosted api"),
            "{message:?} says neither which token nor why"
        );
    }
    // A token that has ended needs no revoking, ...
    gone(scene, "short", EXPIRY + PATIENCE).await?;
    let expires = short.status.and_then(|status| status.expires_at);
    let late = Timestamp::now().duration_since(expires.context("no status.expiresAt")?.0);
    ensure!(!late.is_negative(), "gone {late} before the token's end");
    ensure!(
        requests(scene).get_opt("ever").await?.is_some(),
        "the other went with it"
    );
    // ... nor does one of a Cluster that goes.
    let clusters = scene.clusters();
    clusters.delete("demo", &DeleteParams::default()).await?;
    let took = gone(scene, "ever", PATIENCE).await?;
    scene.say(format!(
        "gone {} ms after its token's end, {} ms after its Cluster's deletion",
        late.as_millis(),
        took.as_millis()
    ));
    controller.stop().await
}
