//! Fills the tables from one watch a kind, and tells when each has had its first list.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use crds::v1beta2::{Cluster, JoinTokenRequest};
use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use super::Cache;
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
            let mut listed = HashSet::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        if take(event, &known, &mut listed) {
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

/// Takes an event in; whether the kind is complete now.
fn take<K: Watched>(
    event: Event<K>,
    known: &Cache,
    listed: &mut HashSet<super::tables::Key>,
) -> bool {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            let key = object.key();
            listed.insert(key.clone());
            object.put(key, known);
        }
        Event::Apply(object) => {
            let key = object.key();
            object.put(key, known);
        }
        Event::Delete(object) => K::remove(&object.key(), &mut known.0.write()),
        Event::InitDone => {
            let mut tables = known.0.write();
            K::retain(&std::mem::take(listed), &mut tables);
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
