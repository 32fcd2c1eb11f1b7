//! What an answer says.

use kube::core::{DynamicObject, Status};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::kubernetes::fixtures::{answer, client, refusal};
use crate::kubernetes::requeue::channel;
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

fn config(uid: &str, version: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "ns", "uid": uid, "resourceVersion": version},
    }))
    .unwrap()
}

/// No watch may tell of an object whose watch was cut off when it was made.
#[rstest]
#[case::nothing_is_there(404, None, Some(Deletion::Gone))]
#[case::another_is_there(409, Some("other"), Some(Deletion::Gone))]
#[case::it_is_there(409, Some("u"), None)]
#[tokio::test]
async fn what_has_gone_before_it_is_deleted_is_forgotten(
    #[case] code: u16,
    #[case] there: Option<&'static str>,
    #[case] wanted: Option<Deletion>,
) {
    let server = move |request: http::Request<_>| async move {
        if request.method() == "DELETE" {
            return refusal(code);
        }
        let items: Vec<_> = there.map(|uid| config(uid, "9")).into_iter().collect();
        answer(
            &json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {}, "items": items}),
        )
    };
    let store = Store::default();
    let (triggers, _) = channel();
    let writer = Writer::new(client(server), store.clone(), triggers, Metrics::default());
    let key = ObjectKey::new(Kind::ConfigMap, "ns", "a");
    for unseen in [true, false] {
        store.put(Kind::ConfigMap, config("u", "1"), 0);
        let known = store.get(&key).unwrap();
        if !unseen {
            store.put(Kind::ConfigMap, config("new", "2"), 0);
        }
        assert_eq!(writer.delete(&key, &known).await.ok(), wanted);
        let kept = !unseen || wanted.is_none();
        assert_eq!(store.has(&key), kept, "what was learnt meanwhile stays");
        store.let_go(&key);
    }
}

/// Whoever has read it may be another than who it belongs to, and its watch may hang.
#[tokio::test]
async fn who_owns_what_has_gone_is_told_by_the_one_who_finds_out() {
    let (triggers, mut receivers) = channel();
    triggers.open();
    let store = Store::default();
    let writer = Writer::new(
        client(|_| async { refusal(404) }),
        store.clone(),
        triggers,
        Metrics::default(),
    );
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "1",
            "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "name": "demo", "uid": "1", "controller": true}]},
    });
    let key = ObjectKey::new(Kind::Secret, "ns", "a");
    let mut woken = || {
        let cluster = receivers.clusters.try_recv().map(|it| it.name);
        (cluster.ok(), receivers.requests_of.try_recv().is_ok())
    };
    let put = || {
        let secret = serde_json::from_value(secret.clone()).unwrap();
        store.put(Kind::Secret, secret, 1);
    };
    put();
    assert!(writer.get(&key).await.unwrap().is_none());
    assert_eq!(woken(), (Some("demo".to_owned()), true));
    assert!(writer.get(&key).await.unwrap().is_none());
    assert_eq!(woken(), (None, false), "it is no news");
    put();
    let known = store.get(&key).unwrap();
    assert_eq!(writer.delete(&key, &known).await.unwrap(), Deletion::Gone);
    assert_eq!(woken(), (Some("demo".to_owned()), true));
}
