//! How often an API is asked, and when failures are an outage.

use std::ops::Range;
use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;

/// How long to wait between two questions.
#[derive(Clone, Debug)]
pub struct Pace {
    /// At first, while an API is not ready. The wait grows with the time since it was first found
    /// so, a tenth of it: an answer that comes after a minute is found out 6 seconds later at most.
    pub quickest: Duration,
    /// What the wait grows to.
    pub slowest: Duration,
    /// While no pod is ready: nobody stands behind the address then, and one that becomes ready has
    /// it asked at once.
    pub vacant: Duration,
    /// Once it is ready: anything in this range, so that many clusters are spread.
    pub settled: Range<Duration>,
}

impl Default for Pace {
    /// 0.5 to 4 seconds, then 2 to 3: with the failures that it takes, an outage is told within 5, and
    /// within 8.6 where the API hangs. A kubelet asks as often.
    fn default() -> Self {
        Self {
            quickest: Duration::from_millis(500),
            slowest: Duration::from_secs(4),
            vacant: Duration::from_secs(300),
            settled: Duration::from_secs(2)..Duration::from_secs(3),
        }
    }
}

/// By how much a wait may be shorter or longer while an API is not ready, so that many are spread.
pub(super) const SPREAD: Range<f64> = 0.8..1.2;

impl Pace {
    /// Whether a failure at this time ends readiness, when `first` is when the first question of those
    /// that failed right before it was put. One lost packet is not an outage, and neither is what fails
    /// again and again within a moment because something [hurries](ReadinessPoller::hurry): it has to last
    /// for as long as two waits at the quickest, however many failures that makes.
    pub(super) fn is_outage(&self, first: Option<Instant>, now: Instant) -> bool {
        let least = self.quickest.mul_f64(2.0 * SPREAD.start);
        first.is_some_and(|first| now.duration_since(first) >= least)
    }

    /// The wait before the next question, `since` the moment from which on it was not ready.
    pub(super) fn wait(&self, since: Option<Duration>, is_vacant: bool) -> Duration {
        let mut rng = rand::rng();
        match since {
            Some(since) => {
                let wait = if is_vacant {
                    self.vacant
                } else {
                    (since / 10).max(self.quickest).min(self.slowest)
                };
                wait.mul_f64(rng.random_range(SPREAD))
            }
            None if self.settled.is_empty() => self.settled.start,
            None => rng.random_range(self.settled.clone()),
        }
    }
}
