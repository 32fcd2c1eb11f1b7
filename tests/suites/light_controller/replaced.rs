//! A key that its user replaces while pods run with the old one: nothing goes over to it.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use support::light::children::at;
use support::light::scene::Scene;

/// Object and version of each Secret that has to stay as it is.
async fn versions(scene: &Scene, names: &[&str]) -> Result<Vec<(String, Option<String>)>> {
    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let mut all = Vec::new();
    for name in names {
        let found = secrets.get(name).await?;
        all.push(((*name).to_owned(), found.metadata.resource_version));
    }
    Ok(all)
}

async fn data_of(scene: &Scene, name: &str) -> Result<Value> {
    let secret = scene.get("Secret", name).await?;
    Ok(at(&secret.context("no such Secret")?, "/data").clone())
}

/// Two Clusters have made real keys: `one` names a copy of its own, and it gets the other's.
async fn replaced(scene: &Scene, type_: &str, signed: &[&str]) -> Result<()> {
    let controller = scene.controller().await?;
    let inside = json!({"type": "ClusterIP"});
    scene.complete("a", json!({"service": inside})).await?;
    scene.complete("b", json!({"service": inside})).await?;
    let old = data_of(scene, &format!("a-{type_}")).await?;
    let new = data_of(scene, &format!("b-{type_}")).await?;
    let mine: Secret = serde_json::from_value(json!({
        "metadata": {"name": "mine"}, "data": old,
    }))?;
    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    secrets.create(&PostParams::default(), &mine).await?;
    let spec = json!({"service": inside, "certificateRefs": [{"type": type_, "name": "mine"}]});
    scene.complete("one", spec).await?;
    scene
        .says("one", "CertificatesAvailable", "True", "Created")
        .await?;
    // Until it has served nobody trusts the old one.
    let served = json!({"status": {"version": "v1.36.3-k0s.2"}});
    scene
        .raw()
        .patch_status("one", &PatchParams::default(), &Patch::Merge(&served))
        .await?;
    let before = versions(scene, signed).await?;

    scene.edit("Secret/mine", &json!({"data": new})).await?;
    let message = scene
        .says("one", "CertificatesAvailable", "False", "KeyReplaced")
        .await?;
    scene.say(&message);
    for part in ["mine", "Put the old key and its certificate back"] {
        ensure!(message.contains(part), "{part:?} is not in {message:?}");
    }
    // Nor when something else of the spec changes, or a new process has no memory of it.
    scene
        .change("one", json!({"spec": {"version": "v1.36.99"}}))
        .await?;
    scene.settled().await?;
    controller.stop().await?;
    let controller = scene.controller().await?;
    scene.settled().await?;
    scene
        .says("one", "CertificatesAvailable", "False", "KeyReplaced")
        .await?;
    ensure!(
        versions(scene, signed).await? == before,
        "what the old key has signed was made anew"
    );
    let set = scene.get("StatefulSet", "kmc-one").await?;
    let image = at(
        &set.context("no set")?,
        "/spec/template/spec/containers/0/image",
    )
    .clone();
    ensure!(
        image
            .as_str()
            .is_some_and(|image| !image.contains("v1.36.99")),
        "pods were rolled onto the new key: {image}"
    );

    scene.edit("Secret/mine", &json!({"data": old})).await?;
    scene
        .says("one", "CertificatesAvailable", "True", "Created")
        .await?;
    scene.settled().await?;
    ensure!(
        versions(scene, signed).await? == before,
        "what the old key has signed was made anew when it came back"
    );
    controller.stop().await
}

pub async fn a_ca_that_its_user_replaces_signs_nothing(scene: &Scene) -> Result<()> {
    replaced(scene, "ca", &["one-kubeconfig"]).await
}

pub async fn an_etcd_ca_that_its_user_replaces_signs_nothing(scene: &Scene) -> Result<()> {
    let leaves = [
        "one-apiserver-etcd-client",
        "one-etcd-server",
        "one-etcd-peer",
    ];
    replaced(scene, "etcd", &leaves).await
}
