use kube::core::DynamicObject;
use serde_json::json;

use super::*;

fn secret(rv: &str, owner: &str, value: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "a", "namespace": "n", "uid": "u1", "resourceVersion": rv,
            "managedFields": [{"manager": "x"}],
            "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "name": owner, "uid": owner, "controller": true}]},
        "data": {"tls.key": value}
    }))
    .unwrap()
}

fn key() -> Key {
    Key::new(Kind::Secret, "n", "a")
}

#[test]
fn secrets_keep_digests_and_never_their_data() {
    let store = Store::default();
    store.put(Kind::Secret, secret("1", "c", "c2VjcmV0"), 1);
    let text = store.get(&key()).unwrap().value().to_string();
    assert!(!text.contains("c2VjcmV0"), "{text}");
    assert!(!text.contains("managedFields"), "{text}");
    assert!(text.contains(&digest(b"secret")), "{text}");
}

#[test]
fn an_older_version_changes_nothing() {
    let store = Store::default();
    store.put(Kind::Secret, secret("10", "c", "bmV3"), 1);
    assert!(
        store
            .put(Kind::Secret, secret("9", "c", "b2xk"), 1)
            .is_empty()
    );
    assert_eq!(store.get(&key()).unwrap().resource_version, "10");
}

#[test]
fn losing_its_owner_wakes_the_old_and_the_new_one() {
    let store = Store::default();
    store.put(Kind::Secret, secret("1", "c", "eA=="), 1);
    let touched = store.put(Kind::Secret, secret("2", "d", "eA=="), 1);
    let names: Vec<_> = touched
        .iter()
        .map(|(_, owner)| owner.name.as_str())
        .collect();
    assert_eq!(names, ["c", "d"]);
    assert!(store.owned_by("c").is_empty());
    assert_eq!(store.owned_by("d").len(), 1);
}

#[test]
fn an_object_of_two_watches_stays_until_both_let_go() {
    let store = Store::default();
    store.put(Kind::Secret, secret("1", "c", "eA=="), 1);
    store.put(Kind::Secret, secret("1", "c", "eA=="), 2);
    assert!(store.release(&key(), None, 1).is_empty());
    assert!(store.get(&key()).is_some());
    assert_eq!(store.release(&key(), None, 2).len(), 1);
    assert!(store.get(&key()).is_none());
}

#[test]
fn what_a_namesake_owns_or_is_on_its_way_out_does_not_fit() {
    let store = Store::default();
    store.put(Kind::Secret, secret("1", "old", "eA=="), 1);
    assert!(store.get_fitting(&key(), "old").is_some());
    assert!(store.get_fitting(&key(), "new").is_none());
    let mut going = secret("2", "old", "eA==");
    going.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    store.put(Kind::Secret, going, 1);
    assert!(store.get_fitting(&key(), "old").is_none());
}
