//! Fills the tables from one watch a kind, and tells when each has had its first list.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use crds::v1beta2::{Cluster, JoinTokenRequest};
use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use super::Cache;
use crate::cache::tables::Key;
use crate::cache::watched::{
    NamespaceMeta, ResourceQuota, Service, StorageClass, StoredPolicy, Watched,
};
use crate::metrics::Metrics;

/// Fills what is known, and tells when it is filled.
#[derive(Clone)]
pub struct Watches {
    client: Client,
    known: Cache,
    metrics: Metrics,
    stop: CancellationToken,
    lists: Vec<(String, Arc<AtomicU8>)>,
}

/// The first list of a kind has yet to come.
const AWAITED: u8 = 0;
/// It has yet to come, and needs somebody who converts.
const UNCONVERTED: u8 = 1;
/// It has come.
const FILLED: u8 = 2;

impl Watches {
    /// Starts the watch of every kind.
    pub fn start(client: Client, known: Cache, metrics: Metrics, stop: CancellationToken) -> Self {
        let mut watches = Self {
            client,
            known,
            metrics,
            stop,
            lists: Vec::new(),
        };
        watches.add::<Cluster>();
        watches.add::<Service>();
        watches.add::<NamespaceMeta>();
        watches.add::<StorageClass>();
        watches.add::<ResourceQuota>();
        watches.add::<StoredPolicy>();
        watches.add::<JoinTokenRequest>();
        watches
    }

    /// Kinds whose first list has not come yet.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.lists_that(|list| list != FILLED)
    }

    /// The same without those that wait for somebody who converts what is stored in another
    /// version: where no replica is ready, that is this one.
    pub fn missing_first(&self) -> impl Iterator<Item = &str> {
        self.lists_that(|list| list == AWAITED)
    }

    fn lists_that(&self, is_so: impl Fn(u8) -> bool) -> impl Iterator<Item = &str> {
        let lists = self.lists.iter();
        lists
            .filter(move |(_, list)| is_so(list.load(Relaxed)))
            .map(|(kind, _)| kind.as_str())
    }

    fn add<K: Watched>(&mut self) {
        let list = Arc::new(AtomicU8::new(AWAITED));
        self.lists.push((K::kind(&()).into_owned(), list.clone()));
        let api: Api<runtime::Read<K>> = Api::all(self.client.clone());
        let (known, metrics, stop) = (self.known.clone(), self.metrics.clone(), self.stop.clone());
        tokio::spawn(async move {
            let tables = known.clone();
            let stand_in = move |unreadable, _| K::stand_in(unreadable, &tables.0.read());
            let events = runtime::guarded(api, K::config(), stand_in);
            let events = events.take_until(stop.cancelled_owned());
            tokio::pin!(events);
            let mut seen = Seen::default();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        if take(event, &known, &mut seen) {
                            list.store(FILLED, Relaxed);
                        }
                    }
                    Err(error) => {
                        let kind = K::kind(&());
                        metrics.watch_failed(&kind);
                        if is_no_kind(&error) {
                            // There is none of a kind that is not installed.
                            let mut tables = known.0.write();
                            K::retain(&HashSet::new(), &mut tables);
                            K::listed(&mut tables);
                            list.store(FILLED, Relaxed);
                        } else if list.load(Relaxed) != FILLED {
                            let state = if is_unconverted(&error) {
                                UNCONVERTED
                            } else {
                                AWAITED
                            };
                            list.store(state, Relaxed);
                        }
                        tracing::warn!(%kind, %error, "watch failed, restarting");
                    }
                }
            }
        });
    }
}

/// What a watch has shown of a kind.
#[derive(Default)]
struct Seen {
    /// In the list that comes in.
    listed: HashSet<Key>,
    /// The version of each object.
    newest: HashMap<Key, u64>,
    /// Those that went last.
    gone: VecDeque<(Key, u64)>,
}

