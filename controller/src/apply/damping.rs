//! Writes that are held back: of an object that somebody else changes again and again, and one that
//! the API server has just failed to do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Problem;
use crate::kubernetes::store::ObjectKey;
use crate::kubernetes::writer::WriteError;

/// So many rewrites in a row are done at once: a person's edits.
const AT_ONCE: u32 = 5;
/// The least time between those that follow.
const PACE: Duration = Duration::from_secs(1);
/// From so many on somebody fights for the object, which is said.
const FREE: u32 = 10;
/// The first wait after those; each further one is twice as long.
const SHORTEST: Duration = Duration::from_secs(2);
/// What the wait grows to.
const LONGEST: Duration = Duration::from_secs(300);
/// An object that was left alone for so long, and for twice its last wait, starts anew.
const PEACE: Duration = Duration::from_secs(60);
/// The first wait after a failure; each further one is twice as long. Whatever wakes the Cluster
/// meanwhile, the write is not tried.
const FAILED: Duration = Duration::from_millis(250);
/// What that wait grows to.
const FAILED_LONGEST: Duration = Duration::from_secs(60);
/// The same of what is refused: somebody may allow it, or make room, at any moment.
const REFUSED_LONGEST: Duration = Duration::from_secs(2);

/// The same of what is to go: whoever waits for it has nothing else to do.
const GONE_LONGEST: Duration = Duration::from_secs(10);

/// The wish that there be none of it.
pub const GONE: &str = "";

/// What was written of each object while what is wanted of it stayed the same.
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
    hash: String,
    rewrites: u32,
    rewritten: Instant,
    rival: Option<String>,
    failures: u32,
    failed: Option<(Instant, Problem)>,
}

impl Row {
    fn new(hash: &str, now: Instant) -> Self {
        Self {
            hash: hash.to_owned(),
            rewrites: 0,
            rewritten: now,
            rival: None,
            failures: 0,
            failed: None,
        }
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

    fn after_failure(&self) -> Duration {
        let over = self.failures.saturating_sub(1).min(8);
        let passing = self
            .failed
            .as_ref()
            .is_none_or(|(_, problem)| problem.passing);
        let longest = if self.hash == GONE {
            GONE_LONGEST
        } else if passing {
            FAILED_LONGEST
        } else {
            REFUSED_LONGEST
        };
        (FAILED * 2_u32.pow(over)).min(longest)
    }
}

fn left(since: Instant, wait: Duration, now: Instant) -> Option<Duration> {
    wait.checked_sub(now.saturating_duration_since(since))
        .filter(|left| !left.is_zero())
}

impl Damping {
    /// How long to leave the object before it is written the next time, of which nothing is said:
    /// nothing is written more often than once a second.
    pub fn pace(&self, key: &ObjectKey, hash: &str, now: Instant) -> Option<Duration> {
        let rows = self.0.lock();
        let row = rows.get(key).filter(|row| row.hash == hash)?;
        let paced = (AT_ONCE..FREE).contains(&row.rewrites);
        paced.then(|| left(row.rewritten, PACE, now)).flatten()
    }

