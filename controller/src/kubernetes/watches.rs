//! One watch a child kind and label, each feeding the store first and the triggers after.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, pin_mut};
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::store::{Kind, ObjectKey, Store, Touched};
use crate::kubernetes::requeue::Triggers;
use crate::metrics::Metrics;

/// The bit of the watches of Secrets that a user names.
const NAMED: u32 = 1 << 31;

/// How many objects a page of a list holds: small pages keep the peak of memory low.
const PAGE: u32 = 100;

/// How long an answer about a Secret that a user names is waited for.
const ANSWERED: Duration = Duration::from_secs(60);

/// The Secrets that users name, by namespace and name.
type Named = HashMap<(String, String), NamedSecret>;

struct NamedSecret {
    /// The Clusters that name it.
    clusters: BTreeSet<String>,
    /// The API server has said whether it is there, or that it does not say.
    answered: bool,
    since: Instant,
}

/// Everything that a watch needs.
#[derive(Clone)]
pub struct Watches {
    client: Client,
    namespace: Option<String>,
    store: Store,
    triggers: Triggers,
    metrics: Metrics,
    stop: CancellationToken,
    synced: Arc<watch::Sender<usize>>,
    named: Arc<Mutex<Named>>,
}

impl Watches {
    /// Starts every watch; `namespace` limits the namespaced kinds to one namespace.
    pub fn start(
        client: Client,
        namespace: Option<String>,
        store: Store,
        triggers: Triggers,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let watches = Self {
            client,
            namespace,
            store,
            triggers,
            metrics,
            stop,
            synced: Arc::new(watch::Sender::new(0)),
            named: Arc::default(),
        };
        for (index, (kind, labels)) in selectors().enumerate() {
            let api = watches.api(kind, watches.namespace.as_deref());
            let config = watcher::Config::default().labels(labels).page_size(PAGE);
            let task = watches.clone();
            tokio::spawn(async move { task.follow(kind, api, config, 1 << index, None).await });
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

    /// Watches one Secret by name for a Cluster, because a user's Secret has labels of its own.
    /// Whether the store knows it, which is worth waiting for.
    pub fn named_secret(&self, namespace: &str, name: &str, cluster: &str) -> bool {
        let place = (namespace.to_owned(), name.to_owned());
        let mut named = self.named.lock();
        if let Some(secret) = named.get_mut(&place) {
            secret.clusters.insert(cluster.to_owned());
            return secret.answered || secret.since.elapsed() >= ANSWERED;
        }
        let secret = NamedSecret {
            clusters: BTreeSet::from([cluster.to_owned()]),
            answered: false,
            since: Instant::now(),
        };
        named.insert(place.clone(), secret);
        drop(named);
        let api = self.api(Kind::Secret, Some(namespace));
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let task = self.clone();
        tokio::spawn(async move {
            task.follow(Kind::Secret, api, config, NAMED, Some(place))
                .await;
        });
        false
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

    async fn follow(
        &self,
        kind: Kind,
        api: Api<DynamicObject>,
        config: watcher::Config,
        holder: u32,
        place: Option<(String, String)>,
    ) {
        let events = watcher(api, config).default_backoff();
        pin_mut!(events);
        // Of a list that has begun. One that was cut off is begun anew.
        let mut listed = HashSet::new();
        let mut first = true;
        loop {
            let event = tokio::select! {
                () = self.stop.cancelled() => return,
                event = events.next() => event,
            };
            let Some(event) = event else { return };
            let touched = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    listed.extend(key_of(kind, &object));
                    self.store.put(kind, object, holder)
                }
                Ok(Event::InitDone) => {
                    let gone = self.missing(kind, holder, place.as_ref(), &listed);
                    listed = HashSet::new();
                    if std::mem::take(&mut first) && place.is_none() {
                        self.synced.send_modify(|synced| *synced += 1);
                    }
                    gone.iter()
                        .flat_map(|key| self.store.release(key, None, holder))
                        .collect()
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
                    tracing::warn!(%kind, %error, "watch failed, restarting");
                    continue;
                }
            };
            self.triggers.touched(kind, &touched);
            self.wake_named(place.as_ref());
        }
    }

    /// What this watch has delivered, or a list that was cut off, and is not in its next list: it has
    /// gone meanwhile.
    fn missing(
        &self,
        kind: Kind,
        holder: u32,
        place: Option<&(String, String)>,
        listed: &HashSet<ObjectKey>,
    ) -> Vec<ObjectKey> {
        let is_its = |key: &ObjectKey| {
            place.is_none_or(|(namespace, name)| key.namespace == *namespace && key.name == *name)
        };
        let held = self.store.held_by(kind, holder).into_iter();
        held.filter(|key| is_its(key) && !listed.contains(key))
            .collect()
    }

    fn wake_named(&self, place: Option<&(String, String)>) {
        let Some(place) = place else { return };
        if let Some(secret) = self.named.lock().get_mut(place) {
            secret.answered = true;
            for cluster in &secret.clusters {
                self.triggers.cluster(&place.0, cluster);
                self.triggers.requests_of(&place.0, cluster);
            }
        }
    }
}

/// What is watched: a kind, and a selector of labels.
fn selectors() -> impl Iterator<Item = (Kind, &'static str)> {
    let each = |kind: Kind| kind.watched().iter().map(move |labels| (kind, *labels));
    Kind::ALL.into_iter().flat_map(each)
}

fn key_of(kind: Kind, object: &DynamicObject) -> Option<ObjectKey> {
    Some(ObjectKey {
        kind,
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone()?,
    })
}

#[cfg(test)]
mod tests {
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
}
