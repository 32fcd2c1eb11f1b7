//! What is asked of a hosted API in the background: whether it is ready, and for its nodes.

use crds::v1beta2::{Cluster, ClusterStatus};
use kube::ResourceExt as _;
use pki::PemPair;

use super::access::{self, OWN_LIFETIME};
use crate::apply::{Problem, SigningKeys};
use crate::cluster::context::Context;
use crate::cluster::dereference::Observed;
use crate::cluster::validate::ValidCluster;
use crate::cluster::{children, status};
use crate::hosted::health::ReadinessPoller;
use crate::kubernetes::store::{Kind, ObjectKey};

/// Has the hosted API asked, in the background, whether it is ready: also that of a Cluster whose
/// spec is refused, since it may serve all the same. Whether it is asked, and what stands in the way of
/// asking, with a certificate of our own or at all.
pub async fn readiness(
    cluster: &Cluster,
    observed: &Observed,
    valid: Option<&ValidCluster>,
    keys: &SigningKeys,
    context: &Context,
) -> (bool, Vec<Problem>) {
    let uid = cluster.uid().unwrap_or_default();
    pace(&uid, observed, &context.prober);
    if observed.control_plane.is_none() {
        return (false, Vec::new());
    }
    let found = access::endpoint(cluster, observed, valid);
    if let Some((endpoint, _)) = &found
        && context.prober.observes(&uid, endpoint)
    {
        return (true, Vec::new());
    }
    let mut problems = Vec::new();
    match found {
        None => {}
        Some((endpoint, ca_secret)) => {
            let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
            let key = ObjectKey::new(Kind::Secret, &namespace, ca_secret);
            let lets_anybody = lets_anybody_ask(valid) && !context.prober.refuses_anybody(&uid);
            match client(lets_anybody, &key, keys, context).await {
                Ok(client) => {
                    let was_ready = status::is_true(cluster.status.as_ref(), status::FUNCTIONAL);
                    context
                        .prober
                        .observe(&uid, &namespace, &name, endpoint, client, was_ready);
                    return (true, Vec::new());
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    let status = cluster.status.as_ref();
    if !status.is_some_and(ClusterStatus::was_available) {
        return (false, problems);
    }
    match access::borrow(cluster, observed, valid, context).await {
        Ok(is_asked) => (is_asked, problems),
        Err(problem) => {
            problems.push(problem);
            (false, problems)
        }
    }
}

/// By what its pods are to run: those that are there may be other ones yet.
fn lets_anybody_ask(valid: Option<&ValidCluster>) -> bool {
    valid.is_some_and(children::control_plane::k0s_config::anonymous_health)
}

/// An API server that lets nobody ask without a certificate costs one request for the key.
async fn client(
    lets_anybody: bool,
    ca_secret: &ObjectKey,
    keys: &SigningKeys,
    context: &Context,
) -> Result<Option<PemPair>, Problem> {
    if lets_anybody {
        return Ok(None);
    }
    access::certificate(ca_secret, OWN_LIFETIME, keys, context)
        .await
        .map(Some)
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
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::fixtures;
    use crate::hosted::Endpoint;
    use crate::hosted::health::Pace;
    use crate::kubernetes::fixtures::{answer, refusal};

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
        assert!(!is_asked.0, "it has no CA");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = asked.load(Ordering::SeqCst);
        assert!(after > before + 2, "{before} {after}");
    }

    /// Its CA is refused, or is another one by now, and the controller has just started.
    #[tokio::test]
    async fn an_api_is_asked_with_its_kubeconfig_where_the_ca_says_nothing() {
        let now = jiff::Timestamp::now();
        let ca = pki::ca::new("kubernetes", now, pki::ca::LIFETIME).unwrap();
        let text = pki::kubeconfig::render(&pki::kubeconfig::KubeconfigRequest {
            names: pki::kubeconfig::KubeconfigNames::admin("demo"),
            server: "https://192.0.2.1:6443",
            ca_certificate: &ca.certificate,
            client: &ca,
        });
        let value = BASE64_STANDARD.encode(text.unwrap().expose());
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Secret", "metadata":
            {"name": "demo-kubeconfig", "namespace": "ns", "uid": "k", "resourceVersion": "1",
                "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                    "name": "demo", "uid": "1"}]}, "data": {"value": value}});
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let authority = json!({"apiVersion": "v1", "kind": "Secret", "metadata":
            {"name": "demo-ca", "namespace": "ns", "uid": "c", "resourceVersion": "1"},
            "data": {"tls.crt": encoded(&ca.certificate), "tls.key": encoded(ca.key.expose())}});
        let reads = Arc::new(AtomicU32::new(0));
        let (count, allowed) = (Arc::clone(&reads), Arc::new(AtomicBool::new(false)));
        let allows = Arc::clone(&allowed);
        let context = fixtures::context(move |request| {
            let is_kubeconfig = request.uri().path().ends_with("/demo-kubeconfig");
            count.fetch_add(u32::from(is_kubeconfig), Ordering::SeqCst);
            std::future::ready(match is_kubeconfig {
                true => answer(&kubeconfig),
                false if allows.load(Ordering::SeqCst) => answer(&authority),
                false => refusal(403),
            })
        });
        let cluster = |conditions| -> Cluster {
            let status =
                json!({"ports": {"api": 6443, "konnectivity": 8132}, "conditions": conditions});
            let cluster = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
                "spec": {}, "status": status});
            serde_json::from_value(cluster).unwrap()
        };
        let available = json!([{"type": "Available", "status": "True", "reason": "Available",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let service = json!({"spec": {"clusterIPs": ["127.0.0.1"]}});
        let mut observed = Observed {
            control_plane: Some(k8s_openapi::api::apps::v1::StatefulSet::default()),
            service: serde_json::from_value(service).unwrap(),
            ..fixtures::made()
        };
        let keys = SigningKeys::default();
        let ask = async |cluster: &Cluster, observed: &Observed| {
            let (is_asked, problem) = readiness(cluster, observed, None, &keys, &context).await;
            (is_asked, !problem.is_empty())
        };
        let served = cluster(available);
        assert_eq!(
            ask(&served, &observed).await,
            (false, false),
            "there is none"
        );
        observed.kubeconfig = true;
        let secrets = &mut observed.certificate_secrets;
        let secret = secrets
            .get_mut(&crds::v1beta2::CertificateType::Ca)
            .unwrap();
        secret.public_key = Some(pki::inspect(&ca.certificate).unwrap().spki_digest);
        assert_eq!(
            ask(&cluster(json!([])), &observed).await,
            (false, false),
            "it is new"
        );
        assert_eq!(reads.load(Ordering::SeqCst), 0);
        let mut edited = observed.clone();
        let secrets = &mut edited.certificate_secrets;
        let secret = secrets
            .get_mut(&crds::v1beta2::CertificateType::Ca)
            .unwrap();
        secret.public_key = Some("of the pods".to_owned());
        let of_another_key = ask(&served, &edited).await;
        assert_eq!(of_another_key, (false, false), "it is of another key");
        assert_eq!(
            ask(&served, &observed).await,
            (true, false),
            "the CA is another"
        );
        let secrets = &mut observed.certificate_secrets;
        let secret = secrets
            .get_mut(&crds::v1beta2::CertificateType::Ca)
            .unwrap();
        secret.certificate = Some(ca.certificate.clone());
        assert_eq!(
            ask(&served, &observed).await,
            (true, true),
            "the CA is refused"
        );
        assert_eq!(reads.load(Ordering::SeqCst), 2, "once is enough");
        allowed.store(true, Ordering::SeqCst);
        assert_eq!(ask(&served, &observed).await, (true, false), "it is there");
        let endpoint = Endpoint::new("127.0.0.1", 6443, ca.certificate);
        assert!(
            context.prober.observes("1", &endpoint),
            "with a certificate of our own"
        );
    }

    /// With it one may do anything there, and it is kept in memory.
    #[tokio::test]
    async fn a_certificate_of_our_own_ends_within_a_day() {
        let now = jiff::Timestamp::now();
        let ca = pki::ca::new("kubernetes", now, pki::ca::LIFETIME).unwrap();
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let authority = json!({"apiVersion": "v1", "kind": "Secret", "metadata":
            {"name": "demo-ca", "namespace": "ns", "uid": "c", "resourceVersion": "1"},
            "data": {"tls.crt": encoded(&ca.certificate), "tls.key": encoded(ca.key.expose())}});
        let context = fixtures::context(move |_| std::future::ready(answer(&authority)));
        let key = ObjectKey::new(Kind::Secret, "ns", "demo-ca");
        let pair = client(false, &key, &SigningKeys::default(), &context).await;
        let facts = pki::inspect::inspect(&pair.unwrap().unwrap().certificate).unwrap();
        let day = jiff::SignedDuration::from_hours(24);
        assert!(facts.not_after <= jiff::Timestamp::now() + day, "{facts:?}");
    }
}
