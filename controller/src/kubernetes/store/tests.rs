//! What is kept of each kind of object, and whom a change of it wakes.

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

fn key() -> ObjectKey {
    ObjectKey::new(Kind::Secret, "n", "a")
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

/// A watch that begins anew finds out by what it holds what has gone meanwhile.
#[test]
fn a_watch_holds_what_it_has_delivered_in_whatever_version() {
    let store = Store::default();
    let held = |holder| store.held_by(Kind::Secret, holder);
    // The answer to our own write came first, and no watch holds that.
    store.put(Kind::Secret, secret("10", "c", "bmV3"), 0);
    assert_eq!((held(1), held(2)), (vec![], vec![]));
    store.put(Kind::Secret, secret("9", "c", "b2xk"), 1);
    assert_eq!(store.get(&key()).unwrap().resource_version, "10");
    assert_eq!((held(1), held(2)), (vec![key()], vec![]));
    store.put(Kind::Secret, secret("11", "c", "eA=="), 2);
    store.release(&key(), None, 1);
    assert_eq!((held(1), held(2)), (vec![], vec![key()]));
    assert_eq!(store.held_by(Kind::ConfigMap, 2), []);
}

/// Nothing would ever take it out again.
#[test]
fn the_answer_to_a_write_brings_back_nothing_that_has_gone_meanwhile() {
    let store = Store::default();
    store.put(Kind::Secret, secret("1", "c", "eA=="), 1);
    store.release(&key(), Some("u1"), 1);
    assert!(
        store
            .put(Kind::Secret, secret("2", "c", "eA=="), 0)
            .is_empty()
    );
    assert!(store.get(&key()).is_none());
    // One made anew is another, and a watch knows what is there.
    let mut anew = secret("3", "c", "eA==");
    anew.metadata.uid = Some("u2".to_owned());
    store.put(Kind::Secret, anew, 0);
    assert!(store.get(&key()).is_some());
    store.release(&key(), Some("u2"), 1);
    store.put_read(Kind::Secret, secret("4", "c", "eA=="));
    store.put(Kind::Secret, secret("5", "c", "eA=="), 0);
    assert_eq!(store.get(&key()).unwrap().resource_version, "5");
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

#[test]
fn a_claim_wakes_the_cluster_whose_member_would_take_it_and_is_owned_by_nobody() {
    let store = Store::default();
    let name = crds::names::etcd_claim("c", 0);
    let claim = |rv: &str, owner: Option<&str>| -> DynamicObject {
        let owner = owner.map(|uid| {
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": uid,
                "controller": true})
        });
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "n", "uid": "u1", "resourceVersion": rv,
                "ownerReferences": owner.as_slice()},
            "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}
        }))
        .unwrap()
    };
    let woken = |touched: Touched| -> Vec<String> {
        let of_clusters = touched.into_iter().filter(|(_, o)| o.kind == "Cluster");
        of_clusters.map(|(_, owner)| owner.name.clone()).collect()
    };
    let kind = Kind::PersistentVolumeClaim;
    assert_eq!(woken(store.put(kind, claim("1", None), 1)), ["c"]);
    assert_eq!(woken(store.put(kind, claim("2", Some("s1")), 1)), ["c"]);
    let key = ObjectKey::new(kind, "n", &name);
    let kept = store.get(&key).unwrap().value();
    assert_eq!(kept.as_object().unwrap().len(), 1, "{kept}");
    assert_eq!(woken(store.release(&key, None, 1)), ["c"]);
    assert!(store.get(&key).is_none());
    assert!(store.owned_by("s1").is_empty());
    // What it owns is its own to change and to delete; a claim never is.
    assert!(store.owned_by("").is_empty());

    // Of a long name only the label says whose it is; and no member takes the others.
    let long = "long-".repeat(11);
    let mut labelled = claim("3", None);
    labelled.metadata.name = Some(crds::names::etcd_claim(&long, 0));
    labelled.metadata.labels = Some([("cluster".to_owned(), long.clone())].into());
    assert_eq!(woken(store.put(kind, labelled.clone(), 1)), [long]);
    labelled.metadata.name = Some("data-mysql-0".to_owned());
    assert!(store.put(kind, labelled, 1).is_empty());
    assert_eq!(store.counts()[&kind], 1);
}

