//! What is asked of a Cluster's own API, and brought there.

mod access;
mod dynamic_config;
mod probes;

use std::time::Duration;

use crds::v1beta2::Cluster;
use kube::ResourceExt as _;
use serde_json::Value;

use super::context::Context;
use super::dereference::Observed;
use super::validate::ValidCluster;
use crate::apply::{Problem, SigningKeys};

/// What came of it.
#[derive(Debug, Default)]
pub struct HostedState {
    /// The API is being asked whether it is ready.
    pub is_asked: bool,
    /// For how long it has not been.
    pub unasked_for: Duration,
    /// What of the k0s configuration it has; nothing if that is not known.
    pub config: Option<Value>,
    /// What could not be done.
    pub problems: Vec<Problem>,
}

/// Sees that the API is asked, and that it has what changed.
pub async fn ask(
    cluster: &Cluster,
    observed: &Observed,
    valid: Option<&ValidCluster>,
    keys: &SigningKeys,
    context: &Context,
) -> HostedState {
    let mut asked = HostedState::default();
    (asked.is_asked, asked.problems) =
        probes::readiness(cluster, observed, valid, keys, context).await;
    let uid = cluster.uid().unwrap_or_default();
    if asked.is_asked {
        context.unasked.clear(&uid);
    } else {
        asked.unasked_for = context.unasked.lasted(&uid);
    }
    let serves = observed.health.as_ref().is_some_and(|health| health.ready);
    context.census.serves(&uid, serves);
    let Some(valid) = valid else { return asked };
    let counted = probes::nodes(cluster, observed, valid, keys, context).await;
    asked.problems.extend(counted.err());
    match dynamic_config::sync(cluster, observed, valid, keys, context).await {
        Ok(config) => asked.config = config,
        Err(problem) => asked.problems.push(problem),
    }
    asked
}
