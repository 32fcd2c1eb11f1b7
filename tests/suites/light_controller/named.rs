//! Secrets that `spec.certificateRefs` names: the user's own, and those that earlier installations
//! have made themselves and written back into the spec.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PostParams};
use mothership::audit::Mark;
use serde_json::{Value, json};
use support::light::children::{at, text};
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

/// What upstream makes and names.
const UPSTREAM: [&str; 5] = ["ca", "sa", "proxy", "etcd", "apiserver-etcd-client"];

fn secrets(scene: &Scene) -> Api<Secret> {
    Api::namespaced(scene.admin.clone(), &scene.namespace)
}

fn refs(names: &[(&str, String)]) -> Value {
    let refs = names
        .iter()
        .map(|(type_, name)| json!({"type": type_, "name": name}));
    json!({"service": {"type": "ClusterIP"}, "certificateRefs": refs.collect::<Vec<_>>()})
}

/// Key material from a Cluster that the controller has made: real authorities.
async fn material(scene: &Scene, from: &str) -> Result<Vec<(&'static str, Secret)>> {
    let mut all = Vec::new();
    for type_ in UPSTREAM {
        let secret = secrets(scene).get(&format!("{from}-{type_}")).await?;
        all.push((type_, secret));
    }
    Ok(all)
}

/// Secrets as upstream makes them: owned by the Cluster, with Cluster API's label and no more.
async fn as_upstream(scene: &Scene, name: &str, uid: &str, from: &str) -> Result<Vec<Secret>> {
    let mut made = Vec::new();
    for (type_, secret) in material(scene, from).await? {
        let body: Secret = serde_json::from_value(json!({
            "metadata": {
                "name": format!("{name}-{type_}"),
                "labels": {"cluster.x-k8s.io/cluster-name": name},
                "ownerReferences": [{
                    "apiVersion": "k0smotron.io/v1beta1", "kind": "Cluster", "name": name,
                    "uid": uid, "controller": true,
                }],
            },
            "type": "cluster.x-k8s.io/secret",
            "data": secret.data,
        }))?;
        let params = PostParams::default();
        made.push(secrets(scene).create(&params, &body).await?);
    }
    Ok(made)
}

async fn same(scene: &Scene, before: &Secret, data: bool) -> Result<Secret> {
    let name = before.name_any();
    let now = secrets(scene).get_opt(&name).await?;
    let now = now.with_context(|| format!("{name} is gone"))?;
    ensure!(now.uid() == before.uid(), "{name} was made anew");
    ensure!(now.metadata.deletion_timestamp.is_none(), "{name} is going");
    ensure!(!data || now.data == before.data, "{name} has other data");
    Ok(now)
}

