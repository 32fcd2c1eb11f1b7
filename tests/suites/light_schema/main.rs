//! The schema on a real API server: every wrong input gets an error that names the field, the same
//! object corrected is accepted, and what earlier installations may have stored is let through.

mod inputs;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions};
use mothership::{Light, LightOptions, paths};
use serde_json::{Value, json};

use crate::inputs::{claim, clusters, requests};

/// A mothership with the definitions as they are committed.
async fn installed() -> Result<(Light, kube::Client)> {
    let light = Light::start(LightOptions::default()).await?;
    let admin = light.admin().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(admin.clone());
    for name in [
        "clusters.k0smotron.io",
        "clusterpolicies.k0smotron.io",
        "jointokenrequests.k0smotron.io",
    ] {
        let path = paths::workspace().join(format!("crds/yaml/{name}.yaml"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let definition: Value = serde_saphyr::from_str(&text)?;
        definitions
            .patch(
                name,
                &PatchParams::apply("suite"),
                &Patch::Apply(&definition),
            )
            .await
            .with_context(|| format!("the API server refuses {name}"))?;
        let established =
            await_condition(definitions.clone(), name, conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(30), established).await??;
        let status = definitions.get(name).await?.status.context("no status")?;
        let structural = status.conditions.into_iter().flatten();
        let mut structural =
            structural.filter(|condition| condition.type_ == "NonStructuralSchema");
        ensure!(structural.next().is_none(), "{name} is not structural");
    }
    Ok((light, admin))
}

/// Creates the object without keeping it; the API server's answer.
async fn create(
    client: &kube::Client,
    kind: &str,
    name: &str,
    spec: &Value,
) -> Result<Value, String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("k0smotron.io", "v1beta2", kind));
    let api: Api<DynamicObject> = if kind == "ClusterPolicy" {
        let mut resource = resource.clone();
        "clusterpolicies".clone_into(&mut resource.plural);
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), "default", &resource)
    };
    let mut object = DynamicObject::new(name, &resource);
    object.data = json!({ "spec": spec });
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match api.create(&parameters, &object).await {
        Ok(object) => Ok(object.data),
        Err(kube::Error::Api(refusal)) => Err(refusal.message),
        Err(error) => Err(format!("no answer: {error}")),
    }
}

#[tokio::test]
async fn every_wrong_input_is_refused_by_name_and_accepted_once_corrected() -> Result<()> {
    let (light, admin) = installed().await?;
    let mut failures = Vec::new();
    let clusters = clusters().into_iter().map(|case| ("Cluster", case));
    let requests = requests()
        .into_iter()
        .map(|case| ("JoinTokenRequest", case));
    for (kind, (wrong, field, corrected)) in clusters.chain(requests) {
        match create(&admin, kind, "x", &wrong).await {
            Ok(_) => failures.push(format!("{field}: accepted: {wrong}")),
            Err(message) if message.contains(field) => {}
            Err(message) => failures.push(format!("{field}: not named: {message}")),
        }
        if let Err(message) = create(&admin, kind, "x", &corrected).await {
            failures.push(format!("{field}: refused once corrected: {message}"));
        }
    }
    for (kind, spec, wrong, corrected) in [
        ("Cluster", json!({}), "a.b".to_owned(), "a-b".to_owned()),
        ("Cluster", json!({}), "a".repeat(51), "a".repeat(43)),
        (
            "JoinTokenRequest",
            json!({"clusterName": "c"}),
            "a".repeat(64),
            "a".repeat(63),
        ),
    ] {
        match create(&admin, kind, &wrong, &spec).await {
            Err(message) if message.contains("metadata.name") => {}
            other => failures.push(format!("{kind} {wrong}: {other:?}")),
        }
        if let Err(message) = create(&admin, kind, &corrected, &spec).await {
            failures.push(format!("{kind} {corrected}: {message}"));
        }
    }
    light.down().await?;
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[tokio::test]
async fn what_may_be_stored_already_is_let_through() -> Result<()> {
    let (light, admin) = installed().await?;
    let mut failures = Vec::new();
    for spec in [
        json!({"persistence": {"type": "nfs"}}),
        json!({"service": {"type": "NodePort", "apiPort": 6443, "konnectivityPort": 8132}}),
        json!({"replicas": 3, "persistence": {"type": "hostPath", "hostPath": "/x"}}),
        json!({"version": "nightly", "image": "r/k0s:v1"}),
        json!({"certificateRefs": [{"type": "ca"}, {"type": "ca"}]}),
        json!({"manifests": [{"name": "a"}, {"name": "a", "configMap": {}}]}),
        json!({"storage": {"type": "kine", "kine": {}}}),
        json!({"version": null, "ingress": null, "service": null, "k0sConfig": null}),
    ] {
        if let Err(message) = create(&admin, "Cluster", "x", &spec).await {
            failures.push(format!("{spec}: {message}"));
        }
    }
    light.down().await?;
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[tokio::test]
async fn defaults_are_upstreams() -> Result<()> {
    let (light, admin) = installed().await?;
    let filled = |spec: Value| {
        let admin = admin.clone();
        async move {
            let object = create(&admin, "Cluster", "x", &spec)
                .await
                .map_err(anyhow::Error::msg)?;
            object.get("spec").cloned().context("no spec")
        }
    };
    let plain = filled(json!({})).await?;
    assert_eq!(
        plain,
        json!({
            "replicas": 1,
            "image": "quay.io/k0sproject/k0s",
            "service": {"type": "ClusterIP", "apiPort": 30443, "konnectivityPort": 30132},
            "storage": {
                "type": "etcd",
                "etcd": {
                    "image": "quay.io/k0sproject/etcd:v3.7.1",
                    "autoDeletePVCs": false,
                    "persistence": {"size": "1Gi"},
                },
            },
        })
    );
    // A Cluster without a spec is one with a NodePort.
    let nothing = filled(Value::Null).await?;
    assert_eq!(nothing.pointer("/service/type"), Some(&json!("NodePort")));
    // Claims' metadata and the free-form configuration are kept to the letter.
    let kept = json!({
        "name": "data", "namespace": "n", "labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["e/f"],
    });
    let pvc = filled(claim(&kept)).await?;
    assert_eq!(
        pvc.pointer("/persistence/persistentVolumeClaim/metadata"),
        Some(&kept)
    );
    let config = json!({"spec": {"api": {"extraArgs": {"v": "2"}}, "list": [1, null, {"x": 1.5}]}});
    let free = filled(json!({ "k0sConfig": config })).await?;
    assert_eq!(free.pointer("/k0sConfig"), Some(&config));
    light.down().await
}

#[tokio::test]
async fn the_examples_are_accepted() -> Result<()> {
    let (light, admin) = installed().await?;
    for entry in std::fs::read_dir(paths::workspace().join("crds/examples"))? {
        let path = entry?.path();
        let object: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path)?)?;
        let text = |pointer| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let spec = object.get("spec").context("no spec")?;
        create(&admin, text("/kind"), text("/metadata/name"), spec)
            .await
            .map_err(|message| anyhow::anyhow!("{}: {message}", path.display()))?;
    }
    light.down().await
}

