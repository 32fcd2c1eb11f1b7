//! What no role can say: which field of an object may be changed.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use support::light::until;
use support::light::webhook::USER;

use super::Installed;

const DEFINITION: &str = "clusters.k0smotron.io";
const CONFIGURATION: &str = "k0smotron";
/// How long the API server takes to heed a policy.
const HEEDED: Duration = Duration::from_secs(30);

fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    let resource = match kind {
        "definition" => ApiResource::erase::<CustomResourceDefinition>(&()),
        "mutating" => ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        _ => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
    };
    Api::all_with(client.clone(), &resource)
}

async fn patch(client: &Client, kind: &str, patch: &Value) -> Result<DynamicObject, kube::Error> {
    let name = if kind == "definition" {
        DEFINITION
    } else {
        CONFIGURATION
    };
    let patch = serde_json::from_value(patch.clone()).map_err(kube::Error::SerdeError)?;
    let params = PatchParams::default().dry_run();
    api(client, kind)
        .patch(name, &params, &Patch::<()>::Json(patch))
        .await
}

/// The webhook's own identity, with all rights that it is installed with.
pub async fn the_webhook_changes_bundles_and_nothing_else(suite: &Installed) -> Result<()> {
    let client = suite.world.client(USER).await?;
    let admin = suite.world.admin();
    let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    let remove = |path: &str| json!([{"op": "remove", "path": path}]);
    let conversion = "/spec/conversion/webhook/clientConfig";
    let definition = api(&admin, "definition").get(DEFINITION).await?;
    let known = definition.data.pointer(&format!("{conversion}/caBundle"));
    let known = known.and_then(Value::as_str).context("no bundle")?;
    let known = BASE64_STANDARD.decode(known)?;
    let bundle = json!(BASE64_STANDARD.encode([known.clone(), known].concat()));
    let rules = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}]);
    let refused = [
        ("mutating", add("/webhooks/0/rules", rules.clone())),
        ("validating", add("/webhooks/0/rules", rules)),
        (
            "mutating",
            add(
                "/webhooks/0/clientConfig/url",
                json!("https://192.0.2.1/mutate"),
            ),
        ),
        (
            "validating",
            add("/webhooks/0/failurePolicy", json!("Ignore")),
        ),
        (
            "validating",
            add(
                "/webhooks/0/namespaceSelector",
                json!({"matchLabels": {"a": "b"}}),
            ),
        ),
        ("validating", remove("/webhooks/0/matchConditions")),
        ("validating", remove("/webhooks/0")),
        (
            "mutating",
            json!([{"op": "copy", "from": "/webhooks/0", "path": "/webhooks/-"},
            {"op": "add", "path": "/webhooks/1/name", "value": "other.k0smotron.io"}]),
        ),
        ("mutating", add("/metadata/labels/a", json!("b"))),
        (
            "mutating",
            add("/metadata/finalizers", json!(["example.org/stays"])),
        ),
        ("definition", add("/metadata/labels/a", json!("b"))),
        ("definition", add("/spec/versions/0/served", json!(false))),
        (
            "definition",
            add("/spec/names/shortNames/-", json!("other")),
        ),
        (
            "definition",
            add(
                &format!("{conversion}/url"),
                json!("https://192.0.2.1/convert"),
            ),
        ),
        (
            "definition",
            add(
                "/spec/conversion/webhook/conversionReviewVersions",
                json!(["v1", "v1beta1"]),
            ),
        ),
        (
            "definition",
            json!([{"op": "replace", "path": "/spec/conversion", "value": {"strategy": "None"}}]),
        ),
    ];
    let allowed = [
        (
            "mutating",
            add("/webhooks/0/clientConfig/caBundle", bundle.clone()),
        ),
        (
            "validating",
            add("/webhooks/0/clientConfig/caBundle", bundle.clone()),
        ),
        ("definition", add(&format!("{conversion}/caBundle"), bundle)),
    ];
    until("the policy is heeded", HEEDED, async || {
        match patch(&client, "mutating", &refused[8].1).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 403 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    for (kind, change) in &refused {
        match patch(&client, kind, change).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 403 => ensure!(
                refusal.message.contains("caBundle and nothing else"),
                "{kind} {change}: {}",
                refusal.message
            ),
            other => bail!("{kind} {change}: {other:?}"),
        }
        // It is the policy that refuses, and it refuses nobody else.
        if let Err(error) = patch(&admin, kind, change).await {
            ensure!(
                !error.to_string().contains("caBundle and nothing else"),
                "{error}"
            );
        }
    }
    for (kind, change) in &allowed {
        patch(&client, kind, change).await?;
    }
    suite.say(format!("{} changes refused", refused.len()));
    Ok(())
}
