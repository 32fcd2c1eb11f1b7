//! The end of a Cluster: its pods first, those of the control plane before etcd's, then the kept
//! keys, then itself. The other children go with it by their owner references. Nothing here needs
//! the hosted API.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::conditions::steady;
use crds::names::{self, CLUSTER_FINALIZER};
use crds::v1beta2::{CertificateType, Cluster};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::Value;

use crate::apply::Held;
use crate::apply::key_recovery::{self, is_protected};
use crate::cluster::context::{Context, Error, reference};
use crate::cluster::dereference::is_named;
use crate::cluster::{Outcome, status};
use crate::kubernetes::store::{Kind, Live, ObjectKey};
use crate::kubernetes::writer::Deletion;

/// How long a Cluster waits for its pods. They have a minute to end; one on a node that does not
/// answer never ends by itself, and must not hold the Cluster for ever.
const PODS_END_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Whether the Cluster carries the finalizer.
pub fn is_set(cluster: &Cluster) -> bool {
    cluster
        .finalizers()
        .iter()
        .any(|name| name == CLUSTER_FINALIZER)
}

/// One step further to the end. Nothing here waits for a change: whoever forbids a step may allow
/// it again without a word.
pub async fn run(
    cluster: &Arc<Cluster>,
    context: &Context,
) -> Result<(Outcome, Option<Duration>), Error> {
    let uid = cluster.uid().unwrap_or_default();
    context.prober.forget(&uid);
    context.unasked.clear(&uid);
    context.census.forget(&uid);
    context.mothership.pods.forget(&uid);
    let owned = context.mothership.store.owned_by(&uid);
    for (key, live) in sets_to_end(cluster, &owned) {
        let told = told(cluster);
        let left = match end_of_set(&live.value(), told, Timestamp::now()) {
            Ends::NotAsked => {
                let writer = &context.mothership.writer;
                let deleted = writer.delete_after_dependents(key, live);
                match context.damping.end(key, deleted).await {
                    Ok(Deletion::Begun) => PODS_END_WITHIN.unsigned_abs(),
                    Ok(Deletion::Gone) => continue,
                    Err(held) => return in_the_way(cluster, key, held, context).await,
                }
            }
            Ends::Within(left) => left,
            Ends::Never => {
                let note = format!(
                    "{key} still has pods {} s after it was deleted; if their node does not \
                     return, delete them with --force",
                    PODS_END_WITHIN.as_secs(),
                );
                let events = &context.events;
                events.warning(&reference(cluster), "PodsLeftBehind", &note);
                continue;
            }
        };
        let message = format!("waiting for the pods of {key} to terminate");
        let no_news_for = tell(cluster, "WaitingForPods", &message, context).await?;
        return Ok((Outcome::Later(left), no_news_for));
    }
    // No watch shows a key whose labels somebody has taken off, and nobody else would let it go.
    for key in hidden_keys(cluster, &owned) {
        let read = async { context.mothership.writer.get(&key).await.map(drop) };
        if let Err(held) = context.damping.end(&key, read).await {
            return in_the_way(cluster, &key, held, context).await;
        }
        if context.mothership.store.get_owned(&key, &uid).is_none() {
            // Somebody else's of that name.
            context.mothership.store.let_go(&key);
        }
    }
    let owned = context.mothership.store.owned_by(&uid);
    for (key, live) in &owned {
        if key.kind == Kind::Secret && is_protected(live) {
            let released = key_recovery::release(&context.mothership.writer, key, &live.uid);
            if let Err(held) = context.damping.end(key, released).await {
                return in_the_way(cluster, key, held, context).await;
            }
        }
    }
    let removed = context.primary.remove_finalizer(cluster, CLUSTER_FINALIZER);
    if let Err(error) = removed.await {
        let message = steady(&format!("its finalizer could not be removed: {error}"));
        tracing::warn!(
            namespace = cluster.namespace(),
            name = cluster.name_any(),
            message
        );
        let no_news_for = tell(cluster, "FinalizerNotRemoved", &message, context).await?;
        return Ok((Outcome::Failed { again: None }, no_news_for));
    }
    // Of others' nobody else says anything.
    if !is_set(cluster) && !cluster.finalizers().is_empty() {
        let message = format!("held by {}", cluster.finalizers().join(", "));
        let no_news_for = tell(cluster, "WaitingForFinalizers", &message, context).await?;
        return Ok((Outcome::Done, no_news_for));
    }
    context.primary.forget(&uid);
    context.failures.clear(&uid);
    context.damping.forget(owned.keys());
    for key in owned.keys() {
        context.mothership.store.let_go(key);
    }
    Ok((Outcome::Ended, None))
}

