//! What is asked of a hosted API in the background: whether it is ready, and for its nodes.

use crds::v1beta2::Cluster;
use jiff::SignedDuration;
use kube::ResourceExt as _;

use super::access;
use crate::apply::{Problem, SigningKeys};
use crate::cluster::context::Context;
use crate::cluster::dereference::Observed;
use crate::cluster::validate::ValidCluster;
use crate::cluster::{children, status};
use crate::kubernetes::store::{Kind, ObjectKey};

/// How long the controller's own certificate for a hosted API lasts. With it one may do anything
/// there, and it is kept in memory: each costs one read of a key.
const OWN_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Has the hosted API asked, in the background, whether it is ready: also that of a Cluster whose
/// spec is refused, since it may serve all the same. Whether it is asked.
pub async fn readiness(
    cluster: &Cluster,
    observed: &Observed,
    valid: Option<&ValidCluster>,
    keys: &SigningKeys,
    context: &Context,
) -> Result<bool, Problem> {
    let ports = valid.filter(|valid| valid.has_ports);
    let ports = ports.map_or_else(|| cluster.recorded_ports().both(), |valid| valid.ports);
    let (Some(control_plane), Some((endpoint, ca_secret))) = (
        observed.control_plane.as_ref(),
        access::endpoint(observed, ports),
    ) else {
        return Ok(false);
    };
    let uid = cluster.uid().unwrap_or_default();
    if context.prober.observes(&uid, &endpoint) {
        let started = control_plane
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas);
        let serves = observed.health.as_ref().is_some_and(|health| health.ready);
        let started = started.unwrap_or_default() > 0;
        context.prober.vacant(&uid, !started);
        if started != serves {
            context.prober.hurry(&uid);
        }
        return Ok(true);
    }
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    // An API server that lets nobody ask without a certificate costs one request for the key.
    let client = if valid.is_some_and(children::control_plane::k0s_config::anonymous_health) {
        None
    } else {
        let key = ObjectKey::new(Kind::Secret, &namespace, ca_secret);
        Some(access::certificate(&key, OWN_LIFETIME, keys, context).await?)
    };
    let was_ready = status::is_true(cluster.status.as_ref(), status::FUNCTIONAL);
    context
        .prober
        .observe(&uid, &namespace, &name, endpoint, client, was_ready);
    Ok(true)
}

/// Has the nodes counted, in the background, once there is an API that can be asked.
pub async fn nodes(
    observed: &Observed,
    valid: &ValidCluster,
    keys: &SigningKeys,
    context: &Context,
) -> Result<(), Problem> {
    let serves = observed.health.as_ref().is_some_and(|health| health.ready);
    let (true, Some((endpoint, ca_secret))) = (serves, access::endpoint(observed, valid.ports))
    else {
        return Ok(());
    };
    let wants = context
        .census
        .follow(&valid.uid, &valid.namespace, &valid.name, endpoint);
    if wants {
        let key = ObjectKey::new(Kind::Secret, &valid.namespace, ca_secret);
        let pair = access::certificate(&key, OWN_LIFETIME, keys, context).await?;
        context.census.provide(&valid.uid, pair);
    }
    Ok(())
}