impl Seen {
    /// Whether something newer of it has been shown, which no decision may fall behind.
    fn is_late<K: Watched>(&self, key: &Key, object: &K) -> bool {
        let gone = self.gone.iter().find(|(gone, _)| gone == key);
        let newest = self
            .newest
            .get(key)
            .or_else(|| gone.map(|(_, version)| version));
        matches!((version(object), newest), (Some(version), Some(newest)) if version < *newest)
    }

    fn note<K: Watched>(&mut self, key: &Key, object: &K) {
        if let Some(version) = version(object) {
            self.newest.insert(key.clone(), version);
        }
    }

    fn note_gone<K: Watched>(&mut self, key: &Key, object: &K) {
        self.newest.remove(key);
        if let Some(version) = version(object) {
            self.gone.truncate(GONE - 1);
            self.gone.push_front((key.clone(), version));
        }
    }
}

/// As many that went are kept in mind: what comes late comes soon.
const GONE: usize = 64;

fn version<K: Watched>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}

/// Takes an event in; whether the kind is complete now.
fn take<K: Watched>(event: Event<K>, known: &Cache, seen: &mut Seen) -> bool {
    match event {
        Event::Init => *seen = Seen::default(),
        Event::InitApply(object) => {
            let key = object.key();
            seen.listed.insert(key.clone());
            seen.note(&key, &object);
            object.put(key, known);
        }
        Event::Apply(object) => {
            let key = object.key();
            if !seen.is_late(&key, &object) {
                seen.note(&key, &object);
                object.put(key, known);
            }
        }
        Event::Delete(object) => {
            let key = object.key();
            if !seen.is_late(&key, &object) {
                seen.note_gone(&key, &object);
                K::remove(&key, &mut known.0.write());
            }
        }
        Event::InitDone => {
            let mut tables = known.0.write();
            K::retain(&std::mem::take(&mut seen.listed), &mut tables);
            K::listed(&mut tables);
            return true;
        }
    }
    false
}

fn is_no_kind(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// The API server has found nobody who converts for it. It has no code of its own for that.
fn is_unconverted(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status))
        if status.message.starts_with("conversion webhook for "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::watched::StoredPolicy;

    fn policy(version: &str, types: &[&str]) -> StoredPolicy {
        named("own", version, types)
    }

    fn named(name: &str, version: &str, types: &[&str]) -> StoredPolicy {
        serde_json::from_value(json!({
            "metadata": {"name": name, "resourceVersion": version},
            "spec": {"serviceTypes": types},
        }))
        .unwrap()
    }

    /// A policy that is taken for what it was lets through what it refuses.
    #[test]
    fn what_comes_late_changes_nothing() {
        let (known, mut seen) = (Cache::default(), Seen::default());
        let mut take = |event| {
            take(event, &known, &mut seen);
            let all = known.stored_policies();
            all.first()
                .map(|policy| serde_json::to_value(&policy.spec).unwrap()["serviceTypes"].clone())
        };
        let (old, new) = (json!(["ClusterIP"]), json!(["LoadBalancer"]));
        take(Event::Init);
        take(Event::InitApply(policy("9", &["ClusterIP"])));
        assert_eq!(take(Event::InitDone), Some(old.clone()));
        assert_eq!(
            take(Event::Apply(policy("11", &["LoadBalancer"]))),
            Some(new.clone())
        );
        assert_eq!(
            take(Event::Apply(policy("10", &["ClusterIP"]))),
            Some(new.clone())
        );
        assert_eq!(take(Event::Delete(policy("10", &["ClusterIP"]))), Some(new));
        assert_eq!(take(Event::Delete(policy("12", &["LoadBalancer"]))), None);
        assert_eq!(take(Event::Apply(policy("11", &["LoadBalancer"]))), None);
        // Others that have gone meanwhile change nothing about it.
        for number in 13..40 {
            let (name, version) = (format!("other-{number}"), number.to_string());
            take(Event::Delete(named(&name, &version, &[])));
        }
        assert_eq!(take(Event::Apply(policy("11", &["LoadBalancer"]))), None);
        // A list is what is so, also where versions have begun anew.
        take(Event::Init);
        take(Event::InitApply(policy("3", &["ClusterIP"])));
        assert_eq!(take(Event::InitDone), Some(old));
    }
}
