//! What holds on to a Cluster that is gone, where somebody has taken its finalizer off by force or
//! has kept its children: keys, which would never end, nor their namespace, because nobody takes
//! their own finalizer off any more; the questions that its API is asked; and what is remembered of it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crds::v1beta2::{CertificateType, Cluster};
use crds::{labels, names};
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store as Reader};

use super::Context;
use super::dereference::certificate_secret;
use crate::apply::key_recovery::{self, is_protected};
use crate::kubernetes::primary::PrimaryError;
use crate::kubernetes::store::{Kind, Live, ObjectKey};
use crate::kubernetes::writer::WriteError;

/// How often they are looked for: in the stores only, as long as there are none.
const EVERY: Duration = Duration::from_secs(5);

/// Looks for them for as long as the process leads. To let go of keys takes requests, each of which may
/// hang: what is only forgotten does not wait for them.
pub async fn run(clusters: Reader<Cluster>, context: &Context) {
    let forgets = async {
        loop {
            tokio::time::sleep(EVERY).await;
            forget(&clusters, context);
        }
    };
    let releases = async {
        loop {
            tokio::time::sleep(EVERY).await;
            release_all(&clusters, context).await;
        }
    };
    tokio::select! {
        () = forgets => {}
        () = releases => {}
    }
}

fn uids(clusters: &Reader<Cluster>) -> HashSet<String> {
    clusters.state().iter().filter_map(|c| c.uid()).collect()
}

/// What is remembered of Clusters that are gone.
fn forget(clusters: &Reader<Cluster>, context: &Context) {
    let known = uids(clusters);
    context.prober.retain(&known);
    context.census.retain(&known);
    context.turns.retain(&known);
    context.mothership.pods.retain(&known);
    context.failures.retain(&known);
    context.unasked.retain(&known);
    context.primary.retain(&known);
    context.damping.forget_old(Instant::now());
    let store = &context.mothership.store;
    context.no_op_applies.retain(|key| store.has(key));
    let is_there = |namespace: &str, name: &str| {
        let reference = ObjectRef::new(name).within(namespace);
        clusters.get(&reference).is_some()
    };
    context.mothership.watches.retain(is_there);
}

/// Keys that no Cluster needs.
async fn release_all(clusters: &Reader<Cluster>, context: &Context) {
    let known = uids(clusters);
    for (key, live) in context.mothership.store.deleting(Kind::Secret) {
        let Some(cluster) = left_behind(&live, &known) else {
            continue;
        };
        match is_alive(context, &key, &cluster).await {
            Ok(true) if cluster.uid.is_some() || is_kept(clusters, &key, &cluster, context) => {}
            // Its Cluster is gone; or has other keys, and whoever has deleted it meant it.
            Ok(_) => release(&key, &live.uid, context).await,
            Err(error) => tracing::warn!(%key, %error, "its Cluster could not be looked up"),
        }
    }
}

/// A Cluster that a key belongs to.
struct Holder {
    name: String,
    /// Not known where the key has no owner any more.
    uid: Option<String>,
}

/// The Cluster to which a Secret belongs that ends and is held by our finalizer, if none such is
/// known.
fn left_behind(live: &Live, known: &HashSet<String>) -> Option<Holder> {
    if !live.deleting || !is_protected(live) {
        return None;
    }
    match &live.owner {
        Some(owner) if owner.kind == "Cluster" && !known.contains(&owner.uid) => Some(Holder {
            name: owner.name.clone(),
            uid: Some(owner.uid.clone()),
        }),
        Some(_) => None,
        None => Some(Holder {
            name: live.label(labels::CLUSTER_NAME)?,
            uid: None,
        }),
    }
}

/// The reader may be late: the API server is asked before a key is let go.
async fn is_alive(
    context: &Context,
    key: &ObjectKey,
    cluster: &Holder,
) -> Result<bool, PrimaryError> {
    let found = context
        .primary
        .there(&key.namespace, &cluster.name)
        .await?
        .map(|there| there.uid.unwrap_or_default());
    Ok(found.is_some() && (cluster.uid.is_none() || found == cluster.uid))
}

/// Whether the Cluster of this name brings the key back: not one that its user keeps.
fn is_kept(
    clusters: &Reader<Cluster>,
    key: &ObjectKey,
    holder: &Holder,
    context: &Context,
) -> bool {
    let reference = ObjectRef::new(&holder.name).within(&key.namespace);
    // One that the reader does not know yet is looked at with the next look.
    clusters.get(&reference).is_none_or(|cluster| {
        CertificateType::ROOTS.into_iter().any(|type_| {
            names::certificate(&holder.name, type_) == key.name
                && !certificate_secret(&cluster, type_, &context.mothership.store).users
        })
    })
}

async fn release(key: &ObjectKey, uid: &str, context: &Context) {
    match key_recovery::release(&context.mothership.writer, key, uid).await {
        Ok(()) => tracing::info!(%key, "released: no Cluster needs it"),
        // Tried again with the next look.
        Err(WriteError::Conflict { .. }) => {}
        Err(error) => tracing::warn!(%key, %error, "could not be released"),
    }
}

#[cfg(test)]
mod tests {
    use crds::names::KEY_FINALIZER;
    use kube::runtime::reflector;
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures;

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_is_forgotten_while_the_api_server_hangs() {
        let context = fixtures::context(|_| std::future::pending());
        for name in ["a", "b", "c"] {
            let key = serde_json::from_value(json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                    "finalizers": [KEY_FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z",
                    "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                        "name": "demo", "uid": "1", "controller": true}]}}));
            let store = &context.mothership.store;
            store.put(Kind::Secret, key.unwrap(), 1);
        }
        let forgotten = async {
            // The first look hangs by now.
            tokio::time::sleep(EVERY + Duration::from_secs(1)).await;
            context.failures.delay("1");
            assert_ne!(context.failures.lasted("1"), Duration::ZERO);
            tokio::time::sleep(EVERY).await;
            context.failures.lasted("1")
        };
        let clusters = reflector::store::<Cluster>().0;
        tokio::select! {
            () = run(clusters, &context) => panic!("it goes on"),
            lasted = forgotten => assert_eq!(lasted, Duration::ZERO),
        }
    }
}
