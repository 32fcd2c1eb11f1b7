//! What no role can say: which field of an object may be changed, and which object created.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use support::light::webhook::USER;
use support::light::{PRODUCT, until};

use super::Installed;

const DEFINITION: &str = "clusters.k0smotron.io";
const CONFIGURATION: &str = "k0smotron";
const SECRET: &str = "k0smotron-webhook-certificate";
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

fn dry_run() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

/// The Secret as the webhook creates it, with something about it that is another.
fn secret(change: &Value) -> Result<Secret> {
    let mut secret = json!({
        "metadata": {"name": SECRET, "labels": {"app.kubernetes.io/part-of": "k0smotron"}},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": "eA==", "tls.key": "eA=="},
    });
    json_patch::merge(&mut secret, change);
    Ok(serde_json::from_value(secret)?)
}

/// What a Secret says beside its data has others do something that the webhook may not.
pub async fn the_webhook_writes_the_data_of_one_secret(suite: &Installed) -> Result<()> {
    let webhook = suite.world.client(USER).await?;
    let own: Api<Secret> = Api::namespaced(webhook, PRODUCT);
    let all: Api<Secret> = Api::namespaced(suite.world.admin(), PRODUCT);
    let about = |metadata: Value| json!({"metadata": metadata});
    let account = json!({"kubernetes.io/service-account.name": "k0smotron-controller-manager"});
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}]);
    let of_any = [
        about(json!({"ownerReferences": owner})),
        about(json!({"finalizers": ["example.org/stays"]})),
        about(json!({"annotations": {"example.org/copy-from": "kube-system/other"}})),
        about(json!({"annotations": account})),
        json!({"immutable": true}),
    ];
    let of_new = [
        about(json!({"name": "other"})),
        about(json!({"name": null, "generateName": SECRET})),
        json!({"type": "Opaque"}),
        json!({
            "type": "kubernetes.io/service-account-token",
            "metadata": {"annotations": account},
        }),
    ];
    let is_refused = |answer: Result<Secret, kube::Error>| match answer {
        Err(kube::Error::Api(refusal))
            if refusal.message.contains("its certificate's Secret and nothing else")
                // By an admission plugin that is asked first, and that few API servers have.
                || refusal.message.contains("cannot set an ownerRef") =>
        {
            Ok(())
        }
        other => Err(format!("{other:?}")),
    };
    until("the policy is heeded", HEEDED, async || {
        let other = secret(&of_new[0]).map_err(|error| error.to_string())?;
        is_refused(own.create(&dry_run(), &other).await)
    })
    .await?;
    for change in of_new.iter().chain(&of_any) {
        let created = is_refused(own.create(&dry_run(), &secret(change)?).await);
        ensure!(created.is_ok(), "creating with {change}: {created:?}");
    }
    // Admission policies that label everything label this as well.
    for change in [json!({}), about(json!({"labels": {"example.org/a": "b"}}))] {
        match own.create(&dry_run(), &secret(&change)?).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 409 => {}
            other => bail!("creating what is there: {other:?}"),
        }
    }
    let there = all.get(SECRET).await?;
    let replaced = async |api: &Api<Secret>, change: &Value| {
        let mut now = serde_json::to_value(&there)?;
        json_patch::merge(&mut now, change);
        let now = serde_json::from_value(now)?;
        anyhow::Ok(api.replace(SECRET, &dry_run(), &now).await)
    };
    for change in &of_any {
        let changed = is_refused(replaced(&own, change).await?);
        ensure!(changed.is_ok(), "changing it by {change}: {changed:?}");
        // It is the policy that refuses, and it refuses nobody else.
        replaced(&all, change).await??;
    }
    replaced(
        &own,
        &json!({"data": {"tls.crt": "eA==", "next-ca.crt": "eA=="}}),
    )
    .await??;
    suite.say(format!(
        "{} changes refused",
        of_any.len() * 2 + of_new.len()
    ));
    Ok(())
}
