//! Join tokens that are not made, and how that is said.

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::json;
use support::light::PATIENCE;
use support::light::children::{self, at};
use support::light::process::Process;
use support::light::scene::{Scene, wrote};

use super::tokens::{
    change, complete, gone, has_nothing, request, requests, says, secret, serving, tell,
    with_authority, with_token,
};

pub async fn a_request_for_another_namespaces_cluster_gets_nothing(scene: &Scene) -> Result<()> {
    complete(scene).await?;
    serving(scene).await?;
    let elsewhere = json!({"metadata": {
        "annotations": {"k0smotron.io/cluster-ref-namespace": "another"},
    }});
    request(scene, "elsewhere", "demo", "1h").await?;
    change(scene, "elsewhere", &elsewhere).await?;
    with_token(scene, "later").await?;
    let controller = scene.controller().await?;
    let created = "JoinTokenSecretCreated";
    let (_, message) = says(scene, "elsewhere", created, "NotImplemented").await?;
    ensure!(
        message.contains("metadata.annotations[k0smotron.io/cluster-ref-namespace]"),
        "{message:?} does not name the annotation"
    );
    // One that has a token and is moved then keeps it, and all that there is of it.
    says(scene, "later", created, "HostedUnreachable").await?;
    change(scene, "later", &elsewhere).await?;
    let (later, _) = says(scene, "later", created, "NotImplemented").await?;
    let id = later.status.and_then(|status| status.token_id);
    ensure!(id.as_deref() == Some("abc123"), "its id is {id:?}");
    scene.settled().await?;
    let found = requests(scene).get("elsewhere").await?;
    has_nothing(scene, &found, "elsewhere").await?;
    ensure!(
        found.finalizers().is_empty() && found.owner_references().is_empty(),
        "{:?}",
        found.metadata
    );

    for name in ["elsewhere", "later"] {
        let (requests, params) = (requests(scene), DeleteParams::default());
        requests.delete(name, &params).await?;
    }
    gone(scene, "elsewhere", PATIENCE).await?;
    says(scene, "later", "Deleting", "HostedUnreachable").await?;
    controller.stop().await
}

pub async fn somebody_elses_secret_is_named_before_there_is_a_token(scene: &Scene) -> Result<()> {
    complete(scene).await?;
    serving(scene).await?;
    // Without labels, so that no watch shows it, and without a field that would conflict.
    let theirs = json!({"metadata": {"name": "db"}, "stringData": {"password": "x"}});
    secret(scene, &theirs).await?;
    let before = scene.get("Secret", "db").await?;
    request(scene, "db", "demo", "1h").await?;
    let controller = scene.controller().await?;
    let (_, message) = says(scene, "db", "JoinTokenSecretCreated", "NameTaken").await?;
    let named = format!("Secret {}/db", scene.namespace);
    ensure!(message.contains(&named), "{named} is not in {message:?}");
    scene.settled().await?;
    let found = requests(scene).get("db").await?;
    let id = found.status.and_then(|status| status.token_id);
    ensure!(id.is_none(), "the id {id:?} is recorded");

    let requests = requests(scene);
    requests.delete("db", &DeleteParams::default()).await?;
    gone(scene, "db", PATIENCE).await?;
    let after = scene.get("Secret", "db").await?;
    ensure!(
        before == after,
        "{:#?}",
        children::differences(&json!(before), &json!(after))
    );

    // When it goes, which nothing tells, the token is made.
    request(scene, "db", "demo", "1h").await?;
    says(scene, "db", "JoinTokenSecretCreated", "NameTaken").await?;
    children::api(&scene.admin, &scene.namespace, "Secret")?
        .delete("db", &DeleteParams::default())
        .await?;
    says(scene, "db", "JoinTokenSecretCreated", "HostedUnreachable").await?;
    controller.stop().await
}

