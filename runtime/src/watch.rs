//! Watches that go on after errors, and past objects that cannot be read.

use futures::{Stream, StreamExt, future};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

pub use self::read::{Read, Unreadable};

mod read;

/// How long a watch lasts, in seconds, until it is begun anew from where it was. One whose other end
/// is frozen, or is a proxy that has lost its own, is silent for so long and no longer: nothing
/// tells it from one of a kind that does not change.
pub(crate) const WATCH_LASTS: u32 = 60;

/// How every watch of the product is.
pub fn watch_config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_LASTS)
}

/// Watches a kind, again and again after errors. An object that does not parse cannot keep the
/// others from being looked after: `stand_in` says what is seen in its place, if anything. What is
/// seen nowhere needs not go either, so of a deleted one it is asked as well. managedFields are left
/// out.
pub fn guarded<K>(
    api: Api<Read<K>>,
    config: watcher::Config,
    mut stand_in: impl FnMut(Unreadable) -> Option<K> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watcher(api, config)
        .default_backoff()
        .filter_map(move |event| {
            future::ready(event.map(|event| parsed(event, &mut stand_in)).transpose())
        })
}

/// What stands for an object that does not parse any more: its last readable version, as far as that
/// is known, with the metadata of the new one.
pub fn last_known<K: Resource + Clone>(known: &K, unreadable: Unreadable) -> K {
    let mut object = known.clone();
    let generation = object.meta().generation;
    *object.meta_mut() = ObjectMeta {
        // That of the spec that it has.
        generation,
        managed_fields: None,
        ..unreadable.metadata
    };
    object
}

fn parsed<K: Resource<DynamicType = ()>>(
    event: Event<Read<K>>,
    stand_in: &mut impl FnMut(Unreadable) -> Option<K>,
) -> Option<Event<K>> {
    let mut valid = |read: Read<K>, gone: bool| match read {
        Read::Whole(mut object) => {
            object.meta_mut().managed_fields = None;
            Some(object)
        }
        Read::Not(unreadable) => {
            let metadata = &unreadable.metadata;
            if !gone {
                tracing::error!(
                    kind = %K::kind(&()),
                    namespace = metadata.namespace,
                    name = metadata.name,
                    error = unreadable.error,
                    "an object does not parse"
                );
            }
            stand_in(*unreadable)
        }
    };
    Some(match event {
        Event::Apply(read) => Event::Apply(valid(read, false)?),
        Event::InitApply(read) => Event::InitApply(valid(read, false)?),
        Event::Delete(read) => Event::Delete(valid(read, true)?),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

/// Waits until it is true.
pub async fn synced(mut ready: watch::Receiver<bool>) {
    // The sender ends only with the process.
    let _ = ready.wait_for(|ready| *ready).await;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::Secret;
    use serde_json::{Value, json};

    use super::*;

    fn read(object: Value) -> Read<Secret> {
        serde_json::from_value(object).unwrap()
    }

    fn object(version: &str, type_: &Value) -> Value {
        json!({"metadata": {"name": "a", "resourceVersion": version, "generation": 7,
            "managedFields": [{"manager": "x"}]}, "type": type_})
    }

    /// What comes out of events, with this object known.
    fn seen(known: Option<&Secret>, events: Vec<Event<Read<Secret>>>) -> Vec<String> {
        let mut stand_in = |unreadable| known.map(|known: &Secret| last_known(known, unreadable));
        let shown = events.into_iter().filter_map(|event| {
            let (what, object) = match parsed(event, &mut stand_in)? {
                Event::Apply(object) | Event::InitApply(object) => ("put", object),
                Event::Delete(object) => ("gone", object),
                Event::Init | Event::InitDone => return None,
            };
            let meta = object.metadata;
            assert!(meta.managed_fields.is_none());
            Some(format!(
                "{what} {} of {} {}",
                meta.resource_version?,
                meta.generation.unwrap_or_default(),
                object.type_?
            ))
        });
        shown.collect()
    }

    #[test]
    fn what_does_not_parse_stays_as_it_was_and_goes_when_it_is_deleted() {
        let bad = || read(object("2", &json!({"not": "text"})));
        assert!(matches!(bad(), Read::Not(_)));
        let known = Secret {
            metadata: ObjectMeta {
                generation: Some(3),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::new()),
            type_: Some("old".to_owned()),
            ..Secret::default()
        };
        let events = || {
            vec![
                Event::Apply(read(object("1", &json!("new")))),
                Event::InitApply(bad()),
                Event::Apply(bad()),
                Event::Delete(bad()),
            ]
        };
        let with = [
            "put 1 of 7 new",
            "put 2 of 3 old",
            "put 2 of 3 old",
            "gone 2 of 3 old",
        ];
        assert_eq!(seen(Some(&known), events()), with);
        // Nobody knows it, so nothing has to go.
        assert_eq!(seen(None, events()), with[..1]);
    }

    #[test]
    fn of_what_does_not_parse_metadata_and_the_rest_are_there() {
        let Read::Not(unreadable) = read(object("2", &json!(5))) else {
            panic!("it parses");
        };
        assert_eq!(unreadable.metadata.name.as_deref(), Some("a"));
        assert_eq!(unreadable.object["type"], json!(5));
        assert!(
            unreadable.error.contains("invalid type"),
            "{}",
            unreadable.error
        );
        // Not even its metadata: then it is no object at all.
        let worse = json!({"metadata": {"name": 5}});
        assert!(serde_json::from_value::<Read<Secret>>(worse).is_err());
    }
}
