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

use super::store::{ObjectKey, Store};
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

/// Writes objects of the watched kinds.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    store: Store,
    metrics: Metrics,
}

impl Writer {
    /// A writer that feeds `store`.
    pub const fn new(client: Client, store: Store, metrics: Metrics) -> Self {
        Self {
            client,
            store,
            metrics,
        }
    }

    /// The whole object as it is now, with a Secret's data.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<DynamicObject>, WriteError> {
        let known = self.store.get(key);
        let object = self.within(key, self.api(key).get_opt(&key.name)).await?;
        match (&object, known) {
            (Some(object), _) => drop(self.store.put_read(key.kind, object.clone())),
            (None, Some(known)) => drop(self.store.remove(key, &known)),
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

    /// Deletes this very object; one that is gone already counts as deleted.
    pub async fn delete(
        &self,
        key: &ObjectKey,
        uid: &str,
        version: &str,
    ) -> Result<(), WriteError> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
        };
        self.delete_with(key, DeleteParams::background().preconditions(preconditions))
            .await
    }

    /// Deletes what this object owns, and then itself.
    pub async fn delete_after_dependents(
        &self,
        key: &ObjectKey,
        uid: &str,
    ) -> Result<(), WriteError> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        };
        self.delete_with(key, DeleteParams::foreground().preconditions(preconditions))
            .await
    }

    async fn delete_with(&self, key: &ObjectKey, params: DeleteParams) -> Result<(), WriteError> {
        let api = self.api(key);
        let deleted = timeout(DEADLINE, api.delete(&key.name, &params))
            .await
            .map_err(|_| WriteError::Timeout { key: key.clone() })?;
        match deleted {
            Ok(_) => self.metrics.applied(key.kind.as_str(), "deleted"),
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(WriteError::from_kube(key, error)),
        }
        Ok(())
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
mod tests {
    use kube::core::Status;
    use rstest::rstest;

    use super::*;
    use crate::kubernetes::store::Kind;

    fn answered(code: u16, reason: &str) -> WriteError {
        let key = ObjectKey::new(Kind::ConfigMap, "ns", "a");
        let status = Status::failure("said so", reason).with_code(code).boxed();
        WriteError::from_kube(&key, kube::Error::Api(status))
    }

    fn kind(error: &WriteError) -> &'static str {
        match error {
            WriteError::Exists { .. } => "exists",
            WriteError::Conflict { .. } => "conflict",
            WriteError::Refused { .. } => "refused",
            WriteError::Timeout { .. } => "timeout",
            WriteError::Failed { .. } => "failed",
        }
    }

    #[rstest]
    #[case::taken(409, "AlreadyExists", "exists", "ConfigMap ns/a already exists")]
    #[case::changed(409, "Conflict", "conflict", "said so")]
    #[case::another_uid(409, "", "conflict", "said so")]
    #[case::makes_no_sense(400, "BadRequest", "refused", "said so")]
    #[case::forbidden(403, "Forbidden", "refused", "said so")]
    #[case::cannot_work(422, "Invalid", "refused", "said so")]
    #[case::no_right(401, "Unauthorized", "failed", "said so")]
    #[case::too_many(429, "TooManyRequests", "failed", "said so")]
    #[case::trouble(500, "InternalError", "failed", "said so")]
    #[case::nobody_there(503, "ServiceUnavailable", "failed", "said so")]
    fn an_answer_says_who_has_to_do_something(
        #[case] code: u16,
        #[case] reason: &str,
        #[case] wanted: &str,
        #[case] message: &str,
    ) {
        let error = answered(code, reason);
        assert_eq!(kind(&error), wanted);
        assert_eq!(error.message(), message);
        assert!(error.to_string().contains("ConfigMap ns/a"), "{error}");
    }
}
