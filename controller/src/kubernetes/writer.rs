//! Writes to the mothership, each with a deadline, each result taken into the store at once, so
//! that the next reconcile sees it even before the watch brings it.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::time::Duration;

use crds::names::FIELD_MANAGER;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::timeout;

use super::requeue::Triggers;
use super::store::{Live, ObjectKey, Store};
use crate::metrics::Metrics;

/// The longest that one request may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something with this name is there already.
    #[error("{key} already exists")]
    Exists {
        /// The object.
        key: ObjectKey,
    },
    /// Another writer owns a field, or changed the object meanwhile.
    #[error("{key} has been modified: {message}")]
    Conflict {
        /// The object.
        key: ObjectKey,
        /// What the API server said.
        message: String,
    },
    /// The API server refuses the object as it is: no retry helps until something changes.
    #[error("the API server refuses {key}: {message}")]
    Refused {
        /// The object.
        key: ObjectKey,
        /// What the API server said.
        message: String,
    },
    /// No answer in time.
    #[error("no answer for {key} within {} s", DEADLINE.as_secs())]
    Timeout {
        /// The object.
        key: ObjectKey,
    },
    /// Anything else that a later attempt may mend.
    #[error("could not write {key}: {source}")]
    Failed {
        /// The object.
        key: ObjectKey,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
}

impl WriteError {
    /// What went wrong, where the object is named already.
    pub fn message(&self) -> String {
        match self {
            Self::Conflict { message, .. } | Self::Refused { message, .. } => message.clone(),
            Self::Failed { source, .. } => match &**source {
                kube::Error::Api(status) => status.message.clone(),
                other => other.to_string(),
            },
            Self::Exists { key } => format!("{key} already exists"),
            Self::Timeout { .. } => format!("no answer within {} s", DEADLINE.as_secs()),
        }
    }

    /// Whether it is what the API server says of a write to an object that is not there: an apply or a
    /// deletion of that uid is in conflict, or refused where there is another, and a merge finds nothing.
    fn may_be_of_another(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Failed { source, .. } => {
                matches!(&**source, kube::Error::Api(status) if status.is_not_found())
            }
            Self::Refused { message, .. } => message.contains("metadata.uid"),
            Self::Exists { .. } | Self::Timeout { .. } => false,
        }
    }

    fn from_kube(key: &ObjectKey, error: kube::Error) -> Self {
        let key = key.clone();
        match error {
            kube::Error::Api(status) if status.is_already_exists() => Self::Exists { key },
            kube::Error::Api(status) if status.code == 409 => Self::Conflict {
                key,
                message: status.message,
            },
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => Self::Refused {
                key,
                message: status.message,
            },
            source => Self::Failed {
                key,
                source: Box::new(source),
            },
        }
    }
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The API server does it.
    Begun,
    /// There was no such object any more. No watch may tell of that: it is forgotten.
    Gone,
}

/// Writes objects of the watched kinds.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    store: Store,
    triggers: Triggers,
    metrics: Metrics,
}

impl Writer {
    /// A writer that feeds `store`.
    pub const fn new(client: Client, store: Store, triggers: Triggers, metrics: Metrics) -> Self {
        Self {
            client,
            store,
            triggers,
            metrics,
        }
    }

