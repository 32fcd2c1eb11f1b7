//! Whose an object is, and what goes.

use std::sync::Arc;

use parking_lot::Mutex;
use rstest::rstest;
use serde_json::Value;

use super::fixtures::{Rig, UID, declared, kept, made, owners};
use super::obsolete::{is_rolling, unwanted};
use super::*;
use crate::apply::desired::COPY_SUFFIX;
use crate::kubernetes::fixtures::refusal;

/// The object with this owner, if any, and what else its metadata says.
fn live(desired: &Desired, owner: Option<&str>, more: &Value) -> Live {
    let mut object = desired.body.clone();
    let metadata = &mut object["metadata"];
    metadata["uid"] = json!("u");
    if let Some(uid) = owner {
        metadata["ownerReferences"] = json!([{"apiVersion": "k0smotron.io/v1beta2",
            "kind": "Cluster", "name": "demo", "uid": uid, "controller": true}]);
    }
    for (field, value) in more.as_object().unwrap() {
        metadata[field] = value.clone();
    }
    Live::new(Kind::Secret, serde_json::from_value(object).unwrap())
}

fn nothing() -> Value {
    json!({})
}

fn without_seal() -> Value {
    json!({"annotations": {}})
}

fn dying() -> Value {
    json!({"annotations": {}, "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": [names::KEY_FINALIZER]})
}

fn dying_without_our_finalizer() -> Value {
    json!({"annotations": {}, "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["theirs"]})
}

#[rstest]
#[case::its_own(declared(), Some(UID), nothing(), true)]
#[case::its_own_whatever_it_says(declared(), Some(UID), without_seal(), true)]
#[case::anothers(declared(), Some("theirs"), nothing(), false)]
#[case::anothers_key(kept(), Some("theirs"), nothing(), false)]
#[case::anothers_dying_key(kept(), Some("theirs"), dying(), false)]
#[case::somebody_took_the_owner_off(declared(), None, nothing(), true)]
#[case::nobodys(declared(), None, without_seal(), false)]
#[case::nobodys_secret(made(), None, without_seal(), false)]
#[case::a_key_that_a_user_made_is_only_read(kept(), None, without_seal(), false)]
#[case::a_key_that_was_kept_and_is_being_deleted(kept(), None, dying(), true)]
#[case::a_users_key_that_is_being_deleted(kept(), None, dying_without_our_finalizer(), false)]
#[case::no_key_that_is_being_deleted(made(), None, dying(), false)]
fn an_object_is_judged_by_its_owner(
    #[case] desired: Desired,
    #[case] owner: Option<&str>,
    #[case] more: Value,
    #[case] ours: bool,
) {
    assert_eq!(is_ours(&desired, &live(&desired, owner, &more), UID), ours);
}

#[test]
fn a_foreign_object_is_said_and_a_users_key_is_used() {
    let said = |desired: Desired, more: Value| match foreign(&desired, &live(&desired, None, &more))
    {
        Outcome::Problem(problem) => Some(problem.message),
        Outcome::Same => None,
        _ => panic!("nothing is written"),
    };
    assert_eq!(said(kept(), without_seal()), None);
    for (desired, more) in [
        (declared(), without_seal()),
        (made(), without_seal()),
        (kept(), dying_without_our_finalizer()),
    ] {
        assert!(
            said(desired, more)
                .unwrap()
                .contains("does not belong to this Cluster")
        );
    }
}

fn secret(name: &str, key: &str, deleting: bool) -> kube::core::DynamicObject {
    let at = deleting.then_some("2026-01-01T00:00:00Z");
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": "n", "uid": name, "deletionTimestamp": at,
            "ownerReferences": owners()},
        "data": {names::TLS_KEY_KEY: key},
    }))
    .unwrap()
}

/// The copy of a key is the only one while the key is not back.
#[rstest]
#[case::the_key_is_not_there(None, false)]
#[case::it_is_being_deleted(Some(("eA==", true)), false)]
#[case::it_is_another(Some(("eQ==", false)), false)]
#[case::it_is_there_again(Some(("eA==", false)), true)]
fn a_copy_goes_once_its_key_is_back(#[case] key: Option<(&str, bool)>, #[case] goes: bool) {
    let store = Store::default();
    let copy = format!("demo-ca{COPY_SUFFIX}");
    store.put(Kind::Secret, secret(&copy, "eA==", false), 1);
    if let Some((data, deleting)) = key {
        store.put(Kind::Secret, secret("demo-ca", data, deleting), 1);
    }
    let obsolete = BTreeSet::from([ObjectKey::new(Kind::Secret, "n", &copy)]);
    let owned = store.owned_by(UID);
    assert_eq!(!unwanted(&store, &owned, &obsolete).is_empty(), goes);
}

#[test]
fn only_what_is_owned_obsolete_and_still_there_goes() {
    let store = Store::default();
    store.put(Kind::Secret, secret("gone", "eA==", true), 1);
    store.put(Kind::Secret, secret("stays", "eA==", false), 1);
    store.put(Kind::Secret, secret("goes", "eA==", false), 1);
    let names = ["gone", "goes", "never-there"];
    let obsolete = names.map(|name| ObjectKey::new(Kind::Secret, "n", name));
    let owned = store.owned_by(UID);
    let found = unwanted(&store, &owned, &BTreeSet::from(obsolete));
    let found: Vec<_> = found
        .into_iter()
        .map(|(key, _)| key.name.as_str())
        .collect();
    assert_eq!(found, ["goes"]);
}

