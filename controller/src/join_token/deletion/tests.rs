//! How long the revoking of a token is tried, and when there is nothing to revoke.

use crds::v1beta2::Cluster;
use http::Response;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use runtime::backoff::Failures;
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures;
use crate::join_token::dereference::dereference;
use crate::kubernetes::fixtures::{answer, client, refusal};
use crate::kubernetes::primary::PrimaryWriter;

/// Deleted long before the first moment of [`at`], as after an outage of the controller.
fn deleted(mut with: Value) -> JoinTokenRequest {
    with["metadata"]["name"] = json!("token");
    with["metadata"]["namespace"] = json!("ns");
    with["metadata"]["deletionTimestamp"] = json!("2026-12-31T00:00:00Z");
    with["spec"] = json!({"clusterName": "demo"});
    with["status"]["tokenID"] = json!("abc123");
    serde_json::from_value(with).unwrap()
}

fn tried() -> Value {
    json!([{"type": "Deleting", "status": "True", "reason": "HostedUnreachable", "message": "",
        "lastTransitionTime": "2027-01-01T00:00:00Z"}])
}

fn at(second: u64) -> Timestamp {
    "2027-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(second)
}

#[test]
fn a_token_is_tried_for_five_minutes_from_the_first_attempt_on() {
    let first = deleted(json!({}));
    assert_eq!(time_left(&first, at(0)), Some(Duration::from_secs(300)));
    let later = deleted(json!({"status": {"conditions": tried()}}));
    assert_eq!(time_left(&later, at(1)), Some(Duration::from_secs(299)));
    assert_eq!(time_left(&later, at(300)), None);
    // A clock that is behind the one of the first attempt does not add to it.
    let behind = at(0) - Duration::from_secs(60);
    assert_eq!(time_left(&later, behind), Some(Duration::from_secs(300)));
    let mut stays = later;
    stays.metadata.deletion_timestamp = None;
    assert_eq!(time_left(&stays, at(1)), None);
}

#[test]
fn a_token_that_has_ended_holds_up_nothing() {
    let status = json!({"conditions": tried(), "expiresAt": "2027-01-01T00:00:20Z"});
    let ends = deleted(json!({"status": status}));
    assert_eq!(time_left(&ends, at(1)), Some(Duration::from_secs(19)));
    assert_eq!(time_left(&ends, at(20)), None);
    // It lived when the request was deleted, whatever our clock says now.
    assert!(live_token(&ends).is_some());
    let status = json!({"expiresAt": "2026-12-31T00:00:00Z"});
    assert!(live_token(&deleted(json!({"status": status}))).is_none());
}

/// What is asked for the token of a request whose Cluster is as given.
fn asked(
    request: Value,
    cluster: Option<Value>,
    exists: bool,
    store: &Store,
) -> Option<Result<(), NoWay>> {
    let (clusters, mut writer) = reflector::store();
    if let Some(mut cluster) = cluster {
        cluster["metadata"]["name"] = json!("demo");
        cluster["metadata"]["namespace"] = json!("ns");
        cluster["spec"] = json!({"service": {"type": "ClusterIP"}});
        writer.apply_watcher_event(&Event::Apply(serde_json::from_value(cluster).unwrap()));
    }
    let request = deleted(request);
    let mut found = dereference(&request, "demo".into(), &clusters, store);
    found.exists |= exists;
    honoured(&request, &found, store).map(|way| way.map(drop))
}

#[test]
fn only_a_cluster_that_ends_takes_its_tokens_along() {
    let store = Store::default();
    let asked = |cluster: Option<Value>, exists| asked(json!({}), cluster, exists, &store);
    let no_service = Some(Err(NoWay::Service(ObjectKey::new(
        Kind::Service,
        "ns",
        "kmc-demo",
    ))));
    let going = |finalizer: &str| {
        json!({"metadata": {"deletionTimestamp": "2027-01-01T00:00:00Z",
            "finalizers": ["k0smotron.io/finalizer", finalizer]}})
    };
    assert_eq!(asked(None, false), None);
    assert_eq!(asked(Some(going("foregroundDeletion")), true), None);
    // Nothing here says that the token is worthless, whatever else is unknown.
    assert_eq!(asked(Some(going("orphan")), true), no_service);
    assert_eq!(
        asked(Some(json!({"metadata": {"uid": "another"}})), true),
        no_service
    );
    assert_eq!(asked(None, true), Some(Err(NoWay::Unread("demo".into()))));
}

