//! What is gathered of the mothership, and of the product in it.

use crds::names::SYSTEM_NAMESPACE;
use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::{Gathering, list, logs, value};
use crate::error::Error;
use crate::mothership::resources::{self, resource};
use crate::mothership::{checkup, view};
use crate::output::Paint;

const DEPLOYMENTS: &str = "product/deployments.yaml";
const PODS: &str = "product/pods.yaml";

/// What the product's own Deployments and pods carry.
const PRODUCT: &str = "app.kubernetes.io/component in (controller,webhook)";

/// Objects that `doctor` tells too little of, and where they go.
struct Kind {
    path: &'static str,
    what: &'static str,
    resource: ApiResource,
    namespace: Option<&'static str>,
    selector: &'static str,
}

fn kinds() -> [Kind; 5] {
    let of_product = |path, what, resource, selector| Kind {
        path,
        what,
        resource,
        namespace: Some(SYSTEM_NAMESPACE),
        selector,
    };
    [
        Kind {
            path: "mothership/clusterpolicies.yaml",
            what: "ClusterPolicies",
            resource: resources::cluster_policies(),
            namespace: None,
            selector: "",
        },
        of_product(
            DEPLOYMENTS,
            "Deployments of the controller and of the webhook",
            resource("apps", "v1", "Deployment", "deployments"),
            PRODUCT,
        ),
        of_product(
            PODS,
            "Pods of the controller and of the webhook",
            resource("", "v1", "Pod", "pods"),
            PRODUCT,
        ),
        of_product(
            "product/leases.yaml",
            "Leases: which pod of the controller and of the webhook works",
            resource("coordination.k8s.io", "v1", "Lease", "leases"),
            "",
        ),
        of_product(
            "product/events.yaml",
            "Events of the product's namespace",
            resources::events(),
            "",
        ),
    ]
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
        join_all(kinds.iter().map(|kind| list(
            connection,
            &kind.resource,
            kind.namespace,
            kind.selector
        ))),
        checkup::look(connection)
    );
    let archive = &mut gathering.archive;
    let files: Vec<(Kind, Vec<DynamicObject>)> = kinds
        .into_iter()
        .zip(lists)
        .map(|(kind, found)| (kind, archive.found(found)))
        .collect();
    let of = |path: &str| {
        let file = files.iter().find(|(kind, _)| kind.path == path);
        file.map(|(_, objects)| objects.as_slice())
            .unwrap_or_default()
    };
    archive.objects(
        "versions.yaml",
        "Versions of the plugin, of the mothership and of the product",
        [versions(version, of(DEPLOYMENTS))],
    )?;
    match findings {
        Ok(findings) => archive.text(
            "doctor.txt",
            "What kubectl k0smotron doctor has found",
            &checkup::table(&findings).render(Paint::Never),
        )?,
        Err(error) => archive.lacks(&error.to_string()),
    }
    for (kind, objects) in &files {
        let since = gathering.since;
        let recent = objects
            .iter()
            .filter(|object| super::cluster::is_recent(object, since));
        archive.objects(kind.path, kind.what, recent.map(value))?;
    }
    gathering.logs("product", SYSTEM_NAMESPACE, of(PODS)).await
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
