//! When to try again what has failed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// Failed attempts in a row, for the backoff.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<HashMap<String, u32>>>);

impl Failures {
    /// The delay before the next attempt: doubling from a quarter of a second to a minute, with up
    /// to a fifth added so that many do not come back together.
    pub fn delay(&self, uid: &str) -> Duration {
        let mut failures = self.0.lock();
        let count = failures.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        let base = Duration::from_millis(250) * 2_u32.pow((*count - 1).min(8));
        base.min(Duration::from_secs(60))
            .mul_f64(rand::random_range(1.0..1.2))
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
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_success() {
        let failures = Failures::default();
        let within = |wait: Duration, from: f64| {
            let (low, high) = (from, from * 1.2);
            assert!(
                (low..=high).contains(&wait.as_secs_f64()),
                "{wait:?} of {from}"
            );
        };
        for seconds in [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            within(failures.delay("a"), seconds);
        }
        within(failures.delay("b"), 0.25);
        failures.clear("a");
        within(failures.delay("a"), 0.25);
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
