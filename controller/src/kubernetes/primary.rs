//! Writes of the product's own kinds, each with a deadline, and what the API server answered: for
//! a moment that is newer than what the watch has brought.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::names::FIELD_MANAGER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, ObjectList, Patch, PatchParams};
use kube::core::object::{HasSpec, HasStatus};
use kube::{Api, Client, Resource, ResourceExt as _};
use runtime::{Read, last_known};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

pub use self::error::PrimaryError;
use self::latest::Latest;
use self::rewording::Rewordings;
use crate::kubernetes::writer::DEADLINE;

mod error;
mod latest;
mod rewording;

/// How often a write is tried that others' changes overtake.
const OVERTAKEN: usize = 3;

/// Writes status and metadata of one of the product's own kinds. Clones share what they know.
#[derive(Clone)]
pub struct PrimaryWriter<K> {
    client: Client,
    latest: Latest<K>,
    said: Rewordings,
}

impl<K> PrimaryWriter<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + HasSpec<Spec: DeserializeOwned>
        + HasStatus<Status: DeserializeOwned>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    /// A writer that has written nothing yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            latest: Latest::default(),
            said: Rewordings::default(),
        }
    }

    /// The newer of what the watch brought and what the last own write returned.
    pub fn latest(&self, seen: Arc<K>) -> Arc<K> {
        self.latest.of(seen)
    }

    /// The object with this uid is gone, or about to go.
    pub fn forget(&self, uid: &str) {
        self.latest.forget(uid);
        self.said.forget(uid);
    }

    /// Forgets all but these.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.latest.retain(uids);
        self.said.retain(uids);
    }

    /// Writes a status, unless it says the same as the last one in other words and has to wait, for
    /// how long comes back: each write wakes its object at once, and a cause that is put in other words
    /// each time would never end.
    pub async fn in_time<S: Serialize>(
        &self,
        object: &K,
        (old, new): (Option<&S>, &S),
        write: impl Future<Output = Result<Arc<K>, PrimaryError>>,
    ) -> Result<Option<Duration>, PrimaryError> {
        let is_reworded = old.is_some_and(|old| rewording::is_the_same(old, new));
        let uid = uid(object);
        if let Some(rest) = self.said.too_soon(&uid, is_reworded, Instant::now()) {
            tracing::debug!(
                uid,
                ?rest,
                "the same is not said in other words again so soon"
            );
            return Ok(Some(rest));
        }
        let written = write.await;
        // Without an answer it may have been written.
        if is_reworded && written.as_ref().err().is_none_or(PrimaryError::may_be_done) {
            self.said.reworded(&uid, Instant::now());
        }
        written.map(|_| None)
    }

    /// Whether there is an object of this name, whatever the watch has brought: it leaves out what
    /// it cannot read.
    pub async fn exists(&self, namespace: &str, name: &str) -> Result<bool, PrimaryError> {
        Ok(self.there(namespace, name).await?.is_some())
    }

    /// What the API server says of the one of this name, by a list: not every kind may be got.
    pub async fn there(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<ObjectMeta>, PrimaryError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let found = first(api.list_metadata(&named(name))).await?;
        Ok(found.map(|found| found.metadata))
    }

    /// Writes to an object as it is, and again when others have changed it meanwhile, as long as it is
    /// still this one.
    async fn overtaken<T, R, F>(
        &self,
        object: &K,
        read: impl Fn() -> R,
        if_gone: impl FnOnce(PrimaryError) -> Result<T, PrimaryError>,
        write: impl Fn(ObjectMeta) -> F,
    ) -> Result<T, PrimaryError>
    where
        R: Future<Output = Result<Option<ObjectMeta>, PrimaryError>>,
        F: Future<Output = Result<T, PrimaryError>>,
    {
        let meta = object.meta();
        let ends = |meta: &ObjectMeta| meta.deletion_timestamp.is_some();
        let mut there = meta.clone();
        for _ in 1..OVERTAKEN {
            let error = match write(there).await {
                Err(error) if error.is_conflict() => error,
                other => return other,
            };
            let Some(it) = read().await?.filter(|it| it.uid == meta.uid) else {
                return if_gone(error);
            };
            // Of one that is being deleted since then other things are to be said.
            if ends(&it) != ends(meta) {
                return Err(error);
            }
            there = it;
        }
        write(there).await
    }

    /// What there is by the name of an object.
    async fn now(&self, object: &K) -> Result<Option<ObjectMeta>, PrimaryError> {
        let meta = object.meta();
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        let there = self.there(namespace.unwrap_or_default(), name.unwrap_or_default());
        there.await
    }

    /// Writes the status by server-side apply: what it no longer says goes. Whatever others change of the
    /// object meanwhile, it is still about this one.
    pub async fn status(
        &self,
        object: &K,
        status: &impl Serialize,
    ) -> Result<Arc<K>, PrimaryError> {
        self.status_to(object, status, || self.now(object)).await
    }

    /// The same, but fails where others have changed the object so that this holds of it no more.
    pub async fn status_while(
        &self,
        object: &K,
        status: &impl Serialize,
        holds: impl Fn(&K) -> bool,
    ) -> Result<Arc<K>, PrimaryError> {
        let holds = &holds;
        let read = || async move {
            let (api, name) = self.api(object);
            let found = first(api.list(&named(&name))).await?;
            // Of what cannot be read nobody knows it.
            Ok(found.and_then(|found| match found {
                Read::Whole(whole) => holds(&whole).then(|| whole.meta().clone()),
                Read::Not(_) => None,
            }))
        };
        self.status_to(object, status, read).await
    }

    async fn status_to<R>(
        &self,
        object: &K,
        status: &impl Serialize,
        read: impl Fn() -> R,
    ) -> Result<Arc<K>, PrimaryError>
    where
        R: Future<Output = Result<Option<ObjectMeta>, PrimaryError>>,
    {
        let write = |there: ObjectMeta| async move {
            let version = there.resource_version.as_deref();
            self.apply_status(object, status, version).await
        };
        self.overtaken(object, read, Err, write).await
    }

    /// The version keeps it from an object that was made anew under the name: the API server compares no
    /// uid where only a status is written.
    async fn apply_status(
        &self,
        object: &K,
        status: &impl Serialize,
        version: Option<&str>,
    ) -> Result<Arc<K>, PrimaryError> {
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": object.meta().name, "resourceVersion": version},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let (api, name) = self.api(object);
        let request = async { api.patch_status(&name, &params, &Patch::Apply(&body)).await };
        self.write("write the status", object, request).await
    }

    /// Merges into the metadata (finalizers, owners), if nobody has changed the object since.
    pub async fn metadata(&self, object: &K, metadata: Value) -> Result<Arc<K>, PrimaryError> {
        let version = object.meta().resource_version.as_deref();
        self.merge(object, metadata, version).await
    }

    async fn merge(
        &self,
        object: &K,
        mut metadata: Value,
        version: Option<&str>,
    ) -> Result<Arc<K>, PrimaryError> {
        metadata["resourceVersion"] = json!(version);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let (api, name) = self.api(object);
        let request = async { api.patch(&name, &params, &patch).await };
        self.write("write finalizers and owners", object, request)
            .await
    }

    /// Adds a finalizer, if the object is still as it was seen.
    pub async fn add_finalizer(&self, object: &K, name: &str) -> Result<Arc<K>, PrimaryError> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(name.to_owned());
        self.metadata(object, json!({"finalizers": finalizers}))
            .await
    }

    /// Takes a finalizer off, with which an object that is being deleted is gone. Whoever writes it all
    /// the time does not keep it so.
    pub async fn remove_finalizer(&self, object: &K, name: &str) -> Result<(), PrimaryError> {
        let removed = self.overtaken(
            object,
            || self.now(object),
            |_| Ok(()),
            |there| async move {
                let mut others = there.finalizers.unwrap_or_default();
                let before = others.len();
                others.retain(|other| other != name);
                if others.len() == before {
                    return Ok(());
                }
                let (metadata, version) = (json!({"finalizers": others}), there.resource_version);
                let written = self.merge(object, metadata, version.as_deref());
                written.await.map(drop)
            },
        );
        match removed.await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    fn api(&self, object: &K) -> (Api<Read<K>>, String) {
        let meta = object.meta().clone();
        let namespace = meta.namespace.unwrap_or_default();
        let api = Api::namespaced(self.client.clone(), &namespace);
        (api, meta.name.unwrap_or_default())
    }

    async fn write(
        &self,
        what: &'static str,
        object: &K,
        request: impl Future<Output = kube::Result<Read<K>>>,
    ) -> Result<Arc<K>, PrimaryError> {
        match timeout(DEADLINE, request).await {
            Ok(Ok(written)) => {
                // It is written, whether what it is part of can be read or not.
                let mut written = match written {
                    Read::Whole(written) => written,
                    Read::Not(unreadable) => {
                        last_known(Some(object), &unreadable).unwrap_or_else(|| object.clone())
                    }
                };
                written.meta_mut().managed_fields = None;
                let written = Arc::new(written);
                self.latest.put(written.clone());
                Ok(written)
            }
            Ok(Err(source)) => Err(PrimaryError::failed(what, source)),
            Err(_) => Err(PrimaryError::Timeout { what }),
        }
    }
}

fn named(name: &str) -> ListParams {
    ListParams::default().fields(&format!("metadata.name={name}"))
}

/// The first of a list.
async fn first<T: Clone>(
    list: impl Future<Output = kube::Result<ObjectList<T>>>,
) -> Result<Option<T>, PrimaryError> {
    let what = "read what has its name";
    match timeout(DEADLINE, list).await {
        Ok(Ok(found)) => Ok(found.items.into_iter().next()),
        // With their definition all of them have gone.
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Ok(None),
        Ok(Err(source)) => Err(PrimaryError::failed(what, source)),
        Err(_) => Err(PrimaryError::Timeout { what }),
    }
}

fn uid<K: Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests;