    /// The whole object as it is now, with a Secret's data.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<DynamicObject>, WriteError> {
        let known = self.store.get(key);
        let object = self.within(key, self.api(key).get_opt(&key.name)).await?;
        match (&object, known) {
            (Some(object), _) => drop(self.store.put_read(key.kind, object.clone())),
            (None, Some(known)) => self.forget(key, &known),
            (None, None) => {}
        }
        Ok(object)
    }

    /// An object that no watch shows; it is not taken into the store. A list, because of most
    /// kinds there is no right to get one.
    pub async fn look(&self, key: &ObjectKey) -> Result<Option<DynamicObject>, WriteError> {
        let named = ListParams::default().fields(&format!("metadata.name={}", key.name));
        let api = self.api(key);
        let found = self.within(key, api.list(&named)).await?;
        Ok(found.into_iter().next())
    }

    /// Server-side apply to the object with this uid, over whoever else owns a field.
    pub async fn apply(&self, key: &ObjectKey, body: &Value, uid: &str) -> Result<(), WriteError> {
        let mut body = body.clone();
        body["metadata"]["uid"] = Value::from(uid);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let before = self
            .store
            .get(key)
            .map(|live| live.resource_version.clone());
        let api = self.api(key);
        let object = self
            .within(key, api.patch(&key.name, &params, &Patch::Apply(&body)))
            .await?;
        let written = object.metadata.resource_version != before;
        self.metrics.applied(
            key.kind.as_str(),
            if written { "written" } else { "unchanged" },
        );
        self.store.put(key.kind, object, 0);
        Ok(())
    }

    /// Creates, and fails where the name is taken. An apply and not a POST, or the API server would
    /// take our first fields for another writer's, and later applies could not take them away. The
    /// version makes it one that changes nothing: no object has it.
    pub async fn create(&self, key: &ObjectKey, body: &Value) -> Result<(), WriteError> {
        let mut body = body.clone();
        body["metadata"]["resourceVersion"] = Value::from("1");
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api(key);
        let patch = Patch::Apply(&body);
        let object = match self
            .within(key, api.patch(&key.name, &params, &patch))
            .await
        {
            Err(WriteError::Conflict { key, .. }) => return Err(WriteError::Exists { key }),
            other => other?,
        };
        self.metrics.applied(key.kind.as_str(), "created");
        self.store.put(key.kind, object, 0);
        Ok(())
    }

    /// A JSON merge patch.
    pub async fn merge(&self, key: &ObjectKey, patch: &Value) -> Result<(), WriteError> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(key);
        let object = self
            .within(key, api.patch(&key.name, &params, &Patch::Merge(patch)))
            .await?;
        self.metrics.applied(key.kind.as_str(), "written");
        self.store.put(key.kind, object, 0);
        Ok(())
    }

    /// Deletes this very object, unless it has changed.
    pub async fn delete(&self, key: &ObjectKey, known: &Live) -> Result<Deletion, WriteError> {
        let preconditions = Preconditions {
            uid: Some(known.uid.clone()),
            resource_version: Some(known.resource_version.clone()),
        };
        let params = DeleteParams::background().preconditions(preconditions);
        self.delete_with(key, known, params).await
    }

    /// Deletes what this object owns, and then itself.
    pub async fn delete_after_dependents(
        &self,
        key: &ObjectKey,
        known: &Live,
    ) -> Result<Deletion, WriteError> {
        let preconditions = Preconditions {
            uid: Some(known.uid.clone()),
            resource_version: None,
        };
        let params = DeleteParams::foreground().preconditions(preconditions);
        self.delete_with(key, known, params).await
    }

    async fn delete_with(
        &self,
        key: &ObjectKey,
        known: &Live,
        params: DeleteParams,
    ) -> Result<Deletion, WriteError> {
        let api = self.api(key);
        let deleted = timeout(DEADLINE, api.delete(&key.name, &params))
            .await
            .map_err(|_| WriteError::Timeout { key: key.clone() })?;
        match deleted {
            Ok(_) => {
                self.metrics.applied(key.kind.as_str(), "deleted");
                return Ok(Deletion::Begun);
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                self.forget(key, known);
            }
            Err(error) => {
                let error = WriteError::from_kube(key, error);
                if !self.has_gone(key, known, &error).await? {
                    return Err(error);
                }
            }
        }
        Ok(Deletion::Gone)
    }

    /// Whether a write has failed because there is no such object any more, if there is another of its
    /// name or none. No watch tells of one that it has let go of: then it is forgotten.
    pub async fn has_gone(
        &self,
        key: &ObjectKey,
        known: &Live,
        error: &WriteError,
    ) -> Result<bool, WriteError> {
        if !error.may_be_of_another() {
            return Ok(false);
        }
        let there = self.look(key).await?;
        let has_gone = there.and_then(|there| there.metadata.uid).as_ref() != Some(&known.uid);
        if has_gone {
            self.forget(key, known);
        }
        Ok(has_gone)
    }

    /// It has gone, which a watch tells nobody any more: others than who has found out may rely on it.
    fn forget(&self, key: &ObjectKey, known: &Live) {
        let touched = self.store.remove(key, known);
        self.triggers.touched(key.kind, &touched);
    }

    fn api(&self, key: &ObjectKey) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &key.namespace,
            &key.kind.api_resource(),
        )
    }

    async fn within<T>(
        &self,
        key: &ObjectKey,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, WriteError> {
        match timeout(DEADLINE, request).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(WriteError::from_kube(key, error)),
            Err(_) => Err(WriteError::Timeout { key: key.clone() }),
        }
    }
}

#[cfg(test)]
mod tests;
