//! Writes that are held back: of an object that somebody else changes again and again, and one that
//! the API server has just failed to do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use runtime::backoff;

use super::Problem;
use crate::kubernetes::store::ObjectKey;
use crate::kubernetes::writer::WriteError;

/// So many writes in a row are done at once: a person's edits.
const AT_ONCE: u32 = 5;
/// The least time between those that follow. Each that nothing is written in allows for one more at once.
const PACE: Duration = Duration::from_secs(1);
/// From so many rewrites on somebody fights for the object, which is said.
const FREE: u32 = 10;
/// The first wait after those; each further one is twice as long.
const SHORTEST: Duration = Duration::from_secs(2);
/// What the wait grows to.
const LONGEST: Duration = Duration::from_secs(300);
/// An object that was left alone for so long, and for twice its last wait, starts anew.
const PEACE: Duration = Duration::from_secs(60);
/// Failures that are further apart than twice their wait and so long have nothing to do with each other.
const APART: Duration = Duration::from_secs(10);
/// The longest wait after what is refused: somebody may allow it, or make room, at any moment.
const REFUSED_LONGEST: Duration = Duration::from_secs(2);
/// The same of what is to go: whoever waits for it has nothing else to do.
const GONE_LONGEST: Duration = Duration::from_secs(10);

/// The wish that there be none of it.
pub const GONE: &str = "";

/// What was written of each object.
#[derive(Clone, Default)]
pub struct Damping(Arc<Mutex<HashMap<ObjectKey, Row>>>);

/// Why a write is held back.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    /// What is said of it.
    pub problem: Problem,
    /// For how long.
    pub wait: Duration,
}

struct Row {
    recent: Recent,
    wish: Wish,
}

/// What was lately tried, whatever was wanted. What is wanted may follow from what is there: then each
/// write of another client brings another wish with it.
struct Recent {
    tries: u32,
    last: Instant,
}

impl Recent {
    fn tries(&self, now: Instant) -> u32 {
        let rest = now.saturating_duration_since(self.last).as_secs() / PACE.as_secs();
        self.tries
            .saturating_sub(rest.try_into().unwrap_or(u32::MAX))
    }

    fn add(&mut self, now: Instant) {
        self.tries = self.tries(now).saturating_add(1);
        self.last = now;
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let is_paced = self.tries(now) >= AT_ONCE;
        is_paced.then(|| left(self.last, PACE, now)).flatten()
    }
}

/// What came of it while what is wanted stayed the same.
struct Wish {
    hash: String,
    rewrites: u32,
    rewritten: Instant,
    rival: Option<String>,
    failed: Option<Failure>,
}

struct Failure {
    first: Instant,
    last: Instant,
    problem: Problem,
}

impl Wish {
    fn new(hash: &str, now: Instant) -> Self {
        Self {
            hash: hash.to_owned(),
            rewrites: 0,
            rewritten: now,
            rival: None,
            failed: None,
        }
    }

    fn works(&mut self) {
        self.failed = None;
    }

    fn after_rewrite(&self) -> Duration {
        match self.rewrites.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(over) => (SHORTEST * 2_u32.pow(over.min(8))).min(LONGEST),
        }
    }

    /// Whether it would be as if nothing had been written: it was left alone for long enough.
    fn is_over(since: Instant, wait: Duration, now: Instant) -> bool {
        now.saturating_duration_since(since) > PEACE + wait * 2
    }

    fn fails(&mut self, problem: Problem, now: Instant) -> Duration {
        // There was no need to try it for longer than it had to wait: it did not fail all the time.
        let until = self.after_failure() * 2 + APART;
        let earlier = self.failed.as_ref();
        let earlier = earlier.filter(|it| now.saturating_duration_since(it.last) <= until);
        let first = earlier.map_or(now, |failure| failure.first);
        self.failed = Some(Failure {
            first,
            last: now,
            problem,
        });
        self.after_failure()
    }

    /// Whatever wakes the Cluster meanwhile, the write is not tried.
    fn after_failure(&self) -> Duration {
        let Some(failure) = &self.failed else {
            return Duration::ZERO;
        };
        let longest = if self.hash == GONE {
            GONE_LONGEST
        } else if failure.problem.passing {
            backoff::LATEST
        } else {
            REFUSED_LONGEST
        };
        let lasts = failure.last.saturating_duration_since(failure.first);
        backoff::after(lasts, longest)
    }
}

fn left(since: Instant, wait: Duration, now: Instant) -> Option<Duration> {
    wait.checked_sub(now.saturating_duration_since(since))
        .filter(|left| !left.is_zero())
}

