//! Objects that are made, and what has become of those that were put off.

use std::cell::Cell;

use kube::Api;
use kube::Resource as _;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use pki::token::TokenId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Connection, FIELD_MANAGER, Submission};
use crate::error::Error;

impl Connection<'_> {
    /// Creates an object. A field that the API does not know is an error, as kubectl has it: it
    /// would be dropped without a word. An earlier try may have been kept, though it was put off with
    /// a 503: then that one is it. It is known by its author in managedFields, whose name only this
    /// submission has: unlike an annotation, that is no part of what the user wrote and reads.
    pub async fn submit(
        &self,
        attempt: &str,
        resource: &ApiResource,
        object: &DynamicObject,
        submission: Submission,
    ) -> Result<DynamicObject, Error> {
        let body = serde_json::to_vec(object)
            .map_err(|source| Error::io("write the object", source.into()))?;
        let end = TokenId::random()
            .map_err(|source| Error::io("make up a name", std::io::Error::other(source)))?;
        let author = format!("{FIELD_MANAGER}-{end}");
        let parameters = PostParams {
            dry_run: submission == Submission::Trial,
            field_manager: Some(author.clone()),
        };
        let path = DynamicObject::url_path(resource, Some(&self.namespace));
        let requests = kube::core::Request::new(path);
        let (mut parts, body) = requests
            .create(&parameters, body)
            .map_err(|error| Error::io("build the request", std::io::Error::other(error)))?
            .into_parts();
        let uri = format!("{}&fieldValidation=Strict", parts.uri);
        parts.uri = uri
            .parse()
            .map_err(|error| Error::io("build the request", std::io::Error::other(error)))?;
        let is_perhaps_kept = Cell::new(false);
        let create = async || {
            let request = http::Request::from_parts(parts.clone(), body.clone());
            let answer = self.client.request::<DynamicObject>(request).await;
            if let Err(kube::Error::Api(status)) = &answer
                && status.code == 503
            {
                is_perhaps_kept.set(submission == Submission::Create);
            }
            answer
        };
        match self.call(attempt, create).await {
            Err(refused @ Error::Conflict { .. }) if is_perhaps_kept.get() => {
                let api = self.api(resource);
                let name = object.metadata.name.as_deref().unwrap_or_default();
                let there = self.call(attempt, || api.get_opt(name)).await;
                let kept = there.ok().flatten().filter(|it| is_by(it, &author));
                kept.ok_or(refused)
            }
            other => other,
        }
    }

    /// Creates an object whose name was made up. Nobody else has that: what is there was kept by an
    /// earlier try, though that was put off, and `None` is answered, since only the name is known of it.
    pub async fn create<K>(
        &self,
        attempt: &str,
        api: &Api<K>,
        object: &K,
    ) -> Result<Option<K>, Error>
    where
        K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let create = async || match api.create(&parameters, object).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            other => other.map(Some),
        };
        self.call(attempt, create).await
    }
}

/// Whether an object was written by this author, and stays.
fn is_by(object: &DynamicObject, author: &str) -> bool {
    let mut entries = object.metadata.managed_fields.iter().flatten();
    object.metadata.deletion_timestamp.is_none()
        && entries.any(|entry| entry.manager.as_deref() == Some(author))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex, OnceLock};

    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::testing;
    use super::Submission::{Create, Trial};
    use super::*;
    use crate::mothership::resources;

    /// The first try is answered with this, the next with 409: the object that is there says so of
    /// itself, and else that its author is who tries.
    #[rstest]
    #[case::kept(503, "", json!({}), Create, true)]
    #[case::a_colleagues(503, "", json!({"managedFields": [{"manager": "kubectl-k0smotron-abc123"}],
        "creationTimestamp": "2026-01-01T00:00:00Z"}), Create, false)]
    #[case::an_earlier_releases(503, "", json!({"managedFields": [{"manager": FIELD_MANAGER}]}),
        Create, false)]
    #[case::somebody_elses(503, "", json!({"managedFields": [{"manager": "kubectl-create"}]}),
        Create, false)]
    #[case::of_no_author(503, "", json!({"managedFields": null}), Create, false)]
    #[case::going(503, "", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), Create, false)]
    #[case::tried_out(503, "", json!({}), Trial, false)]
    #[case::throttled(429, "TooManyRequests", json!({}), Create, false)]
    #[case::unadmitted(500, "failed calling webhook", json!({}), Create, false)]
    #[case::there_before(409, "AlreadyExists", json!({}), Create, false)]
    #[tokio::test(start_paused = true)]
    async fn what_was_kept_though_it_was_put_off_is_taken_for_ours(
        #[case] first: u16,
        #[case] reason: &'static str,
        #[case] there: Value,
        #[case] submission: Submission,
        #[case] is_ours: bool,
    ) {
        let (session, _) = testing::session();
        let author = Arc::new(OnceLock::new());
        let connection = testing::connection_by(&session.out, move |request| {
            if request.method() == "GET" {
                let mut object = json!({
                    "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                    "metadata": {"name": "demo", "managedFields": [{"manager": author.get()}]},
                    "spec": {"replicas": 3, "version": "v1.36.3"},
                });
                let metadata = object["metadata"].as_object_mut();
                metadata.unwrap().extend(there.as_object().unwrap().clone());
                return (200, object);
            }
            let mut query = request.uri().query().unwrap_or_default().split('&');
            let tries = query.find_map(|pair| pair.strip_prefix("fieldManager="));
            let tries = tries.unwrap().to_owned();
            if author.set(tries.clone()).is_ok() {
                return testing::status(first, reason);
            }
            assert_eq!(author.get(), Some(&tries));
            testing::status(409, "AlreadyExists")
        });
        let sent = serde_json::from_value(json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
            "metadata": {"name": "demo"}, "spec": {"replicas": 3},
        }));
        let (kind, sent) = (resources::clusters(), sent.unwrap());
        let made = connection.submit("create", &kind, &sent, submission).await;
        match made {
            Ok(made) => assert!(is_ours && made.data["spec"]["version"] == "v1.36.3"),
            Err(error) => assert!(
                !is_ours && matches!(error, Error::Conflict { .. }),
                "{error}"
            ),
        }
    }

    #[tokio::test]
    async fn no_two_submissions_have_an_author_in_common() {
        let (session, _) = testing::session();
        let authors = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = authors.clone();
        let connection = testing::connection_by(&session.out, move |request| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            authors.lock().unwrap().insert(query);
            testing::status(409, "AlreadyExists")
        });
        let kind = resources::clusters();
        let sent = DynamicObject::new("demo", &kind);
        for _ in 0..2 {
            let made = connection.submit("create", &kind, &sent, Create);
            made.await.unwrap_err();
        }
        assert_eq!(seen.lock().unwrap().len(), 2);
    }
}
