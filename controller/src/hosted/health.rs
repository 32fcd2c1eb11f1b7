//! Whether hosted APIs are ready, asked in the background.
//!
//! No watch tells that an API has become ready or has stopped being so. So it is asked: often
//! while a cluster starts, seldom once it runs. A reconcile says what to ask, looks at the last
//! answer, and is called again when the answer changes; it never waits for one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use pki::PemPair;
use tokio::time::Instant;

pub use self::pace::Pace;
use super::{ClientCert, Endpoint, NotReady, NotReadyReason, ask_readyz, connect};
use crate::poller::{Polled, Poller, Shared, Task};

mod pace;

/// How many APIs are asked at the same time unless told otherwise.
pub const CONCURRENCY: usize = 32;

/// The last that is known of a hosted API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the API is ready.
    pub ready: bool,
    /// In a word, as it stands in a condition: `Ready`, or why not.
    pub reason: &'static str,
    /// In a sentence; the same for the same cause.
    pub message: String,
    /// When it was last asked.
    pub at: Timestamp,
}

impl Health {
    fn new(outcome: Result<(), NotReady>, at: Timestamp) -> Self {
        match outcome {
            Ok(()) => Self {
                ready: true,
                reason: "Ready",
                message: "hosted API is ready".to_owned(),
                at,
            },
            Err(not_ready) => Self {
                ready: false,
                reason: not_ready.reason.as_str(),
                message: not_ready.message,
                at,
            },
        }
    }
}

/// What to ask, and whom to tell.
#[derive(Clone)]
struct Target {
    namespace: String,
    name: String,
    endpoint: Endpoint,
    client_cert: Option<ClientCert>,
    /// It is not asked with a certificate of our own.
    is_stranger: bool,
    /// A stranger is not let in.
    is_turned_away: Arc<AtomicBool>,
    /// No pod of it is ready.
    is_vacant: bool,
}

impl Target {
    fn is_due(&self) -> bool {
        self.has_ended() || self.client_cert.as_ref().is_some_and(ClientCert::is_due)
    }

    /// Nothing is asked with it any more.
    fn has_ended(&self) -> bool {
        let has_ended = self.client_cert.as_ref().is_some_and(ClientCert::has_ended);
        has_ended || self.is_turned_away.load(Relaxed)
    }

    /// What is answered to strangers tells nothing of what others get, and so is no answer.
    fn turns_away(&self, outcome: &Result<(), NotReady>) -> bool {
        let unknown = |error: &NotReady| error.reason == NotReadyReason::Unknown;
        let is_turned_away = self.is_stranger && outcome.as_ref().is_err_and(unknown);
        if is_turned_away {
            self.is_turned_away.store(true, Relaxed);
        }
        is_turned_away
    }
}

/// Asks hosted APIs whether they are ready.
///
/// Dropping it ends all asking.
pub struct ReadinessPoller(Poller<Target, Option<Health>, Pace>);

impl ReadinessPoller {
    /// A poller that calls `changed` with a Cluster's namespace and name whenever an answer
    /// differs from the one before in readiness or reason, the first answer included, once when the
    /// certificate to ask with is due to be replaced, and once when it has ended or, being none or somebody
    /// else's, is not let in: nothing is asked then, and nothing known. The call must not block.
    pub fn new(changed: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        Self::with_pace(CONCURRENCY, Pace::default(), changed)
    }

    /// As [`Self::new`], with `concurrency` questions at the same time and another pace.
    pub fn with_pace(
        concurrency: usize,
        pace: Pace,
        changed: impl Fn(&str, &str) + Send + Sync + 'static,
    ) -> Self {
        Self(Poller::new(concurrency, pace, changed))
    }

    /// Whether the Cluster with this uid is asked at this endpoint already, with a certificate (if
    /// with one) that is not due to be replaced. Otherwise it is time for [`Self::observe`].
    pub fn observes(&self, uid: &str, endpoint: &Endpoint) -> bool {
        let observes = self.0.with(uid, |polled| {
            let target = polled.target.borrow();
            target.endpoint == *endpoint && !target.is_due()
        });
        observes.unwrap_or_default()
    }

