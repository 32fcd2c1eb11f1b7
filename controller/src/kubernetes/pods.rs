//! What is wrong with the pods of Clusters, asked in the background.
//!
//! Pods are not watched: of a Cluster whose StatefulSets have all the ready pods that they are to have
//! there is nothing to know. While one has fewer its pods are asked for, and for those that are missing
//! its events; some seconds after it began, and then ever less often, but soon when a set says something
//! else of itself. They are asked for one by one, by the names that they have to have: whoever gives
//! labels to pods of their own can neither hide them nor fill our memory. A reconcile says whose pods to
//! ask for, looks at the last answer, and is called again when the answer changes.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crds::conditions::steady;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::{Client, ResourceExt as _};
use rand::Rng as _;
use tokio::time::{Instant, timeout};

use self::ask::{late, look, named};
use self::mounts::Mounts;
use crate::poller::{Polled, Poller, Task};

mod ask;
mod mounts;
mod trouble;

pub use self::trouble::Trouble;

/// How many Clusters' pods are asked for at the same time.
const CONCURRENCY: usize = 4;
/// Pods of a set that are looked at: others can write how many it is to have.
const MOST_PODS: i32 = 32;
/// How long a look at the pods of one Cluster may take: others wait for its place.
const LONGEST: Duration = Duration::from_secs(60);
/// What fails for so long is said: a single failure may be of a moment.
const SAID_AFTER: Duration = Duration::from_secs(10);
/// How that begins.
pub const NOT_LISTED: &str = "the pods could not be listed";
/// How long to wait between two questions.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Before the first, which most Clusters never come to; doubled with each.
    pub first: Duration,
    /// What the wait grows to.
    pub slowest: Duration,
    /// The same while something is wrong: not every other cause or end of it shows in a set.
    pub wrong: Duration,
    /// When something is wrong, and a set says something else of itself: it may be over.
    pub changed: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            slowest: Duration::from_secs(300),
            wrong: Duration::from_secs(60),
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
    /// For a while nobody has answered: what was known may be over.
    Failed(Trouble),
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

    /// The names of its pods, each of which may be missing.
    fn pods(&self) -> impl Iterator<Item = String> {
        let name = &self.name;
        (0..self.wanted.min(MOST_PODS)).map(move |index| format!("{name}-{index}"))
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
    /// with its pods than before, or they cannot be listed any more. The call must not block.
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
        let run = |task| {
            Looking {
                task,
                client,
                failing_since: None,
            }
            .run()
        };
        self.poller.with_or_start(uid, target, change, run);
    }

    /// The last answer about those that are asked for.
    pub fn last(&self, uid: &str) -> Pods {
        let last = self.poller.with(uid, |polled| polled.last.lock().clone());
        last.unwrap_or_default()
    }

    /// The ConfigMaps that a set's pods mount, each of which is asked for now; nothing while a pod that is
    /// yet to come may mount one that is neither among them nor named by the newest template.
    pub async fn mounted(
        &self,
        namespace: &str,
        set: &StatefulSet,
    ) -> Result<Option<BTreeSet<String>>, String> {
        let Some(mut mounts) = Mounts::new(set) else {
            return Ok(None);
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let asked = async {
            for name in mounts.pods() {
                if let Some(pod) = named(&pods, &name).await? {
                    mounts.add(&pod);
                }
            }
            Ok(mounts.all())
        };
        timeout(LONGEST, asked)
            .await
            .unwrap_or_else(|_| Err(late()))
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
    failing_since: Option<Instant>,
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
            let answer = self.look(&target).await;
            if let Err(error) = &answer {
                tracing::warn!(
                    namespace = target.namespace,
                    name = target.name,
                    error,
                    "pods could not be listed, retrying"
                );
            }
            let found = self.found(answer);
            // What has failed once may go well the next time, and is said or not by then.
            let is_in_doubt = found.is_none();
            if found.is_some_and(|found| self.note(found)) {
                self.task.shared.changed(&target.namespace, &target.name);
            }
            let most = match &*self.task.last.lock() {
                Pods::Known(Some(_)) | Pods::Failed(_) => pace.wrong,
                _ => pace.slowest,
            };
            wait = if is_in_doubt {
                pace.first
            } else {
                (wait * 2).min(most)
            };
            due = Instant::now() + about(wait);
        }
    }

    /// What is known from now on; nothing while what was known stands, and is asked for again.
    fn found(&mut self, answer: Result<Option<Trouble>, String>) -> Option<Pods> {
        match answer {
            Ok(found) => {
                self.failing_since = None;
                Some(Pods::Known(found))
            }
            Err(error) => {
                let since = *self.failing_since.get_or_insert_with(Instant::now);
                let has_lasted = since.elapsed() >= SAID_AFTER;
                has_lasted.then(|| Pods::Failed(Trouble::new(NOT_LISTED, &steady(&error))))
            }
        }
    }

    /// Keeps the answer; whether it is another one than the last.
    fn note(&self, found: Pods) -> bool {
        let mut last = self.task.last.lock();
        let is_the_same = match (&*last, &found) {
            (Pods::Known(Some(old)), Pods::Known(Some(new)))
            | (Pods::Failed(old), Pods::Failed(new)) => old.is_the_same(new),
            (old, new) => old == new,
        };
        if !is_the_same {
            *last = found;
        }
        !is_the_same
    }

    async fn look(&self, target: &Target) -> Result<Option<Trouble>, String> {
        let _place = self.task.shared.place(false).await;
        match timeout(LONGEST, look(&self.client, target)).await {
            Ok(found) => found,
            Err(_) => Err(late()),
        }
    }
}

/// So that many Clusters that began to wait together do not ask together.
fn about(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
mod tests;
