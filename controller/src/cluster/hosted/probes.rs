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
use crate::hosted::health::ReadinessPoller;
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
    let uid = cluster.uid().unwrap_or_default();
    pace(&uid, observed, &context.prober);
    let found = access::endpoint(cluster, observed, valid);
    let (Some(_), Some((endpoint, ca_secret))) = (&observed.control_plane, found) else {
        return Ok(false);
    };
    if context.prober.observes(&uid, &endpoint) {
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

/// Has one that is asked already asked at the pace of its pods, whether anything else is known of it or
/// not: what keeps us from asking elsewhere must not hide that one has become ready.
fn pace(uid: &str, observed: &Observed, prober: &ReadinessPoller) {
    let started = observed
        .control_plane
        .as_ref()
        .and_then(|set| set.status.as_ref()?.ready_replicas)
        .is_some_and(|ready| ready > 0);
    let serves = observed.health.as_ref().is_some_and(|health| health.ready);
    prober.vacant(uid, !started);
    if started != serves {
        prober.hurry(uid);
    }
}

/// Has the nodes counted, in the background, once there is an API that can be asked.
pub async fn nodes(
    cluster: &Cluster,
    observed: &Observed,
    valid: &ValidCluster,
    keys: &SigningKeys,
    context: &Context,
) -> Result<(), Problem> {
    let serves = observed.health.as_ref().is_some_and(|health| health.ready);
    let found = access::endpoint(cluster, observed, Some(valid));
    let (true, Some((endpoint, ca_secret))) = (serves, found) else {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::fixtures;
    use crate::hosted::Endpoint;
    use crate::hosted::health::Pace;

    /// Its CA may be unreadable at that moment: that keeps the pod from nobody.
    #[tokio::test]
    async fn a_pod_that_becomes_ready_is_asked_at_once_whatever_else_is_missing() {
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ca = pki::ca::new("kubernetes", jiff::Timestamp::now(), pki::ca::LIFETIME).unwrap();
        let port = api.local_addr().unwrap().port();
        let endpoint = Endpoint::new("127.0.0.1", port, ca.certificate);
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = api.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            }
        });
        let pace = Pace {
            quickest: Duration::from_millis(10),
            slowest: Duration::from_millis(20),
            vacant: Duration::from_secs(60),
            settled: Duration::from_secs(60)..Duration::from_secs(61),
        };
        let prober = ReadinessPoller::with_pace(1, pace, |_, _| ());
        prober.observe("1", "ns", "demo", endpoint, None, false);
        prober.vacant("1", true);
        let context = Context {
            prober,
            ..fixtures::context(|_| std::future::pending())
        };
        while context.prober.last("1").is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = asked.load(Ordering::SeqCst);

        let cluster =
            json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "1"}, "spec": {}});
        let set = json!({"status": {"replicas": 1, "readyReplicas": 1}});
        let observed = Observed {
            control_plane: serde_json::from_value(set).unwrap(),
            ..Observed::default()
        };
        let cluster = serde_json::from_value(cluster).unwrap();
        let keys = SigningKeys::default();
        let is_asked = readiness(&cluster, &observed, None, &keys, &context).await;
        assert_eq!(is_asked.ok(), Some(false), "it has no CA");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = asked.load(Ordering::SeqCst);
        assert!(after > before + 2, "{before} {after}");
    }
}
