//! Keys that are made once.

use anyhow::{Context as _, Result, bail, ensure};
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};
use support::light::children::{self, at};
use support::light::scene::Scene;

use super::deleted::KEPT;

pub async fn the_data_of_a_kept_key_cannot_be_edited(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    for kept in KEPT {
        let key = format!("Secret/one-{kept}");
        let before = scene.child(&key).await?.context("no such Secret")?;
        for patch in [
            json!({"data": {"tls.key": "Z2FyYmFnZQ=="}}),
            json!({"data": {"tls.crt": null}}),
            json!({"immutable": false}),
        ] {
            match scene.edit(&key, &patch).await {
                Err(kube::Error::Api(refusal)) if refusal.code == 422 => {
                    ensure!(refusal.message.contains("immutable"), "{}", refusal.message);
                }
                other => bail!("{key} took {patch}: {other:?}"),
            }
        }
        let after = scene.child(&key).await?.context("no such Secret")?;
        ensure!(before == after, "{key} changed");
    }
    controller.stop().await
}

/// Takes a Secret away for good: nobody is there to bring it back.
async fn lose(scene: &Scene, name: &str) -> Result<Value> {
    let key = format!("Secret/{name}");
    let backup = scene.child(&key).await?.context("no such Secret")?;
    scene
        .edit(&key, &json!({"metadata": {"finalizers": null}}))
        .await?;
    children::api(&scene.admin, &scene.namespace, "Secret")?
        .delete(name, &DeleteParams::default())
        .await?;
    ensure!(scene.child(&key).await?.is_none(), "{name} is still there");
    Ok(backup)
}

pub async fn a_key_that_is_truly_lost_is_said_and_not_made_anew(scene: &Scene) -> Result<()> {
    let mut controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    for name in ["one-ca", "one-sa"] {
        controller.stop().await?;
        let backup = lose(scene, name).await?;
        controller = scene.controller().await?;
        let message = scene
            .says("one", "Applied", "False", "ChildRefused")
            .await?;
        scene.say(&message);
        for part in ["Secret", &scene.namespace, name, "lost", "backup"] {
            ensure!(message.contains(part), "{part:?} is not in {message:?}");
        }
        let other = if name == "one-ca" { "one-sa" } else { "one-ca" };
        ensure!(!message.contains(other), "{message}");
        scene
            .says("one", "CertificatesAvailable", "False", "KeyLost")
            .await?;

        // Nor later: after a change, after a restart, in the attempts after that.
        scene
            .change("one", json!({"metadata": {"labels": {"changed": name}}}))
            .await?;
        scene.settled().await?;
        scene
            .change(
                "one",
                json!({"spec": {"controlPlaneFlags": [format!("--x={name}")]}}),
            )
            .await?;
        scene.settled().await?;
        controller.stop().await?;
        controller = scene.controller().await?;
        scene.settled().await?;
        scene
            .says("one", "Applied", "False", "ChildRefused")
            .await?;
        let found = scene.get("Secret", name).await?;
        ensure!(found.is_none(), "a new key was made: {found:?}");
        let children = scene.children().await?;
        ensure!(children.len() == 15, "{:?}", children.keys());

        // The backup mends it, though it has neither uid nor owner any more.
        let mut restored =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        let fields = restored.as_object_mut().context("no object")?;
        for field in ["data", "type", "immutable"] {
            fields.insert(field.to_owned(), at(&backup, &format!("/{field}")).clone());
        }
        let labels = at(&backup, "/metadata/labels").clone();
        *restored.pointer_mut("/metadata").context("no metadata")? =
            json!({"name": name, "labels": labels});
        let restored: DynamicObject = serde_json::from_value(restored)?;
        children::api(&scene.admin, &scene.namespace, "Secret")?
            .create(&PostParams::default(), &restored)
            .await?;
        scene.says("one", "Applied", "True", "Applied").await?;
        scene
            .says("one", "CertificatesAvailable", "True", "Created")
            .await?;
    }
    controller.stop().await
}
