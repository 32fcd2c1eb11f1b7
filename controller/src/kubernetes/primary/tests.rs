use std::sync::atomic::{AtomicUsize, Ordering};

use crds::v1beta2::{Cluster, JoinTokenRequest};
use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::Mutex;

use super::*;
use crate::kubernetes::fixtures::{answer, client, refusal};

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
        "items": items})
}

/// There is one of version 11; nothing is compared that is not said.
#[tokio::test]
async fn a_status_comes_to_its_own_object_whatever_others_change_of_it() {
    let there = json!({"metadata": {"name": "demo", "uid": "new", "resourceVersion": "11"}});
    let writer = PrimaryWriter::<Cluster>::new(client(move |request| {
        let there = there.clone();
        async move {
            if request.method() == "GET" {
                return answer(&list(&[there]));
            }
            let body = request.into_body().collect_bytes().await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            match body["metadata"]["resourceVersion"].as_str() {
                Some("11") | None => answer(&body),
                Some(_) => refusal(409),
            }
        }
    }));
    let cluster = |uid: &str, version: &str| -> Cluster {
        let metadata = json!({"name": "demo", "namespace": "ns", "uid": uid,
            "resourceVersion": version});
        serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
    };
    let status = json!({"version": "v1.36.3"});
    let mut ends = cluster("new", "10");
    let now = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    ends.metadata.deletion_timestamp = Some(now);
    let other = writer.status(&ends, &status).await;
    assert!(other.unwrap_err().is_conflict());
    let gone = writer.status(&cluster("old", "10"), &status).await;
    assert!(gone.unwrap_err().is_conflict());
    for version in ["10", "11"] {
        assert!(
            writer
                .status(&cluster("new", version), &status)
                .await
                .is_ok()
        );
    }
}

/// A watch is frozen, or somebody else writes it all the time; what was recorded since is not taken back.
#[tokio::test]
async fn a_status_is_written_to_a_changed_object_of_which_the_same_is_recorded() {
    let request = |version: &str, id: Value, uid: &str| {
        json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
            "metadata": {"name": "a", "namespace": "ns", "uid": uid, "resourceVersion": version},
            "spec": {"clusterName": "demo"}, "status": {"tokenID": id}})
    };
    let written = async |there: Value| {
        let writer = PrimaryWriter::<JoinTokenRequest>::new(client(move |request| {
            let there = there.clone();
            async move {
                if request.method() == "GET" {
                    return answer(&list(&[there]));
                }
                let body = request.into_body().collect_bytes().await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                match body["metadata"]["resourceVersion"].as_str() {
                    Some("11") => answer(&there),
                    _ => refusal(409),
                }
            }
        }));
        let seen = serde_json::from_value(request("10", json!("abc123"), "r")).unwrap();
        let id = |it: &JoinTokenRequest| it.status.as_ref()?.token_id.clone();
        let holds = |there: &JoinTokenRequest| id(there) == id(&seen);
        writer.status_while(&seen, &json!({}), holds).await
    };
    let mut unreadable = request("11", json!("abc123"), "r");
    unreadable["spec"]["clusterName"] = json!(5);
    let mut ends = request("11", json!("abc123"), "r");
    ends["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    for other in [
        request("11", json!("def456"), "r"),
        request("11", Value::Null, "r"),
        request("11", json!("abc123"), "another"),
        unreadable,
        ends,
    ] {
        let error = written(other).await.unwrap_err();
        assert!(error.is_conflict(), "{error}");
    }
    let same = written(request("11", json!("abc123"), "r")).await;
    assert_eq!(
        same.unwrap().metadata.resource_version.as_deref(),
        Some("11")
    );
}

