//! What happens in the life of Clusters, as far as it takes to need every right.

use std::time::Duration;

use anyhow::{Result, ensure};
use crds::names::JOIN_TOKEN_REQUEST_FINALIZER;
use crds::v1beta2::{ClusterPolicy, JoinTokenRequest};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use support::light::scene::Scene;
use support::light::{children, until};
use support::tokens;

/// For a machine that is busy with many of these.
const LIMIT: Duration = Duration::from_secs(30);

/// Each step begins when the one before has come to its end. The controller has these arguments.
pub async fn of_a_cluster(scene: &Scene, args: &[&str]) -> Result<()> {
    let controller = scene.controller_with(args).await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    admits(scene, Some("restricted")).await?;
    // For a Cluster that no watch shows.
    tokens::request(&requests, "early", "nobody", "1h").await?;
    scene
        .create(
            "one",
            json!({"version": "v1.36.3", "replicas": 3, "service": {"type": "LoadBalancer"},
                "networkPolicy": {"enabled": true},
                "externalAddress": format!("{}.example.org", scene.namespace)}),
        )
        .await?;
    for (kind, name) in [
        ("StatefulSet", "kmc-one"),
        ("StatefulSet", "kmc-one-etcd"),
        ("PodDisruptionBudget", "kmc-one"),
        ("NetworkPolicy", "kmc-one"),
        ("ConfigMap", "kmc-one-endpoint"),
        ("Secret", "one-kubeconfig"),
    ] {
        scene.appears(kind, name).await?;
    }
    labels(scene).await?;
    key_comes_back(scene).await?;
    refused_pods(scene).await?;

    scene
        .change(
            "one",
            json!({"spec": {"replicas": 1, "networkPolicy": null}}),
        )
        .await?;
    gone(scene, "PodDisruptionBudget/kmc-one").await?;
    gone(scene, "NetworkPolicy/kmc-one").await?;
    let service = json!({"type": "ClusterIP"});
    scene
        .change("one", json!({"spec": {"service": service}}))
        .await?;
    gone(scene, "Service/kmc-one-lb").await?;
    scene
        .change("one", json!({"spec": {"externalAddress": null}}))
        .await?;
    gone(scene, "ConfigMap/kmc-one-endpoint").await?;

    refused_twice(scene).await?;
    // One that has asked the hosted API itself knows better.
    controller.stop().await?;
    seems_to_serve(scene).await?;
    let controller = scene.controller_with(args).await?;
    token(&requests).await?;
    scene
        .clusters()
        .delete("one", &DeleteParams::default())
        .await?;
    for set in ["StatefulSet/kmc-one", "StatefulSet/kmc-one-etcd"] {
        gone(scene, set).await?;
    }
    until("the Cluster is gone", LIMIT, async || {
        let found = scene.clusters().get_opt("one").await;
        match found.map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(left) => Err(format!("{:?}", left.status)),
        }
    })
    .await?;
    controller.stop().await
}