    /// Asks the API of the Cluster with this uid from now on: at once if it is new or if address,
    /// authority or certificate have changed, otherwise as it was going to. Returns at once. Needs
    /// a running tokio runtime.
    ///
    /// While a changed endpoint is asked for the first time the last answer of the old one stands.
    /// An API that `was_ready` when another process asked it fails for as long as one of our own
    /// before it counts as not ready.
    pub fn observe(
        &self,
        uid: &str,
        namespace: &str,
        name: &str,
        endpoint: Endpoint,
        client_cert: Option<PemPair>,
        was_ready: bool,
    ) {
        let least = self.0.pace().slowest * 15;
        let client_cert = client_cert.map(|pair| ClientCert::new(pair, least));
        let target = Target {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            endpoint,
            is_stranger: client_cert.is_none(),
            client_cert,
            is_turned_away: Arc::default(),
            is_vacant: false,
        };
        self.ask(uid, target, was_ready);
    }

    /// Whether the API of the Cluster with this uid was asked without a certificate and let nobody in.
    pub fn refuses_anybody(&self, uid: &str) -> bool {
        let refuses = self.0.with(uid, |polled| {
            let target = polled.target.borrow();
            target.client_cert.is_none() && target.has_ended()
        });
        refuses.unwrap_or_default()
    }

    /// The same with somebody else's certificate, as long as none of our own can be made:
    /// [`Self::observes`] says no all the time. Whether it is good for that.
    pub fn borrow(
        &self,
        uid: &str,
        cluster: (&str, &str),
        endpoint: Endpoint,
        pair: PemPair,
        longest: SignedDuration,
    ) -> bool {
        let (namespace, name) = cluster;
        let target = Target {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            endpoint,
            is_stranger: true,
            client_cert: Some(ClientCert::borrowed(pair, longest)),
            is_turned_away: Arc::default(),
            is_vacant: false,
        };
        let was_turned_away = self.0.with(uid, |polled| {
            let current = polled.target.borrow();
            let is_same =
                current.endpoint == target.endpoint && current.client_cert == target.client_cert;
            is_same && current.is_turned_away.load(Relaxed)
        });
        if target.has_ended() || was_turned_away.unwrap_or_default() {
            return false;
        }
        self.ask(uid, target, true);
        true
    }

    /// Whether the Cluster with this uid is asked at this address, with whatever certificate.
    pub fn asks_at(&self, uid: &str, host: &str, port: u16) -> bool {
        let asks = self.0.with(uid, |polled| {
            let target = polled.target.borrow();
            target.endpoint.host == host && target.endpoint.port == port && !target.has_ended()
        });
        asks.unwrap_or_default()
    }

    fn ask(&self, uid: &str, target: Target, was_ready: bool) {
        let change = |polled: &Polled<Target, Option<Health>>, target: Target| {
            polled.target.send_if_modified(|current| {
                // The same certificate may be borrowed once more.
                let is_new = current.endpoint != target.endpoint
                    || current.client_cert != target.client_cert
                    || (current.has_ended() && !target.has_ended());
                *current = Target {
                    is_vacant: current.is_vacant,
                    ..target
                };
                is_new
            });
        };
        self.0
            .with_or_start(uid, target, change, |task| Asking { task, was_ready }.run());
    }

    /// The last answer, if there is one.
    pub fn last(&self, uid: &str) -> Option<Health> {
        self.0.with(uid, |polled| polled.last.lock().clone())?
    }

    /// Asks at once and at the quickest pace again, for when something has happened that makes
    /// another answer likely: a pod has become ready, or is gone.
    pub fn hurry(&self, uid: &str) {
        self.0.with(uid, |polled| polled.now.notify_one());
    }

    /// Whether no pod of it is ready: seldom asked then. Told again and again, and no reason to ask by
    /// itself.
    pub fn vacant(&self, uid: &str, is_vacant: bool) {
        self.0.with(uid, |polled| {
            polled.target.send_if_modified(|target| {
                target.is_vacant = is_vacant;
                false
            })
        });
    }

    /// Stops asking and drops what is known, for a Cluster that is gone or asleep.
    pub fn forget(&self, uid: &str) {
        self.0.forget(uid);
    }

