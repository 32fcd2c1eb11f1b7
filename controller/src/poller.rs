//! Asking about many Clusters in the background: one task a Cluster, a limit for all of them, and the
//! last answer about each for whoever wants it now.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// For how long a question holds its place. What answers does so sooner, and what hangs costs no more
/// than a connection: a hundred that begin to hang at once must not keep each other from being told.
const HOLDS: Duration = Duration::from_millis(250);

/// What is called with namespace and name of a Cluster.
type Changed = Box<dyn Fn(&str, &str) + Send + Sync>;

/// What the tasks of one poller share.
pub struct Shared<P> {
    places: Semaphore,
    places_of_down: Semaphore,
    /// How long to wait between two questions.
    pub pace: P,
    changed: Changed,
}

impl<P> Shared<P> {
    /// Waits until one more API may be asked. One that is known not to answer waits for others of its
    /// kind, and none that answers waits for it.
    pub async fn place(&self, is_down: bool) -> Option<SemaphorePermit<'_>> {
        let places = if is_down {
            &self.places_of_down
        } else {
            &self.places
        };
        // It is never closed.
        places.acquire().await.ok()
    }

    /// Puts a question when it is its turn. The place comes back with an answer that did not take long.
    pub async fn in_turn<A>(
        &self,
        is_down: bool,
        question: impl Future<Output = A>,
    ) -> (A, Option<SemaphorePermit<'_>>) {
        let place = self.place(is_down).await;
        let mut question = pin!(question);
        if let Ok(answer) = timeout(HOLDS, question.as_mut()).await {
            return (answer, place);
        }
        drop(place);
        (question.await, None)
    }

    /// The answer about this Cluster is news.
    pub fn changed(&self, namespace: &str, name: &str) {
        (self.changed)(namespace, name);
    }
}

/// The task of one Cluster: what to ask (`T`), and where the last answer goes (`L`).
pub struct Task<T, L, P> {
    pub shared: Arc<Shared<P>>,
    pub target: watch::Receiver<T>,
    pub last: Arc<Mutex<L>>,
    /// Somebody wants to know it now.
    pub now: Arc<Notify>,
}

/// A Cluster that is asked. Dropping it ends its task.
pub struct Polled<T, L> {
    pub target: watch::Sender<T>,
    pub last: Arc<Mutex<L>>,
    pub now: Arc<Notify>,
    task: AbortHandle,
}

impl<T, L> Drop for Polled<T, L> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All that are asked, by uid. Dropping it ends all asking.
pub struct Poller<T, L, P> {
    shared: Arc<Shared<P>>,
    polled: Mutex<HashMap<String, Polled<T, L>>>,
}

impl<T, L: Default, P> Poller<T, L, P> {
    /// One that asks so many at the same time, and as many of those that are down. `changed` must not
    /// block.
    pub fn new(
        concurrency: usize,
        pace: P,
        changed: impl Fn(&str, &str) + Send + Sync + 'static,
    ) -> Self {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                places: Semaphore::new(concurrency),
                places_of_down: Semaphore::new(concurrency),
                pace,
                changed: Box::new(changed),
            }),
            polled: Mutex::default(),
        }
    }

    /// How long to wait between two questions.
    pub fn pace(&self) -> &P {
        &self.shared.pace
    }

    /// Looks at one, if it is asked.
    pub fn with<R>(&self, uid: &str, look: impl FnOnce(&Polled<T, L>) -> R) -> Option<R> {
        self.polled.lock().get(uid).map(look)
    }

    /// Has one looked at that is asked already; otherwise a task is started with this target. Needs
    /// a running tokio runtime.
    pub fn with_or_start<R, F>(
        &self,
        uid: &str,
        target: T,
        look: impl FnOnce(&Polled<T, L>, T) -> R,
        run: impl FnOnce(Task<T, L, P>) -> F,
    ) -> Option<R>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut polled = self.polled.lock();
        if let Some(polled) = polled.get(uid) {
            return Some(look(polled, target));
        }
        let (sender, receiver) = watch::channel(target);
        let (last, now) = (Arc::default(), Arc::new(Notify::new()));
        let task = Task {
            shared: Arc::clone(&self.shared),
            target: receiver,
            last: Arc::clone(&last),
            now: Arc::clone(&now),
        };
        let started = Polled {
            target: sender,
            last,
            now,
            task: tokio::spawn(run(task)).abort_handle(),
        };
        polled.insert(uid.to_owned(), started);
        None
    }

    /// Stops asking one and drops what is known of it.
    pub fn forget(&self, uid: &str) {
        self.polled.lock().remove(uid);
    }

    /// Stops for every one but those with these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.polled.lock().retain(|uid, _| uids.contains(uid));
    }
}