async fn gone(scene: &Scene, key: &str) -> Result<()> {
    until(&format!("{key} is gone"), LIMIT, async || {
        match scene.child(key).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

/// From now on the namespace has pods of this level of Pod Security only.
async fn admits(scene: &Scene, level: Option<&str>) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(scene.admin.clone());
    let labels = json!({"pod-security.kubernetes.io/enforce": level});
    let labels = Patch::Merge(json!({"metadata": {"labels": labels}}));
    let params = PatchParams::default();
    namespaces.patch(&scene.namespace, &params, &labels).await?;
    Ok(())
}

/// Why there are no pods is found out by their list and by events.
async fn refused_pods(scene: &Scene) -> Result<()> {
    let said = scene
        .says("one", "ControlPlaneFunctional", "False", "PodsNotReady")
        .await?;
    ensure!(said.contains("PodSecurity"), "{said}");
    admits(scene, None).await
}

/// A label of the Cluster's goes to every child.
async fn labels(scene: &Scene) -> Result<()> {
    let labels = json!({"metadata": {"labels": {"example.org/team": "a"}}});
    scene.change("one", labels).await?;
    for child in [
        "Service/kmc-one-lb",
        "ConfigMap/kmc-one-config",
        "Secret/one-kubeconfig",
        "StatefulSet/kmc-one",
        "PodDisruptionBudget/kmc-one",
        "NetworkPolicy/kmc-one",
    ] {
        until(&format!("{child} has the label"), LIMIT, async || {
            let found = scene.child(child).await;
            let found = found.map_err(|error| format!("{error:#}"))?;
            let labels = found.as_ref().and_then(|it| it.pointer("/metadata/labels"));
            match labels.and_then(|labels| labels.get("example.org/team")) {
                Some(_) => Ok(()),
                None => Err(format!("{labels:?}")),
            }
        })
        .await?;
    }
    Ok(())
}

/// A key that somebody deletes is kept in a copy, which goes when it is back.
async fn key_comes_back(scene: &Scene) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let before = secrets.get("one-ca").await?;
    secrets.delete("one-ca", &DeleteParams::default()).await?;
    until("the key is back and its copy gone", LIMIT, async || {
        let now = secrets.get_opt("one-ca").await;
        let now = now.map_err(|error| error.to_string())?;
        let copy = secrets.get_opt("one-ca-restore").await;
        let copy = copy.map_err(|error| error.to_string())?;
        let is_back = now.as_ref().is_some_and(|now| now.uid() != before.uid());
        if is_back && copy.is_none() {
            Ok(())
        } else {
            Err(format!("back: {is_back}, copy: {}", copy.is_some()))
        }
    })
    .await?;
    Ok(())
}

/// The same event twice is one, counted. The spec stays refused, so that nothing is mended.
async fn refused_twice(scene: &Scene) -> Result<()> {
    for (enabled, status) in [(true, "False"), (false, "True"), (true, "False")] {
        let monitoring = json!({"spec": {"monitoring": {"enabled": enabled}}});
        scene.change("one", monitoring).await?;
        until(&format!("Accepted is {status}"), LIMIT, async || {
            let found = scene.clusters().get("one").await;
            let found = found.map_err(|error| error.to_string())?;
            let generation = found.metadata.generation;
            let said = found.status.unwrap_or_default().conditions;
            let accepted = said.iter().any(|condition| {
                condition.type_ == "Accepted"
                    && condition.status == status
                    && condition.observed_generation == generation
            });
            if accepted {
                Ok(())
            } else {
                Err(format!("{said:?}"))
            }
        })
        .await?;
    }
    Ok(())
}

/// What the Cluster says from now on and is not true.
async fn seems_to_serve(scene: &Scene) -> Result<()> {
    children::api(&scene.admin, &scene.namespace, "StatefulSet")?
        .delete("kmc-one", &DeleteParams::default())
        .await?;
    let condition = json!({
        "type": "ControlPlaneFunctional", "status": "True", "reason": "Ready", "message": "",
        "lastTransitionTime": Timestamp::now().to_string(),
    });
    let status = Patch::Merge(json!({"status": {"conditions": [condition]}}));
    let params = PatchParams::default();
    scene.raw().patch_status("one", &params, &status).await?;
    Ok(())
}

/// A request is given an owner and a finalizer; no API is there to make its token.
async fn token(requests: &Api<JoinTokenRequest>) -> Result<()> {
    tokens::request(requests, "join", "one", "10s").await?;
    until("the request has a finalizer", LIMIT, async || {
        let found = requests.get("join").await;
        let found = found.map_err(|error| error.to_string())?;
        let ours = JOIN_TOKEN_REQUEST_FINALIZER.to_owned();
        if found.finalizers().contains(&ours) && !found.owner_references().is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", found.metadata))
        }
    })
    .await?;
    Ok(())
}

/// Gives a policy that has no status yet, or has lost it, to whoever counts what violates it.
pub async fn of_a_policy(admin: &Client, name: &str) -> Result<()> {
    let policies: Api<ClusterPolicy> = Api::all(admin.clone());
    let apply = PatchParams::apply("a-user");
    let body = json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "ClusterPolicy",
        "metadata": {"name": name},
        "spec": {"action": "Warn", "replicas": {"max": 5}},
    });
    policies.patch(name, &apply, &Patch::Apply(&body)).await?;
    until("violations are counted", LIMIT, async || {
        let found = policies
            .get(name)
            .await
            .map_err(|error| error.to_string())?;
        let counted = found.status.and_then(|status| status.last_audit);
        counted.map(drop).ok_or_else(|| "no status".to_owned())
    })
    .await?;
    Ok(())
}

/// Writes over the certificate of the webhook in this namespace, once there is one.
pub async fn of_a_certificate(admin: &Client, namespace: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), namespace);
    let name = "k0smotron-webhook-certificate";
    let certificate = async || {
        let found = secrets.get(name).await.map_err(|error| error.to_string())?;
        let data = found.data.unwrap_or_default();
        data.get("tls.crt")
            .cloned()
            .ok_or_else(|| "it is empty".to_owned())
    };
    until("there is a certificate", LIMIT, &certificate).await?;
    let nonsense = Patch::Merge(json!({"data": {"tls.crt": "eA==", "ca.crt": "eA=="}}));
    secrets
        .patch(name, &PatchParams::default(), &nonsense)
        .await?;
    until(
        "the certificate is back",
        LIMIT,
        async || match certificate().await? {
            ByteString(bytes) if bytes == b"x" => Err("it is nonsense".to_owned()),
            _ => Ok(()),
        },
    )
    .await?;
    Ok(())
}
