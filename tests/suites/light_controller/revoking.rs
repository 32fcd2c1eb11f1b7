//! The end of requests whose tokens cannot be revoked, as no hosted API ever answers here.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::v1beta2::JoinTokenRequest;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::json;
use support::light::children::{at, text};
use support::light::scene::Scene;
use support::light::{PATIENCE, children};

use super::tokens::{gone, requests, says, secret, tell, with_authority, with_token};

/// After so long without success the next attempt is more than [`PATIENCE`] away: what happens
/// before it, a change has set off.
const QUIET: Duration = Duration::from_secs(20);

/// Leaves whoever asks the Cluster's API waiting: of one that refuses them, that is said first.
async fn silent(scene: &Scene) -> Result<TcpListener> {
    let service = scene.child("Service/kmc-demo").await?.context("gone")?;
    let port = at(&service, "/spec/ports/0/port");
    let address = format!("{}:{port}", text(&service, "/spec/clusterIP"));
    Ok(TcpListener::bind(address)?)
}

async fn delete_ca(scene: &Scene) -> Result<()> {
    children::api(&scene.admin, &scene.namespace, "Secret")?
        .delete("my-ca", &DeleteParams::default())
        .await?;
    Ok(())
}

/// What an event of this reason says.
pub async fn event(scene: &Scene, reason: &str) -> Result<Option<String>> {
    let events: Api<Event> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let all = events.list(&ListParams::default()).await?;
    let found = (all.into_iter()).find(|event| event.reason.as_deref() == Some(reason));
    Ok(found.and_then(|event| event.note))
}

/// Since when the request says that it cannot go.
fn since(request: &JoinTokenRequest) -> Option<Timestamp> {
    let mut conditions = request.status.iter().flat_map(|found| &found.conditions);
    let deleting = conditions.find(|condition| condition.type_ == "Deleting");
    deleting.map(|deleting| deleting.last_transition_time.0)
}

pub async fn a_deleted_request_waits_until_its_cluster_can_be_asked(scene: &Scene) -> Result<()> {
    with_authority(scene).await?;
    let _silent = silent(scene).await?;
    with_token(scene, "ends").await?;
    let ca = scene.get("Secret", "my-ca").await?.context("no CA")?;
    delete_ca(scene).await?;
    let requests = requests(scene);
    requests.delete("ends", &DeleteParams::default()).await?;
    let controller = scene.controller().await?;
    let (first, message) = says(scene, "ends", "Deleting", "ClusterNotReady").await?;
    let named = format!("Secret {}/my-ca", scene.namespace);
    ensure!(
        message.contains(&named) && message.contains("abc123"),
        "{message:?} says neither what is missing nor which token"
    );

    tokio::time::sleep(QUIET).await;
    let half =
        json!({"metadata": {"name": "my-ca"}, "data": {"tls.crt": at(&ca, "/data/tls.crt")}});
    secret(scene, &half).await?;
    let (_, message) = says(scene, "ends", "Deleting", "AuthorityUnusable").await?;
    ensure!(message.contains(&named), "{message:?} does not name it");
    // A key for a certificate that stays is nothing that the Cluster has to say anything about.
    tokio::time::sleep(QUIET).await;
    let key = json!({"data": {"tls.key": at(&ca, "/data/tls.key")}});
    scene.edit("Secret/my-ca", &key).await?;
    let (last, _) = says(scene, "ends", "Deleting", "HostedUnreachable").await?;
    ensure!(
        since(&first).is_some() && since(&first) == since(&last),
        "the time is counted anew: {:?}, {:?}",
        since(&first),
        since(&last)
    );
    controller.stop().await
}

pub async fn a_token_that_stays_behind_is_named_after_five_minutes(scene: &Scene) -> Result<()> {
    with_authority(scene).await?;
    let _silent = silent(scene).await?;
    with_token(scene, "ends").await?;
    scene
        .edit("Secret/my-ca", &json!({"data": {"tls.key": null}}))
        .await?;
    let requests = requests(scene);
    requests.delete("ends", &DeleteParams::default()).await?;
    let controller = scene.controller().await?;
    let (told, _) = says(scene, "ends", "Deleting", "AuthorityUnusable").await?;
    controller.stop().await?;

    // Five minutes later, as far as the request knows, and after a restart.
    let conditions = told.status.context("no status")?.conditions;
    let mut conditions = serde_json::to_value(conditions)?;
    let long_ago = Timestamp::now() - Duration::from_secs(301);
    for condition in conditions.as_array_mut().into_iter().flatten() {
        if let Some(fields) = condition.as_object_mut() {
            fields.insert("lastTransitionTime".to_owned(), json!(long_ago.to_string()));
        }
    }
    tell(scene, "ends", &json!({"conditions": conditions})).await?;
    let controller = scene.controller().await?;
    gone(scene, "ends", PATIENCE).await?;
    // Whoever sees that it is gone finds it at once.
    let note = event(scene, "TokenLeftBehind").await?.context("no event")?;
    for part in ["bootstrap-token-abc123", "kube-system", "demo", "my-ca"] {
        ensure!(note.contains(part), "{part} is not in {note:?}");
    }
    controller.stop().await
}
