//! Which failures are an outage, and when it is told.

use super::*;
use crate::hosted::health::pace::SPREAD;
use crate::hosted::readyz::READYZ_DEADLINE;

#[tokio::test]
async fn a_single_failure_ends_no_readiness() {
    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    let slow = Pace {
        quickest: Duration::from_millis(500),
        slowest: Duration::from_millis(500),
        vacant: Duration::from_millis(500),
        settled: Duration::from_millis(10)..Duration::from_millis(11),
    };
    let (prober, mut calls) = prober(4, slow);
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
    called(&mut calls).await;
    api.set(false);
    let before = api.asked();
    while api.asked() < before + 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    api.set(true);
    not_called(&mut calls, Duration::from_secs(1)).await;
    assert!(prober.last("u").unwrap().ready);
}

/// How long it takes until failures are told that come this long after each question, with waits that
/// are this much of the quickest in between.
fn told(answers: [Duration; 3], spread: f64) -> Duration {
    let pace = Pace::default();
    let start = Instant::now();
    let (mut now, mut first) = (start, None);
    for answer in answers {
        let put = now;
        now += answer;
        if pace.is_outage(first, now) {
            return now - start;
        }
        first.get_or_insert(put);
        // As long as the tenth of what has passed is less than it.
        assert!((now - start) / 10 < pace.quickest);
        now += pace.quickest.mul_f64(spread);
    }
    panic!("three failures are no outage");
}

/// `Available` is promised to follow within ten seconds, and the reconcile has to be a part of that.
#[test]
fn an_outage_is_told_in_time_however_long_each_answer_takes() {
    let answers = || (0..=25).map(|tenths| READYZ_DEADLINE * tenths / 25);
    for first in answers() {
        for second in answers() {
            for third in answers() {
                for spread in [SPREAD.start, 1.0, SPREAD.end] {
                    let answers = [first, second, third];
                    let all = Pace::default().settled.end + told(answers, spread);
                    assert!(all <= Duration::from_millis(8600), "{all:?}");
                    if answers.iter().sum::<Duration>() < Duration::from_millis(500) {
                        assert!(all < Duration::from_secs(5), "{all:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn failures_are_an_outage_by_the_time_that_they_last() {
    let pace = Pace::default();
    let first = Instant::now();
    let lasts = |millis| pace.is_outage(Some(first), first + Duration::from_millis(millis));
    assert!(!pace.is_outage(None, first + READYZ_DEADLINE), "one lost");
    assert!(!lasts(799));
    assert!(lasts(800));
}

/// Each time that something is seen of its pods it is asked at once.
#[tokio::test]
async fn failures_that_something_hurries_are_no_outage() {
    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    let pace = Pace {
        quickest: Duration::from_secs(5),
        slowest: Duration::from_secs(5),
        ..quick()
    };
    let (prober, mut calls) = prober(4, pace);
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
    called(&mut calls).await;
    api.set(false);
    let before = api.asked();
    while api.asked() < before + 9 {
        prober.hurry("u");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    api.set(true);
    prober.hurry("u");
    not_called(&mut calls, Duration::from_secs(1)).await;
    assert!(prober.last("u").unwrap().ready);
}

#[tokio::test]
async fn an_api_that_hangs_is_told_to_be_out_in_time() {
    let hangs = Arc::new(AtomicBool::new(false));
    let routes = Router::new()
        .route(
            "/readyz",
            get(|State(hangs): State<Arc<AtomicBool>>| async move {
                if hangs.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_mins(1)).await;
                }
                StatusCode::OK
            }),
        )
        .with_state(hangs.clone());
    let server = Server::start(routes).await;
    let settled = Duration::from_millis(10)..Duration::from_millis(11);
    let pace = Pace {
        settled,
        ..Pace::default()
    };
    let (prober, mut calls) = prober(4, pace);
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
    called(&mut calls).await;
    hangs.store(true, Ordering::SeqCst);
    let start = Instant::now();
    called(&mut calls).await;
    let took = start.elapsed();
    assert!(
        took + Pace::default().settled.end < Duration::from_secs(10),
        "{took:?}"
    );
    let last = prober.last("u").unwrap();
    assert_eq!((last.ready, last.reason), (false, "Timeout"));
}