#[test]
fn pods_that_outlive_their_cluster_still_honour_its_tokens() {
    let store = Store::default();
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "kmc-demo", "namespace": "ns", "uid": "1", "resourceVersion": "1"}});
    store.put(Kind::StatefulSet, serde_json::from_value(set).unwrap(), 0);
    let kept = NoWay::PodsKept("demo".into());
    assert_eq!(asked(json!({}), None, false, &store), Some(Err(kept)));
}

#[test]
fn a_token_of_another_namespace_is_not_looked_for_in_the_namesake() {
    let store = Store::default();
    let elsewhere = json!({"k0smotron.io/cluster-ref-namespace": "other"});
    let namesake = || Some(json!({"metadata": {"uid": "1"}}));
    let taken_over = json!({"metadata": {"annotations": elsewhere}});
    let found = asked(taken_over, namesake(), true, &store);
    assert_eq!(found, Some(Err(NoWay::Elsewhere("other".into()))));
    // The annotation came later than the token.
    let owner = json!([{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "name": "demo",
        "uid": "1", "controller": true}]);
    let ours = json!({"metadata": {"annotations": elsewhere, "ownerReferences": owner}});
    let found = asked(ours, namesake(), true, &store);
    assert!(matches!(found, Some(Err(NoWay::Service(_)))), "{found:?}");
}

/// Who waits for the end of a request tells by this whether its token still lets machines in.
#[test]
fn a_request_goes_with_a_word_wherever_its_status_leaves_the_token_in_doubt() {
    let id: TokenId = "abc123".parse().unwrap();
    let word = |request: &JoinTokenRequest, error: Option<&(String, Error)>| {
        last_word(request, &id, error, at(300)).map(|word| word.reason)
    };
    let unreachable = Error::from(NoWay::PodsKept("demo".to_owned()));
    let unreachable = ("demo".to_owned(), unreachable);
    let first = deleted(json!({}));
    let retried = deleted(json!({"status": {"conditions": tried()}}));
    let status = json!({"conditions": tried(), "expiresAt": "2027-01-01T00:05:00Z"});
    let ended = deleted(json!({"status": status}));
    assert_eq!(word(&first, None), None);
    assert_eq!(word(&retried, None), Some(REVOKED));
    for left in [&first, &retried] {
        assert_eq!(word(left, Some(&unreachable)), Some(LEFT_BEHIND));
    }
    assert_eq!(word(&ended, Some(&unreachable)), None);
}

/// Whoever waits for its end reads why it does not come.
#[tokio::test]
async fn a_request_that_others_write_all_the_time_says_why_it_stays() {
    let metadata = json!({"uid": "r", "finalizers": [JOIN_TOKEN_REQUEST_FINALIZER]});
    let mut request = deleted(json!({"metadata": metadata}));
    request.status = None;
    let there = json!({"metadata": &request.metadata});
    let told = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&told);
    let server = client(move |request| {
        let (there, to) = (there.clone(), Arc::clone(&to));
        async move {
            if request.method() == "GET" {
                return answer(&json!({"metadata": {}, "items": [there]}));
            }
            if !request.uri().path().ends_with("/status") {
                return refusal(409);
            }
            let body = request.into_body().collect_bytes().await.unwrap();
            let said = String::from_utf8_lossy(&body).into_owned();
            to.lock().push(said);
            Response::new(body.to_vec().into())
        }
    });
    let none = |_| async { answer(&json!({"metadata": {}, "items": []})) };
    let context = Context {
        shared: Arc::new(fixtures::context(none)),
        clusters: reflector::store::<Cluster>().0,
        primary: PrimaryWriter::new(server),
        failures: Failures::default(),
    };
    let stays = run(&Arc::new(request), &context).await;
    assert!(matches!(stays, Err(Error::Primary(_))), "{stays:?}");
    let told = told.lock();
    let is_why = |said: &String| said.contains("could not write finalizers");
    assert!(told.len() == 1 && told.iter().all(is_why), "{told:?}");
}

