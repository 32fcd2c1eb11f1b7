//! Brings back a Secret with a kept key that somebody deletes.
//!
//! A deletion cannot be taken back: the object has to go before one with its name can be made.
//! Between the two nobody but a copy holds the key, so the copy is written first; a process that
//! dies in between finds it again by its label.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use crds::names::{KEY_FINALIZER, NOT_AFTER, TLS_CERT_KEY, TLS_KEY_KEY};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::apply::desired::{COPY_SUFFIX, Desired};
use crate::kubernetes::store::{Live, ObjectKey};
use crate::kubernetes::writer::{WriteError, Writer};

/// The Secret is being deleted and still there.
pub async fn undo_deletion(writer: &Writer, wanted: &Desired) -> Result<(), WriteError> {
    let Some(dying) = writer.get(&wanted.key).await? else {
        return Ok(());
    };
    let copy = ObjectKey {
        name: format!("{}{COPY_SUFFIX}", wanted.key.name),
        ..wanted.key.clone()
    };
    let mut body = with_data(wanted, &dying);
    body["metadata"]["name"] = Value::String(copy.name.clone());
    body["metadata"]["finalizers"] = json!([]);
    match writer.create(&copy, &body).await {
        Ok(()) => {}
        // An earlier attempt's, unless somebody else's is in its place: then the key stays here.
        Err(WriteError::Exists { key }) => {
            let there = writer.get(&copy).await?;
            let is_same = |there: DynamicObject| {
                [TLS_CERT_KEY, TLS_KEY_KEY]
                    .iter()
                    .all(|key| there.data["data"][key] == dying.data["data"][key])
            };
            if !there.is_some_and(is_same) {
                return Err(WriteError::Exists { key });
            }
        }
        Err(error) => return Err(error),
    }
    release(writer, &wanted.key).await?;
    // Where another finalizer holds it, its end wakes us through the watch.
    create(writer, wanted, &dying).await
}

/// The Secret is gone and its copy is there.
pub async fn from_copy(
    writer: &Writer,
    wanted: &Desired,
    copy: &ObjectKey,
) -> Result<(), WriteError> {
    let Some(copy) = writer.get(copy).await? else {
        return Ok(());
    };
    create(writer, wanted, &copy).await
}

/// There is one when this returns.
async fn create(writer: &Writer, wanted: &Desired, from: &DynamicObject) -> Result<(), WriteError> {
    match writer.create(&wanted.key, &with_data(wanted, from)).await {
        Err(WriteError::Exists { .. }) if writer.get(&wanted.key).await?.is_some() => Ok(()),
        other => other,
    }
}

/// Takes our finalizer off, leaving others' in place.
pub async fn release(writer: &Writer, key: &ObjectKey) -> Result<(), WriteError> {
    let Some(object) = writer.get(key).await? else {
        return Ok(());
    };
    let finalizers: Vec<_> = object
        .metadata
        .finalizers
        .into_iter()
        .flatten()
        .filter(|name| name != KEY_FINALIZER)
        .collect();
    let patch = json!({"metadata": {
        "finalizers": finalizers,
        "resourceVersion": object.metadata.resource_version,
    }});
    match writer.merge(key, &patch).await {
        Err(WriteError::Failed { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.is_not_found()) => {
            Ok(())
        }
        other => other,
    }
}

/// The object with the data of another one of it, and with what that says of the data.
fn with_data(wanted: &Desired, from: &DynamicObject) -> Value {
    let mut body = wanted.body.clone();
    body["data"] = from.data.get("data").cloned().unwrap_or_default();
    if let Some(end) = from.annotations().get(NOT_AFTER) {
        body["metadata"]["annotations"][NOT_AFTER] = json!(end);
    }
    body
}

/// Whether our finalizer holds a key.
pub fn is_protected(live: &Live) -> bool {
    live.value()["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|all| all.iter().any(|name| name == KEY_FINALIZER))
}
