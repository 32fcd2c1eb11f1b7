use crds::v1beta2::Cluster;
use k8s_openapi::api::core::v1::ConfigMap;

use super::*;
use crate::kubernetes::fixtures::{answer, client, refusal};

/// There is one of version 11; nothing is compared that is not said.
#[tokio::test]
async fn a_status_comes_to_its_own_object_whatever_others_change_of_it() {
    let there = json!({"metadata": {"name": "demo", "uid": "new", "resourceVersion": "11"}});
    let writer = PrimaryWriter::<Cluster>::new(client(move |request| {
        let there = there.clone();
        async move {
            if request.method() == "GET" {
                return answer(&there);
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
    let late = cluster("new", "10");
    let late = writer.status_unless_changed(&late, &status).await;
    assert!(late.unwrap_err().is_conflict());
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