/// Says what keeps the Cluster from ending, and tries again before long.
async fn in_the_way(
    cluster: &Arc<Cluster>,
    key: &ObjectKey,
    Held { problem, wait }: Held,
    context: &Context,
) -> Result<(Outcome, Option<Duration>), Error> {
    let message = format!("{key} could not be deleted: {}", problem.message);
    tracing::warn!(
        namespace = cluster.namespace(),
        name = cluster.name_any(),
        message
    );
    let no_news_for = tell(cluster, "ChildNotDeleted", &message, context).await?;
    Ok((Outcome::Later(wait), no_news_for))
}

/// The Secrets with keys of its own that are not seen.
fn hidden_keys(cluster: &Cluster, owned: &BTreeMap<ObjectKey, Arc<Live>>) -> Vec<ObjectKey> {
    let namespace = cluster.namespace().unwrap_or_default();
    let made = status::keys_were_made(cluster.status.as_ref());
    let keys = CertificateType::ROOTS
        .into_iter()
        .filter(|type_| made && !is_named(cluster, *type_))
        .map(|type_| names::certificate(&cluster.name_any(), type_))
        .map(|name| ObjectKey::new(Kind::Secret, &namespace, name));
    keys.filter(|key| !owned.contains_key(key)).collect()
}

/// The StatefulSets whose pods are to end, in their order: an API server without its etcd does not
/// stop in an orderly way. The keys stay until no pod is left, because the kubelet does not read an
/// immutable Secret again while a pod on its node refers to it: a new Cluster of this name would
/// run with the keys of this one.
fn sets_to_end<'a>(
    cluster: &Cluster,
    owned: &'a BTreeMap<ObjectKey, Arc<Live>>,
) -> Vec<(&'a ObjectKey, &'a Arc<Live>)> {
    // With `--cascade=orphan` a user keeps the children.
    if cluster.finalizers().iter().any(|name| name == "orphan") {
        return Vec::new();
    }
    let etcd = names::etcd(&cluster.name_any());
    let mut sets: Vec<_> = owned
        .iter()
        .filter(|(key, _)| key.kind == Kind::StatefulSet)
        .collect();
    sets.sort_by_key(|(key, _)| key.name == etcd);
    sets
}

/// Since when, by our own clock, the pods are said to be waited for.
fn told(cluster: &Cluster) -> Option<Timestamp> {
    let deleting = status::condition(cluster.status.as_ref(), status::DELETING)?;
    (deleting.status == "True").then_some(deleting.last_transition_time.0)
}

/// How far a StatefulSet has come with its end. The time counts from when it was asked to, however
/// long that was refused, or nobody was there to ask, and from when that was told: two clocks are
/// compared, and one of them may be wrong.
#[derive(Debug, PartialEq, Eq)]
enum Ends {
    NotAsked,
    Within(Duration),
    Never,
}

fn end_of_set(set: &Value, told: Option<Timestamp>, now: Timestamp) -> Ends {
    let asked = set["metadata"]["deletionTimestamp"].as_str();
    let Some(asked) = asked.and_then(|at| at.parse::<Timestamp>().ok()) else {
        return Ends::NotAsked;
    };
    let since = told.map_or(now, |told| told.max(asked));
    let left = PODS_END_WITHIN - now.duration_since(since);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => Ends::Within(left),
        _ => Ends::Never,
    }
}

async fn tell(
    cluster: &Arc<Cluster>,
    reason: &str,
    message: &str,
    context: &Context,
) -> Result<Option<Duration>, Error> {
    let new = status::ending(cluster, reason, message, Timestamp::now());
    status::write(cluster, new, context).await
}

#[cfg(test)]
mod tests {
    use std::future;

    use http::Response;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use parking_lot::Mutex;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures;
    use crate::kubernetes::fixtures::{answer, refusal};
    use crate::kubernetes::store::Store;

