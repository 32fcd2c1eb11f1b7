//! Which watches have been failing for long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A watch that fails for so long is worth telling.
const LONG: Duration = Duration::from_secs(60);
/// One that has not failed for so long works: a new attempt is made after 30 s at the latest, and
/// may take 45 s to fail. That it works says nothing, where nothing changes.
const OVER: Duration = Duration::from_secs(90);

/// How the watches are, by what they watch.
#[derive(Clone, Default)]
pub struct Pulse(Arc<Mutex<BTreeMap<String, Failing>>>);

struct Failing {
    first: Instant,
    last: Instant,
}

impl Pulse {
    /// It has brought something.
    pub fn beats(&self, what: &str) {
        let mut failing = self.0.lock();
        if failing.contains_key(what) {
            failing.remove(what);
        }
    }

    /// It has failed.
    pub fn fails(&self, what: &str) {
        self.failed(what, Instant::now());
    }

    fn failed(&self, what: &str, now: Instant) {
        let mut failing = self.0.lock();
        let streak = failing.entry(what.to_owned()).or_insert(Failing {
            first: now,
            last: now,
        });
        if now.duration_since(streak.last) > OVER {
            streak.first = now;
        }
        streak.last = now;
    }

    /// What has not been heard of for long.
    pub fn stale(&self) -> Vec<String> {
        self.stale_at(Instant::now())
    }

    fn stale_at(&self, now: Instant) -> Vec<String> {
        let failing = self.0.lock();
        let long = failing.iter().filter(|(_, streak)| {
            now.duration_since(streak.last) <= OVER && now.duration_since(streak.first) >= LONG
        });
        long.map(|(what, _)| what.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_fails_for_a_minute_is_told_until_it_works() {
        let (pulse, start) = (Pulse::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        pulse.failed("Secret", at(0));
        pulse.failed("Node", at(50));
        assert!(pulse.stale_at(at(59)).is_empty());
        pulse.failed("Secret", at(59));
        assert_eq!(pulse.stale_at(at(60)), ["Secret"]);
        pulse.beats("Secret");
        assert!(pulse.stale_at(at(61)).is_empty());
        // Begun anew without a word, as there was no change.
        assert_eq!(pulse.stale_at(at(111)), ["Node"]);
        assert!(pulse.stale_at(at(141)).is_empty());
        // What happens much later has nothing to do with that.
        pulse.failed("Node", at(1000));
        assert!(pulse.stale_at(at(1001)).is_empty());
    }
}