/// As upstream or an earlier release may have stored it.
#[tokio::test]
async fn what_is_stored_under_a_name_that_is_refused_can_go() -> Result<()> {
    let (light, admin) = installed().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(admin.clone());
    let mut failures = Vec::new();
    for (plural, kind, name, spec) in [
        ("clusters", "Cluster", "a.b".to_owned(), json!({})),
        ("clusters", "Cluster", "a".repeat(51), json!({})),
        (
            "jointokenrequests",
            "JoinTokenRequest",
            "a".repeat(64),
            json!({"clusterName": "c"}),
        ),
    ] {
        let definition = format!("{plural}.k0smotron.io");
        let shipped = definitions.get(&definition).await?;
        let mut lenient = shipped.clone();
        for version in &mut lenient.spec.versions {
            let schema = version.schema.as_mut();
            if let Some(root) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
                root.x_kubernetes_validations = None;
            }
        }
        let replace = PostParams::default();
        definitions.replace(&definition, &replace, &lenient).await?;
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("k0smotron.io", "v1beta2", kind));
        let api: Api<DynamicObject> = Api::namespaced_with(admin.clone(), "default", &resource);
        let mut object = DynamicObject::new(&name, &resource);
        object.metadata.finalizers = Some(vec!["example.org/x".to_owned()]);
        object.data = json!({ "spec": spec });
        let created = tokio::time::timeout(Duration::from_secs(20), async {
            while api.create(&replace, &object).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        created.await.context("it is never stored")?;

        lenient = definitions.get(&definition).await?;
        lenient.spec = shipped.spec;
        definitions.replace(&definition, &replace, &lenient).await?;
        // The rule is in force again.
        let refused = tokio::time::timeout(Duration::from_secs(20), async {
            while create(&admin, kind, &format!("{name}x"), &spec)
                .await
                .is_ok()
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        refused.await.context("it is never refused")?;

        let status = json!({"status": {"ready": true}});
        let label = json!({"metadata": {"labels": {"a": "b"}}});
        let free = json!({"metadata": {"finalizers": null}});
        let merge = PatchParams::default();
        let written = async {
            api.patch_status(&name, &merge, &Patch::Merge(&status))
                .await?;
            api.patch(&name, &merge, &Patch::Merge(&label)).await?;
            api.delete(&name, &kube::api::DeleteParams::default())
                .await?;
            api.patch(&name, &merge, &Patch::Merge(&free)).await?;
            api.get_opt(&name).await
        };
        match written.await {
            Ok(None) => {}
            other => failures.push(format!("{kind} {name}: {other:?}")),
        }
    }
    light.down().await?;
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