pub async fn a_take_over_keeps_every_key_that_upstream_has_named(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let plain = json!({"service": {"type": "ClusterIP"}});
    scene.complete("other", plain).await?;
    controller.stop().await?;

    let named = UPSTREAM.map(|type_| (type_, format!("prod-{type_}")));
    scene.create("prod", refs(&named)).await?;
    let uid = scene
        .clusters()
        .get("prod")
        .await?
        .uid()
        .context("no uid")?;
    let made = as_upstream(scene, "prod", &uid, "other").await?;
    let controller = scene.controller().await?;
    scene.completed("prod").await?;
    scene
        .says("prod", "CertificatesAvailable", "True", "Created")
        .await?;
    for before in &made {
        let is_leaf = before.name_any().ends_with("-client");
        let now = same(scene, before, !is_leaf).await?;
        let protected = now
            .finalizers()
            .contains(&"k0smotron.io/protect-key".to_owned());
        ensure!(protected != is_leaf, "{}: {now:?}", before.name_any());
    }

    // They are the Cluster's own from then on: a deletion is undone, a leaf is made again.
    for name in ["prod-ca", "prod-apiserver-etcd-client"] {
        let before = secrets(scene).get(name).await?;
        secrets(scene)
            .delete(name, &DeleteParams::default())
            .await?;
        let what = format!("{name} is back");
        let (back, _) = until(&what, PATIENCE, async || {
            match secrets(scene).get_opt(name).await {
                Ok(Some(back)) if back.uid() != before.uid() => Ok(back),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        ensure!(
            name != "prod-ca" || back.data == before.data,
            "{name} is another key"
        );
    }
    scene.settled().await?;
    controller.stop().await
}

pub async fn naming_ones_own_certificates_deletes_none(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let before: Vec<_> = material(scene, "one").await?;
    let own = UPSTREAM.map(|type_| (type_, format!("one-{type_}")));
    scene.change("one", json!({"spec": refs(&own)})).await?;
    scene.settled().await?;
    for (_, secret) in &before {
        same(scene, secret, true).await?;
    }
    // Nor one of another name that the Cluster happens to own.
    let (_, leaf) = before.last().context("no leaf")?;
    let mine: Secret = serde_json::from_value(json!({
        "metadata": {"name": "mine", "labels": {"app": "k0smotron"},
            "ownerReferences": leaf.metadata.owner_references},
        "data": leaf.data,
    }))?;
    let mine = secrets(scene).create(&PostParams::default(), &mine).await?;
    for named in [
        refs(&[("apiserver-etcd-client", "mine".to_owned())]),
        json!({"certificateRefs": null}),
    ] {
        scene.change("one", json!({"spec": named})).await?;
        scene.settled().await?;
        same(scene, &mine, true).await?;
        for (_, secret) in &before {
            same(scene, secret, true).await?;
        }
    }
    scene.says("one", "Applied", "True", "Applied").await?;
    controller.stop().await
}

pub async fn a_named_authority_without_its_key_is_said_until_it_has_one(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("other", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let whole = secrets(scene).get("other-ca").await?;
    let mut half = whole.data.clone().unwrap_or_default();
    half.remove("tls.key");
    let body: Secret = serde_json::from_value(json!({
        "metadata": {"name": "half"}, "data": half,
    }))?;
    secrets(scene).create(&PostParams::default(), &body).await?;
    scene
        .create("one", refs(&[("ca", "half".to_owned())]))
        .await?;
    let message = scene
        .says("one", "Applied", "False", "ChildRefused")
        .await?;
    scene.say(&message);
    for part in ["half", "tls.key"] {
        ensure!(message.contains(part), "{part} is not in {message:?}");
    }
    let cluster = scene.clusters().get("one").await?;
    let status = serde_json::to_value(&cluster.status)?;
    ensure!(
        at(&status, "/conditions").as_array().map(Vec::len) >= Some(9),
        "{status}"
    );
    let key = whole.data.unwrap_or_default();
    let ByteString(key) = key.get("tls.key").context("no key")?;
    let key = serde_json::to_value(ByteString(key.clone()))?;
    scene
        .edit("Secret/half", &json!({"data": {"tls.key": key}}))
        .await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    scene.completed("one").await?;
    let config = scene.appears("Secret", "one-kubeconfig").await?;
    ensure!(
        text(&config, "/metadata/name") == "one-kubeconfig",
        "{config}"
    );
    controller.stop().await
}

pub async fn a_leaf_of_its_users_under_our_name_is_only_read(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("other", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let leaf = secrets(scene).get("other-apiserver-etcd-client").await?;
    let own: Secret = serde_json::from_value(json!({
        "metadata": {"name": "one-apiserver-etcd-client"}, "data": leaf.data,
    }))?;
    let own = secrets(scene).create(&PostParams::default(), &own).await?;
    let named = [("apiserver-etcd-client", own.name_any())];
    scene.complete("one", refs(&named)).await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    let cluster = scene.clusters().get("one").await?;
    controller.stop().await?;
    scene.settled().await?;
    // No watch by label shows it, so a new process has to ask for it before it judges.
    let mark = scene.mark().await;
    let controller = scene.controller().await?;
    scene.settled().await?;
    let asked = scene.asked(mark).await?;
    ensure!(asked.total() == 0, "a restart costs\n{asked}");
    let after = scene.clusters().get("one").await?;
    ensure!(
        after.resource_version() == cluster.resource_version(),
        "a restart wrote {:?}",
        after.status
    );
    same(scene, &own, true).await?;
    controller.stop().await
}

/// A key that another owner made under our name, seen by no watch: when it goes, ours is made.
pub async fn somebody_elses_key_makes_room_when_it_goes(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let map: kube::api::DynamicObject =
        serde_json::from_value(json!({"metadata": {"name": "theirs"}}))?;
    let theirs = support::light::children::api(&scene.admin, &scene.namespace, "ConfigMap")?
        .create(&PostParams::default(), &map)
        .await?;
    let key: Secret = serde_json::from_value(json!({
        "metadata": {"name": "one-ca", "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": theirs.uid(),
            "controller": true,
        }]},
        "stringData": {"tls.crt": "x", "tls.key": "y"},
    }))?;
    let key = secrets(scene).create(&PostParams::default(), &key).await?;
    scene
        .create("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let message = scene
        .says("one", "Applied", "False", "ChildRefused")
        .await?;
    ensure!(message.contains("one-ca"), "{message}");
    same(scene, &key, true).await?;
    secrets(scene)
        .delete("one-ca", &DeleteParams::default())
        .await?;
    scene.completed("one").await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    controller.stop().await
}

/// Kept when an earlier Cluster of the name went, with the finalizer of the product.
pub async fn a_key_that_was_kept_and_is_named_can_be_deleted(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("source", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let source = secrets(scene).get("source-etcd").await?;
    let kept: Secret = serde_json::from_value(json!({
        "metadata": {
            "name": "one-etcd",
            "labels": {"cluster.x-k8s.io/cluster-name": "one"},
            "finalizers": [crds::names::KEY_FINALIZER],
        },
        "data": source.data,
    }))?;
    secrets(scene).create(&PostParams::default(), &kept).await?;
    scene
        .complete("one", refs(&[("etcd", "one-etcd".to_owned())]))
        .await?;
    secrets(scene)
        .delete("one-etcd", &DeleteParams::default())
        .await?;
    until("the key is gone", PATIENCE, async || {
        match secrets(scene).get_opt("one-etcd").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    scene
        .says("one", "CertificatesAvailable", "False", "SecretMissing")
        .await?;
    controller.stop().await
}

/// How many watches of Secrets by their name are open of those that were begun since.
fn open_watches(scene: &Scene, mark: Mark) -> Result<usize> {
    let entries = scene.audit().since(mark)?;
    let named = entries.iter().filter(|entry| {
        entry.user.username == scene.user
            && entry.verb == "watch"
            && entry.request_uri.contains("metadata.name")
    });
    let (ended, begun): (Vec<_>, Vec<_>) = named.partition(|e| e.stage == "ResponseComplete");
    Ok(begun.len().saturating_sub(ended.len()))
}

pub async fn watches_of_named_secrets_end_with_their_clusters(scene: &Scene) -> Result<()> {
    const CLUSTERS: usize = 12;
    let controller = scene.controller().await?;
    scene
        .complete("from", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let (_, sa) = material(scene, "from").await?.swap_remove(1);
    let mark = scene.mark().await;
    for index in 0..CLUSTERS {
        let name = format!("sa-{index}");
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": name}, "data": sa.data,
        }))?;
        secrets(scene)
            .create(&PostParams::default(), &secret)
            .await?;
        scene
            .create(&format!("c{index}"), refs(&[("sa", name)]))
            .await?;
    }
    for index in 0..CLUSTERS {
        scene.completed(&format!("c{index}")).await?;
    }
    let open = open_watches(scene, mark)?;
    ensure!(open == CLUSTERS, "{open} for {CLUSTERS} named Secrets");
    // One that is not named any more, the others with their Clusters.
    scene
        .change("c0", json!({"spec": {"certificateRefs": []}}))
        .await?;
    for index in 1..CLUSTERS {
        scene
            .clusters()
            .delete(&format!("c{index}"), &DeleteParams::default())
            .await?;
    }
    let ((), took) = until(
        "the watches end",
        PATIENCE * 3,
        async || match open_watches(scene, mark) {
            Ok(0) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    scene.say(format!(
        "{CLUSTERS} watches of named Secrets ended within {:.1} s",
        took.as_secs_f64()
    ));
    controller.stop().await
}
