//! How nodes are counted, and how long a count stands.

mod places;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::list::{ask, first_page, kubelet};
use super::*;
use crate::hosted::client::CONNECT_TIMEOUT;
use crate::hosted::endpoint::TLS_SERVER_NAME;
use crate::hosted::testing::{Peer, Server, client_cert, hanging};

/// An API with these nodes, one a page, for whoever shows a certificate.
#[derive(Clone, Default)]
struct Hosted {
    nodes: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicU32>,
    /// What it says instead, if anything.
    refuses: Arc<Mutex<Option<StatusCode>>>,
}

impl Hosted {
    fn routes(&self) -> Router {
        Router::new()
            .route(
                "/api/v1/nodes",
                get(
                    |State(hosted): State<Self>,
                     ConnectInfo(peer): ConnectInfo<Peer>,
                     uri: Uri| async move { hosted.list(&peer, &uri) },
                ),
            )
            .with_state(self.clone())
    }

    async fn start(&self) -> Server {
        Server::start(self.routes()).await
    }

    fn list(&self, peer: &Peer, uri: &Uri) -> Result<Json<Value>, StatusCode> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if !peer.has_certificate {
            return Err(StatusCode::UNAUTHORIZED);
        }
        if let Some(refusal) = *self.refuses.lock() {
            return Err(refusal);
        }
        let mut query = uri.query().unwrap_or_default().split('&');
        let at = query
            .find_map(|pair| pair.strip_prefix("continue="))
            .map_or(0, |token| token.parse::<usize>().unwrap());
        let nodes = self.nodes.lock();
        let more = if at + 1 < nodes.len() {
            (at + 1).to_string()
        } else {
            String::new()
        };
        Ok(Json(json!({
            "kind": "NodeList", "apiVersion": "v1",
            "metadata": {"continue": more},
            "items": nodes.get(at).into_iter().collect::<Vec<_>>(),
        })))
    }

    fn join(&self, name: &str, ready: &str, kubelet: &str) {
        self.nodes.lock().push(json!({
            "metadata": {"name": name},
            "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "nodeInfo": {"kubeletVersion": kubelet},
            },
        }));
    }
}

fn census() -> (NodePoller, mpsc::UnboundedReceiver<String>) {
    patient_census(PATIENCE)
}

fn patient_census(patience: Duration) -> (NodePoller, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let pace = Pace {
        first: Duration::from_millis(5)..Duration::from_millis(10),
        then: Duration::from_millis(10)..Duration::from_millis(20),
        patience,
    };
    let census = NodePoller::with_pace(pace, move |namespace, name| {
        let _ = sender.send(format!("{namespace}/{name}"));
    });
    (census, receiver)
}

async fn called(receiver: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(Duration::from_secs(10), receiver.recv())
        .await
        .expect("no call within 10 s")
        .unwrap()
}

fn nodes(joined: i32, ready: i32, oldest: Option<&str>) -> Count {
    Count::Known(StatusNodes {
        joined,
        ready,
        oldest_kubelet: oldest.map(str::to_owned),
    })
}