    /// Whether the object may be written now; `hash` is that of what is wanted.
    pub fn allow(&self, key: &ObjectKey, hash: &str, now: Instant) -> Result<(), Held> {
        let rows = self.0.lock();
        let Some(row) = rows.get(key).filter(|row| row.hash == hash) else {
            return Ok(());
        };
        if let Some((at, problem)) = &row.failed
            && let Some(wait) = left(*at, row.after_failure(), now)
        {
            let problem = problem.clone();
            return Err(Held { problem, wait });
        }
        let Some(wait) = left(row.rewritten, row.after_rewrite(), now) else {
            return Ok(());
        };
        let rival = match &row.rival {
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

    /// The object was written; `rival` is who else writes it.
    pub fn wrote(&self, key: &ObjectKey, hash: &str, rival: Option<String>, now: Instant) {
        self.change(key, hash, now, |row| {
            if Row::is_over(row.rewritten, row.after_rewrite(), now) {
                row.rewrites = 0;
            }
            row.rewrites += 1;
            row.rewritten = now;
            row.rival = rival.or_else(|| row.rival.take());
            row.failures = 0;
            row.failed = None;
        });
    }

    /// The API server did not do it; how long to leave it.
    pub fn failed(&self, key: &ObjectKey, hash: &str, problem: Problem, now: Instant) -> Held {
        let wait = self.change(key, hash, now, |row| {
            row.failures += 1;
            row.failed = Some((now, problem.clone()));
            row.after_failure()
        });
        Held { problem, wait }
    }

    /// The object was as it is wanted after all.
    pub fn succeeded(&self, key: &ObjectKey) {
        if let Some(row) = self.0.lock().get_mut(key) {
            row.failures = 0;
            row.failed = None;
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
        change: impl FnOnce(&mut Row) -> T,
    ) -> T {
        let mut rows = self.0.lock();
        let row = rows
            .entry(key.clone())
            .and_modify(|row| {
                if row.hash != hash {
                    *row = Row::new(hash, now);
                }
            })
            .or_insert_with(|| Row::new(hash, now));
        change(row)
    }

    /// Forgets what is over: nothing would be held back because of it.
    pub fn forget_old(&self, now: Instant) {
        let mut rows = self.0.lock();
        rows.retain(|_, row| {
            let failed = row.failed.as_ref();
            !Row::is_over(row.rewritten, row.after_rewrite(), now)
                || failed.is_some_and(|(at, _)| !Row::is_over(*at, row.after_failure(), now))
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
mod tests {
    use super::*;
    use crate::kubernetes::store::Kind;

    fn key() -> ObjectKey {
        ObjectKey::new(Kind::Service, "ns", "a")
    }

    /// How often an object is written that somebody changes ten times a second for so long.
    fn writes(damping: &Damping, from: Instant, seconds: u32) -> usize {
        (0..seconds * 10)
            .map(|i| from + Duration::from_millis(100) * i)
            .filter(|now| {
                let allowed = damping.pace(&key(), "h", *now).is_none()
                    && damping.allow(&key(), "h", *now).is_ok();
                if allowed {
                    damping.wrote(&key(), "h", None, *now);
                }
                allowed
            })
            .count()
    }

    #[test]
    fn what_is_over_is_forgotten_and_nothing_else() {
        let (damping, start) = (Damping::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let rows = || damping.0.lock().len();
        damping.wrote(&key(), "h", None, start);
        damping.forget_old(after(60));
        assert_eq!(rows(), 1);
        damping.forget_old(after(61));
        assert_eq!(rows(), 0);
        // A fight goes on after its pause, and so does what the API server fails to do.
        writes(&damping, start, 60);
        damping.forget_old(after(130));
        assert!(damping.allow(&key(), "h", after(61)).is_err());
        let other = ObjectKey::new(Kind::Secret, "ns", "a");
        let failed = Problem::new(&other, "no");
        damping.failed(&other, "h", failed, after(130));
        damping.forget_old(after(185));
        assert_eq!(rows(), 1, "the fight is over, the failure is not");
        assert!(damping.0.lock().contains_key(&other));
    }

    #[test]
    fn a_fight_is_slowed_down_and_never_given_up() {
        let (damping, start) = (Damping::default(), Instant::now());
        assert_eq!(writes(&damping, start, 1), 5);
        let later = start + Duration::from_secs(1);
        assert_eq!(writes(&damping, later, 5), 5);
        let later = later + Duration::from_secs(5);
        let minute = writes(&damping, later, 60);
        assert!((3..=5).contains(&minute), "{minute}");
        let hour = writes(&damping, later + Duration::from_secs(60), 3600);
        assert!((12..=16).contains(&hour), "{hour}");
    }

    #[test]
    fn other_objects_wishes_and_times_start_anew() {
        let (damping, start) = (Damping::default(), Instant::now());
        let key = key();
        let allowed = |hash: &str, now| damping.allow(&key, hash, now);
        for _ in 0..FREE {
            assert_eq!(allowed("h", start), Ok(()));
            damping.wrote(&key, "h", Some("webhook".to_owned()), start);
        }
        let said = allowed("h", start).unwrap_err().problem.message;
        assert!(said.contains("\"webhook\""), "{said}");
        assert_eq!(allowed("other", start), Ok(()));
        let another = ObjectKey::new(Kind::Secret, "ns", "a");
        assert_eq!(damping.allow(&another, "h", start), Ok(()));
        let much_later = start + Duration::from_secs(120);
        assert_eq!(allowed("h", much_later), Ok(()));
        damping.wrote(&key, "h", None, much_later);
        assert_eq!(allowed("h", much_later), Ok(()));
        damping.forget([&key]);
        assert_eq!(allowed("h", start), Ok(()));
    }

    #[test]
    fn what_failed_is_tried_less_and_less_often_until_it_works_or_is_another() {
        let (damping, start) = (Damping::default(), Instant::now());
        let problem = Problem {
            passing: true,
            ..Problem::new(&key(), "range is full")
        };
        let mut now = start;
        let mut tries = 0;
        while now < start + Duration::from_secs(400) {
            match damping.allow(&key(), "h", now) {
                Ok(()) => {
                    tries += 1;
                    damping.failed(&key(), "h", problem.clone(), now);
                }
                Err(held) => assert_eq!(held.problem, problem),
            }
            now += Duration::from_millis(50);
        }
        assert!((10..=15).contains(&tries), "{tries}");
        assert_eq!(damping.allow(&key(), "other", now), Ok(()));
        damping.wrote(&key(), "h", None, now);
        assert_eq!(damping.allow(&key(), "h", now), Ok(()));
    }
}
