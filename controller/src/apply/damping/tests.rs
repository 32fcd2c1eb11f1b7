//! How often is written what somebody else writes as well, and what fails.

use super::*;
use crate::kubernetes::store::Kind;

fn key() -> ObjectKey {
    ObjectKey::new(Kind::Service, "ns", "a")
}

/// How often an object is written that somebody changes ten times a second for so long, while each
/// of these is wanted in turn.
fn writes_of(damping: &Damping, wishes: &[&str], from: Instant, seconds: u32) -> Vec<Instant> {
    (0..seconds * 10)
        .map(|i| from + Duration::from_millis(100) * i)
        .zip(wishes.iter().cycle())
        .filter(|(now, hash)| {
            let allowed =
                damping.allow(&key(), hash, *now).is_ok() && damping.pace(&key(), *now).is_none();
            if allowed {
                damping.wrote(&key(), hash, None, *now);
            }
            allowed
        })
        .map(|(now, _)| now)
        .collect()
}

fn writes(damping: &Damping, from: Instant, seconds: u32) -> usize {
    writes_of(damping, &["h"], from, seconds).len()
}

/// A builder may follow what is there, and so what somebody else writes.
#[test]
fn wishes_that_alternate_are_written_once_a_second_and_a_persons_at_once() {
    let (damping, start) = (Damping::default(), Instant::now());
    let at = writes_of(&damping, &["a", "b"], start, 60);
    assert!((60..=64).contains(&at.len()), "{}", at.len());
    let pauses = at.windows(2).skip(4).map(|two| two[1] - two[0]);
    assert!(pauses.min() >= Some(PACE), "{at:?}");
    assert_eq!(damping.allow(&key(), "a", start), Ok(()), "nothing is said");

    let mut later = start + Duration::from_secs(70);
    for edits in [["c", "d", "e", "f", "g"], ["h", "i", "j", "k", "l"]] {
        for edit in edits {
            assert_eq!(damping.pace(&key(), later), None, "{edit}");
            damping.wrote(&key(), edit, None, later);
        }
        later += Duration::from_secs(5);
    }
}

/// What is refused for one wish is tried for another at once, and not again and again.
#[test]
fn attempts_that_fail_are_counted_whatever_is_wanted() {
    let (damping, start) = (Damping::default(), Instant::now());
    for hash in ["a", "b", "a", "b", "a"] {
        assert_eq!(damping.pace(&key(), start), None);
        assert_eq!(damping.allow(&key(), hash, start), Ok(()));
        damping.failed(&key(), hash, Problem::new(&key(), "no"), start);
    }
    assert_eq!(damping.pace(&key(), start), Some(PACE));
    let wait = |hash| damping.allow(&key(), hash, start).map_err(|held| held.wait);
    assert_eq!(wait("a"), Err(PACE), "it goes on to be said");
    assert_eq!(wait("b"), Ok(()), "of another nothing is known");
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

fn passing(message: &str) -> Problem {
    Problem {
        passing: true,
        ..Problem::new(&key(), message)
    }
}

/// A condition says it until then.
#[test]
fn what_failed_for_a_while_is_tried_again_after_half_of_it() {
    let (damping, start) = (Damping::default(), Instant::now());
    let problem = passing("busy");
    for attempt in 0..=12 {
        let now = start + Duration::from_secs(attempt);
        let held = damping.failed(&key(), "h", problem.clone(), now);
        let half = Duration::from_secs(attempt) / 2;
        assert_eq!(held.wait, half.max(backoff::SOONEST));
    }
    let later = start + Duration::from_secs(60);
    assert_eq!(
        damping.failed(&key(), "h", problem, later).wait,
        backoff::SOONEST
    );
}

#[test]
fn what_failed_is_tried_less_and_less_often_until_it_works_or_is_another() {
    let (damping, start) = (Damping::default(), Instant::now());
    let problem = passing("range is full");
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
    assert!((15..=22).contains(&tries), "{tries}");
    assert_eq!(damping.allow(&key(), "other", now), Ok(()));
    damping.wrote(&key(), "h", None, now);
    assert_eq!(damping.allow(&key(), "h", now), Ok(()));
}