/// The finalizers that are left on one that somebody writes before each of the first attempts, and how
/// often that was tried; nothing where it has gone before the second.
async fn removed<K>(overtaken: usize, there: &Value) -> (Result<(), PrimaryError>, Value, usize)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + HasSpec<Spec: DeserializeOwned>
        + HasStatus<Status: DeserializeOwned>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let (left, tries) = (Arc::new(Mutex::default()), Arc::new(AtomicUsize::new(0)));
    let (items, to, tried) = (there.clone(), Arc::clone(&left), Arc::clone(&tries));
    let writer = PrimaryWriter::<K>::new(client(move |request| {
        let (items, to, tried) = (items.clone(), Arc::clone(&to), Arc::clone(&tried));
        async move {
            let now = tried.load(Ordering::Relaxed);
            if request.method() == "GET" {
                let mut items = items;
                for item in items.as_array_mut().unwrap() {
                    item["metadata"]["resourceVersion"] = json!(now.to_string());
                }
                return answer(&list(items.as_array().unwrap()));
            }
            tried.fetch_add(1, Ordering::Relaxed);
            let body = request.into_body().collect_bytes().await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let is_newest = body["metadata"]["resourceVersion"] == json!(now.to_string());
            if now < overtaken || !is_newest {
                return refusal(409);
            }
            *to.lock() = body["metadata"]["finalizers"].clone();
            answer(&body)
        }
    }));
    let object = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "a",
        "resourceVersion": "0", "finalizers": ["ours"],
        "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"clusterName": "demo"}});
    let object = serde_json::from_value(object).unwrap();
    let outcome = writer.remove_finalizer(&object, "ours").await;
    let left = left.lock().clone();
    (outcome, left, tries.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_finalizer_is_taken_off_whoever_else_writes_the_object() {
    let there = |uid: &str, finalizers: &[&str]| {
        json!([{"metadata": {"name": "demo", "uid": uid, "finalizers": finalizers,
            "deletionTimestamp": "2026-01-01T00:00:00Z"}}])
    };
    let ours = there("a", &["ours", "theirs"]);
    for (overtaken, left) in [
        (0, json!([])),
        (1, json!(["theirs"])),
        (2, json!(["theirs"])),
    ] {
        for (outcome, found, tries) in [
            removed::<Cluster>(overtaken, &ours).await,
            removed::<JoinTokenRequest>(overtaken, &ours).await,
        ] {
            outcome.unwrap();
            assert_eq!((found, tries), (left.clone(), overtaken + 1));
        }
    }
    // It is said instead of tried for ever.
    let (starved, _, tries) = removed::<Cluster>(3, &ours).await;
    assert!(starved.unwrap_err().is_conflict());
    assert_eq!(tries, OVERTAKEN);
    for nothing_to_do in [there("b", &["ours"]), there("a", &["theirs"]), json!([])] {
        let (outcome, left, tries) = removed::<Cluster>(1, &nothing_to_do).await;
        outcome.unwrap();
        assert_eq!((left, tries), (Value::Null, 1), "{nothing_to_do}");
    }
}

/// They were said to nobody.
#[tokio::test]
async fn words_that_could_not_be_written_hold_up_no_others() {
    let writer = PrimaryWriter::<Cluster>::new(client(async |_| refusal(503)));
    let cluster = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "a"}, "spec": {}});
    let cluster: Cluster = serde_json::from_value(cluster).unwrap();
    let says = |message: &str| json!({"conditions": [{"type": "Applied", "message": message}]});
    let (old, new) = (says("read tcp 1"), says("read tcp 2"));
    for _ in 0..30 {
        let write = writer.status(&cluster, &new);
        let said = writer.in_time(&cluster, (Some(&old), &new), write).await;
        assert!(said.is_err(), "{said:?}");
    }
    let write = async || Ok(Arc::new(cluster.clone()));
    let mut waits = 0;
    for _ in 0..30 {
        let said = writer.in_time(&cluster, (Some(&old), &new), write()).await;
        waits += usize::from(said.unwrap().is_some());
    }
    assert_eq!(waits, 29);
}

/// They may have been said all the same.
#[tokio::test]
async fn words_that_were_not_answered_count_as_said() {
    let writer = PrimaryWriter::<Cluster>::new(client(async |_| refusal(504)));
    let cluster = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "a"}, "spec": {}});
    let cluster: Cluster = serde_json::from_value(cluster).unwrap();
    let says = |message: &str| json!({"conditions": [{"type": "Applied", "message": message}]});
    let (old, new) = (says("read tcp 1"), says("read tcp 2"));
    let mut tried = 0;
    for _ in 0..30 {
        let write = writer.status(&cluster, &new);
        let said = writer.in_time(&cluster, (Some(&old), &new), write).await;
        tried += usize::from(said.is_err());
    }
    assert_eq!(tried, 1);
}

/// Its definition has gone, and all that are of it.
#[tokio::test]
async fn what_is_of_no_kind_is_not_there() {
    let writer = PrimaryWriter::<Cluster>::new(client(async |_| refusal(404)));
    assert!(!writer.exists("ns", "demo").await.unwrap());
    let writer = PrimaryWriter::<Cluster>::new(client(async |_| refusal(403)));
    assert!(writer.exists("ns", "demo").await.is_err());
}

fn object(uid: &str, version: &str) -> Arc<ConfigMap> {
    Arc::new(ConfigMap {
        metadata: ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    })
}

fn version(object: &ConfigMap) -> Option<&str> {
    object.metadata.resource_version.as_deref()
}

#[test]
fn an_own_write_counts_until_the_watch_has_caught_up() {
    let latest = Latest::default();
    latest.put(object("a", "10"));
    assert_eq!(version(&latest.of(object("a", "9"))), Some("10"));
    assert_eq!(version(&latest.of(object("a", "11"))), Some("11"));
    assert_eq!(version(&latest.of(object("a", "9"))), Some("9"));
}

#[test]
fn an_object_made_anew_under_the_same_name_is_another() {
    let latest = Latest::default();
    latest.put(object("a", "10"));
    assert_eq!(version(&latest.of(object("b", "9"))), Some("9"));
}
