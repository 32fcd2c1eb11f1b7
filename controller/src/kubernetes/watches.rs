//! One watch a child kind and label, each feeding the store first and the triggers after.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::listing::Listing;
use self::named::Named;
pub use self::named::Unread;
use super::pulse::Pulse;
use super::store::{Kind, ObjectKey, Store, Touched};
use crate::kubernetes::requeue::Triggers;
use crate::metrics::Metrics;

mod listing;
mod named;

/// The bit of the watches of Secrets that a user names.
const NAMED: u32 = 1 << 31;

/// How many objects a page of a list holds: small pages keep the peak of memory low.
const PAGE: u32 = 100;

/// Everything that a watch needs.
#[derive(Clone)]
pub struct Watches {
    client: Client,
    namespace: Option<String>,
    store: Store,
    triggers: Triggers,
    metrics: Metrics,
    pulse: Pulse,
    stop: CancellationToken,
    synced: Arc<watch::Sender<usize>>,
    named: Named,
}

/// What one watch is for.
struct Following {
    kind: Kind,
    /// Its bit in the store.
    holder: u32,
    /// What selects its objects, where it is not for one.
    labels: &'static str,
    /// What it is called where it fails.
    what: String,
    /// The Secret that a user names, if it is for one.
    named: Option<ObjectKey>,
    /// Ends it.
    end: CancellationToken,
}

impl Watches {
    /// Starts every watch; `namespace` limits the namespaced kinds to one namespace.
    pub fn start(
        client: Client,
        namespace: Option<String>,
        store: Store,
        triggers: Triggers,
        metrics: Metrics,
        pulse: Pulse,
        stop: CancellationToken,
    ) -> Self {
        let watches = Self {
            client,
            namespace,
            store,
            triggers,
            metrics,
            pulse,
            stop,
            synced: Arc::new(watch::Sender::new(0)),
            named: Named::default(),
        };
        for (index, (kind, labels)) in selectors().enumerate() {
            let api = watches.api(kind, watches.namespace.as_deref());
            let config = runtime::watch_config().labels(labels).page_size(PAGE);
            let task = watches.clone();
            let of = Following {
                kind,
                holder: 1 << index,
                labels,
                what: format!("{kind} {labels}").trim_end().to_owned(),
                named: None,
                end: task.stop.clone(),
            };
            tokio::spawn(async move { task.follow(of, api, config).await });
        }
        watches
    }

    /// Whether every watch has delivered its first list.
    pub fn ready(&self) -> bool {
        *self.synced.borrow() >= selectors().count()
    }

    /// Returns once every watch has delivered its first list.
    pub async fn wait_until_ready(&self) {
        // The sender lives in self, so the wait ends only with the condition.
        let _ = self
            .synced
            .subscribe()
            .wait_for(|synced| *synced >= selectors().count())
            .await;
    }

    /// From now on a Cluster's watches of Secrets by their name are these, because a user's Secret has
    /// labels of its own. What is not known of them, which is worth waiting for.
    pub fn name(
        &self,
        namespace: &str,
        cluster: &str,
        secrets: &BTreeSet<String>,
    ) -> Option<Unread> {
        let (begun, unread) = self.named.name(namespace, cluster, secrets, &self.stop);
        for (key, end) in begun {
            let api = self.api(Kind::Secret, Some(namespace));
            let config = runtime::watch_config().fields(&format!("metadata.name={}", key.name));
            let task = self.clone();
            let of = Following {
                kind: Kind::Secret,
                holder: NAMED,
                labels: "",
                what: key.to_string(),
                named: Some(key),
                end,
            };
            tokio::spawn(async move { task.follow(of, api, config).await });
        }
        unread
    }

    /// Ends the watches by name of all Clusters but these, by namespace and name; nor does any other wait
    /// for a node.
    pub fn retain(&self, is_there: impl Fn(&str, &str) -> bool) {
        self.triggers.retain_waiting(&is_there);
        self.named.retain(is_there);
    }

    /// Has a Cluster looked at once when a node changes: no node belongs to one.
    pub fn wake_with_nodes(&self, namespace: &str, cluster: &str) {
        self.triggers.wake_with_nodes(namespace, cluster);
    }

    fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = kind.api_resource();
        match namespace {
            Some(namespace) if kind != Kind::Node => {
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            _ => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn follow(&self, of: Following, api: Api<DynamicObject>, config: watcher::Config) {
        let (kind, holder) = (of.kind, of.holder);
        let events = watcher(api, config).default_backoff();
        pin_mut!(events);
        let mut listing = Listing::default();
        let mut first = true;
        loop {
            let event = tokio::select! {
                () = of.end.cancelled() => {
                    if let Some(key) = &of.named {
                        // Unless another one has begun meanwhile.
                        self.named.unless_named(key, || self.store.release(key, None, holder));
                    }
                    return;
                }
                event = events.next() => event,
            };
            let Some(event) = event else { return };
            if event.is_ok() {
                self.pulse.beats(&of.what);
            }
            let touched = match event {
                Ok(Event::Init) => {
                    // It is not asked for before the next event is waited for.
                    listing = Listing::begin(&of, &self.store);
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    listing.has(key_of(kind, &object));
                    self.store.put(kind, object, holder)
                }
                Ok(Event::InitDone) => {
                    if std::mem::take(&mut first) && of.named.is_none() {
                        self.synced.send_modify(|synced| *synced += 1);
                    }
                    std::mem::take(&mut listing).end(&of, &self.store)
                }
                Ok(Event::Apply(object)) => self.store.put(kind, object, holder),
                Ok(Event::Delete(object)) => match key_of(kind, &object) {
                    Some(key) => self
                        .store
                        .release(&key, object.metadata.uid.as_deref(), holder),
                    None => Touched::new(),
                },
                Err(error) => {
                    self.metrics.watch_failed(kind.as_str());
                    tracing::warn!(what = of.what, %error, "watch failed, restarting");
                    match &of.named {
                        Some(key) => self.wake(key, self.named.failed(key, &error)),
                        None => self.pulse.fails(&of.what),
                    }
                    continue;
                }
            };
            self.triggers.touched(kind, &touched);
            if let Some(key) = &of.named {
                self.wake(key, self.named.answered(key));
            }
        }
    }

    fn wake(&self, secret: &ObjectKey, clusters: BTreeSet<String>) {
        for cluster in clusters {
            self.triggers.cluster(&secret.namespace, &cluster);
            self.triggers.requests_of(&secret.namespace, &cluster);
        }
    }
}

/// What is watched: a kind, and a selector of labels.
fn selectors() -> impl Iterator<Item = (Kind, &'static str)> {
    let each = |kind: Kind| kind.watched().iter().map(move |labels| (kind, *labels));
    Kind::ALL.into_iter().flat_map(each)
}

/// The key of an object that is of any interest.
fn key_of(kind: Kind, object: &DynamicObject) -> Option<ObjectKey> {
    let metadata = &object.metadata;
    let name = metadata.name.as_ref().filter(|name| kind.concerns(name))?;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    Some(ObjectKey::new(kind, namespace, name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Each watch has a bit of its own, and one is for Secrets that users name.
    #[test]
    fn every_kind_is_watched_and_there_are_bits_enough() {
        let all: Vec<_> = selectors().collect();
        for kind in Kind::ALL {
            assert!(all.iter().any(|(watched, _)| *watched == kind), "{kind}");
        }
        assert!(all.len() < 31, "{all:?}");
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    /// A mothership may hold many claims of others.
    #[test]
    fn of_what_concerns_nobody_not_even_the_name_is_kept() {
        let key = |kind: Kind, name: &str| {
            key_of(
                kind,
                &DynamicObject::new(name, &kind.api_resource()).within("n"),
            )
        };
        let claim = |name| ObjectKey::new(Kind::PersistentVolumeClaim, "n", name);
        let ours = "etcd-data-kmc-demo-etcd-0";
        assert_eq!(key(Kind::PersistentVolumeClaim, ours), Some(claim(ours)));
        assert_eq!(key(Kind::PersistentVolumeClaim, "data-postgres-0"), None);
        assert!(key(Kind::Secret, "data-postgres-0").is_some());
    }
}
