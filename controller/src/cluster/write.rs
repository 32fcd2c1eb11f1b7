//! The two things that the controller writes of a Cluster itself: its status and its finalizer.

use std::sync::Arc;

use crds::names::CLUSTER_FINALIZER;
use crds::v1beta2::{Cluster, ClusterStatus};
use kube::ResourceExt;
use serde_json::json;

use super::Context;
use crate::kubernetes::own::OwnError;

/// Writes the status.
pub async fn status(
    cluster: &Arc<Cluster>,
    status: ClusterStatus,
    context: &Context,
) -> Result<Arc<Cluster>, OwnError> {
    context.own.status(cluster, &status).await
}

/// Adds the finalizer, if the Cluster is still as it was seen.
pub async fn finalizer(
    cluster: &Arc<Cluster>,
    context: &Context,
) -> Result<Arc<Cluster>, OwnError> {
    let mut finalizers = cluster.finalizers().to_vec();
    finalizers.push(CLUSTER_FINALIZER.to_owned());
    let metadata = json!({"finalizers": finalizers});
    context.own.metadata(cluster, metadata).await
}

/// Takes the finalizer off.
pub async fn no_finalizer(cluster: &Arc<Cluster>, context: &Context) -> Result<(), OwnError> {
    let others: Vec<_> = cluster
        .finalizers()
        .iter()
        .filter(|name| *name != CLUSTER_FINALIZER)
        .collect();
    let metadata = json!({"finalizers": others});
    match context.own.metadata(cluster, metadata).await {
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}
