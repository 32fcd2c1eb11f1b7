//! Which nodes have joined hosted clusters, counted in the background.
//!
//! No watch of the mothership tells it, so the hosted API is asked now and then. As with
//! [`health`](super::health), a reconcile says whom to ask, looks at the last count, and is called
//! again when the count changes, or could not be repeated for long. To be let in takes a certificate of
//! the cluster's authority: the reconcile is called for that as well, when the first count is due and not
//! before, so that a restart with many clusters does not ask for all their keys at once.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use crds::v1beta2::StatusNodes;
use pki::PemPair;
use rand::Rng as _;
use tokio::time::{Instant, timeout};

use self::list::{Begun, begin, every_page};
use super::client::{CALL_DEADLINE, CONNECT_TIMEOUT};
use super::{ClientCert, Endpoint, HostedError};
use crate::poller::{Polled, Poller, Task};

mod list;

/// How many lists are read at the same time, and as many again of APIs that are slow: eight in memory.
const CONCURRENCY: usize = 4;
/// How long a whole count takes after which an API is slow, however soon each page came. One that hangs
/// is let go after no less.
const SLOW: Duration = CONNECT_TIMEOUT;
/// How long all pages may take together of an API that was not slow the last time: it must not keep
/// others from being asked.
const ALL_PAGES: Duration = CALL_DEADLINE;
/// The same for one that was, which keeps only such ones waiting. One of thousands of nodes needs it.
const ALL_PAGES_OF_SLOW: Duration = Duration::from_secs(60);
/// A count that could not be repeated for so long may be of nodes that are long gone.
const PATIENCE: Duration = Duration::from_mins(5);
/// Why nobody is asked.
const NO_CERTIFICATE: &str = "no certificate could be issued for asking the hosted API";

/// How long to wait between two counts.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Before the first.
    pub first: Range<Duration>,
    /// Between two; and before the next try after a failure.
    pub then: Range<Duration>,
    /// For how long counts fail until the last one says nothing any more.
    pub patience: Duration,
}

impl Default for Pace {
    /// 10 to 60 seconds, then 30 to 60; five minutes.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10)..Duration::from_secs(60),
            then: Duration::from_secs(30)..Duration::from_secs(60),
            patience: PATIENCE,
        }
    }
}

/// Counts the nodes of hosted clusters. Dropping it ends all counting.
pub struct NodePoller(Poller<Target, Last, Pace>);

#[derive(Clone)]
struct Target {
    namespace: String,
    name: String,
    endpoint: Endpoint,
    client_cert: Option<ClientCert>,
}

/// What is known of a Cluster's nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// This process has not counted them yet, and may only have to try again.
    #[default]
    Unknown,
    /// The last count, also while the next ones fail for a moment.
    Known(StatusNodes),
    /// They could not be counted for long, for this reason.
    Failed(String),
}

#[derive(Default)]
struct Last {
    count: Count,
    wants_certificate: bool,
    /// Its API is not ready: that its nodes cannot be counted either is no news.
    is_down: bool,
    failing_since: Option<Instant>,
    /// Why the last try failed.
    why: String,
}

impl Last {
    /// Notes a count; whether it is another one than before.
    fn counts(&mut self, nodes: StatusNodes) -> bool {
        self.failing_since = None;
        let count = Count::Known(nodes);
        let is_new = self.count != count;
        self.count = count;
        is_new
    }

    /// Notes that there was none; whether that is news. One that fails now for this reason and now for
    /// that one keeps the first: two in a row count.
    fn fails(&mut self, why: String, patience: Duration) -> bool {
        if self.is_down {
            return false;
        }
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let is_steady = self.why == why;
        self.why.clone_from(&why);
        let is_news = match &self.count {
            Count::Failed(said) => is_steady && *said != why,
            _ => since.elapsed() >= patience,
        };
        if is_news {
            self.count = Count::Failed(why);
        }
        is_news
    }
}

impl NodePoller {
    /// A poller that calls `changed` with a Cluster's namespace and name when what is known of its nodes
    /// is another than before, and when a certificate is wanted. The call must not block.
    pub fn new(changed: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        Self::with_pace(Pace::default(), changed)
    }

    /// As [`Self::new`], with another pace.
    pub fn with_pace(pace: Pace, changed: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        Self(Poller::new(CONCURRENCY, pace, changed))
    }

    /// Counts the nodes of the Cluster with this uid from now on. Returns at once whether it is
    /// time to [`provide`](Self::provide) a certificate. Needs a running tokio runtime.
    pub fn follow(&self, uid: &str, namespace: &str, name: &str, endpoint: Endpoint) -> bool {
        let target = Target {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            endpoint,
            client_cert: None,
        };
        let change = |polled: &Polled<Target, Last>, new: Target| {
            polled.target.send_if_modified(|target| {
                let is_new = target.endpoint != new.endpoint;
                if is_new {
                    // Another authority does not know the certificate.
                    target.client_cert = None;
                    target.endpoint = new.endpoint;
                }
                is_new
            });
            polled.last.lock().wants_certificate
        };
        let wants = self.0.with_or_start(uid, target, change, |task| {
            Counting {
                task,
                is_slow: false,
            }
            .run()
        });
        wants.unwrap_or_default()
    }

