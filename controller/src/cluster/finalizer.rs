//! The end of a Cluster: its pods first, those of the control plane before etcd's, then the kept
//! keys, then itself. The other children go with it by their owner references. Nothing here needs
//! the hosted API.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::controller::Action};

use crds::{
    names::{self, CLUSTER_FINALIZER, KEY_FINALIZER},
    v1beta2::Cluster,
};

use crate::kubernetes::store::{Key, Kind, Live};

use super::{Context, Error, apply::ApplyError, news, reference, restore, status, write};

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

/// One step further to the end.
pub async fn run(cluster: &Arc<Cluster>, context: &Context) -> Result<Action, Error> {
    let uid = cluster.uid().unwrap_or_default();
    context.prober.forget(&uid);
    context.census.forget(&uid);
    let owned = context.store.owned_by(&uid);
    if let Some((key, live)) = next_to_end(cluster, &owned) {
        let left = time_left(cluster, Timestamp::now());
        if !left.is_zero() {
            if live.value()["metadata"]["deletionTimestamp"].is_null() {
                context
                    .writer
                    .delete_after_dependents(key, &live.uid)
                    .await
                    .map_err(ApplyError::from)?;
            }
            tell(cluster, key, context).await?;
            return Ok(Action::requeue(left));
        }
        let note = format!(
            "{key} still has pods {} s after the Cluster was deleted; if their node does not come \
             back, delete them with --force",
            PODS_END_WITHIN.as_secs(),
        );
        context
            .events
            .warning(&reference(cluster), "PodsLeftBehind", &note);
    }
    for (key, live) in &owned {
        if key.kind == Kind::Secret && is_protected(live) {
            restore::release(&context.writer, key)
                .await
                .map_err(ApplyError::from)?;
        }
    }
    if is_set(cluster) {
        write::no_finalizer(cluster, context).await?;
    }
    context.own.forget(&uid);
    context.failures.clear(&uid);
    context.futile.forget(owned.into_keys());
    Ok(Action::await_change())
}

/// The StatefulSet whose pods are to end now: an API server without its etcd does not stop in an
/// orderly way. The keys stay until no pod is left, because the kubelet does not read an immutable
/// Secret again while a pod on its node refers to it: a new Cluster of this name would run with
/// the keys of this one.
fn next_to_end<'a>(
    cluster: &Cluster,
    owned: &'a BTreeMap<Key, Arc<Live>>,
) -> Option<(&'a Key, &'a Arc<Live>)> {
    // With `--cascade=orphan` a user keeps the children.
    if cluster.finalizers().iter().any(|name| name == "orphan") {
        return None;
    }
    let etcd = names::etcd(&cluster.name_any());
    owned
        .iter()
        .filter(|(key, _)| key.kind == Kind::StatefulSet)
        .min_by_key(|(key, _)| key.name == etcd)
}

fn time_left(cluster: &Cluster, now: Timestamp) -> Duration {
    let deleted = cluster.metadata.deletion_timestamp.as_ref();
    let waited = deleted.map_or(SignedDuration::ZERO, |at| now.duration_since(at.0));
    Duration::try_from(PODS_END_WITHIN - waited).unwrap_or_default()
}

async fn tell(cluster: &Arc<Cluster>, awaited: &Key, context: &Context) -> Result<(), Error> {
    let new = status::ending(cluster, &awaited.to_string(), Timestamp::now());
    if status::differs(cluster.status.as_ref(), &new) {
        news::publish(cluster, &new, context);
        write::status(cluster, new, context).await?;
    }
    Ok(())
}

fn is_protected(live: &Live) -> bool {
    live.value()["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|all| all.iter().any(|name| name == KEY_FINALIZER))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deleted(finalizers: &[&str]) -> Cluster {
        serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "finalizers": finalizers,
                         "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {},
        }))
        .unwrap()
    }

    fn owned(names: &[&str]) -> BTreeMap<Key, Arc<Live>> {
        let store = crate::kubernetes::store::Store::default();
        for name in names {
            let object = serde_json::from_value(json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                    "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                        "name": "demo", "uid": "1", "controller": true}]},
            }));
            store.put(Kind::StatefulSet, object.unwrap(), 0);
        }
        store.owned_by("1")
    }

    fn next(cluster: &Cluster, names: &[&str]) -> Option<String> {
        next_to_end(cluster, &owned(names)).map(|(key, _)| key.name.clone())
    }

    #[test]
    fn the_control_plane_ends_before_its_etcd() {
        let cluster = deleted(&[CLUSTER_FINALIZER]);
        let both = ["kmc-demo-etcd", "kmc-demo"];
        assert_eq!(next(&cluster, &both).as_deref(), Some("kmc-demo"));
        let etcd = ["kmc-demo-etcd"];
        assert_eq!(next(&cluster, &etcd).as_deref(), Some("kmc-demo-etcd"));
        assert_eq!(next(&cluster, &[]), None);
    }

    #[test]
    fn children_that_are_to_stay_are_not_ended() {
        let cluster = deleted(&[CLUSTER_FINALIZER, "orphan"]);
        assert_eq!(next(&cluster, &["kmc-demo-etcd", "kmc-demo"]), None);
    }

    #[test]
    fn pods_that_never_end_are_waited_for_five_minutes() {
        let cluster = deleted(&[CLUSTER_FINALIZER]);
        let at = |second| {
            "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(second)
        };
        assert_eq!(time_left(&cluster, at(0)), Duration::from_secs(300));
        assert_eq!(time_left(&cluster, at(299)), Duration::from_secs(1));
        assert_eq!(time_left(&cluster, at(301)), Duration::ZERO);
    }
}