/// Of a Secret without our labels no watch tells, and it was read where it could not be labelled.
#[tokio::test]
async fn a_request_that_goes_takes_what_was_only_read_of_its_secret_along() {
    let context = Context {
        shared: Arc::new(fixtures::context(|_| std::future::pending())),
        clusters: reflector::store::<Cluster>().0,
        primary: PrimaryWriter::new(client(|_| std::future::pending())),
        failures: Failures::default(),
    };
    let mut request = deleted(json!({"metadata": {"uid": "r"}}));
    request.status = None;
    let (request, key) = (
        Arc::new(request),
        ObjectKey::new(Kind::Secret, "ns", "token"),
    );
    let store = &context.shared.mothership.store;
    for (owner, stays) in [("r", false), ("another", true)] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "token", "namespace": "ns", "uid": owner, "resourceVersion": "1",
                "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2",
                    "kind": "JoinTokenRequest", "name": "token", "uid": owner, "controller": true}]}});
        store.put_read(Kind::Secret, serde_json::from_value(secret).unwrap());
        run(&request, &context).await.unwrap();
        assert_eq!(store.has(&key), stays, "{owner}");
    }
}

#[test]
fn what_was_said_of_a_token_stays_so_while_its_request_does() {
    let with = |reason: &str, finalizers: &[&str]| {
        let mut conditions = tried();
        conditions[0]["reason"] = json!(reason);
        deleted(json!({"metadata": {"finalizers": finalizers},
            "status": {"conditions": conditions}}))
    };
    let ours = [JOIN_TOKEN_REQUEST_FINALIZER, "theirs"];
    assert!(!is_let_go(&with("HostedUnreachable", &ours)));
    assert!(is_let_go(&with(FINALIZER_NOT_REMOVED, &ours)));
    assert!(is_let_go(&with("HostedUnreachable", &["theirs"])));
}

/// Ours is off, and what was said of its token is no longer so.
#[tokio::test]
async fn whose_finalizer_a_request_waits_for_is_said() {
    let mut conditions = tried();
    for reason in ["HostedUnreachable", FINALIZER_NOT_REMOVED] {
        conditions[0]["reason"] = json!(reason);
        let metadata =
            json!({"uid": "r", "resourceVersion": "1", "finalizers": ["example.org/a", "b"]});
        let request = deleted(json!({"metadata": metadata, "status": {"conditions": conditions}}));
        let there = serde_json::to_value(&request).unwrap();
        let writes = Arc::new(Mutex::new(0));
        let count = Arc::clone(&writes);
        let server = client(move |request| {
            let (mut there, count) = (there.clone(), Arc::clone(&count));
            async move {
                assert!(request.uri().path().ends_with("/status"), "{request:?}");
                let body = request.into_body().collect_bytes().await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                *count.lock() += 1;
                there["status"] = body["status"].clone();
                there["metadata"]["resourceVersion"] = json!("2");
                answer(&there)
            }
        });
        let none = |_| async { answer(&json!({"metadata": {}, "items": []})) };
        let context = Context {
            shared: Arc::new(fixtures::context(none)),
            clusters: reflector::store::<Cluster>().0,
            primary: PrimaryWriter::new(server),
            failures: Failures::default(),
        };
        let seen = Arc::new(request);
        for _ in 0..2 {
            let latest = context.primary.latest(Arc::clone(&seen));
            let waits = run(&latest, &context).await.unwrap();
            assert_eq!(waits, Action::await_change());
        }
        assert_eq!(*writes.lock(), 1, "once");
        let told = context.primary.latest(seen);
        let found = status::is_true(&told, status::DELETING).unwrap();
        assert_eq!(found.reason, WAITING_FOR_FINALIZERS);
        assert_eq!(found.message, "held by example.org/a, b");
    }
}