#[tokio::test]
async fn nodes_are_counted_with_a_certificate_and_changes_are_told() {
    let hosted = Hosted::default();
    let server = hosted.start().await;
    let (census, mut calls) = census();
    assert!(!census.follow("1", "ns", "demo", server.endpoint.clone()));
    // Nothing is asked before there is a certificate.
    assert_eq!(called(&mut calls).await, "ns/demo");
    assert!(census.follow("1", "ns", "demo", server.endpoint.clone()));
    assert_eq!(hosted.asked.load(Ordering::SeqCst), 0);
    assert_eq!(census.last("1"), Count::Unknown);

    census.provide("1", server.client_cert());
    assert_eq!(called(&mut calls).await, "ns/demo");
    assert_eq!(census.last("1"), nodes(0, 0, None));
    assert!(!census.follow("1", "ns", "demo", server.endpoint.clone()));

    hosted.join("a", "True", "v1.36.3+k0s");
    called(&mut calls).await;
    assert_eq!(census.last("1"), nodes(1, 1, Some("v1.36.3+k0s")));
    hosted.join("b", "Unknown", "v1.35.10+k0s");
    hosted.join("c", "True", "v1.35.9+k0s");
    while census.last("1") != nodes(3, 2, Some("v1.35.9+k0s")) {
        called(&mut calls).await;
    }
    // The same count is no news.
    let asked = hosted.asked.load(Ordering::SeqCst);
    while hosted.asked.load(Ordering::SeqCst) < asked + 9 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn a_certificate_that_is_due_is_asked_for_again() {
    let server = Hosted::default().start().await;
    let (census, mut calls) = census();
    census.follow("1", "ns", "demo", server.endpoint.clone());
    called(&mut calls).await;
    census.provide("1", client_cert(&server.ca, SignedDuration::from_secs(1)));
    while !census.follow("1", "ns", "demo", server.endpoint.clone()) {
        called(&mut calls).await;
    }
    census.provide("1", server.client_cert());
    assert!(!census.follow("1", "ns", "demo", server.endpoint.clone()));
}

#[tokio::test]
async fn of_an_authority_that_is_about_to_expire_one_certificate_is_made() {
    let ca = pki::ca::new(
        "kubernetes",
        Timestamp::now(),
        SignedDuration::from_secs(20),
    )
    .unwrap();
    let hosted = Hosted::default();
    let server = Server::start_with(hosted.routes(), ca, TLS_SERVER_NAME).await;
    let (census, mut calls) = census();
    let mut made = 0;
    while made < 3 && hosted.asked.load(Ordering::SeqCst) < 9 {
        if census.follow("1", "ns", "demo", server.endpoint.clone()) {
            made += 1;
            census.provide("1", server.client_cert());
        }
        let _ = tokio::time::timeout(Duration::from_millis(5), calls.recv()).await;
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn the_last_count_stands_while_the_api_does_not_answer() {
    let hosted = Hosted::default();
    hosted.join("a", "True", "v1.36.3+k0s");
    let server = hosted.start().await;
    let (census, mut calls) = census();
    census.follow("1", "ns", "demo", server.endpoint.clone());
    called(&mut calls).await;
    census.provide("1", server.client_cert());
    while census.last("1") == Count::Unknown {
        called(&mut calls).await;
    }
    drop(server);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(census.last("1"), nodes(1, 1, Some("v1.36.3+k0s")));
    census.forget("1");
    assert_eq!(census.last("1"), Count::Unknown);
}

/// It serves, so that nobody else finds out; and an upgrade would be judged by what there was once.
#[tokio::test]
async fn a_count_that_cannot_be_repeated_for_long_is_none_and_that_is_told_once() {
    let hosted = Hosted::default();
    hosted.join("a", "True", "v1.32.3+k0s");
    let server = hosted.start().await;
    let (census, mut calls) = patient_census(Duration::from_millis(100));
    census.follow("1", "ns", "demo", server.endpoint.clone());
    called(&mut calls).await;
    census.provide("1", server.client_cert());
    called(&mut calls).await;
    let counted = nodes(1, 1, Some("v1.32.3+k0s"));
    assert_eq!(census.last("1"), counted);

    // That it is down is said already.
    census.serves("1", false);
    *hosted.refuses.lock() = Some(StatusCode::TOO_MANY_REQUESTS);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(census.last("1"), counted);
    census.serves("1", true);
    let start = Instant::now();
    called(&mut calls).await;
    assert!(start.elapsed() >= Duration::from_millis(100));
    let failed = |said: &str| Count::Failed(format!("hosted API responded with status {said}"));
    assert_eq!(census.last("1"), failed("429 Too Many Requests"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(calls.try_recv().is_err(), "once");
    *hosted.refuses.lock() = Some(StatusCode::SERVICE_UNAVAILABLE);
    called(&mut calls).await;
    assert_eq!(census.last("1"), failed("503 Service Unavailable"));

    *hosted.refuses.lock() = None;
    called(&mut calls).await;
    assert_eq!(census.last("1"), counted);
}

#[tokio::test]
async fn nodes_that_nobody_may_ask_for_are_not_known_for_ever() {
    let server = Hosted::default().start().await;
    let (census, mut calls) = patient_census(Duration::from_millis(100));
    census.follow("1", "ns", "demo", server.endpoint.clone());
    called(&mut calls).await;
    called(&mut calls).await;
    assert_eq!(census.last("1"), Count::Failed(NO_CERTIFICATE.to_owned()));
    assert!(census.follow("1", "ns", "demo", server.endpoint.clone()));
    census.provide("1", server.client_cert());
    called(&mut calls).await;
    assert_eq!(census.last("1"), nodes(0, 0, None));
}

/// Each change of words is a write.
#[test]
fn a_count_that_fails_now_so_and_now_so_is_said_to_do_so_in_the_same_words() {
    let mut last = Last::default();
    let news =
        ["a", "b", "a", "b", "b", "b", "a"].map(|why| last.fails(why.to_owned(), Duration::ZERO));
    assert_eq!(news, [true, false, false, false, true, false, false]);
    assert_eq!(last.count, Count::Failed("b".to_owned()));
}

#[test]
fn what_a_node_says_of_itself_is_a_version_or_nothing() {
    assert!(kubelet("v1.36.3+k0s").is_some());
    for text in [
        "v1.36.3+\u{1b}[2Jowned",
        "v1.36.3+\u{202e}",
        &format!("v1.36.3-{}", "a".repeat(1 << 20)),
    ] {
        assert_eq!(kubelet(text), None);
    }
}

/// An API that always has another page is left for the next one in line.
#[tokio::test(start_paused = true)]
async fn a_count_without_an_end_is_ended() {
    let endless = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let page = json!({"metadata": {"continue": "more"}, "items": []}).to_string();
        Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::from(
            page.into_bytes(),
        )))
    });
    let client = Client::new(endless, "default");
    let first = ask(&client, &first_page()).await.unwrap();
    let answer = within(ALL_PAGES_OF_SLOW, every_page(&client, first)).await;
    assert!(matches!(answer, Err(HostedError::Timeout)), "{answer:?}");
}

/// As many as would hold all places for eight seconds.
#[tokio::test]
async fn what_hangs_keeps_no_other_from_being_counted() {
    let (_listener, stuck) = hanging().await;
    let hosted = Hosted::default();
    let server = hosted.start().await;
    let (census, mut calls) = census();
    let uids: Vec<_> = (0..4 * CONCURRENCY).map(|uid| uid.to_string()).collect();
    for uid in &uids {
        census.follow(uid, "ns", "stuck", stuck.clone());
    }
    census.follow("demo", "ns", "demo", server.endpoint.clone());
    for _ in 0..=uids.len() {
        called(&mut calls).await;
    }
    for uid in &uids {
        census.provide(uid, server.client_cert());
    }
    // They are before it in the line.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = std::time::Instant::now();
    census.provide("demo", server.client_cert());
    assert_eq!(called(&mut calls).await, "ns/demo");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");

    // While they are asked again and again.
    tokio::time::sleep(CONNECT_TIMEOUT).await;
    hosted.join("a", "True", "v1.36.3+k0s");
    let start = std::time::Instant::now();
    assert_eq!(called(&mut calls).await, "ns/demo");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
