//! Join tokens where no hosted API ever answers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::v1beta2::JoinTokenRequest;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use support::light::scene::Scene;
use support::light::{PATIENCE, children, until};
use support::tokens;

use super::revoking::event;

/// Of the token that cannot be revoked, and with it the time that the case takes.
const EXPIRY: Duration = Duration::from_secs(20);

/// The requests in the namespace.
pub fn requests(scene: &Scene) -> Api<JoinTokenRequest> {
    Api::namespaced(scene.admin.clone(), &scene.namespace)
}

/// Asks for a worker's token.
pub async fn request(scene: &Scene, name: &str, cluster: &str, expiry: &str) -> Result<()> {
    tokens::request(&requests(scene), name, cluster, expiry).await
}

/// Waits until a condition has this reason; the request and the message.
pub async fn says(
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

/// Waits until a request is gone; how long that took.
pub async fn gone(scene: &Scene, name: &str, within: Duration) -> Result<Duration> {
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
pub async fn has_nothing(scene: &Scene, request: &JoinTokenRequest, name: &str) -> Result<()> {
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

pub async fn a_token_is_shown_once_it_works_and_one_that_cannot_be_revoked_is_named(
    scene: &Scene,
) -> Result<()> {
    complete(scene).await?;

    // The hosted API may have made the token, and its answer was lost: nothing shows it yet, and it
    // is known all the same.
    let ever = believed(scene, "ever", "0s").await?;
    has_nothing(scene, &ever, "ever").await?;
    ensure!(
        !ever.finalizers().is_empty(),
        "it could go without its token"
    );
    with_token(scene, "short").await?;
    let expires = Timestamp::from_second((Timestamp::now() + EXPIRY).as_second())?;
    let short = tell(scene, "short", &json!({"expiresAt": expires.to_string()})).await?;

    let controller = scene.controller().await?;
    for name in ["short", "ever"] {
        let (requests, params) = (requests(scene), DeleteParams::default());
        requests.delete(name, &params).await?;
    }
    for name in ["short", "ever"] {
        let (_, message) = says(scene, name, "Deleting", "HostedUnreachable").await?;
        let id = message.split(' ').nth(2).unwrap_or_default();
        ensure!(
            id.len() == 6 && (name == "ever" || id == "abc123") && message.contains("hosted API"),
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
    let note = event(scene, "TokenRevoked").await?.context("no event")?;
    ensure!(note.contains("no machine"), "{note:?}");
    let behind = event(scene, "TokenLeftBehind").await?;
    ensure!(behind.is_none(), "{behind:?}");
    scene.say(format!(
        "gone {} ms after its token's end, {} ms after its Cluster's deletion",
        late.as_millis(),
        took.as_millis()
    ));
    controller.stop().await
}

/// The Cluster `demo` with an authority of its user's, complete; its controller has ended.
pub async fn with_authority(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    authority(scene, &pair()?).await?;
    let named = json!([{"type": "ca", "name": "my-ca"}]);
    scene
        .complete(
            "demo",
            json!({"service": {"type": "ClusterIP"}, "certificateRefs": named}),
        )
        .await?;
    controller.stop().await
}

/// The data of a Secret with a new authority.
fn pair() -> Result<Value> {
    let dir = tempfile::tempdir()?;
    mothership::pki::Authority::create(dir.path(), "ca")?;
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name));
    Ok(json!({"tls.crt": read("ca.crt")?, "tls.key": read("ca.key")?}))
}

/// Makes the Secret that the Cluster's `certificateRefs` names.
async fn authority(scene: &Scene, data: &Value) -> Result<()> {
    secret(
        scene,
        &json!({"metadata": {"name": "my-ca"}, "stringData": data}),
    )
    .await
}

/// Makes a Secret, by the administrator.
pub async fn secret(scene: &Scene, secret: &Value) -> Result<()> {
    let secret: DynamicObject = serde_json::from_value(secret.clone())?;
    children::api(&scene.admin, &scene.namespace, "Secret")?
        .create(&PostParams::default(), &secret)
        .await?;
    Ok(())
}

/// The Cluster `demo`, complete; its controller has ended.
pub async fn complete(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("demo", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    controller.stop().await
}

/// The Cluster says from now on that its API serves, which it does not, and nobody finds out: one
/// whose spec asks for too much keeps what was found before, and one without a control plane is
/// not asked.
pub async fn serving(scene: &Scene) -> Result<()> {
    children::api(&scene.admin, &scene.namespace, "StatefulSet")?
        .delete("kmc-demo", &DeleteParams::default())
        .await?;
    let condition = json!({
        "type": "ControlPlaneFunctional", "status": "True", "reason": "Ready", "message": "",
        "lastTransitionTime": Timestamp::now().to_string(),
    });
    let status = json!({"status": {"conditions": [condition]}});
    scene
        .raw()
        .patch_status("demo", &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    scene
        .change("demo", json!({"spec": {"monitoring": {"enabled": true}}}))
        .await
}

/// A request that has a token, as the controller would have left it but for the condition.
pub async fn with_token(scene: &Scene, name: &str) -> Result<JoinTokenRequest> {
    request(scene, name, "demo", "0s").await?;
    let cluster = scene.clusters().get("demo").await?;
    let metadata = json!({"metadata": {
        "finalizers": ["jointokenrequests.k0smotron.io/finalizer"],
        "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
            "name": "demo", "uid": cluster.uid(), "controller": true}],
    }});
    change(scene, name, &metadata).await?;
    tell(scene, name, &json!({"tokenID": "abc123"})).await
}

/// A JSON merge patch of a request.
pub async fn change(scene: &Scene, name: &str, patch: &Value) -> Result<JoinTokenRequest> {
    let (requests, params) = (requests(scene), PatchParams::default());
    let changed = requests.patch(name, &params, &Patch::Merge(patch)).await;
    changed.context("changing a JoinTokenRequest")
}

/// The same of its status.
pub async fn tell(scene: &Scene, name: &str, status: &Value) -> Result<JoinTokenRequest> {
    let (requests, params) = (requests(scene), PatchParams::default());
    let patch = Patch::Merge(json!({"status": status}));
    let changed = requests.patch_status(name, &params, &patch).await;
    changed.context("changing a JoinTokenRequest's status")
}
