//! Brings back a Secret with a kept key that somebody deletes.
//!
//! A deletion cannot be taken back: the object has to go before one with its name can be made.
//! Between the two nobody but a copy holds the key, so the copy is written first; a process that
//! dies in between finds it again by its label.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use crds::names::{KEY_FINALIZER, NOT_AFTER, TLS_CERT_KEY, TLS_KEY_KEY};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::apply::desired::{COPY_SUFFIX, Desired};
use crate::kubernetes::store::{Live, ObjectKey, Store};
use crate::kubernetes::writer::{WriteError, Writer};

/// The copy of a key.
pub fn copy_of(key: &ObjectKey) -> ObjectKey {
    ObjectKey {
        name: format!("{}{COPY_SUFFIX}", key.name),
        ..key.clone()
    }
}

/// Whether a key is being deleted, another finalizer than ours holds it, and all that can be done before
/// it has gone was done.
pub fn is_awaited(key: &ObjectKey, live: &Live, uid: &str, store: &Store) -> bool {
    let is_copied = |copy: &Live| {
        !copy.deleting
            && [TLS_CERT_KEY, TLS_KEY_KEY]
                .iter()
                .all(|key| copy.digest(key) == live.digest(key))
    };
    live.deleting
        && !is_protected(live)
        && store
            .get_owned(&copy_of(key), uid)
            .is_some_and(|copy| is_copied(&copy))
}

/// Whether nobody owns a key, and it is being deleted while our finalizer holds it.
pub fn is_orphaned(live: &Live) -> bool {
    live.owner.is_none() && live.deleting && is_protected(live)
}

/// What becomes of a key whose Secret is not to be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Somebody deletes the Secret, and it still has the key, or has gone and its copy has.
    ComesBack,
    /// The copy has the key, and somebody else's Secret has its name.
    NameTaken,
}

/// The key that the pods were made with, if `public` says which; nothing where nobody has it.
pub fn recovery(
    key: &ObjectKey,
    public: Option<&String>,
    uid: &str,
    store: &Store,
) -> Option<Recovery> {
    let has_key = |live: &Live| {
        let is_whole = [TLS_CERT_KEY, TLS_KEY_KEY]
            .iter()
            .all(|key| live.digest(key).is_some());
        is_whole && public.is_none_or(|public| live.public_key().as_ref() == Some(public))
    };
    let is_own = |live: &Live| {
        live.is_owned_by(uid) || is_orphaned(live) || is_awaited(key, live, uid, store)
    };
    let live = store.get(key);
    if let Some(live) = live.as_ref().filter(|live| is_own(live)) {
        return (live.deleting && has_key(live)).then_some(Recovery::ComesBack);
    }
    let copy = store.get_owned(&copy_of(key), uid);
    copy.filter(|copy| has_key(copy)).map(|_| match live {
        Some(_) => Recovery::NameTaken,
        None => Recovery::ComesBack,
    })
}

/// The Secret is being deleted and still there.
pub async fn undo_deletion(writer: &Writer, wanted: &Desired) -> Result<(), WriteError> {
    let Some(dying) = writer.get(&wanted.key).await? else {
        return Ok(());
    };
    if dying.metadata.deletion_timestamp.is_none() {
        // It has been made anew meanwhile.
        return Ok(());
    }
    let copy = copy_of(&wanted.key);
    let mut body = with_data(wanted, &dying);
    body["metadata"]["name"] = Value::String(copy.name.clone());
    body["metadata"]["finalizers"] = json!([]);
    match writer.create(&copy, &body).await {
        Ok(()) => {}
        // An earlier attempt's, unless somebody else's is in its place: then the key stays here.
        Err(WriteError::Exists { key }) => {
            let there = writer.get(&copy).await?;
            let is_same = |there: DynamicObject| {
                [TLS_CERT_KEY, TLS_KEY_KEY]
                    .iter()
                    .all(|key| there.data["data"][key] == dying.data["data"][key])
            };
            if !there.is_some_and(is_same) {
                return Err(WriteError::Exists { key });
            }
        }
        Err(error) => return Err(error),
    }
    let uid = dying.metadata.uid.as_deref().unwrap_or_default();
    release(writer, &wanted.key, uid).await?;
    // Where another finalizer holds it, its end wakes us through the watch.
    create(writer, wanted, &dying).await
}

/// The Secret is gone and its copy is there.
pub async fn from_copy(
    writer: &Writer,
    wanted: &Desired,
    copy: &ObjectKey,
) -> Result<(), WriteError> {
    let Some(copy) = writer.get(copy).await? else {
        return Ok(());
    };
    create(writer, wanted, &copy).await
}

