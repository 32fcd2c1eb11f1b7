//! Watches that go on after errors, and past objects that cannot be read.

use futures::{Stream, StreamExt, future};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::object::{HasSpec, HasStatus};
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

/// Whether an object is there, or has just gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    There,
    /// It was deleted.
    Gone,
}

/// Watches a kind, again and again after errors. An object that does not parse cannot keep the
/// others from being looked after: `stand_in` says what is seen in its place, if anything. What is
/// seen nowhere needs not go either, so of a deleted one it is asked as well. managedFields are left
/// out.
pub fn guarded<K>(
    api: Api<Read<K>>,
    config: watcher::Config,
    mut stand_in: impl FnMut(Unreadable, Presence) -> Option<K> + Send,
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

/// What stands for an object that does not parse any more: its last readable version with the metadata
/// of the new one, and with its spec and its status as far as each can be read by itself: its user goes
/// on with the one, and we with the other. Nothing if what is known is another object that had this name.
pub fn last_known<K>(known: Option<&K>, unreadable: &Unreadable) -> Option<K>
where
    K: Resource + HasSpec<Spec: DeserializeOwned> + HasStatus<Status: DeserializeOwned> + Clone,
{
    let mut object = known?.clone();
    if object.meta().uid != unreadable.metadata.uid {
        return None;
    }
    let mut generation = object.meta().generation;
    if let Some(spec) = unreadable.part("spec") {
        *object.spec_mut() = spec;
        generation = unreadable.metadata.generation;
    }
    *object.meta_mut() = ObjectMeta {
        // That of the spec that it has.
        generation,
        managed_fields: None,
        ..unreadable.metadata.clone()
    };
    if let Ok(status) = unreadable.status() {
        *object.status_mut() = status;
    }
    Some(object)
}

fn parsed<K: Resource<DynamicType = ()>>(
    event: Event<Read<K>>,
    stand_in: &mut impl FnMut(Unreadable, Presence) -> Option<K>,
) -> Option<Event<K>> {
    let mut valid = |read: Read<K>, presence: Presence| match read {
        Read::Whole(mut object) => {
            object.meta_mut().managed_fields = None;
            Some(object)
        }
        Read::Not(unreadable) => {
            let metadata = &unreadable.metadata;
            if presence == Presence::There {
                tracing::error!(
                    kind = %K::kind(&()),
                    namespace = metadata.namespace,
                    name = metadata.name,
                    error = unreadable.error,
                    "an object does not parse"
                );
            }
            stand_in(*unreadable, presence)
        }
    };
    Some(match event {
        Event::Apply(read) => Event::Apply(valid(read, Presence::There)?),
        Event::InitApply(read) => Event::InitApply(valid(read, Presence::There)?),
        Event::Delete(read) => Event::Delete(valid(read, Presence::Gone)?),
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
mod tests;