    /// Stops for every Cluster but those with these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.0.retain(uids);
    }
}

/// The task of one Cluster.
struct Asking {
    task: Task<Target, Option<Health>, Pace>,
    was_ready: bool,
}

impl Asking {
    async fn run(mut self) {
        // Since when it is not ready, for the pace; nothing while it is ready.
        let mut since = Some(Instant::now());
        // When the first question of the failures in a row was put.
        let mut first = None;
        let mut client: Option<Client> = None;
        let mut is_due_told = false;
        loop {
            let target = self.task.target.borrow_and_update().clone();
            if target.has_ended() {
                client = None;
                self.ended(&target);
                drop(target);
                if self.task.target.changed().await.is_err() {
                    return;
                }
                (first, is_due_told) = (None, false);
                since = Some(Instant::now());
                continue;
            }
            let outcome = tokio::select! {
                outcome = ask(&self.task.shared, &target, &mut client, self.is_told()) => {
                    Some(outcome)
                }
                // The answer of an endpoint that is asked no more is of no interest.
                changed = self.task.target.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    None
                }
            };
            let Some((outcome, put)) = outcome else {
                (client, first, is_due_told) = (None, None, false);
                continue;
            };
            if target.turns_away(&outcome) {
                continue;
            }
            let is_outage = self.task.shared.pace.is_outage(first, Instant::now());
            if outcome.is_ok() {
                (first, since) = (None, None);
            } else {
                first.get_or_insert(put);
                since.get_or_insert_with(Instant::now);
                // It takes as much memory as all else that is known of a Cluster.
                client = None;
            }
            let is_changed = self.note(outcome, is_outage);
            let is_due = target.is_due() && !is_due_told;
            if is_changed || is_due {
                is_due_told |= is_due;
                self.task.shared.changed(&target.namespace, &target.name);
            }
            // Before it is told that it is not ready it is asked as often as that takes.
            let is_vacant = self.is_told() && self.task.target.borrow().is_vacant;
            let since_then = since.map(|since| since.elapsed());
            let wait = self.task.shared.pace.wait(since_then, is_vacant);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.task.now.notified() => since = since.map(|_| Instant::now()),
                changed = self.task.target.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    (client, first, is_due_told) = (None, None, false);
                    since = since.map(|_| Instant::now());
                }
            }
        }
    }

    /// Whether it is told already that it is not ready.
    fn is_told(&self) -> bool {
        let last = self.task.last.lock();
        last.as_ref().is_some_and(|last| !last.ready)
    }

    /// What an API answers to a certificate that has ended tells nothing of what others get from it.
    fn ended(&mut self, target: &Target) {
        if let Some(last) = self.task.last.lock().take() {
            self.was_ready = last.ready;
        }
        self.task.shared.changed(&target.namespace, &target.name);
    }

    /// Keeps the answer, unless it is a failure that may be a single one. Whether it differs from
    /// the last in more than words.
    fn note(&self, outcome: Result<(), NotReady>, is_outage: bool) -> bool {
        let mut last = self.task.last.lock();
        let was_ready = last.as_ref().map_or(self.was_ready, |last| last.ready);
        if was_ready && outcome.is_err() && !is_outage {
            return false;
        }
        let next = Health::new(outcome, Timestamp::now());
        let is_changed = last.as_ref().is_none_or(|last| last.reason != next.reason);
        *last = Some(next);
        is_changed
    }
}

async fn ask(
    shared: &Shared<Pace>,
    target: &Target,
    client: &mut Option<Client>,
    is_told: bool,
) -> (Result<(), NotReady>, Instant) {
    // Others' turns are no part of what an answer takes.
    let mut put = Instant::now();
    let question = async {
        put = Instant::now();
        let client = match client {
            Some(client) => client,
            None => client.insert({
                let cert = target.client_cert.as_ref();
                connect(&target.endpoint, cert.map(|cert| &cert.pair))?
            }),
        };
        ask_readyz(client).await
    };
    let (outcome, _) = shared.in_turn(is_told, question).await;
    (outcome, put)
}

#[cfg(test)]
mod tests;
