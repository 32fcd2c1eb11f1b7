//! Who may reach a Cluster's pods, where its user asks for that. Whether a network plugin keeps to
//! it takes pods.

use anyhow::{Context as _, Result, ensure};
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};
use support::light::children::{self, at};
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

const BOTH: [&str; 2] = ["NetworkPolicy/kmc-one", "NetworkPolicy/kmc-one-etcd"];

async fn ask(scene: &Scene, enabled: bool) -> Result<()> {
    let asked = json!({"spec": {"networkPolicy": {"enabled": enabled}}});
    scene.change("one", asked).await
}

/// Waits until an object is there or not.
async fn is_there(scene: &Scene, key: &str, there: bool) -> Result<()> {
    until(&format!("{key}: {there}"), PATIENCE, async || {
        match scene.child(key).await {
            Ok(found) if found.is_some() == there => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

/// Ports with who may reach them, as one line each.
fn let_in(policy: &Value) -> Vec<String> {
    let rules = at(policy, "/spec/ingress").as_array();
    let texts = rules.into_iter().flatten().map(|rule| {
        let ports = at(rule, "/ports").as_array().into_iter().flatten();
        let ports: Vec<_> = ports.map(|it| at(it, "/port").to_string()).collect();
        let peers = at(rule, "/from").as_array();
        let peers: Option<Vec<_>> = peers.map(|peers| {
            let labels = peers
                .iter()
                .map(|peer| at(peer, "/podSelector/matchLabels"));
            let labels = labels.map(|it| format!("{}/{}", it["cluster"], it["component"]));
            labels.collect()
        });
        let peers = peers.map_or_else(|| "anybody".to_owned(), |peers| peers.join(","));
        format!("{} {}", ports.join(","), peers.replace('"', ""))
    });
    texts.collect()
}

pub async fn network_policies_are_there_for_who_asks(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let spec = json!({"service": {"type": "ClusterIP"}});
    scene.complete("one", spec).await?;
    for key in BOTH {
        is_there(scene, key, false).await?;
    }
    let mark = scene.mark().await;
    ask(scene, true).await?;
    for key in BOTH {
        is_there(scene, key, true).await?;
    }
    scene.settled().await?;
    let asked = scene.asked(mark).await?;
    ensure!(asked.total() <= 3, "two policies and a status:\n{asked}");

    let [control_plane, etcd] = BOTH;
    let policy = scene.child(control_plane).await?.context("gone")?;
    ensure!(
        let_in(&policy) == ["30443,30132 anybody"],
        "{:?}",
        let_in(&policy)
    );
    let policy = scene.child(etcd).await?.context("gone")?;
    ensure!(
        let_in(&policy) == ["2379 one/cluster,one/etcd", "2380 one/etcd"],
        "{:?}",
        let_in(&policy)
    );
    ensure!(
        at(&policy, "/spec/podSelector/matchLabels")
            == &at(&policy, "/spec/ingress/1/from/0/podSelector/matchLabels").clone(),
        "{policy}"
    );

    // Nobody opens a door by hand, nor shuts one, nor takes it out.
    let before = at(&policy, "/spec").clone();
    let rule = |more: Value| {
        let mut rules = at(&before, "/ingress").clone();
        if let (Some(rules), Some(more)) = (rules.as_array_mut(), more.as_array()) {
            rules.extend(more.iter().cloned());
        }
        json!({ "ingress": rules })
    };
    let mut widened = rule(json!([]));
    *widened
        .pointer_mut("/ingress/1/ports/0")
        .context("no such port")? = json!({"protocol": "TCP", "port": 2380, "endPort": 2390});
    for edit in [
        json!({"ingress": [{}]}),
        rule(json!([{}])),
        widened,
        json!({"podSelector": {"matchLabels": {"x": "y"}}}),
        json!({"podSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}),
        json!({"policyTypes": ["Ingress", "Egress"]}),
        json!({"egress": [{}]}),
    ] {
        scene.edit(etcd, &json!({"spec": edit})).await?;
        until(&format!("{edit} is undone"), PATIENCE, async || {
            let found = scene.child(etcd).await.map_err(|it| format!("{it:#}"))?;
            match found.as_ref().map(|found| at(found, "/spec")) {
                Some(spec) if *spec == before => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    children::api(&scene.admin, &scene.namespace, "NetworkPolicy")?
        .delete("kmc-one", &DeleteParams::default())
        .await?;
    is_there(scene, control_plane, true).await?;

    ask(scene, false).await?;
    for key in BOTH {
        is_there(scene, key, false).await?;
    }
    controller.stop().await
}

pub async fn somebody_elses_network_policy_is_named_and_stays(scene: &Scene) -> Result<()> {
    let policies = children::api(&scene.admin, &scene.namespace, "NetworkPolicy")?;
    let theirs: DynamicObject = serde_json::from_value(json!({
        "metadata": {"name": "kmc-one-etcd"},
        "spec": {"podSelector": {"matchLabels": {"app": "theirs"}}},
    }))?;
    let theirs = policies.create(&PostParams::default(), &theirs).await?;
    let controller = scene.controller().await?;
    let spec = json!({"service": {"type": "ClusterIP"}, "networkPolicy": {"enabled": true}});
    scene.create("one", spec).await?;
    let message = scene
        .says("one", "Applied", "False", "ChildRefused")
        .await?;
    ensure!(message.contains("kmc-one-etcd"), "{message}");
    ask(scene, false).await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    let after = policies.get("kmc-one-etcd").await?;
    ensure!(after == theirs, "{after:?}");
    controller.stop().await
}