/// What is kept of each kind, of an object that says all that there is.
#[test]
fn of_each_kind_as_much_is_kept_as_a_reconcile_compares() {
    let kept = |kind: Kind, data: serde_json::Value| {
        let resource = kind.api_resource();
        let name = match kind {
            Kind::PersistentVolumeClaim => crds::names::etcd_claim("a", 0),
            _ => "a".to_owned(),
        };
        let mut object = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": name, "namespace": "n", "uid": "u", "resourceVersion": "1",
                "managedFields": [{"manager": "x"}],
                "annotations": {"mine": "x", crds::names::LAST_APPLIED_ANNOTATION: "{}"}},
            "spec": {"x": 1}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
        });
        for (field, value) in data.as_object().unwrap() {
            object[field] = value.clone();
        }
        let store = Store::default();
        store.put(kind, serde_json::from_value(object).unwrap(), 1);
        let value = store.get(&ObjectKey::new(kind, "n", name)).unwrap().value();
        let metadata = &value["metadata"];
        if kind == Kind::Node {
            assert_eq!(*metadata, json!({"name": "a"}));
        } else {
            assert_eq!(metadata["annotations"], json!({"mine": "x"}), "{kind}");
        }
        let fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        fields.join(" ")
    };
    let nothing = json!({});
    for (kind, data, wanted) in [
        (Kind::Service, &nothing, "metadata spec status"),
        (Kind::StatefulSet, &nothing, "metadata spec status"),
        (
            Kind::ConfigMap,
            &json!({"data": {"a": "b"}}),
            "data metadata spec",
        ),
        (Kind::PodDisruptionBudget, &nothing, "metadata spec"),
        (Kind::NetworkPolicy, &nothing, "metadata spec"),
        (Kind::Node, &nothing, "metadata status"),
        (Kind::PersistentVolumeClaim, &nothing, "metadata"),
        (
            Kind::Secret,
            &json!({"data": {"a": "eA=="}, "spec": null, "status": null}),
            "digests metadata spec status",
        ),
    ] {
        assert_eq!(kept(kind, data.clone()), wanted, "{kind}");
    }
}

#[test]
fn each_kind_has_a_name_and_a_resource_of_its_own() {
    let mut names: Vec<_> = Kind::ALL.map(Kind::as_str).to_vec();
    for kind in Kind::ALL {
        assert_eq!(kind.api_resource().kind, kind.as_str());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Kind::ALL.len());
}

#[test]
fn the_end_of_a_watch_takes_nothing_that_it_has_not_seen() {
    let store = Store::default();
    store.put(Kind::Secret, secret("1", "old", "eA=="), 2);
    store.release(&key(), Some("u1"), 2);
    // Made anew under that name, by this program.
    let anew = || {
        let mut anew = secret("2", "new", "eA==");
        anew.metadata.uid = Some("u2".to_owned());
        anew
    };
    store.put(Kind::Secret, anew(), 0);
    store.release(&key(), None, 2);
    assert!(store.has(&key()));
    // Nor where the one before was still there, or comes once more.
    let store = Store::default();
    store.put(Kind::Secret, secret("1", "old", "eA=="), 2);
    store.put(Kind::Secret, anew(), 0);
    store.put(Kind::Secret, secret("1", "old", "eA=="), 2);
    assert_eq!(store.held_by(Kind::Secret, 2), []);
    store.release(&key(), None, 2);
    assert!(store.has(&key()));
    store.put(Kind::Secret, anew(), 2);
    store.release(&key(), None, 2);
    assert!(!store.has(&key()));
}

#[test]
fn what_was_only_read_is_let_go_and_what_is_watched_is_not() {
    let store = Store::default();
    store.put_read(Kind::Secret, secret("1", "c", "eA=="));
    store.let_go(&key());
    assert!(!store.has(&key()) && store.owned_by("c").is_empty());
    // It has not gone: a watch that names it brings it at once.
    store.put(Kind::Secret, secret("1", "c", "eA=="), 1);
    store.let_go(&key());
    assert!(store.has(&key()));
}

#[test]
fn a_kind_whose_last_object_went_is_counted_as_none() {
    let (store, metrics) = (Store::default(), crate::metrics::Metrics::default());
    let scraped = || {
        let counts = store.counts().into_iter();
        let text = metrics.render(counts.map(|(kind, count)| (kind.as_str(), count)));
        let line = r#"k0smotron_store_objects{kind="Secret"} "#;
        let count = text.lines().find_map(|it| it.strip_prefix(line));
        count.map(str::to_owned)
    };
    assert_eq!(scraped().as_deref(), Some("0.0"));
    store.put(Kind::Secret, secret("1", "c", "eA=="), 1);
    assert_eq!(scraped().as_deref(), Some("1.0"));
    store.release(&key(), None, 1);
    assert_eq!(scraped().as_deref(), Some("0.0"));
}

/// After many were deleted nothing may go for long, and each event walks through all of them.
#[test]
fn what_went_long_ago_is_forgotten_with_whatever_comes() {
    let store = Store::default();
    let long_ago = Instant::now().checked_sub(ON_ITS_WAY * 2).unwrap();
    let lately = Instant::now();
    let gone = [(long_ago, "old".to_owned()), (lately, "new".to_owned())];
    store.0.write().gone.extend(gone);
    store.put(Kind::Secret, secret("1", "c", "eA=="), 1);
    let left: Vec<_> = store.0.read().gone.iter().cloned().collect();
    assert_eq!(left, [(lately, "new".to_owned())]);
}