    /// A certificate with which the Cluster's API lets nodes be listed.
    pub fn provide(&self, uid: &str, client_cert: PemPair) {
        self.0.with(uid, |polled| {
            polled.last.lock().wants_certificate = false;
            let cert = ClientCert::new(client_cert, self.0.pace().then.end);
            polled
                .target
                .send_modify(|target| target.client_cert = Some(cert));
        });
    }

    /// Whether its API is ready: only then does it matter that its nodes cannot be counted. Told again
    /// and again.
    pub fn serves(&self, uid: &str, serves: bool) {
        self.0.with(uid, |polled| {
            let mut last = polled.last.lock();
            last.is_down = !serves;
            last.failing_since = last.failing_since.filter(|_| serves);
        });
    }

    /// What is known.
    pub fn last(&self, uid: &str) -> Count {
        let last = self.0.with(uid, |polled| polled.last.lock().count.clone());
        last.unwrap_or_default()
    }

    /// Stops counting and drops what is known.
    pub fn forget(&self, uid: &str) {
        self.0.forget(uid);
    }

    /// Stops for every Cluster but those with these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.0.retain(uids);
    }
}

/// The task of one Cluster.
struct Counting {
    task: Task<Target, Last, Pace>,
    /// The last count took long, whatever came of it: one that fails at once keeps nobody waiting.
    is_slow: bool,
}

impl Counting {
    async fn run(mut self) {
        tokio::time::sleep(pick(&self.task.shared.pace.first)).await;
        loop {
            let target = self.task.target.borrow_and_update().clone();
            let Some(client_cert) = target.client_cert.as_ref().filter(|cert| !cert.is_due())
            else {
                self.task.last.lock().wants_certificate = true;
                self.task.shared.changed(&target.namespace, &target.name);
                if !self.is_provided(&target).await {
                    return;
                }
                continue;
            };
            let begin = begin(&target.endpoint, &client_cert.pair);
            match self.count(begin).await {
                Ok(nodes) => {
                    let is_new = self.task.last.lock().counts(nodes);
                    if is_new {
                        self.task.shared.changed(&target.namespace, &target.name);
                    }
                }
                Err(error) => self.fails(&target, error.to_string()),
            }
            tokio::select! {
                () = tokio::time::sleep(pick(&self.task.shared.pace.then)) => {}
                changed = self.task.target.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Waits for a certificate; whether one may still come.
    async fn is_provided(&mut self, target: &Target) -> bool {
        loop {
            let wait = pick(&self.task.shared.pace.then);
            match timeout(wait, self.task.target.changed()).await {
                Ok(changed) => return changed.is_ok(),
                Err(_) => self.fails(target, NO_CERTIFICATE.to_owned()),
            }
        }
    }

    /// The last count stands for a while: whether the API answers is the prober's business.
    fn fails(&self, target: &Target, why: String) {
        let (namespace, name) = (&target.namespace, &target.name);
        tracing::debug!(namespace, name, why, "nodes could not be counted");
        let patience = self.task.shared.pace.patience;
        let is_news = self.task.last.lock().fails(why, patience);
        if is_news {
            self.task.shared.changed(namespace, name);
        }
    }

    async fn count(
        &mut self,
        begin: impl Future<Output = Result<Begun, HostedError>>,
    ) -> Result<StatusNodes, HostedError> {
        let shared = &self.task.shared;
        let was_slow = self.is_slow;
        // A task has room for its largest future for as long as its Cluster lives.
        let begin = Box::pin(timed(begin));
        let ((begun, began), place) = if was_slow {
            // Who waits has no connection yet, and keeps its turn.
            let place = shared.place(was_slow).await;
            (begin.await, place)
        } else {
            shared.in_turn(was_slow, begin).await
        };
        self.is_slow = began >= SLOW;
        let (client, first) = begun?;
        // What is read costs more than a connection.
        let _place = match place {
            None => timeout(CALL_DEADLINE, shared.place(was_slow))
                .await
                .map_err(|_| HostedError::Timeout)?,
            place => place,
        };
        let limit = if was_slow {
            ALL_PAGES_OF_SLOW
        } else {
            ALL_PAGES
        };
        let pages = within(limit.saturating_sub(began), every_page(&client, first));
        let (counted, read) = timed(pages).await;
        self.is_slow = began + read >= SLOW;
        counted
    }
}

/// With how long it took.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}

async fn within(
    limit: Duration,
    count: impl Future<Output = Result<StatusNodes, HostedError>>,
) -> Result<StatusNodes, HostedError> {
    timeout(limit, count)
        .await
        .unwrap_or(Err(HostedError::Timeout))
}

fn pick(range: &Range<Duration>) -> Duration {
    if range.is_empty() {
        range.start
    } else {
        rand::rng().random_range(range.clone())
    }
}

#[cfg(test)]
mod tests;
