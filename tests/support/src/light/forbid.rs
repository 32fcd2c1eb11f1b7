//! What others of a mothership do to requests: admission policies that forbid them, and webhooks
//! that nobody answers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::scene::Scene;
use super::{children, until};

/// How long the API server takes to heed one, or to forget it.
const HEEDED: Duration = Duration::from_secs(30);

/// What is forbidden.
#[derive(Clone, Copy, Debug)]
pub struct Forbidden<'a> {
    /// Group and resource of the objects.
    pub resource: (&'a str, &'a str),
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub operation: &'a str,
    /// An object that is there, or could be created, at which it shows whether the API server heeds it.
    pub probe: &'a str,
}

/// Forbids the scene's controllers something until [`allow`].
pub async fn forbid(scene: &Scene, forbidden: Forbidden<'_>) -> Result<()> {
    let (group, resource) = forbidden.resource;
    let name = &scene.namespace;
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [group], "apiVersions": ["*"], "resources": [resource],
                "operations": [forbidden.operation],
            }]},
            // A dry run is the probe.
            "validations": [{
                "expression": format!(
                    "!request.userInfo.username.startsWith('{}') && !(has(request.dryRun) && request.dryRun)",
                    scene.user
                ),
                "message": "there is a freeze",
            }],
        },
    }))?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {
                "kubernetes.io/metadata.name": name,
            }}},
        },
    }))?;
    let params = PostParams::default();
    Api::all(scene.admin.clone())
        .create(&params, &policy)
        .await?;
    Api::all(scene.admin.clone())
        .create(&params, &binding)
        .await?;
    until("the policy is heeded", HEEDED, async || {
        match probe(scene, forbidden).await {
            Err(error) if error.to_string().contains("freeze") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

/// Takes it back.
pub async fn allow(scene: &Scene, forbidden: Forbidden<'_>) -> Result<()> {
    let gone = DeleteParams::default();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(scene.admin.clone());
    bindings.delete(&scene.namespace, &gone).await?;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(scene.admin.clone());
    policies.delete(&scene.namespace, &gone).await?;
    until("the policy is forgotten", HEEDED, async || {
        match probe(scene, forbidden).await {
            Err(error) if error.to_string().contains("freeze") => Err(error.to_string()),
            _ => Ok(()),
        }
    })
    .await?;
    Ok(())
}

async fn probe(scene: &Scene, forbidden: Forbidden<'_>) -> Result<(), kube::Error> {
    let (kind, name) = forbidden.probe.split_once('/').unwrap_or_default();
    let api = children::api(&scene.admin, &scene.namespace, kind)
        .map_err(|error| kube::Error::Service(error.into()))?;
    if forbidden.operation == "DELETE" {
        return api
            .delete(name, &DeleteParams::default().dry_run())
            .await
            .map(drop);
    }
    if forbidden.operation == "CREATE" {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let object = serde_json::from_value(json!({"metadata": {"name": name}}));
        let object = object.map_err(kube::Error::SerdeError)?;
        return api.create(&params, &object).await.map(drop);
    }
    let params = PatchParams::default().dry_run();
    let patch = json!({"metadata": {"annotations": {"probe": "x"}}});
    api.patch(name, &params, &Patch::Merge(&patch))
        .await
        .map(drop)
}

/// A webhook for a resource of the scene's namespace that nobody answers: the API server says 500.
pub async fn break_webhook(scene: &Scene, group: &str, resource: &str) -> Result<()> {
    // Port 9 is for what is thrown away.
    let nobody = "https://127.0.0.1:9/";
    ask(scene, (group, resource), &["CREATE", "UPDATE"], nobody).await?;
    until("the webhook is asked", HEEDED, async || {
        match touch(scene, resource).await {
            Err(error) if error.to_string().contains("nobody.example.org") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

/// Has a webhook asked of what is done to a resource in the scene's namespace.
pub async fn ask(
    scene: &Scene,
    (group, resource): (&str, &str),
    operations: &[&str],
    url: &str,
) -> Result<()> {
    let configuration: ValidatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": {"name": scene.namespace},
        "webhooks": [{
            "name": "nobody.example.org",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 1,
            "clientConfig": {"url": url},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}},
            "rules": [{
                "apiGroups": [group], "apiVersions": ["*"], "resources": [resource],
                "operations": operations,
            }],
        }],
    }))?;
    Api::all(scene.admin.clone())
        .create(&PostParams::default(), &configuration)
        .await
        .context("creating a webhook configuration")
        .map(drop)
}

/// Takes the webhook away.
pub async fn mend_webhook(scene: &Scene, resource: &str) -> Result<()> {
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(scene.admin.clone());
    configurations
        .delete(&scene.namespace, &DeleteParams::default())
        .await?;
    until("the webhook is not asked any more", HEEDED, async || {
        touch(scene, resource)
            .await
            .map_err(|error| error.to_string())
    })
    .await?;
    Ok(())
}

async fn touch(scene: &Scene, resource: &str) -> Result<(), kube::Error> {
    let kind = match resource {
        "configmaps" => "ConfigMap",
        "statefulsets" => "StatefulSet",
        _ => "Service",
    };
    let api = children::api(&scene.admin, &scene.namespace, kind)
        .map_err(|error| kube::Error::Service(error.into()))?;
    let mut body = json!({"metadata": {"name": "probe"}});
    if kind == "Service" {
        body = json!({"metadata": {"name": "probe"},
            "spec": {"clusterIP": "None", "ports": [{"port": 1}]}});
    }
    if kind == "StatefulSet" {
        let labels = json!({"probe": "x"});
        body = json!({"metadata": {"name": "probe"}, "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "containers": [{"name": "probe", "image": "probe"}],
            }},
        }});
    }
    let body = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&params, &body).await.map(drop)
}
