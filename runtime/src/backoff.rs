//! When to try again what has failed.

use std::collections::HashMap;
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
