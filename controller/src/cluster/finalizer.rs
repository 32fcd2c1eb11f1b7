//! The end of a Cluster. Its children go with it by their owner references; only the finalizers
//! of the kept keys have to be taken off. Nothing here needs the hosted API.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::sync::Arc;

use kube::ResourceExt;

use crds::{
    names::{CLUSTER_FINALIZER, KEY_FINALIZER},
    v1beta2::Cluster,
};

use crate::kubernetes::store::{Kind, Live};

use super::{Context, Error, apply::ApplyError, restore, write};

/// Whether the Cluster carries the finalizer.
pub fn is_set(cluster: &Cluster) -> bool {
    cluster
        .finalizers()
        .iter()
        .any(|name| name == CLUSTER_FINALIZER)
}

/// Lets go of the kept keys, then of the Cluster.
pub async fn run(cluster: &Arc<Cluster>, context: &Context) -> Result<(), Error> {
    let uid = cluster.uid().unwrap_or_default();
    let owned = context.store.owned_by(&uid);
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
    context.prober.forget(&uid);
    context.latest.forget(&uid);
    context.failures.clear(&uid);
    context.futile.forget(owned.into_keys());
    Ok(())
}

fn is_protected(live: &Live) -> bool {
    live.value()["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|all| all.iter().any(|name| name == KEY_FINALIZER))
}
