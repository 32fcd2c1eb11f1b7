//! `deploy/install.yaml` on a real API server: accepted as it is, with rights that are enough and
//! no more.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, PostParams};
use mothership::components::Components;
use mothership::progress::Progress;
use mothership::{Light, LightOptions, paths};

const NAMESPACE: &str = "k0smotron";
const CONTROLLER: &str = "system:serviceaccount:k0smotron:k0smotron-controller-manager";
const WEBHOOK: &str = "system:serviceaccount:k0smotron:k0smotron-webhook";
const GROUPS: [&str; 2] = ["system:serviceaccounts", "system:serviceaccounts:k0smotron"];

async fn installed() -> Result<Light> {
    let light = Light::start(LightOptions::default()).await?;
    apply(&light)?;
    Ok(light)
}

/// Applies the file as kubectl does; an unknown field is an error.
fn apply(light: &Light) -> Result<String> {
    let components = Components::light(&Progress::new())?;
    let output = Command::new(components.path("kubectl")?)
        .arg("--kubeconfig")
        .arg(light.admin_kubeconfig()?)
        .args([
            "apply",
            "--server-side",
            "--validate=strict",
            "--show-managed-fields=false",
        ])
        .args(["--output=json", "--filename"])
        .arg(paths::workspace().join("deploy/install.yaml"))
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// `group/resource[/subresource]` and verb, asked for in a namespace.
async fn allowed(client: &kube::Client, namespace: &str, what: &str, verb: &str) -> Result<bool> {
    let mut parts = what.split('/').map(str::to_owned);
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: parts.next(),
                resource: parts.next(),
                subresource: parts.next(),
                namespace: Some(namespace.to_owned()),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone())
        .create(&PostParams::default(), &review)
        .await?;
    Ok(answer.status.context("a review without an answer")?.allowed)
}

#[tokio::test]
async fn installing_twice_changes_nothing() -> Result<()> {
    let light = installed().await?;
    // (kind, name, generation) of everything in the file.
    let generations = |applied: &str| -> Result<Vec<(String, String, i64)>> {
        let list: serde_json::Value = serde_json::from_str(applied)?;
        let items = list
            .get("items")
            .and_then(|items| items.as_array())
            .context("no items")?;
        let text = |item: &serde_json::Value, path: &str| {
            item.pointer(path)
                .and_then(|value| value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let number = |item: &serde_json::Value| {
            item.pointer("/metadata/generation")
                .and_then(serde_json::Value::as_i64)
                .unwrap_or_default()
        };
        Ok(items
            .iter()
            .map(|item| {
                (
                    text(item, "/kind"),
                    text(item, "/metadata/name"),
                    number(item),
                )
            })
            .collect())
    };
    let first = apply(&light)?;
    let second = apply(&light)?;
    assert_eq!(generations(&first)?, generations(&second)?);
    light.down().await
}

/// A pod whose image never comes has an address all the same: nobody may be sent there.
#[tokio::test]
async fn what_asks_the_webhook_gets_a_replica_that_is_ready() -> Result<()> {
    let light = installed().await?;
    let admin = light.admin().await?;
    let services: Api<Service> = Api::namespaced(admin.clone(), NAMESPACE);
    let spec = services.get("k0smotron-webhook").await?.spec;
    ensure!(spec.context("no spec")?.publish_not_ready_addresses != Some(true));
    let deployments: Api<Deployment> = Api::namespaced(admin, NAMESPACE);
    let webhook = deployments.get("k0smotron-webhook").await?.spec;
    let args = webhook.and_then(|it| it.template.spec?.containers.pop()?.args);
    // An empty list of arguments would be taken back by the next apply, whoever has filled it.
    ensure!(args.is_none(), "{args:?}");
    light.down().await
}

#[tokio::test]
async fn every_pod_meets_the_restricted_profile() -> Result<()> {
    let light = installed().await?;
    let admin = light.admin().await?;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), NAMESPACE);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for name in ["k0smotron-controller-manager", "k0smotron-webhook"] {
        let deployment: Deployment = Api::namespaced(admin.clone(), NAMESPACE).get(name).await?;
        let template = deployment.spec.context("no spec")?.template;
        let mut pod = Pod {
            metadata: template.metadata.unwrap_or_default(),
            spec: template.spec,
            ..Pod::default()
        };
        pod.metadata.name = Some("as-deployed".to_owned());
        pods.create(&dry_run, &pod)
            .await
            .with_context(|| format!("the pod of {name} as it is deployed"))?;

        // The same pod with one lapse is refused, so it is the profile that let the first one in.
        for container in pod.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
            container.security_context = None;
        }
        match pods.create(&dry_run, &pod).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 403 => {
                ensure!(
                    refusal.message.contains("restricted"),
                    "{}",
                    refusal.message
                );
            }
            other => bail!("a pod without a security context was let in: {other:?}"),
        }
    }
    light.down().await
}

