//! The two things that the controller writes of a Cluster itself: its status and its finalizer.

use std::{sync::Arc, time::Duration};

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::timeout;

use crds::{
    names::{CLUSTER_FINALIZER, FIELD_MANAGER},
    v1beta2::{Cluster, ClusterStatus},
};

use super::Context;

/// The longest that one request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A write of the Cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The API server said no, or nothing.
    #[error("could not write the {what}: {source}")]
    Failed {
        /// `status` or `finalizer`.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("no answer within {} s while writing the {what}", DEADLINE.as_secs())]
    Timeout {
        /// `status` or `finalizer`.
        what: &'static str,
    },
}

/// Writes the status by server-side apply: what it no longer says goes.
pub async fn status(
    cluster: &Arc<Cluster>,
    status: ClusterStatus,
    context: &Context,
) -> Result<Arc<Cluster>, StatusError> {
    let body = json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "Cluster",
        // With its uid the apply fails for another object of that name.
        "metadata": {"name": cluster.name_any(), "uid": cluster.uid()},
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&body);
    let api = api(cluster, context);
    let name = cluster.name_any();
    let written = within("status", api.patch_status(&name, &params, &patch)).await?;
    Ok(remember(written, context))
}

/// Adds the finalizer, if the Cluster is still as it was seen.
pub async fn finalizer(
    cluster: &Arc<Cluster>,
    context: &Context,
) -> Result<Arc<Cluster>, StatusError> {
    let mut finalizers = cluster.finalizers().to_vec();
    finalizers.push(CLUSTER_FINALIZER.to_owned());
    set_finalizers(cluster, finalizers, context).await
}

/// Takes the finalizer off.
pub async fn no_finalizer(cluster: &Arc<Cluster>, context: &Context) -> Result<(), StatusError> {
    let others = cluster
        .finalizers()
        .iter()
        .filter(|name| *name != CLUSTER_FINALIZER);
    match set_finalizers(cluster, others.cloned().collect(), context).await {
        Err(StatusError::Failed { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.is_not_found()) => {
            Ok(())
        }
        other => other.map(drop),
    }
}

async fn set_finalizers(
    cluster: &Arc<Cluster>,
    finalizers: Vec<String>,
    context: &Context,
) -> Result<Arc<Cluster>, StatusError> {
    let patch = json!({"metadata": {
        "finalizers": finalizers,
        "resourceVersion": cluster.resource_version(),
    }});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = api(cluster, context);
    let name = cluster.name_any();
    let written = within(
        "finalizer",
        api.patch(&name, &params, &Patch::Merge(&patch)),
    )
    .await?;
    Ok(remember(written, context))
}

fn remember(mut written: Cluster, context: &Context) -> Arc<Cluster> {
    written.metadata.managed_fields = None;
    let written = Arc::new(written);
    context.latest.put(written.clone());
    written
}

fn api(cluster: &Cluster, context: &Context) -> Api<Cluster> {
    Api::namespaced(
        context.client.clone(),
        &cluster.namespace().unwrap_or_default(),
    )
}

async fn within<T>(
    what: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, StatusError> {
    match timeout(DEADLINE, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(StatusError::Failed {
            what,
            source: Box::new(source),
        }),
        Err(_) => Err(StatusError::Timeout { what }),
    }
}
