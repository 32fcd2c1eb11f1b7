//! What others write into children, again and again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use mothership::audit::Entry;
use serde_json::json;
use support::light::children;
use support::light::scene::{Scene, wrote};

pub async fn a_key_that_somebody_adds_to_a_made_secret_costs_nothing(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    for name in ["one-kubeconfig", "one-etcd-server"] {
        let before = scene.get("Secret", name).await?;
        let mark = scene.mark().await;
        scene
            .edit(
                &format!("Secret/{name}"),
                &json!({"stringData": {"note": "x"}}),
            )
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let asked = scene.asked(mark).await?;
        ensure!(asked.total() == 0, "{name} with a note costs\n{asked}");
        let after = scene.get("Secret", name).await?;
        let data = |secret: &Option<serde_json::Value>, key: &str| {
            let secret = secret.as_ref()?;
            secret.pointer(&format!("/data/{key}")).cloned()
        };
        for key in ["value", "tls.crt", "tls.key"] {
            ensure!(data(&before, key) == data(&after, key), "{name}: {key}");
        }
        ensure!(data(&after, "note").is_some(), "{name} lost the note");
    }
    controller.stop().await
}

pub async fn a_condition_that_somebody_adds_costs_nothing(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let condition = json!({"type": "Audited", "status": "True", "reason": "Seen", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "one"}, "status": {"conditions": [condition]}});
    let params = PatchParams::apply("somebody");
    scene
        .raw()
        .patch_status("one", &params, &Patch::Apply(&status))
        .await?;
    let mark = scene.mark().await;
    for round in 0..3 {
        let label = json!({"metadata": {"annotations": {"example.org/round": round.to_string()}}});
        scene
            .edit("StatefulSet/kmc-one", &label)
            .await
            .context("a change that wakes the Cluster")?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let asked = scene.asked(mark).await?;
    ensure!(asked.total() == 0, "a condition of others costs\n{asked}");
    let one = scene.raw().get("one").await?;
    let conditions = one.data.pointer("/status/conditions");
    let mut conditions = conditions
        .and_then(|all| all.as_array())
        .into_iter()
        .flatten();
    ensure!(
        conditions.any(|condition| condition.get("type") == Some(&json!("Audited"))),
        "it is gone"
    );
    controller.stop().await
}

/// What is said while somebody fights; of these requests there is at most one a second by then.
async fn slowed_down(
    scene: &Scene,
    fights: impl Future<Output = anyhow::Error>,
    counts: impl Fn(&Entry) -> bool,
) -> Result<String> {
    let looks = async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        let (mark, since) = (scene.mark().await, Instant::now());
        tokio::time::sleep(Duration::from_secs(6)).await;
        let entries = scene.audit().since(mark)?;
        let ours = entries
            .iter()
            .filter(|entry| entry.user.username == scene.user && counts(entry))
            .count();
        let seconds = since.elapsed().as_secs();
        scene.say(format!("{ours} in {seconds} s"));
        // One is at each end.
        let a_second = u64::try_from(ours)? <= seconds + 1;
        ensure!(a_second, "more than one a second");
        scene.says("one", "Applied", "False", "ChildRefused").await
    };
    tokio::select! {
        error = fights => Err(error),
        message = looks => message,
    }
}

pub async fn a_fight_over_a_child_is_slowed_down_and_named(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let services = children::api(&scene.admin, &scene.namespace, "Service")?;
    let rival = PatchParams {
        field_manager: Some("rival".to_owned()),
        ..PatchParams::default()
    };
    let fights = async {
        for edits in 0.. {
            let selector = json!({"spec": {"selector": {"rival": edits.to_string()}}});
            let selector = Patch::Merge(&selector);
            if let Err(error) = services.patch("kmc-one", &rival, &selector).await {
                return anyhow::Error::from(error);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::anyhow!("it never ends")
    };
    let counts = |entry: &Entry| wrote(entry, "services", "kmc-one");
    let message = slowed_down(scene, fights, counts).await?;
    scene.say(&message);
    for part in ["Service", "kmc-one", "\"rival\""] {
        ensure!(message.contains(part), "{part:?} is not in {message:?}");
    }
    // Once it ends the child is put right, and that is said.
    scene.says("one", "Applied", "True", "Applied").await?;
    let service = scene.get("Service", "kmc-one").await?.unwrap_or_default();
    let selector = service.pointer("/spec/selector/rival");
    ensure!(selector.is_none(), "{service}");
    controller.stop().await
}

/// The API server leaves out what is `false`, so what is there never says all that is wanted.
pub async fn a_field_that_is_not_stored_is_no_fight(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete(
            "one",
            json!({
                "service": {"type": "ClusterIP"},
                "mounts": [{
                    "path": "/data", "name": "data",
                    "persistentVolumeClaim": {"claimName": "data", "readOnly": false},
                }],
            }),
        )
        .await?;
    let sets = children::api(&scene.admin, &scene.namespace, "StatefulSet")?;
    let set = sets.get("kmc-one").await?;
    let volumes = set.data.pointer("/spec/template/spec/volumes");
    let claim = volumes.and_then(|volumes| {
        let mut claims = volumes.as_array()?.iter();
        claims.find_map(|volume| volume.get("persistentVolumeClaim"))
    });
    let claim = claim.context("the claim is not mounted")?;
    ensure!(claim.get("readOnly").is_none(), "it is stored: {claim}");
    let mark = scene.mark().await;
    for round in 0..25 {
        let message = round.to_string();
        let probe = json!({"type": "Probe", "status": "True", "message": message});
        let status = json!({"status": {"conditions": [probe]}});
        let params = PatchParams::default();
        sets.patch_status("kmc-one", &params, &Patch::Merge(&status))
            .await?;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let entries = scene.audit().since(mark)?;
    let ours = entries
        .iter()
        .filter(|entry| entry.user.username == scene.user)
        .filter(|entry| wrote(entry, "statefulsets", "kmc-one"))
        .count();
    scene.say(format!("{ours} applies after 25 changes of its status"));
    ensure!(ours <= 1, "{ours} applies that change nothing");
    scene.says("one", "Applied", "True", "Applied").await?;
    controller.stop().await
}

/// Such as an earlier operator that was left running.
pub async fn a_fight_over_what_is_obsolete_is_slowed_down_and_named(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let wanted = scene.get("Service", "kmc-one").await?.unwrap_or_default();
    let services = children::api(&scene.admin, &scene.namespace, "Service")?;
    let metadata = |field: &str| wanted.pointer(&format!("/metadata/{field}")).cloned();
    let obsolete: DynamicObject = serde_json::from_value(json!({
        "metadata": {
            "name": "kmc-one-nodeport",
            "labels": metadata("labels"),
            "ownerReferences": metadata("ownerReferences"),
        },
        "spec": {"ports": [{"port": 1}]},
    }))?;
    let fights = async {
        loop {
            match services.create(&PostParams::default(), &obsolete).await {
                Ok(_) | Err(kube::Error::Api(_)) => {}
                Err(error) => return anyhow::Error::from(error),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let counts = |entry: &Entry| entry.verb == "delete";
    let message = slowed_down(scene, fights, counts).await?;
    ensure!(message.contains("kmc-one-nodeport"), "{message:?}");
    scene.says("one", "Applied", "True", "Applied").await?;
    let left = scene.get("Service", "kmc-one-nodeport").await?;
    ensure!(left.is_none(), "it is still there");
    controller.stop().await
}