impl Damping {
    /// How long to leave the object before it is written the next time, of which nothing is said:
    /// nothing is written more often than once a second.
    pub fn pace(&self, key: &ObjectKey, now: Instant) -> Option<Duration> {
        self.0.lock().get(key)?.recent.wait(now)
    }

    /// Whether the object may be written now; `hash` is that of what is wanted.
    pub fn allow(&self, key: &ObjectKey, hash: &str, now: Instant) -> Result<(), Held> {
        self.works(key, hash, now)?;
        let rows = self.0.lock();
        let wish = rows.get(key).map(|row| &row.wish);
        let Some(wish) = wish.filter(|wish| wish.hash == hash) else {
            return Ok(());
        };
        let Some(wait) = left(wish.rewritten, wish.after_rewrite(), now) else {
            return Ok(());
        };
        let rival = match &wish.rival {
            Some(manager) => format!("the field manager {manager:?}"),
            None => "another client".to_owned(),
        };
        let said = format!(
            "{rival} repeatedly changes or deletes it; it is restored at increasing intervals until \
             that stops"
        );
        let problem = Problem::new(key, said);
        Err(Held { problem, wait })
    }

    /// Whether the API server has not just failed to write it.
    pub fn works(&self, key: &ObjectKey, hash: &str, now: Instant) -> Result<(), Held> {
        let rows = self.0.lock();
        let Some(Row { recent, wish }) = rows.get(key).filter(|row| row.wish.hash == hash) else {
            return Ok(());
        };
        // It is said for as long as it is not tried again, for whichever reason.
        if let Some(Failure { last, problem, .. }) = &wish.failed
            && let Some(wait) = left(*last, wish.after_failure(), now).max(recent.wait(now))
        {
            let problem = problem.clone();
            return Err(Held { problem, wait });
        }
        Ok(())
    }

    /// The object was written; `rival` is who else writes it.
    pub fn wrote(&self, key: &ObjectKey, hash: &str, rival: Option<String>, now: Instant) {
        self.change(key, hash, now, |wish| {
            if Wish::is_over(wish.rewritten, wish.after_rewrite(), now) {
                wish.rewrites = 0;
            }
            wish.rewrites += 1;
            wish.rewritten = now;
            wish.rival = rival.or_else(|| wish.rival.take());
            wish.works();
        });
    }

    /// The object was written and nobody had changed it after all.
    pub fn tried(&self, key: &ObjectKey, hash: &str, now: Instant) {
        self.change(key, hash, now, Wish::works);
    }

    /// The API server did not do it; how long to leave it.
    pub fn failed(&self, key: &ObjectKey, hash: &str, problem: Problem, now: Instant) -> Held {
        let wait = self.change(key, hash, now, |wish| wish.fails(problem.clone(), now));
        Held { problem, wait }
    }

    /// The object was as it is wanted after all.
    pub fn succeeded(&self, key: &ObjectKey) {
        if let Some(Row { wish, .. }) = self.0.lock().get_mut(key) {
            wish.works();
        }
    }

    /// Ends an object, or our hold on it, unless that has just failed.
    pub async fn end<T>(
        &self,
        key: &ObjectKey,
        end: impl Future<Output = Result<T, WriteError>>,
    ) -> Result<T, Held> {
        self.allow(key, GONE, Instant::now())?;
        match end.await {
            Ok(done) => {
                self.succeeded(key);
                Ok(done)
            }
            Err(error) => {
                let problem = Problem::from_error(key, &error.into());
                Err(self.failed(key, GONE, problem, Instant::now()))
            }
        }
    }

    fn change<T>(
        &self,
        key: &ObjectKey,
        hash: &str,
        now: Instant,
        change: impl FnOnce(&mut Wish) -> T,
    ) -> T {
        let mut rows = self.0.lock();
        let row = rows.entry(key.clone()).or_insert_with(|| Row {
            recent: Recent {
                tries: 0,
                last: now,
            },
            wish: Wish::new(hash, now),
        });
        row.recent.add(now);
        if row.wish.hash != hash {
            row.wish = Wish::new(hash, now);
        }
        change(&mut row.wish)
    }

    /// Forgets what is over: nothing would be held back because of it.
    pub fn forget_old(&self, now: Instant) {
        let mut rows = self.0.lock();
        rows.retain(|_, Row { wish, .. }| {
            let failed = wish.failed.as_ref();
            !Wish::is_over(wish.rewritten, wish.after_rewrite(), now)
                || failed.is_some_and(|it| !Wish::is_over(it.last, wish.after_failure(), now))
        });
        let room = rows.len() * 2;
        rows.shrink_to(room);
    }

    /// Forgets the objects of a Cluster that is gone.
    pub fn forget<'k>(&self, keys: impl IntoIterator<Item = &'k ObjectKey>) {
        let mut rows = self.0.lock();
        for key in keys {
            rows.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
