//! What is gathered of the mothership, and of the product in it.

use crds::names::SYSTEM_NAMESPACE;
use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::{Gathering, list, logs, shape, value};
use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::resources::{self, resource};
use crate::mothership::{checkup, view};
use crate::output::Paint;

/// What the product's own Deployments and pods carry.
const PRODUCT: &str = "app.kubernetes.io/component in (controller,webhook)";

/// One kind of objects, and where it goes.
struct Kind {
    path: &'static str,
    what: &'static str,
    resource: ApiResource,
    namespace: Option<&'static str>,
    selector: &'static str,
    /// One object of this name; a list unless given.
    name: Option<String>,
    shape: fn(Value) -> Value,
}

impl Kind {
    fn all(path: &'static str, what: &'static str, resource: ApiResource) -> Self {
        Self {
            path,
            what,
            resource,
            namespace: None,
            selector: "",
            name: None,
            shape: std::convert::identity,
        }
    }

    fn of_product(
        path: &'static str,
        what: &'static str,
        resource: ApiResource,
        selector: &'static str,
    ) -> Self {
        Self {
            namespace: Some(SYSTEM_NAMESPACE),
            selector,
            ..Self::all(path, what, resource)
        }
    }

    async fn fetch(&self, connection: &Connection<'_>) -> Result<Vec<DynamicObject>, Error> {
        let Some(name) = &self.name else {
            return list(connection, &self.resource, self.namespace, self.selector).await;
        };
        let api = connection.api_everywhere(&self.resource);
        let attempt = format!("get {} {name}", self.resource.kind);
        let found = connection.call(&attempt, || api.get(name)).await?;
        Ok(vec![view::identified(found, &self.resource)])
    }
}

fn kinds() -> Vec<Kind> {
    let core = |kind, plural| resource("", "v1", kind, plural);
    let mut kinds = vec![
        Kind {
            shape: shape::node,
            ..Kind::all(
                "mothership/nodes.yaml",
                "The mothership's nodes: conditions, versions, capacity",
                resources::nodes(),
            )
        },
        Kind::all(
            "mothership/storageclasses.yaml",
            "Classes of storage that volumes can have",
            resource("storage.k8s.io", "v1", "StorageClass", "storageclasses"),
        ),
        Kind::all(
            "mothership/clusterpolicies.yaml",
            "ClusterPolicies",
            resources::cluster_policies(),
        ),
        Kind::of_product(
            "product/deployments.yaml",
            "Deployments of the controller and of the webhook",
            resource("apps", "v1", "Deployment", "deployments"),
            PRODUCT,
        ),
        Kind::of_product(
            "product/pods.yaml",
            "Pods of the controller and of the webhook",
            core("Pod", "pods"),
            PRODUCT,
        ),
        Kind::of_product(
            "product/leases.yaml",
            "Leases: which pod of the controller and of the webhook works",
            resource("coordination.k8s.io", "v1", "Lease", "leases"),
            "",
        ),
        Kind::of_product(
            "product/events.yaml",
            "Events of the product's namespace",
            resources::events(),
            "",
        ),
    ];
    for plural in ["clusters", "jointokenrequests", "clusterpolicies"] {
        kinds.push(Kind {
            name: Some(format!("{plural}.{}", resources::GROUP)),
            shape: shape::definition,
            ..Kind::all(
                "mothership/customresourcedefinitions.yaml",
                "Definitions of the product's kinds: versions and conditions",
                resource(
                    "apiextensions.k8s.io",
                    "v1",
                    "CustomResourceDefinition",
                    "customresourcedefinitions",
                ),
            )
        });
    }
    for (kind, plural) in [
        (
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
        ),
        (
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
        ),
    ] {
        kinds.push(Kind {
            name: Some("k0smotron".to_owned()),
            shape: shape::without_authority,
            ..Kind::all(
                "mothership/webhookconfigurations.yaml",
                "How the API server calls the webhook",
                resource("admissionregistration.k8s.io", "v1", kind, plural),
            )
        });
    }
    kinds
}