/// There is one when this returns.
async fn create(writer: &Writer, wanted: &Desired, from: &DynamicObject) -> Result<(), WriteError> {
    match writer.create(&wanted.key, &with_data(wanted, from)).await {
        Err(WriteError::Exists { .. }) if writer.get(&wanted.key).await?.is_some() => Ok(()),
        other => other,
    }
}

/// Takes our finalizer off this one, leaving others' in place, and off no other one of its name.
pub async fn release(writer: &Writer, key: &ObjectKey, uid: &str) -> Result<(), WriteError> {
    let there = writer.get(key).await?;
    let Some(object) = there.filter(|it| it.metadata.uid.as_deref() == Some(uid)) else {
        return Ok(());
    };
    let finalizers: Vec<_> = object
        .metadata
        .finalizers
        .into_iter()
        .flatten()
        .filter(|name| name != KEY_FINALIZER)
        .collect();
    let patch = json!({"metadata": {
        "finalizers": finalizers,
        "resourceVersion": object.metadata.resource_version,
    }});
    match writer.merge(key, &patch).await {
        Err(WriteError::Failed { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.is_not_found()) => {
            Ok(())
        }
        other => other,
    }
}

/// The object with the data of another one of it, and with what that says of the data.
fn with_data(wanted: &Desired, from: &DynamicObject) -> Value {
    let mut body = wanted.body.clone();
    body["data"] = from.data.get("data").cloned().unwrap_or_default();
    if let Some(end) = from.annotations().get(NOT_AFTER) {
        body["metadata"]["annotations"][NOT_AFTER] = json!(end);
    }
    body
}

/// Whether our finalizer holds a key.
pub fn is_protected(live: &Live) -> bool {
    live.value()["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|all| all.iter().any(|name| name == KEY_FINALIZER))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use http::{Request, Response};
    use kube::client::Body;
    use parking_lot::Mutex;

    use super::*;
    use crate::apply::fixtures::{Rig, UID, kept, owners};
    use crate::kubernetes::fixtures::{answer, refusal};
    use crate::kubernetes::store::Kind;

    /// What the API server has of the key and of its copy.
    #[derive(Default)]
    struct Server {
        key: Option<Value>,
        copy: Option<Value>,
        asked: usize,
    }

    impl Server {
        async fn answer(server: Arc<Mutex<Self>>, request: Request<Body>) -> Response<Body> {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let mut server = server.lock();
            server.asked += 1;
            let asked = server.asked;
            let there = if parts.uri.path().ends_with(COPY_SUFFIX) {
                &mut server.copy
            } else {
                &mut server.key
            };
            if parts.method == "PATCH" {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                let creates = patch["metadata"]["resourceVersion"] == "1";
                if creates && there.is_some() {
                    return refusal(409);
                }
                let object = there.get_or_insert_with(|| json!({}));
                json_patch::merge(object, &patch);
                let name = object["metadata"]["name"].clone();
                json_patch::merge(
                    object,
                    &json!({"metadata": {"uid": name,
                    "resourceVersion": (asked + 100).to_string()}}),
                );
            }
            there.as_ref().map_or_else(|| refusal(404), answer)
        }
    }

    fn key(finalizers: &[&str]) -> Value {
        let mut key = kept().body;
        let metadata = json!({"metadata": {"uid": "a", "resourceVersion": "10",
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers,
            "ownerReferences": owners()},
            "data": {TLS_CERT_KEY: "Yw==", TLS_KEY_KEY: "aw=="}});
        json_patch::merge(&mut key, &metadata);
        key
    }

    #[tokio::test]
    async fn a_key_that_another_finalizer_holds_is_no_fight_and_is_back_once_it_has_gone() {
        let server = Arc::new(Mutex::new(Server {
            key: Some(key(&[KEY_FINALIZER, "theirs"])),
            ..Server::default()
        }));
        let to = server.clone();
        let rig = Rig::new(move |request| Server::answer(to.clone(), request));
        let round = rig.round();
        let mut wanted = kept();
        let owner = key(&[])["metadata"]["ownerReferences"].clone();
        wanted.body["metadata"]["ownerReferences"] = owner;
        let object = serde_json::from_value(key(&[KEY_FINALIZER, "theirs"])).unwrap();
        round.store.put(Kind::Secret, object, 1);
        let wanted = [wanted];
        assert!(round.run(&wanted, &[].into()).await.changed);
        let asked = server.lock().asked;
        for _ in 0..30 {
            let applied = round.run(&wanted, &[].into()).await;
            assert!(
                !applied.changed && applied.problems.is_empty(),
                "{applied:?}"
            );
        }
        assert_eq!(server.lock().asked, asked, "there is nothing to do");

        // However often it was deleted before.
        let earlier = Instant::now().checked_sub(Duration::from_secs(20));
        for _ in 0..20 {
            let hash = wanted[0].hash();
            round
                .damping
                .wrote(&wanted[0].key, hash, None, earlier.unwrap());
        }
        let before = server.lock().key.take().unwrap();
        round.store.release(&wanted[0].key, Some("a"), 1);
        let applied = round.run(&wanted, &[].into()).await;
        assert!(
            applied.changed && applied.problems.is_empty(),
            "{applied:?}"
        );
        assert_eq!(server.lock().key.as_ref().unwrap()["data"], before["data"]);
    }

    #[test]
    fn a_key_comes_back_while_its_secret_or_its_copy_has_it_and_its_name_is_free() {
        let name = kept().key;
        let there = json!({"metadata": {"deletionTimestamp": null}});
        let with = |change: Value| {
            let mut secret = key(&["theirs"]);
            json_patch::merge(&mut secret, &change);
            secret
        };
        let named = |change: Value| {
            let mut copy = with(there.clone());
            json_patch::merge(
                &mut copy,
                &json!({"metadata": {"name": copy_of(&name).name}}),
            );
            json_patch::merge(&mut copy, &change);
            copy
        };
        let copy = || named(json!({}));
        let half = || json!({"data": {TLS_KEY_KEY: null}});
        let of = |uid: &str| {
            let mut owners = owners();
            owners[0]["uid"] = json!(uid);
            json!({"metadata": {"deletionTimestamp": null, "ownerReferences": owners}})
        };
        let nobodys = |deleted: Value| {
            json!({"metadata": {"deletionTimestamp": deleted, "ownerReferences": null},
                "data": {TLS_CERT_KEY: null, TLS_KEY_KEY: null}})
        };
        let now = || json!("2026-01-01T00:00:00Z");
        let orphaned =
            || json!({"metadata": {"ownerReferences": null, "finalizers": [KEY_FINALIZER]}});
        let released = || json!({"metadata": {"ownerReferences": null}});
        let (back, taken) = (Some(Recovery::ComesBack), Some(Recovery::NameTaken));
        for (secrets, wanted, what) in [
            (vec![with(json!({}))], back, "it is still there"),
            (vec![with(json!({})), copy()], back, "and its copy too"),
            (vec![copy()], back, "it has gone"),
            (vec![], None, "there is no copy"),
            (vec![with(half())], None, "it is not whole"),
            (vec![named(half())], None, "nor is its copy"),
            (vec![with(there.clone()), copy()], None, "nobody deletes it"),
            (vec![with(orphaned())], back, "it lost its owner"),
            (vec![with(released()), copy()], back, "and was let go"),
            (vec![with(of("another")), copy()], taken, "it is another's"),
            (
                vec![with(nobodys(Value::Null)), copy()],
                taken,
                "it is no key",
            ),
            (vec![with(nobodys(now())), copy()], taken, "and goes"),
            (vec![with(of("another"))], None, "another's, without a copy"),
        ] {
            let store = Store::default();
            for secret in secrets {
                store.put(Kind::Secret, serde_json::from_value(secret).unwrap(), 1);
            }
            assert_eq!(recovery(&name, None, UID, &store), wanted, "{what}");
            let other = "of another key".to_owned();
            assert_eq!(recovery(&name, Some(&other), UID, &store), None, "{what}");
        }
    }

    /// One that holds another key, or none, is none.
    #[test]
    fn a_key_is_awaited_once_its_copy_is_there() {
        let store = Store::default();
        let (name, released) = (kept().key, key(&["theirs"]));
        let live =
            |value: &Value| Live::new(Kind::Secret, serde_json::from_value(value.clone()).unwrap());
        let is_awaited = |key: &Value| super::is_awaited(&name, &live(key), UID, &store);
        assert!(!is_awaited(&released), "there is no copy");
        let put = |change: &Value| {
            let mut copy = key(&[]);
            json_patch::merge(
                &mut copy,
                &json!({"metadata": {"name": copy_of(&name).name,
                "deletionTimestamp": null}}),
            );
            json_patch::merge(&mut copy, change);
            store.put(Kind::Secret, serde_json::from_value(copy).unwrap(), 1);
        };
        put(&json!({"metadata": {"resourceVersion": "1"}, "data": {TLS_KEY_KEY: "eA=="}}));
        assert!(!is_awaited(&released), "it is of another key");
        put(&json!({"metadata": {"resourceVersion": "2"}}));
        assert!(is_awaited(&released));
        assert!(!is_awaited(&key(&[KEY_FINALIZER, "theirs"])), "we hold it");
        let mut there = released.clone();
        json_patch::merge(
            &mut there,
            &json!({"metadata": {"deletionTimestamp": null}}),
        );
        assert!(!is_awaited(&there), "nobody deletes it");
        put(&json!({"metadata": {"resourceVersion": "3",
            "deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        assert!(!is_awaited(&released), "the copy goes too");
    }
}
