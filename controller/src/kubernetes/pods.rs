//! What is wrong with the pods of Clusters, asked in the background.
//!
//! Pods are not watched: of a Cluster whose StatefulSets have all the ready pods that they are to have
//! there is nothing to know. While they have fewer its pods are listed, and for those that are missing
//! the events of their set; some seconds after it began, and then ever less often, but soon when a set
//! says something else of itself. A reconcile says whose pods to ask for, looks at the last answer, and
//! is called again when the answer changes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crds::labels;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use rand::Rng as _;
use tokio::time::{Instant, timeout};

use self::trouble::trouble;
use super::writer::DEADLINE;
use crate::poller::{Polled, Poller, Task};

mod trouble;

pub use self::trouble::Trouble;

/// How many Clusters' pods are asked for at the same time.
const CONCURRENCY: usize = 4;
/// Objects of one answer. A Cluster has fewer; whoever labels theirs alike must not fill our memory.
const PAGE: u32 = 500;

/// How long to wait between two questions.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Before the first, which most Clusters never come to; doubled with each.
    pub first: Duration,
    /// What the wait grows to.
    pub slowest: Duration,
    /// When something is wrong, and a set says something else of itself: it may be over.
    pub changed: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            slowest: Duration::from_secs(300),
            changed: Duration::from_secs(2),
        }
    }
}

/// What is known of a Cluster's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pods {
    /// This process has not had an answer yet.
    #[default]
    Unknown,
    /// What keeps them from being ready, other than time.
    Known(Option<Trouble>),
}

/// A StatefulSet with fewer ready pods than it is to have.
#[derive(Clone, Debug, PartialEq)]
pub struct Lacking {
    name: String,
    uid: String,
    wanted: i32,
    status: StatefulSetStatus,
}

impl Lacking {
    /// The set, if it lacks any.
    pub fn of(set: &StatefulSet) -> Option<Self> {
        let status = set.status.clone().unwrap_or_default();
        let wanted = set.spec.as_ref()?.replicas.unwrap_or(1);
        (status.ready_replicas.unwrap_or_default() < wanted).then(|| Self {
            name: set.name_any(),
            uid: set.uid().unwrap_or_default(),
            wanted,
            status,
        })
    }

    /// Some of its pods could not even be created, or not yet.
    const fn misses_pods(&self) -> bool {
        self.status.replicas < self.wanted
    }
}

/// Asks for the pods of Clusters. Dropping it ends all asking.
#[derive(Clone)]
pub struct PodPoller {
    poller: Arc<Poller<Target, Pods, Pace>>,
    client: Client,
}

#[derive(Clone, PartialEq)]
struct Target {
    namespace: String,
    name: String,
    sets: Vec<Lacking>,
}

impl PodPoller {
    /// A poller that calls `changed` with a Cluster's namespace and name when something else is wrong
    /// with its pods than before. The call must not block.
    pub fn new(client: Client, changed: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        Self::with_pace(client, Pace::default(), changed)
    }

    /// As [`Self::new`], with another pace.
    pub fn with_pace(
        client: Client,
        pace: Pace,
        changed: impl Fn(&str, &str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            poller: Arc::new(Poller::new(CONCURRENCY, pace, changed)),
            client,
        }
    }

    /// From now on the pods of these sets are asked for, if there are any: the first set is that
    /// which the others need. Returns at once. Needs a running tokio runtime.
    pub fn follow(&self, uid: &str, namespace: &str, name: &str, sets: Vec<Lacking>) {
        if sets.is_empty() {
            self.forget(uid);
            return;
        }
        let target = Target {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            sets,
        };
        let change = |polled: &Polled<Target, Pods>, new: Target| {
            polled.target.send_if_modified(|target| {
                let is_new = *target != new;
                *target = new;
                is_new
            });
        };
        let client = self.client.clone();
        let run = |task| Looking { task, client }.run();
        self.poller.with_or_start(uid, target, change, run);
    }

    /// The last answer about those that are asked for.
    pub fn last(&self, uid: &str) -> Pods {
        let last = self.poller.with(uid, |polled| polled.last.lock().clone());
        last.unwrap_or_default()
    }

    /// Stops asking and drops what is known.
    pub fn forget(&self, uid: &str) {
        self.poller.forget(uid);
    }

    /// Stops for every Cluster but those with these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.poller.retain(uids);
    }
}

/// The task of one Cluster.
struct Looking {
    task: Task<Target, Pods, Pace>,
    client: Client,
}

impl Looking {
    async fn run(mut self) {
        let pace = self.task.shared.pace.clone();
        let mut wait = pace.first;
        let mut due = Instant::now() + about(wait);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                changed = self.task.target.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    wait = pace.first;
                    let soon = match &*self.task.last.lock() {
                        Pods::Known(Some(_)) => pace.changed,
                        _ => pace.first,
                    };
                    // Never later than before: a set may change all the time.
                    due = due.min(Instant::now() + about(soon));
                    continue;
                }
            }
            let target = self.task.target.borrow_and_update().clone();
            match self.look(&target).await {
                Ok(found) => {
                    if self.note(found) {
                        self.task.shared.changed(&target.namespace, &target.name);
                    }
                }
                // What was known stands, and is asked for again.
                Err(error) => tracing::warn!(
                    namespace = target.namespace,
                    name = target.name,
                    error,
                    "pods could not be listed, retrying"
                ),
            }
            wait = (wait * 2).min(pace.slowest);
            due = Instant::now() + about(wait);
        }
    }

    /// Keeps the answer; whether it is another one than the last.
    fn note(&self, found: Option<Trouble>) -> bool {
        let mut last = self.task.last.lock();
        if let (Pods::Known(Some(old)), Some(new)) = (&*last, &found)
            && old.is_the_same(new)
        {
            return false;
        }
        let found = Pods::Known(found);
        let is_news = *last != found;
        *last = found;
        is_news
    }

    async fn look(&self, target: &Target) -> Result<Option<Trouble>, String> {
        let _place = self.task.shared.place().await;
        match timeout(DEADLINE, look(&self.client, target)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    }
}

async fn look(client: &Client, target: &Target) -> Result<Option<Trouble>, kube::Error> {
    let labels = [
        (labels::APP.to_owned(), labels::APP_VALUE.to_owned()),
        (labels::CLUSTER.to_owned(), target.name.clone()),
    ];
    let selector = labels::to_selector(&labels.into());
    let those = ListParams::default().labels(&selector).limit(PAGE);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let pods = pods.list(&those).await?.items;
    let events: Api<Event> = Api::namespaced(client.clone(), &target.namespace);
    let mut refusals = Vec::new();
    for set in target.sets.iter().filter(|set| set.misses_pods()) {
        let fields = format!("regarding.uid={},reason={}", set.uid, trouble::REFUSED);
        let those = ListParams::default().fields(&fields).limit(PAGE);
        refusals.extend(events.list(&those).await?.items);
    }
    Ok(trouble(&target.sets, &pods, &refusals, Timestamp::now()))
}

/// So that many Clusters that began to wait together do not ask together.
fn about(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
mod tests;
