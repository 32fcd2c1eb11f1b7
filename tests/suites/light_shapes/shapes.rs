//! The comparison.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Map, Value, json};
use support::light::children::{self, KINDS, at, text};
use support::light::scene::Scene;
use support::light::until;

use crate::differences::{DIFFERENCES, Shapes};
use crate::reduce::shape;

const CLUSTERS: [&str; 5] = ["plain", "ha", "nodeport", "manifests", "pvc"];

fn fixture(folder: &str, name: &str) -> Result<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/compat")
        .join(folder)
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// The node whose address a NodePort cluster takes.
async fn node(scene: &Scene) -> Result<()> {
    let nodes: Api<Node> = Api::all(scene.admin.clone());
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "node"}}))?;
    nodes.create(&PostParams::default(), &node).await?;
    let status = json!({"status": {"addresses": [
        {"type": "InternalIP", "address": "127.0.0.1"},
        {"type": "Hostname", "address": "node"},
    ]}});
    nodes
        .patch_status("node", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// Names, and what belongs to the Cluster of this name by its labels.
async fn found(scene: &Scene, cluster: &str) -> Result<Map<String, Value>> {
    let mut kinds = KINDS.to_vec();
    kinds.push("PersistentVolumeClaim");
    let all = children::all(&scene.admin, &scene.namespace, &kinds).await?;
    let addresses: BTreeSet<String> = all
        .values()
        .map(|object| text(object, "/spec/clusterIP").to_owned())
        .filter(|address| !address.is_empty() && address != "None")
        .collect();
    let mut found = Map::new();
    for (key, object) in all {
        let labels = at(&object, "/metadata/labels");
        if ["cluster", "cluster.x-k8s.io/cluster-name"]
            .iter()
            .any(|label| labels.get(*label).and_then(Value::as_str) == Some(cluster))
        {
            found.insert(key, shape(&object, &addresses)?);
        }
    }
    Ok(found)
}

/// The data were taken where pods never ran, hence without a kubeconfig; upstream's is known by
/// its description.
fn kubeconfig(cluster: &str) -> Value {
    json!({
        "labels": {
            "app": "k0smotron",
            "app.kubernetes.io/component": "kubeconfig",
            "cluster": cluster,
            "component": "cluster",
        },
        "owner": [["Cluster", cluster]],
        "type": "cluster.x-k8s.io/secret",
        "keys": ["value"],
    })
}

/// Mounts, ports and so on keep their order; names of keys have none.
fn in_order(shapes: &mut Map<String, Value>) {
    for shape in shapes.values_mut() {
        for pointer in ["/keys", "/podAnnotations", "/k0s/spec/api/sans"] {
            if let Some(Value::Array(names)) = shape.pointer_mut(pointer) {
                names.sort_by_key(Value::to_string);
            }
        }
    }
}

pub async fn children_look_as_upstreams_but_for_what_is_documented(scene: &Scene) -> Result<()> {
    // In all namespaces, as it is installed.
    let controller = scene.controller_with(&[]).await?;
    node(scene).await?;
    for cluster in CLUSTERS {
        let spec = fixture("specs", cluster)?;
        scene.create(cluster, at(&spec, "/spec").clone()).await?;
    }
    let table =
        std::fs::read_to_string(mothership::paths::workspace().join("docs/compatibility.md"))?;
    let mut unused: BTreeSet<&str> = DIFFERENCES
        .iter()
        .map(|difference| difference.row)
        .collect();
    for row in &unused {
        ensure!(
            table.contains(&format!("\n| {row} |")),
            "{row:?} is not in docs/compatibility.md"
        );
    }
    let mut failed = Vec::new();
    for cluster in CLUSTERS {
        scene.completed(cluster).await?;
        let Value::Object(objects) = fixture("shapes", cluster)? else {
            anyhow::bail!("the shape of {cluster} is no object");
        };
        let mut shapes = Shapes {
            cluster: cluster.to_owned(),
            objects,
        };
        shapes
            .objects
            .insert(format!("Secret/{cluster}-kubeconfig"), kubeconfig(cluster));
        for difference in &DIFFERENCES {
            let before = shapes.objects.clone();
            (difference.apply)(&mut shapes);
            if shapes.objects != before {
                unused.remove(difference.row);
            }
        }
        let mut expected = shapes.objects;
        in_order(&mut expected);
        // Volumes are claimed a moment after the StatefulSets are there.
        let compared = until("the shapes", Duration::from_secs(5), async || {
            let mut found = found(scene, cluster)
                .await
                .map_err(|error| format!("{error:#}"))?;
            in_order(&mut found);
            let differ = children::differences(&json!(expected), &json!(found));
            if differ.is_empty() {
                Ok(found.len())
            } else {
                Err(differ.join("\n    "))
            }
        })
        .await;
        match compared {
            Ok((count, _)) => scene.say(format!("{cluster}: {count} objects")),
            Err(error) => failed.push(format!("{cluster}:\n    {error:#}")),
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    ensure!(unused.is_empty(), "no longer different: {unused:?}");
    controller.stop().await
}
