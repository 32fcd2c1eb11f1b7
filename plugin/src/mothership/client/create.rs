//! Objects that are made, and what has become of those that were put off.

use kube::Api;
use kube::Resource as _;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Connection, FIELD_MANAGER, Submission};
use crate::error::Error;

impl Connection<'_> {
    /// Creates an object. A field that the API does not know is an error, as kubectl has it: it
    /// would be dropped without a word. An earlier try may have been kept, though it was put off: then
    /// that one is it.
    pub async fn submit(
        &self,
        attempt: &str,
        resource: &ApiResource,
        object: &DynamicObject,
        submission: Submission,
    ) -> Result<DynamicObject, Error> {
        let body = serde_json::to_vec(object)
            .map_err(|source| Error::io("write the object", source.into()))?;
        let parameters = PostParams {
            dry_run: submission == Submission::Trial,
            field_manager: Some(FIELD_MANAGER.to_owned()),
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
        let (parts, body, mut tries) = (&parts, &body, 0);
        let submitted = self.call(attempt, || {
            tries += 1;
            let request = http::Request::from_parts(parts.clone(), body.clone());
            self.client.request::<DynamicObject>(request)
        });
        match submitted.await {
            Err(refused @ Error::Conflict { .. }) if tries > 1 => {
                let api = self.api(resource);
                let name = object.metadata.name.as_deref().unwrap_or_default();
                let there = self.call(attempt, || api.get_opt(name)).await;
                let kept = there.ok().flatten().filter(|it| is_it(it, object));
                kept.ok_or(refused)
            }
            other => other,
        }
    }

    /// Creates an object whose name was made up. Nobody else has that: what is there was kept by an
    /// earlier try, though that was put off.
    pub async fn create<K>(&self, attempt: &str, api: &Api<K>, object: &K) -> Result<(), Error>
    where
        K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let create = async || match api.create(&parameters, object).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            other => other.map(drop),
        };
        self.call(attempt, create).await
    }
}

/// Whether what is there is what was sent: made by this program, and of the same spec, whatever
/// admission has filled in.
fn is_it(there: &DynamicObject, sent: &DynamicObject) -> bool {
    let managers = there.metadata.managed_fields.iter().flatten();
    let mut managers = managers.filter_map(|entry| entry.manager.as_deref());
    let spec = |object: &DynamicObject| object.data.get("spec").cloned().unwrap_or_default();
    managers.any(|manager| manager == FIELD_MANAGER) && contains(&spec(there), &spec(sent))
}

fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value))),
        _ => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rstest::rstest;
    use serde_json::json;

    use super::super::testing;
    use super::*;
    use crate::mothership::resources;

    /// The first try is answered with 503 although it was kept, or because it was not.
    #[rstest]
    #[case::kept(503, FIELD_MANAGER, 3, true)]
    #[case::another_spec(503, FIELD_MANAGER, 1, false)]
    #[case::somebody_elses(503, "kubectl-create", 3, false)]
    #[case::there_before(409, FIELD_MANAGER, 3, false)]
    #[tokio::test(start_paused = true)]
    async fn what_was_kept_though_it_was_put_off_is_taken_for_ours(
        #[case] first: u16,
        #[case] manager: &'static str,
        #[case] replicas: i32,
        #[case] is_ours: bool,
    ) {
        let (session, _) = testing::session();
        let tries = Arc::new(AtomicUsize::new(0));
        let connection = testing::connection(&session.out, move |method, _| {
            let there = json!({
                "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "metadata": {"name": "demo", "managedFields": [{"manager": manager}]},
                "spec": {"replicas": replicas, "version": "v1.36.3"},
            });
            match method {
                "GET" => (200, there),
                _ if tries.fetch_add(1, Ordering::Relaxed) == 0 && first == 503 => {
                    testing::status(503, "ServiceUnavailable")
                }
                _ => testing::status(409, "AlreadyExists"),
            }
        });
        let sent = serde_json::from_value(json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
            "metadata": {"name": "demo"}, "spec": {"replicas": 3},
        }));
        let (kind, sent) = (resources::clusters(), sent.unwrap());
        let made = connection.submit("create", &kind, &sent, Submission::Create);
        match made.await {
            Ok(made) => assert!(is_ours && made.data["spec"]["version"] == "v1.36.3"),
            Err(error) => assert!(
                !is_ours && matches!(error, Error::Conflict { .. }),
                "{error}"
            ),
        }
    }
}