pub async fn whatever_keeps_a_token_from_being_made_is_said(scene: &Scene) -> Result<()> {
    with_authority(scene).await?;
    serving(scene).await?;
    let created = "JoinTokenSecretCreated";
    let theirs: DynamicObject = serde_json::from_value(json!({"metadata": {"name": "theirs"}}))?;
    let theirs = children::api(&scene.admin, &scene.namespace, "ConfigMap")?
        .create(&PostParams::default(), &theirs)
        .await?;
    // Of another group, which is not ours to replace either; and one of ours that makes no token.
    let spec = json!({"service": {"type": "ClusterIP"}});
    scene.create("beside", spec).await?;
    let beside = scene.clusters().get("beside").await?.uid();
    let owner = json!([{"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "name": "theirs", "uid": theirs.uid(), "controller": true},
        {"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "name": "beside",
        "uid": beside, "controller": false}]);
    request(scene, "owned", "demo", "1h").await?;
    let owned = json!({"metadata": {"ownerReferences": owner}});
    change(scene, "owned", &owned).await?;
    let ca = scene.get("Secret", "my-ca").await?.context("no CA")?;
    scene
        .edit("Secret/my-ca", &json!({"data": {"tls.key": null}}))
        .await?;
    request(scene, "keyless", "demo", "1h").await?;

    let controller = scene.controller().await?;
    // Another controller's request is served, and stays that controller's.
    let (found, _) = says(scene, "owned", created, "AuthorityUnusable").await?;
    has_nothing(scene, &found, "owned").await?;
    let owners: Vec<_> = found
        .owner_references()
        .iter()
        .map(|owner| (owner.name.as_str(), owner.controller.unwrap_or_default()))
        .collect();
    ensure!(owners == [("theirs", true), ("demo", false)], "{owners:?}");
    let (_, message) = says(scene, "keyless", created, "AuthorityUnusable").await?;
    let named = format!("Secret {}/my-ca", scene.namespace);
    ensure!(message.contains(&named), "{named} is not in {message:?}");

    let key = json!({"data": {"tls.key": at(&ca, "/data/tls.key")}});
    scene.edit("Secret/my-ca", &key).await?;
    for name in ["owned", "keyless"] {
        says(scene, name, created, "HostedUnreachable").await?;
    }
    controller.stop().await
}

/// The requests for a JoinTokenRequest or its Secret that changed one of them.
async fn controller_with_writes(scene: &Scene, name: &str) -> Result<(Process, Vec<String>)> {
    let mark = scene.mark().await;
    let controller = scene.controller().await?;
    scene.settled().await?;
    let entries = scene.audit().since(mark)?;
    let writes = entries
        .iter()
        .filter(|entry| entry.is_by(&scene.user))
        .filter(|entry| wrote(entry, "jointokenrequests", name) || wrote(entry, "secrets", name))
        .map(|entry| format!("{} {:?}", entry.verb, entry.object_ref));
    Ok((controller, writes.collect()))
}

pub async fn a_token_that_is_there_is_no_news_while_its_cluster_cannot_be_asked(
    scene: &Scene,
) -> Result<()> {
    with_authority(scene).await?;
    let found = with_token(scene, "made").await?;
    let condition = json!([{
        "type": "JoinTokenSecretCreated", "status": "True", "reason": "Created", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    }]);
    let status = json!({"conditions": condition, "observedGeneration": 1,
        "deprecated": {"v1beta1": {"reconciliationStatus": "Reconciliation successful"}}});
    tell(scene, "made", &status).await?;
    let owner = json!([{"apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "name": "made", "uid": found.uid(), "controller": true}]);
    let labels = json!({"app.kubernetes.io/component": "jointoken"});
    secret(
        scene,
        &json!({"metadata": {"name": "made", "labels": labels, "ownerReferences": owner},
            "stringData": {"token": "x"}}),
    )
    .await?;
    let secrets = children::api(&scene.admin, &scene.namespace, "Secret")?;
    secrets.delete("my-ca", &DeleteParams::default()).await?;

    let (controller, writes) = controller_with_writes(scene, "made").await?;
    ensure!(writes.is_empty(), "{writes:?}");
    // A token that is not there is one.
    secrets.delete("made", &DeleteParams::default()).await?;
    let (_, message) = says(scene, "made", "JoinTokenSecretCreated", "ClusterNotReady").await?;
    ensure!(message.contains("my-ca"), "{message:?} does not name it");
    controller.stop().await
}
