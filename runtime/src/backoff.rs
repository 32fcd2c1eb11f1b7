//! When to try again what has failed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// The shortest wait after a failure.
pub const SOONEST: Duration = Duration::from_millis(250);
/// The longest where nothing asks for a shorter one.
pub const LATEST: Duration = Duration::from_secs(60);

/// The wait before the next attempt at something that has failed for so long: half of that. How many
/// attempts there were says nothing, since whatever happens to an object causes one.
pub fn after(lasted: Duration, latest: Duration) -> Duration {
    (lasted / 2).clamp(SOONEST, latest)
}

/// Since when attempts fail, for the backoff.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<HashMap<String, Instant>>>);

impl Failures {
    /// The delay before the next attempt, as [`after`] says, with up to a fifth added so that many do not
    /// come back together.
    pub fn delay(&self, uid: &str) -> Duration {
        self.delay_at(uid, Instant::now())
    }

    /// For how long it has not gone well; from now on, if it did.
    pub fn lasted(&self, uid: &str) -> Duration {
        self.lasted_at(uid, Instant::now())
    }

    fn lasted_at(&self, uid: &str, now: Instant) -> Duration {
        let since = *self.0.lock().entry(uid.to_owned()).or_insert(now);
        now.saturating_duration_since(since)
    }

    fn delay_at(&self, uid: &str, now: Instant) -> Duration {
        let lasted = self.lasted_at(uid, now);
        after(lasted, LATEST).mul_f64(rand::random_range(1.0..1.2))
    }

    /// Forgets all but these.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.0.lock().retain(|uid, _| uids.contains(uid));
    }

    /// It went well, or it is gone.
    pub fn clear(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}

/// What stands in the way (a port of another Cluster, a quota) may go without a word. The wait is
/// a tenth of the time that it has lasted, between two seconds and five minutes: whoever mends it
/// soon sees it soon, and what stays costs little.
pub fn while_it_lasts(since: Option<Timestamp>) -> Duration {
    let lasted = since.map_or(SignedDuration::ZERO, |since| {
        Timestamp::now().duration_since(since)
    });
    let lasted = Duration::try_from(lasted).unwrap_or_default();
    let wait = (lasted / 10).clamp(Duration::from_secs(2), Duration::from_secs(300));
    wait.mul_f64(rand::random_range(1.0..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_the_time_up_to_a_minute_and_begin_anew_after_a_success() {
        let failures = Failures::default();
        let begin = Instant::now();
        let at = |seconds: f64| begin + Duration::from_secs_f64(seconds);
        let within = |wait: Duration, from: f64| {
            let (low, high) = (from, from * 1.2);
            assert!(
                (low..=high).contains(&wait.as_secs_f64()),
                "{wait:?} of {from}"
            );
        };
        // What causes an attempt besides is no reason to wait longer.
        for _ in 0..20 {
            within(failures.delay_at("a", begin), 0.25);
        }
        for (lasted, wait) in [(1.0, 0.5), (12.0, 6.0), (120.0, 60.0), (3600.0, 60.0)] {
            within(failures.delay_at("a", at(lasted)), wait);
        }
        within(failures.delay_at("b", at(120.0)), 0.25);
        failures.clear("a");
        within(failures.delay_at("a", at(120.0)), 0.25);
    }

    #[test]
    fn what_lasts_is_looked_at_less_often() {
        let after = |seconds| {
            let since = Timestamp::now() - SignedDuration::from_secs(seconds);
            while_it_lasts(Some(since)).as_secs_f64()
        };
        assert!((2.0..=2.4).contains(&while_it_lasts(None).as_secs_f64()));
        assert!((2.0..=2.4).contains(&after(1)));
        assert!((10.0..=12.2).contains(&after(100)));
        assert!((300.0..=360.0).contains(&after(100_000)));
        // A clock that was set back.
        assert!((2.0..=2.4).contains(&after(-1000)));
    }
}
