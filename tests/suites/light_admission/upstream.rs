//! What upstream's clients write, which is more than they mean.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::light::children::at;
use support::light::scene::Scene;

use super::objects::{accepted, apply, cluster, refused, try_apply, with};

const VERSION: &str = "v1.36.3-k0s.2";

/// Name and text of an object that such a client writes.
fn written(name: &str) -> Result<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/compat/clients")
        .join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(serde_saphyr::from_str(&text)?)
}

const CLUSTERS: [&str; 4] = ["zeros", "chosen", "config-kind", "old-zeros"];

/// What restarts its pods.
async fn template(scene: &Scene, name: &str) -> Result<Value> {
    let set = scene.appears("StatefulSet", &format!("kmc-{name}")).await?;
    Ok(at(&set, "/spec/template").clone())
}

async fn built(scene: &Scene, name: &str) -> Result<()> {
    scene.completed(name).await?;
    scene.says(name, "Accepted", "True", "Accepted").await?;
    scene.says(name, "Applied", "True", "Applied").await?;
    Ok(())
}

pub async fn zeros_are_taken_as_left_out_at_every_write(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let write = async |verb: &str, object: &Value| -> Result<()> {
        let said = scene
            .kubectl(&[verb, "--filename", "-"], &object.to_string())
            .await?;
        accepted(&said).with_context(|| format!("{verb} {object}"))?;
        ensure!(!said.err.contains("not implemented"), "{said:?}");
        Ok(())
    };
    for name in CLUSTERS {
        write("create", &written(name)?).await?;
    }
    write("create", &written("old-token")?).await?;
    // Without a type the schema knows none, and the ports are those of a new one.
    let nothing = cluster(
        "nothing",
        &json!({"service": {"type": ""}, "persistence": {"type": ""}, "storage": {"etcd": {"image": ""}}}),
    );
    write("create", &nothing).await?;
    for name in CLUSTERS.into_iter().chain(["nothing"]) {
        built(scene, name).await.with_context(|| name.to_owned())?;
    }
    // Such a client writes the whole of it with every change.
    for name in CLUSTERS.into_iter().chain(["nothing"]) {
        let before = template(scene, name).await?;
        let object = if name == "nothing" {
            nothing.clone()
        } else {
            written(name)?
        };
        let change = json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {"kubeconfigSecretMetadata": {"labels": {"c": "d"}}},
        });
        write("replace", &with(object, &change)).await?;
        built(scene, name).await.with_context(|| name.to_owned())?;
        let after = template(scene, name).await?;
        ensure!(before == after, "{name} restarts: {after:#}");
    }
    controller.stop().await
}

pub async fn names_of_mounts_and_manifests_never_meet_ours(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let plain = json!({"version": VERSION, "service": {"type": "ClusterIP"}});
    let stack = |name: &str| json!({"name": name, "configMap": {"name": "stack"}});
    let mount = |path: &str| json!({"path": path, "secret": {"secretName": "files"}});
    let manifests = ["run", "tmp", "certs", "kmc-meets-config"].map(stack);
    let mounts = [
        "/certs",
        "/kmc-meets-config",
        "/kmc-meets",
        "/tmp",
        "/a/b",
        "/a-b",
    ]
    .map(mount);
    let meets = json!({"manifests": manifests, "mounts": mounts});
    let claim = json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {
        "metadata": {"name": "certs"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}});
    for (name, more) in [("meets", meets.clone()), ("claimed", with(meets, &claim))] {
        let object = cluster(name, &with(plain.clone(), &more));
        accepted(&apply(scene, &object).await?)?;
        built(scene, name).await.with_context(|| name.to_owned())?;
        let template = template(scene, name).await?;
        let mounted = at(&template, "/spec/containers/0/volumeMounts").to_string();
        for place in [
            "/certs",
            "/var/lib/k0s/manifests/run",
            "/tmp",
            "/a/b",
            "/a-b",
        ] {
            ensure!(
                mounted.contains(&format!("\"mountPath\":\"{place}\"")),
                "{name}: nothing is at {place}: {mounted}"
            );
        }
    }
    // A place that is taken stays taken, however it is written.
    for (more, field) in [
        (
            json!({"mounts": [mount("/etc/k0smotron")]}),
            "spec.mounts[0].path",
        ),
        (
            json!({"mounts": [mount("/x"), mount("/var/../etc/k0smotron/")]}),
            "spec.mounts[1].path",
        ),
        (
            json!({"mounts": [mount("/var/lib/k0s")]}),
            "spec.mounts[0].path",
        ),
        (
            json!({"mounts": [mount("/a"), mount("/a/")]}),
            "spec.mounts[1].path",
        ),
        (
            json!({"manifests": [stack("k0s-telemetry")]}),
            "spec.manifests[0].name",
        ),
        (
            json!({"manifests": [stack("a"), stack("a")]}),
            "spec.manifests[1].name",
        ),
    ] {
        let object = cluster("refused", &with(plain.clone(), &more));
        refused(
            &try_apply(scene, &object).await?,
            &[field, "already used by"],
        )?;
    }
    controller.stop().await
}