/// A watch that was cut off has not told of it, and nobody fights for what is not there.
/// Who has nothing to write waits for nobody who has.
#[tokio::test]
async fn there_is_work_where_something_is_missing_or_differs_or_goes() {
    let rig = Rig::new(|_| async { refusal(500) });
    let (round, wanted) = (rig.round(), [declared()]);
    let none = BTreeSet::new();
    assert!(round.has_work(&wanted, &none), "it is missing");
    let mut object = declared().body;
    object["metadata"]["uid"] = json!("u");
    object["metadata"]["ownerReferences"] = owners();
    let put = |object: &Value| {
        let object = serde_json::from_value(object.clone()).unwrap();
        round.store.put(Kind::Secret, object, 1);
    };
    put(&object);
    assert!(!round.has_work(&wanted, &none));
    assert!(round.has_work(&[], &[declared().key].into()), "it goes");
    object["metadata"]["labels"]["ours"] = json!("theirs");
    put(&object);
    assert!(round.has_work(&wanted, &none), "it differs");
    object["metadata"]["ownerReferences"][0]["uid"] = json!("another's");
    put(&object);
    assert!(!round.has_work(&wanted, &none), "it is not ours to change");
}

#[tokio::test]
async fn what_is_obsolete_and_has_gone_unseen_is_no_rewrite() {
    let rig = Rig::new(|_| async { refusal(404) });
    let round = rig.round();
    let key = ObjectKey::new(Kind::Secret, "n", "goes");
    for _ in 0..30 {
        round
            .store
            .put(Kind::Secret, secret("goes", "eA==", false), 0);
        let live = round.store.get(&key).unwrap();
        let outcome = round.remove(&key, &live).await;
        assert!(
            matches!(outcome, Outcome::Changed),
            "there may be more to do"
        );
        assert!(!round.store.has(&key));
    }
}

#[rstest]
#[case::settled(json!({"replicas": 3, "updatedReplicas": 3, "observedGeneration": 2}), false)]
#[case::not_seen_yet(json!({"replicas": 3, "updatedReplicas": 3, "observedGeneration": 1}), true)]
#[case::on_its_way(json!({"replicas": 3, "updatedReplicas": 2, "observedGeneration": 2}), true)]
#[case::stuck_with_none_ready(json!({"replicas": 3, "readyReplicas": 0, "updatedReplicas": 1, "observedGeneration": 2}), true)]
#[case::all_new_and_none_ready(json!({"replicas": 3, "readyReplicas": 0, "updatedReplicas": 3, "observedGeneration": 2}), false)]
#[case::without_pods(json!({"replicas": 0, "observedGeneration": 2}), false)]
#[case::no_status(json!({}), true)]
fn a_set_rolls_while_it_may_have_pods_of_an_older_template(
    #[case] status: Value,
    #[case] rolls: bool,
) {
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "status": status,
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "generation": 2},
    });
    assert_eq!(is_rolling(&serde_json::from_value(set).unwrap()), rolls);
}

/// A template that has changed in this very round has not rolled yet.
#[test]
fn what_pods_mount_and_are_reached_by_stays_in_the_round_that_writes_their_set() {
    let store = Store::default();
    let owned = |kind: &str, name: &str, more: &Value| {
        let mut object = json!({
            "apiVersion": if kind == "StatefulSet" { "apps/v1" } else { "v1" }, "kind": kind,
            "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1",
                "ownerReferences": owners()},
        });
        json_patch::merge(&mut object, more);
        serde_json::from_value(object).unwrap()
    };
    let set = |generation: i32| {
        let more = json!({"metadata": {"generation": generation}, "status": {"replicas": 3,
            "updatedReplicas": 3, "observedGeneration": 2}});
        owned("StatefulSet", "set", &more)
    };
    store.put(Kind::StatefulSet, set(2), 1);
    store.put(
        Kind::ConfigMap,
        owned("ConfigMap", "mounted", &json!({})),
        1,
    );
    store.put(Kind::Service, owned("Service", "dialled", &json!({})), 1);
    let before = store.owned_by(UID);
    let body = json!({"metadata": {"name": "set", "namespace": "n"}});
    let wanted = [Desired::new(Kind::StatefulSet, body, Content::Declared)];
    let obsolete = BTreeSet::from([
        ObjectKey::new(Kind::ConfigMap, "n", "mounted"),
        ObjectKey::new(Kind::Service, "n", "dialled"),
    ]);
    let goes = |applied: &Applied| going(&store, UID, &wanted, &before, &obsolete, applied).len();
    let written = Applied::default();
    assert_eq!(goes(&written), 2);
    let left = Applied {
        left: BTreeSet::from([ObjectKey::new(Kind::StatefulSet, "n", "set")]),
        ..Applied::default()
    };
    assert_eq!(goes(&left), 0);
    store.put(Kind::StatefulSet, set(3), 2);
    assert_eq!(goes(&written), 0);
}

/// Between a refusal and the next attempt a Service may be deleted, and somebody else's made.
#[tokio::test]
async fn ports_are_given_to_the_service_that_was_looked_at_and_to_no_other() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let to = sent.clone();
    let rig = Rig::new(move |request| {
        let to = to.clone();
        async move {
            let body = request.into_body().collect_bytes().await.unwrap();
            let mut sent = to.lock();
            sent.push(serde_json::from_slice::<Value>(&body).unwrap());
            refusal(if sent.len() == 1 { 422 } else { 409 })
        }
    });
    let service = json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"ports": []}});
    let wanted = Desired::declared(Kind::Service, service);
    let applied = rig.round().apply(&wanted, "of-the-service").await;
    let error = applied.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
    let sent = sent.lock();
    assert_eq!(sent.len(), 2, "{sent:?}");
    for body in &*sent {
        assert_eq!(body["metadata"]["uid"], "of-the-service", "{body}");
    }
}
