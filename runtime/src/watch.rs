//! Watches that go on after errors, and past objects that cannot be read.

use futures::{Stream, StreamExt, future};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// Watches a kind, again and again after errors. An object that does not parse is left out, so
/// that it cannot keep the others from being looked after; managedFields are left out too.
pub fn guarded<K>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watcher(api, config)
        .default_backoff()
        .filter_map(|event| future::ready(event.map(parsed).transpose()))
}

fn parsed<K: Resource<DynamicType = ()>>(event: Event<DeserializeGuard<K>>) -> Option<Event<K>> {
    let valid = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(mut object) => {
            object.meta_mut().managed_fields = None;
            Some(object)
        }
        Err(error) => {
            let metadata = &error.metadata;
            tracing::error!(
                kind = %K::kind(&()),
                namespace = metadata.namespace,
                name = metadata.name,
                error = error.error,
                "an object does not parse and is left alone"
            );
            None
        }
    };
    Some(match event {
        Event::Apply(guard) => Event::Apply(valid(guard)?),
        Event::InitApply(guard) => Event::InitApply(valid(guard)?),
        Event::Delete(guard) => Event::Delete(valid(guard)?),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

/// Waits until it is true.
pub async fn synced(mut ready: watch::Receiver<bool>) {
    // The sender ends only with the process.
    let _ = ready.wait_for(|ready| *ready).await;
}