#[tokio::test]
async fn the_webhook_may_read_what_it_decides_by_and_write_its_certificate() -> Result<()> {
    const NEEDED: &[(&str, &str, &[&str])] = &[
        ("a-tenant", "k0smotron.io/clusters", &["list", "watch"]),
        (
            "a-tenant",
            "k0smotron.io/jointokenrequests",
            &["list", "watch"],
        ),
        ("", "k0smotron.io/clusterpolicies", &["list", "watch"]),
        ("", "k0smotron.io/clusterpolicies/status", &["patch"]),
        ("a-tenant", "/services", &["list", "watch"]),
        ("a-tenant", "/resourcequotas", &["list", "watch"]),
        ("", "/namespaces", &["list", "watch"]),
        ("", "storage.k8s.io/storageclasses", &["list", "watch"]),
        (NAMESPACE, "/secrets", &["create"]),
        (NAMESPACE, "coordination.k8s.io/leases", &["create"]),
    ];
    const REFUSED: &[(&str, &str, &[&str])] = &[
        (
            "a-tenant",
            "k0smotron.io/clusters",
            &["get", "create", "update", "patch", "delete"],
        ),
        ("a-tenant", "k0smotron.io/clusters/status", &["patch"]),
        (
            "",
            "k0smotron.io/clusterpolicies",
            &["create", "update", "patch", "delete"],
        ),
        (
            "a-tenant",
            "/secrets",
            &[
                "get", "list", "watch", "create", "update", "patch", "delete",
            ],
        ),
        (
            NAMESPACE,
            "/secrets",
            &["get", "list", "watch", "update", "patch", "delete"],
        ),
        (
            "a-tenant",
            "/configmaps",
            &["get", "list", "create", "patch"],
        ),
        (
            "a-tenant",
            "/services",
            &["create", "update", "patch", "delete"],
        ),
        ("", "/namespaces", &["create", "update", "patch", "delete"]),
        ("a-tenant", "/pods", &["get", "list", "create", "delete"]),
        ("a-tenant", "/pods/exec", &["create"]),
        (
            "",
            "admissionregistration.k8s.io/validatingwebhookconfigurations",
            &["list", "create", "update", "patch", "delete"],
        ),
        (
            "",
            "apiextensions.k8s.io/customresourcedefinitions",
            &["list", "create", "update", "patch", "delete"],
        ),
        (
            "",
            "rbac.authorization.k8s.io/clusterroles",
            &["create", "bind", "escalate"],
        ),
    ];
    let light = installed().await?;
    let client = light.client(WEBHOOK, &GROUPS).await?;
    for (expected, rights) in [(true, NEEDED), (false, REFUSED)] {
        for (namespace, what, verbs) in rights {
            for verb in *verbs {
                let may = allowed(&client, namespace, what, verb).await?;
                assert_eq!(may, expected, "{verb} {what} in {namespace:?}");
            }
        }
    }
    light.down().await
}

