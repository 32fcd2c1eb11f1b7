//! Keys that hold on to a Cluster that is gone. Their finalizer is taken off when the Cluster is let
//! go; where somebody has taken the Cluster's own off by force nobody does, and the Secrets, and
//! their namespace, would never end.

use std::time::Duration;

use kube::{Api, ResourceExt, runtime::reflector::Store as Reader};

use crds::v1beta2::Cluster;

use crate::kubernetes::{
    store::{Key, Kind, Live, Owner},
    writer::{DEADLINE, WriteError},
};

use super::{Context, finalizer::is_protected, restore};

/// How often they are looked for: in the store only, as long as there are none.
const EVERY: Duration = Duration::from_secs(5);

/// Looks for them for as long as the process leads.
pub async fn run(clusters: Reader<Cluster>, client: kube::Client, context: &Context) {
    loop {
        tokio::time::sleep(EVERY).await;
        for (key, live) in context.store.of_kind(Kind::Secret) {
            let Some(owner) = left_behind(&live, &clusters) else {
                continue;
            };
            match is_alive(&client, &key, owner).await {
                Ok(true) => {}
                Ok(false) => release(&key, context).await,
                Err(error) => tracing::warn!(%key, %error, "its Cluster could not be looked for"),
            }
        }
    }
}

/// The Cluster to which a Secret belongs that ends and is held by our finalizer, if none such is
/// known.
fn left_behind<'l>(live: &'l Live, clusters: &Reader<Cluster>) -> Option<&'l Owner> {
    if !live.deleting || !is_protected(live) {
        return None;
    }
    let owner = live
        .owner
        .as_ref()
        .filter(|owner| owner.kind == "Cluster")?;
    let known = clusters.find(|cluster| cluster.uid().as_deref() == Some(&owner.uid));
    known.is_none().then_some(owner)
}

/// The reader may be late: the API server is asked before a key is let go.
async fn is_alive(client: &kube::Client, key: &Key, owner: &Owner) -> Result<bool, String> {
    let api: Api<Cluster> = Api::namespaced(client.clone(), &key.namespace);
    let found = tokio::time::timeout(DEADLINE, api.get_metadata_opt(&owner.name)).await;
    let found = found.map_err(|_| format!("no answer within {} s", DEADLINE.as_secs()))?;
    let found = found.map_err(|error| error.to_string())?;
    Ok(found.is_some_and(|found| found.uid().as_deref() == Some(&owner.uid)))
}

async fn release(key: &Key, context: &Context) {
    match restore::release(&context.writer, key).await {
        Ok(()) => tracing::info!(%key, "let go: its Cluster is gone"),
        // Tried again with the next look.
        Err(WriteError::Conflict { .. }) => {}
        Err(error) => tracing::warn!(%key, %error, "could not be let go"),
    }
}
