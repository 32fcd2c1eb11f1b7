//! Which request something happens to, and when.

use std::time::Instant;

use super::Point;
use super::fault::{Fault, LASTS};

/// What happens to which request.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub point: Point,
    pub fault: Fault,
    /// It happens to what a watch shows once all is begun.
    pub later: bool,
    /// Whether its request has come.
    pub met: bool,
    /// When it first happened.
    pub since: Option<Instant>,
}

impl Rule {
    pub fn applies(&mut self, point: &Point, now: Instant) -> Option<Fault> {
        if self.point.call != point.call {
            return None;
        }
        match (self.fault, self.since) {
            (_, None) if self.point.occurrence == point.occurrence && !self.met => {
                self.met = true;
                self.since = (!self.later).then_some(now);
                Some(self.fault)
            }
            (Fault::Lasting(_), Some(since)) if now.duration_since(since) < LASTS => {
                Some(self.fault)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_once_and_one_that_lasts_as_long_as_it_lasts() {
        let point = |occurrence| Point {
            call: "patch services a".to_owned(),
            occurrence,
        };
        let rule = |fault| Rule {
            point: point(2),
            fault,
            later: false,
            met: false,
            since: None,
        };
        let now = Instant::now();
        let mut once = rule(Fault::Hang);
        assert_eq!(once.applies(&point(1), now), None);
        assert_eq!(once.applies(&point(2), now), Some(Fault::Hang));
        assert_eq!(once.applies(&point(3), now), None);
        let mut lasting = rule(Fault::Lasting(500));
        assert!(lasting.applies(&point(2), now).is_some());
        assert!(lasting.applies(&point(3), now + LASTS / 2).is_some());
        assert!(lasting.applies(&point(4), now + LASTS).is_none());
        let mut later = Rule {
            later: true,
            ..rule(Fault::CutWatch)
        };
        assert_eq!(later.applies(&point(2), now), Some(Fault::CutWatch));
        assert_eq!(later.since, None, "nothing has happened yet");
    }
}
