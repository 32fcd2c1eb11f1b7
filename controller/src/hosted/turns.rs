//! Who may call a hosted API from a reconcile. A call keeps its reconcile waiting, and with it others of
//! other Clusters, so few go to one API at a time and hardly any to one that has left the last waiting.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::HostedError;

/// Calls to one API at a time.
const AT_ONCE: usize = 4;
/// How long a call waits for those before it: one that answers has ended them by then.
pub const WAIT: Duration = Duration::from_secs(1);
/// For how long nobody calls one that did not answer.
const SILENCE: Duration = Duration::from_secs(5);
/// Calls at a time to all that did not answer the last time.
const IN_DOUBT: usize = 8;

/// What is called. An API, or an admission webhook of its own, may let one of these hang and not the
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Making a token.
    Make,
    /// Revoking one.
    Revoke,
    /// Bringing it its configuration.
    Configure,
}

/// Turns at all hosted APIs.
#[derive(Debug)]
pub struct Turns {
    doors: Mutex<HashMap<(String, Call), Arc<Door>>>,
    in_doubt: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            doors: Mutex::default(),
            in_doubt: Arc::new(Semaphore::new(IN_DOUBT)),
        }
    }
}

#[derive(Debug)]
struct Door {
    places: Arc<Semaphore>,
    /// Until when nobody calls; nothing while it answers.
    silent_until: Mutex<Option<Instant>>,
}

/// Leave for one call, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    door: Arc<Door>,
    _place: OwnedSemaphorePermit,
}

impl Turns {
    /// Waits, for a moment at most, until the API of the Cluster with this uid may be called. One that
    /// did not answer the last time counts as one that does not; where others' calls are only not over
    /// yet, there is nothing to say of it, and no turn.
    pub async fn take(&self, uid: &str, call: Call) -> Result<Option<Turn>, HostedError> {
        let door = {
            let mut doors = self.doors.lock();
            let door = doors.entry((uid.to_owned(), call)).or_insert_with(|| {
                Arc::new(Door {
                    places: Arc::new(Semaphore::new(AT_ONCE)),
                    silent_until: Mutex::default(),
                })
            });
            Arc::clone(door)
        };
        let place = if door.is_in_doubt()? {
            let place = Arc::clone(&self.in_doubt).try_acquire_owned();
            Some(place.map_err(|_| HostedError::Timeout)?)
        } else {
            let place = Arc::clone(&door.places).acquire_owned();
            timeout(WAIT, place).await.ok().and_then(Result::ok)
        };
        Ok(place.map(|place| Turn {
            door,
            _place: place,
        }))
    }

    /// Forgets all but these.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.doors.lock().retain(|(uid, _), _| uids.contains(uid));
    }
}

impl Door {
    /// Whether the last call was left waiting; an error while it is too early for another one. Of those
    /// that come later one finds out, while the others wait for what it finds.
    fn is_in_doubt(&self) -> Result<bool, HostedError> {
        let mut silent_until = self.silent_until.lock();
        let now = Instant::now();
        match *silent_until {
            None => Ok(false),
            Some(until) if now < until => Err(HostedError::Timeout),
            Some(_) => {
                *silent_until = Some(now + SILENCE);
                Ok(true)
            }
        }
    }
}

impl Turn {
    /// The call is over: whether it was left waiting.
    pub fn end(self, hangs: bool) {
        *self.door.silent_until.lock() = hangs.then(|| Instant::now() + SILENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn may(turns: &Turns, uid: &str) -> bool {
        turns
            .take(uid, Call::Make)
            .await
            .is_ok_and(|it| it.is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_that_hangs_costs_one_call_now_and_then() {
        let turns = Turns::default();
        let mut first = Vec::new();
        for _ in 0..AT_ONCE {
            first.push(turns.take("1", Call::Make).await.unwrap().unwrap());
        }
        let start = Instant::now();
        let more = turns.take("1", Call::Make).await;
        assert!(more.unwrap().is_none(), "it has not left anybody waiting");
        assert_eq!(start.elapsed(), WAIT);
        assert!(may(&turns, "2").await, "another one is not held up");
        assert!(turns.take("1", Call::Revoke).await.unwrap().is_some());

        for turn in first {
            turn.end(true);
        }
        let start = Instant::now();
        for _ in 0..400 {
            assert!(!may(&turns, "1").await);
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "nobody waits");
        tokio::time::advance(SILENCE).await;
        let tries = turns.take("1", Call::Make).await.unwrap().unwrap();
        assert!(!may(&turns, "1").await, "one finds out");
        tries.end(false);
        for _ in 0..400 {
            assert!(may(&turns, "1").await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_hang_leave_room_for_others() {
        let turns = Turns::default();
        for uid in 0..100 {
            turns
                .take(&uid.to_string(), Call::Make)
                .await
                .unwrap()
                .unwrap()
                .end(true);
        }
        tokio::time::advance(SILENCE).await;
        let start = Instant::now();
        let mut held = Vec::new();
        for uid in 0..100 {
            let turn = turns.take(&uid.to_string(), Call::Make).await;
            held.extend(turn.ok().flatten());
        }
        assert_eq!((held.len(), start.elapsed()), (IN_DOUBT, Duration::ZERO));
        assert!(may(&turns, "another").await);
        drop(held);
        // Who was turned away is not waited for any longer than the others.
        tokio::time::advance(SILENCE).await;
        assert!(may(&turns, "99").await);
        turns.retain(&HashSet::new());
        assert!(turns.doors.lock().is_empty());
    }
}