    fn deleted(finalizers: &[&str]) -> Cluster {
        serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "finalizers": finalizers,
                         "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {},
        }))
        .unwrap()
    }

    fn put(store: &Store, names: &[&str]) {
        for name in names {
            let object = serde_json::from_value(json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                    "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                        "name": "demo", "uid": "1", "controller": true}]},
            }));
            store.put(Kind::StatefulSet, object.unwrap(), 0);
        }
    }

    fn order(cluster: &Cluster, names: &[&str]) -> Vec<String> {
        let store = Store::default();
        put(&store, names);
        let owned = store.owned_by("1");
        let sets = sets_to_end(cluster, &owned).into_iter();
        sets.map(|(key, _)| key.name.clone()).collect()
    }

    #[test]
    fn the_control_plane_ends_before_its_etcd() {
        let cluster = deleted(&[CLUSTER_FINALIZER]);
        let both = ["kmc-demo", "kmc-demo-etcd"];
        assert_eq!(order(&cluster, &["kmc-demo-etcd", "kmc-demo"]), both);
        assert_eq!(order(&cluster, &["kmc-demo-etcd"]), ["kmc-demo-etcd"]);
        assert!(order(&cluster, &[]).is_empty());
    }

    #[test]
    fn children_that_are_to_stay_are_not_ended() {
        let cluster = deleted(&[CLUSTER_FINALIZER, "orphan"]);
        assert!(order(&cluster, &["kmc-demo-etcd", "kmc-demo"]).is_empty());
    }

    /// It went while its watch was cut off, which tells nobody.
    #[tokio::test]
    async fn a_set_that_has_gone_unseen_is_not_waited_for() {
        let context = fixtures::context(|request| async move {
            match request.method().as_str() {
                "DELETE" => refusal(404),
                "PATCH" => Response::new(request.into_body()),
                _ => future::pending().await,
            }
        });
        let store = &context.mothership.store;
        put(store, &["kmc-demo", "kmc-demo-etcd"]);
        let mut cluster = deleted(&[CLUSTER_FINALIZER]);
        cluster.metadata.uid = Some("1".to_owned());
        let (outcome, _) = run(&Arc::new(cluster), &context).await.unwrap();
        assert!(matches!(outcome, Outcome::Ended));
        assert!(store.owned_by("1").is_empty());
    }

    /// Whoever waits for its end reads why it does not come.
    #[rstest]
    #[case::refused(403)]
    #[case::busy(503)]
    #[case::changed_all_the_time(409)]
    #[tokio::test]
    async fn a_cluster_that_is_not_let_go_says_why(#[case] code: u16) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&said);
        let context = fixtures::context(move |request| {
            let written = Arc::clone(&written);
            async move {
                match (request.method().as_str(), request.uri().path()) {
                    ("PATCH", path) if path.ends_with("/status") => {
                        let body = request.into_body().collect_bytes().await.unwrap();
                        written
                            .lock()
                            .push(String::from_utf8_lossy(&body).into_owned());
                        Response::new(body.to_vec().into())
                    }
                    ("PATCH", path) if path.contains("/clusters/") => refusal(code),
                    ("GET", path) if path.ends_with("/clusters") => {
                        let it = deleted(&[CLUSTER_FINALIZER]).metadata;
                        let it =
                            json!({"metadata": ObjectMeta { uid: Some("1".to_owned()), ..it }});
                        answer(&json!({"metadata": {}, "items": [it]}))
                    }
                    _ => future::pending().await,
                }
            }
        });
        let mut cluster = deleted(&[CLUSTER_FINALIZER]);
        cluster.metadata.uid = Some("1".to_owned());
        let outcome = run(&Arc::new(cluster), &context).await;
        assert!(!matches!(outcome, Ok((Outcome::Ended | Outcome::Done, _))));
        let said = said.lock();
        assert_eq!(said.len(), 1, "{said:?}");
        let names_it = |body: &String| body.contains("FinalizerNotRemoved");
        assert!(said.iter().all(names_it), "{said:?}");
    }

    /// Ours is off, and what was said of that is no longer so.
    #[tokio::test]
    async fn whose_finalizer_a_cluster_waits_for_is_said() {
        let context = fixtures::context(|request| async move {
            if request.method() != "PATCH" {
                return future::pending().await;
            }
            let body = request.into_body().collect_bytes().await.unwrap();
            let mut cluster: Value = serde_json::from_slice(&body).unwrap();
            cluster["metadata"] = json!({"name": "demo", "uid": "1", "resourceVersion": "2"});
            answer(&cluster)
        });
        let mut cluster = deleted(&["example.org/theirs"]);
        cluster.metadata.uid = Some("1".to_owned());
        cluster.metadata.resource_version = Some("1".to_owned());
        let cluster = Arc::new(cluster);
        run(&cluster, &context).await.unwrap();
        let told = context.primary.latest(cluster);
        let deleting = status::condition(told.status.as_ref(), status::DELETING).unwrap();
        assert_eq!(deleting.reason, "WaitingForFinalizers");
        assert_eq!(deleting.message, "held by example.org/theirs");
    }

    #[test]
    fn pods_that_never_end_are_waited_for_five_minutes_from_when_they_were_asked_to() {
        let at = |second| {
            "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(second)
        };
        let asked = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let within = |seconds| Ends::Within(Duration::from_secs(seconds));
        let ends = |told, now| end_of_set(&asked, told, now);
        assert_eq!(ends(Some(at(0)), at(0)), within(300));
        assert_eq!(ends(Some(at(0)), at(299)), within(1));
        assert_eq!(ends(Some(at(0)), at(301)), Ends::Never);
        // Somebody else asked long ago, or our clock is ahead: it was told a moment ago.
        assert_eq!(ends(Some(at(600)), at(601)), within(299));
        assert_eq!(ends(None, at(601)), within(300));
        assert_eq!(end_of_set(&json!({}), Some(at(0)), at(301)), Ends::NotAsked);
    }
}