#[tokio::test]
async fn controller_role_is_enough_and_no_more() -> Result<()> {
    const NEEDED: &[(&str, &[&str])] = &[
        ("k0smotron.io/clusters", &["list", "watch", "patch"]),
        ("k0smotron.io/clusters/status", &["patch"]),
        (
            "k0smotron.io/jointokenrequests",
            &["list", "watch", "patch", "delete"],
        ),
        ("k0smotron.io/jointokenrequests/status", &["patch"]),
        ("/services", &["list", "watch", "create", "patch", "delete"]),
        (
            "/configmaps",
            &["list", "watch", "create", "patch", "delete"],
        ),
        (
            "/secrets",
            &["get", "list", "watch", "create", "patch", "delete"],
        ),
        (
            "apps/statefulsets",
            &["list", "watch", "create", "patch", "delete"],
        ),
        (
            "policy/poddisruptionbudgets",
            &["list", "watch", "create", "patch", "delete"],
        ),
        ("/nodes", &["list", "watch"]),
        ("/pods", &["list"]),
        ("events.k8s.io/events", &["list", "create", "patch"]),
    ];
    const REFUSED: &[(&str, &[&str])] = &[
        (
            "k0smotron.io/clusters",
            &["get", "create", "update", "delete", "deletecollection"],
        ),
        ("k0smotron.io/clusters/scale", &["get", "update", "patch"]),
        ("k0smotron.io/clusters/finalizers", &["update"]),
        (
            "k0smotron.io/jointokenrequests",
            &["get", "create", "update"],
        ),
        ("/pods", &["get", "watch", "create", "patch", "delete"]),
        ("/pods/exec", &["get", "create"]),
        ("/pods/log", &["get"]),
        (
            "/persistentvolumes",
            &["get", "list", "create", "patch", "delete"],
        ),
        (
            "/persistentvolumeclaims",
            &["get", "create", "patch", "delete"],
        ),
        ("/secrets", &["update", "deletecollection"]),
        ("/nodes", &["patch", "delete"]),
        ("/namespaces", &["get", "list", "create", "delete"]),
        ("/serviceaccounts/token", &["create"]),
        ("/users", &["impersonate"]),
        ("apps/deployments", &["list", "create", "patch"]),
        ("batch/cronjobs", &["create", "patch"]),
        (
            "rbac.authorization.k8s.io/roles",
            &["create", "patch", "bind", "escalate"],
        ),
        (
            "rbac.authorization.k8s.io/clusterroles",
            &["create", "patch", "bind", "escalate"],
        ),
        (
            "coordination.k8s.io/leases",
            &["get", "list", "create", "update", "delete"],
        ),
    ];
    let light = installed().await?;
    let client = light.client(CONTROLLER, &GROUPS).await?;
    for (expected, rights) in [(true, NEEDED), (false, REFUSED)] {
        for (what, verbs) in rights {
            for verb in *verbs {
                let may = allowed(&client, "a-tenant", what, verb).await?;
                assert_eq!(may, expected, "{verb} {what} in a tenant's namespace");
            }
        }
    }
    assert!(allowed(&client, NAMESPACE, "coordination.k8s.io/leases", "create").await?);
    assert!(!allowed(&client, NAMESPACE, "coordination.k8s.io/leases", "update").await?);
    light.down().await
}

#[tokio::test]
async fn edit_manages_clusters_of_its_namespace_and_view_sees_them() -> Result<()> {
    let light = installed().await?;
    let admin = light.admin().await?;
    let bindings = Api::namespaced(admin, "default");
    for role in ["edit", "view"] {
        let binding = serde_json::from_value(serde_json::json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": { "name": role },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role,
            },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role }],
        }))?;
        let _: k8s_openapi::api::rbac::v1::RoleBinding =
            bindings.create(&PostParams::default(), &binding).await?;
    }
    let editor = light.client("edit", &[]).await?;
    let viewer = light.client("view", &[]).await?;
    // The controller manager aggregates the roles a moment after they are there.
    for _ in 0..50 {
        if allowed(&viewer, "default", "k0smotron.io/clusters", "get").await?
            && allowed(&editor, "default", "k0smotron.io/clusters", "create").await?
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for kind in ["k0smotron.io/clusters", "k0smotron.io/jointokenrequests"] {
        for verb in [
            "get", "list", "watch", "create", "update", "patch", "delete",
        ] {
            let reads = ["get", "list", "watch"].contains(&verb);
            assert!(
                allowed(&editor, "default", kind, verb).await?,
                "edit: {verb} {kind}"
            );
            assert_eq!(
                allowed(&viewer, "default", kind, verb).await?,
                reads,
                "view: {verb} {kind}"
            );
            assert!(
                !allowed(&editor, "kube-system", kind, verb).await?,
                "elsewhere: {verb} {kind}"
            );
        }
    }
    let status = "k0smotron.io/clusters/status";
    assert!(
        !allowed(&editor, "default", status, "patch").await?,
        "status is the controller's"
    );
    assert!(
        !allowed(&viewer, "default", "/secrets", "get").await?,
        "view must not see tokens"
    );
    light.down().await
}