/// Gathers what has nothing to do with one cluster.
///
/// # Errors
/// [`Error::Io`] when the archive cannot be written.
pub(super) async fn gather(gathering: &mut Gathering<'_>, version: &Info) -> Result<(), Error> {
    gathering.progress.update("the mothership and the product");
    let connection = &gathering.connection;
    let kinds = kinds();
    let (lists, findings) = futures::join!(
        join_all(kinds.iter().map(|kind| kind.fetch(connection))),
        checkup::look(connection)
    );
    let mut files: Vec<(&Kind, Vec<DynamicObject>)> = Vec::new();
    for (kind, found) in kinds.iter().zip(lists) {
        let found = gathering.archive.found(found);
        match files.last_mut().filter(|(last, _)| last.path == kind.path) {
            Some((_, objects)) => objects.extend(found),
            None => files.push((kind, found)),
        }
    }
    let of = |path: &str| {
        let file = files.iter().find(|(kind, _)| kind.path == path);
        file.map(|(_, objects)| objects.clone()).unwrap_or_default()
    };
    let deployments = of("product/deployments.yaml");
    gathering.archive.objects(
        "versions.yaml",
        "Versions of the plugin, of the mothership and of the product",
        [versions(version, &deployments)],
    )?;
    match findings {
        Ok(findings) => gathering.archive.text(
            "doctor.txt",
            "What kubectl k0smotron doctor has found",
            &checkup::table(&findings).render(Paint::Never),
        )?,
        Err(error) => gathering.archive.lacks(&error.to_string()),
    }
    for (kind, objects) in &files {
        let since = gathering.since;
        let shaped = objects
            .iter()
            .filter(|object| super::cluster::is_recent(object, since))
            .map(|object| (kind.shape)(value(object)));
        gathering.archive.objects(kind.path, kind.what, shaped)?;
    }
    gathering
        .logs("product", SYSTEM_NAMESPACE, &of("product/pods.yaml"))
        .await
}

fn versions(version: &Info, deployments: &[DynamicObject]) -> Value {
    let deployments: Vec<Value> = deployments
        .iter()
        .map(|deployment| {
            let containers = deployment.data.pointer("/spec/template/spec/containers");
            let images: Vec<&Value> = containers
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|container| container.get("image"))
                .collect();
            json!({
                "name": deployment.metadata.name, "images": images,
                "replicas": view::number(deployment, "/spec/replicas"),
                "available": view::number(deployment, "/status/availableReplicas"),
            })
        })
        .collect();
    json!({
        "plugin": env!("CARGO_PKG_VERSION"),
        "mothership": version,
        "deployments": deployments,
    })
}

impl Gathering<'_> {
    /// Adds the logs of pods, below a folder.
    pub(super) async fn logs(
        &mut self,
        folder: &str,
        namespace: &str,
        pods: &[DynamicObject],
    ) -> Result<(), Error> {
        let wanted: Vec<logs::Wanted> = pods
            .iter()
            .filter_map(|pod| serde_json::from_value(value(pod)).ok())
            .flat_map(|pod| logs::wanted(&pod))
            .collect();
        if !wanted.is_empty() {
            self.progress
                .update(&format!("{} logs of {folder}", wanted.len()));
        }
        for (log, text) in logs::read(&self.connection, namespace, wanted, self.since).await {
            let path = format!("{folder}/{}", log.path());
            match text {
                Ok(text) => {
                    let cut = if logs::is_cut(&text) {
                        ", cut off at 2 MiB"
                    } else {
                        ""
                    };
                    let what = log.what() + cut;
                    self.archive.text(&path, &what, &text)?;
                }
                Err(error) => self.archive.lacks(&error.to_string()),
            }
        }
        Ok(())
    }
}
