//! When hosted APIs are asked, and which answers are told on.

mod crowd;
mod outage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::SignedDuration;
use tokio::sync::mpsc;

use super::*;
use crate::hosted::AHEAD;
use crate::hosted::testing::{Server, client_cert, hanging, knows_its_own};

/// An API whose readiness is set from outside, and which counts how often it was asked.
#[derive(Clone, Default)]
struct Api {
    ready: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
}

impl Api {
    async fn start(&self) -> Server {
        let routes = Router::new()
            .route(
                "/readyz",
                get(|State(api): State<Self>| async move { api.readyz() }),
            )
            .with_state(self.clone());
        Server::start(routes).await
    }

    fn readyz(&self) -> StatusCode {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.ready.load(Ordering::SeqCst) {
            StatusCode::OK
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }

    fn set(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn quick() -> Pace {
    Pace {
        quickest: Duration::from_millis(10),
        slowest: Duration::from_millis(20),
        vacant: Duration::from_secs(60),
        settled: Duration::from_millis(20)..Duration::from_millis(40),
    }
}

fn prober(concurrency: usize, pace: Pace) -> (ReadinessPoller, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let prober = ReadinessPoller::with_pace(concurrency, pace, move |namespace, name| {
        let _ = sender.send(format!("{namespace}/{name}"));
    });
    (prober, receiver)
}

async fn called(receiver: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(Duration::from_secs(10), receiver.recv())
        .await
        .expect("no call within 10 s")
        .unwrap()
}

async fn not_called(receiver: &mut mpsc::UnboundedReceiver<String>, time: Duration) {
    let call = tokio::time::timeout(time, receiver.recv()).await;
    assert!(call.is_err(), "{call:?}");
}

#[tokio::test]
async fn a_change_is_called_and_sameness_is_not() {
    let api = Api::default();
    let server = api.start().await;
    let (prober, mut calls) = prober(4, quick());
    assert_eq!(prober.last("u"), None);
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);

    assert_eq!(called(&mut calls).await, "ns/a");
    let last = prober.last("u").unwrap();
    assert_eq!((last.ready, last.reason), (false, "NotReady"));
    not_called(&mut calls, Duration::from_millis(200)).await;
    assert!(api.asked() > 2, "it is asked again and again");

    api.set(true);
    called(&mut calls).await;
    assert!(prober.last("u").unwrap().ready);
    not_called(&mut calls, Duration::from_millis(200)).await;

    api.set(false);
    called(&mut calls).await;
    assert!(!prober.last("u").unwrap().ready);
}

#[tokio::test]
async fn without_a_pod_it_is_asked_when_there_is_one_again() {
    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    let (prober, mut calls) = prober(4, quick());
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
    called(&mut calls).await;
    // Its outage is told as soon as any.
    api.set(false);
    prober.vacant("u", true);
    called(&mut calls).await;
    assert!(!prober.last("u").unwrap().ready);
    let asked = api.asked();
    not_called(&mut calls, Duration::from_millis(300)).await;
    assert_eq!(api.asked(), asked, "nobody stands behind the address");
    prober.vacant("u", false);
    prober.hurry("u");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(api.asked() > asked + 2, "it may answer at any moment");
    api.set(true);
    called(&mut calls).await;
    assert!(prober.last("u").unwrap().ready);
}

#[tokio::test]
async fn what_is_asked_already_is_not_asked_twice() {
    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    let (prober, mut calls) = prober(4, Pace::default());
    assert!(!prober.observes("u", &server.endpoint));
    for _ in 0..10 {
        prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
        assert!(prober.observes("u", &server.endpoint));
    }
    called(&mut calls).await;
    not_called(&mut calls, Duration::from_millis(100)).await;
    assert_eq!(api.asked(), 1);

    prober.hurry("u");
    while api.asked() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn another_endpoint_is_asked_at_once_even_while_the_old_one_hangs() {
    let (_listener, old) = hanging().await;
    let (prober, mut calls) = prober(1, Pace::default());
    prober.observe("u", "ns", "a", old, None, false);
    tokio::time::sleep(Duration::from_millis(100)).await;

    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    assert!(!prober.observes("u", &server.endpoint));
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
    called(&mut calls).await;
    assert!(
        prober.last("u").unwrap().ready,
        "only the new one's answer counts"
    );
}

#[tokio::test]
async fn a_hanging_endpoint_does_not_hold_up_the_others() {
    let (_listener, stuck) = hanging().await;
    let (prober, mut calls) = prober(4, quick());
    for uid in ["1", "2", "3"] {
        prober.observe(uid, "ns", "stuck", stuck.clone(), None, false);
    }
    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
    // The stuck ones are given up after two seconds, so the order tells.
    assert_eq!(called(&mut calls).await, "ns/a");
    assert_eq!(called(&mut calls).await, "ns/stuck");
    assert_eq!(prober.last("1").map(|last| last.reason), Some("Timeout"));
}

#[tokio::test]
async fn what_is_forgotten_is_asked_no_more() {
    let api = Api::default();
    let server = api.start().await;
    let (prober, mut calls) = prober(4, quick());
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
    called(&mut calls).await;
    prober.forget("u");
    assert_eq!(prober.last("u"), None);
    assert!(!prober.observes("u", &server.endpoint));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let asked = api.asked();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(api.asked(), asked);
}

#[tokio::test]
async fn a_certificate_that_is_due_is_asked_for_and_taken() {
    let server = Server::start(knows_its_own()).await;
    let (prober, mut calls) = prober(4, quick());
    // It began five minutes ago, so two thirds of its life are over.
    let old = client_cert(&server.ca, SignedDuration::from_secs(100));
    prober.observe("u", "ns", "a", server.endpoint.clone(), Some(old), false);
    called(&mut calls).await;
    assert!(prober.last("u").unwrap().ready);
    // Not at once: of a CA that is about to expire there is none that lasts longer.
    assert!(prober.observes("u", &server.endpoint));
    called(&mut calls).await;
    assert!(!prober.observes("u", &server.endpoint));

    prober.observe(
        "u",
        "ns",
        "a",
        server.endpoint.clone(),
        Some(server.client_cert()),
        false,
    );
    assert!(prober.observes("u", &server.endpoint));
    not_called(&mut calls, Duration::from_millis(200)).await;
}

/// What the API says of such a certificate is no news of the API.
#[tokio::test]
async fn with_a_certificate_that_has_ended_nothing_is_asked_and_nothing_known() {
    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    let (prober, mut calls) = prober(4, quick());
    let ends = client_cert(&server.ca, AHEAD + SignedDuration::from_secs(2));
    prober.observe("u", "ns", "a", server.endpoint.clone(), Some(ends), false);
    called(&mut calls).await;
    assert!(prober.last("u").unwrap().ready);
    while prober.last("u").is_some() {
        called(&mut calls).await;
    }
    let asked = api.asked();
    not_called(&mut calls, Duration::from_millis(300)).await;
    assert_eq!(api.asked(), asked);
    assert!(!prober.observes("u", &server.endpoint));

    // The next one is not the first that is heard of it: a single failure is none.
    let next = Some(server.client_cert());
    prober.observe("u", "ns", "a", server.endpoint.clone(), next, false);
    called(&mut calls).await;
    assert!(prober.last("u").unwrap().ready);
}

/// It is the same one each time, and not kept for longer than one of our own.
#[tokio::test]
async fn a_certificate_is_borrowed_again_when_its_time_was_over() {
    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    let (prober, mut calls) = prober(4, quick());
    let endpoint = &server.endpoint;
    let pair = server.client_cert();
    let borrow = |pair: &PemPair, seconds| {
        let longest = SignedDuration::from_secs(seconds);
        prober.borrow("u", ("ns", "a"), endpoint.clone(), pair.clone(), longest)
    };
    for _ in 0..2 {
        assert!(!prober.asks_at("u", &endpoint.host, endpoint.port));
        assert!(borrow(&pair, 1));
        called(&mut calls).await;
        assert!(prober.last("u").unwrap().ready);
        assert!(prober.asks_at("u", &endpoint.host, endpoint.port));
        assert!(!prober.observes("u", endpoint), "one of our own is better");
        while prober.last("u").is_some() {
            called(&mut calls).await;
        }
    }
    let ended = client_cert(&server.ca, AHEAD);
    assert!(!borrow(&ended, 60), "it opens nothing");
}

/// As who had a certificate until the API's flags have changed, or the version that its pods are to run.
#[tokio::test]
async fn what_a_stranger_is_answered_tells_nothing() {
    let server = Server::start(knows_its_own()).await;
    let (prober, mut calls) = prober(4, quick());
    let endpoint = &server.endpoint;
    prober.observe("u", "ns", "a", endpoint.clone(), None, true);
    called(&mut calls).await;
    assert_eq!(prober.last("u"), None);
    assert!(prober.refuses_anybody("u"));
    assert!(!prober.observes("u", endpoint), "it wants a certificate");
    not_called(&mut calls, Duration::from_millis(200)).await;
    let pair = server.client_cert();
    prober.observe("u", "ns", "a", endpoint.clone(), Some(pair), true);
    called(&mut calls).await;
    assert!(prober.last("u").unwrap().ready);
    assert!(prober.observes("u", endpoint));
    assert!(!prober.refuses_anybody("u"));
}

/// Whoever may write the kubeconfig may put anything there.
#[tokio::test]
async fn a_certificate_that_opens_nothing_is_borrowed_once() {
    let unknown = get(|| async { StatusCode::UNAUTHORIZED });
    let server = Server::start(Router::new().route("/readyz", unknown)).await;
    let (prober, mut calls) = prober(4, quick());
    let endpoint = &server.endpoint;
    let borrow = |pair: &PemPair| {
        let hour = SignedDuration::from_hours(1);
        prober.borrow("u", ("ns", "a"), endpoint.clone(), pair.clone(), hour)
    };
    let pair = server.client_cert();
    assert!(borrow(&pair));
    called(&mut calls).await;
    assert_eq!(prober.last("u"), None);
    assert!(!prober.asks_at("u", &endpoint.host, endpoint.port));
    assert!(!borrow(&pair), "it was turned away");
    assert!(borrow(&server.client_cert()), "it is another");
    called(&mut calls).await;
    // One of our own is answered like anybody's.
    prober.observe("u", "ns", "a", endpoint.clone(), Some(pair), false);
    called(&mut calls).await;
    assert_eq!(prober.last("u").unwrap().reason, "Unauthorized");
}

#[test]
fn the_pace_slows_with_the_time_it_takes() {
    let pace = Pace::default();
    let within = |wait: Duration, from: f64, to: f64| {
        assert!(
            (from..=to).contains(&wait.as_secs_f64()),
            "{wait:?} not in {from} to {to}"
        );
    };
    for _ in 0..100 {
        within(pace.wait(Some(Duration::ZERO), false), 0.4, 0.6);
        within(pace.wait(Some(Duration::from_secs(5)), false), 0.4, 0.6);
        within(pace.wait(Some(Duration::from_secs(20)), false), 1.6, 2.4);
        within(pace.wait(Some(Duration::from_hours(1)), false), 3.2, 4.8);
        within(pace.wait(None, false), 2.0, 3.0);
        within(pace.wait(Some(Duration::ZERO), true), 240.0, 360.0);
    }
}
