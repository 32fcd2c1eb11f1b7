//! What each kind of answer, and of silence, is taken for.

use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use pki::PemPair;
use rstest::rstest;
use tokio::net::TcpListener;

use super::*;
use crate::hosted::Endpoint;
use crate::hosted::client::{CONNECT_TIMEOUT, connect};
use crate::hosted::testing::{Server, knows_its_own, new_ca};

async fn readyz(endpoint: &Endpoint, client_cert: Option<&PemPair>) -> Result<(), NotReady> {
    let client = connect(endpoint, client_cert)?;
    ask_readyz(&client).await
}

fn answering(status: StatusCode, body: &'static str) -> Router {
    Router::new().route("/readyz", get(move || async move { (status, body) }))
}

async fn reason(endpoint: &Endpoint) -> NotReadyReason {
    readyz(endpoint, None).await.unwrap_err().reason
}

#[tokio::test]
async fn an_api_that_says_ok_is_ready() {
    let server = Server::start(answering(StatusCode::OK, "ok")).await;
    readyz(&server.endpoint, None).await.unwrap();
}

#[tokio::test]
async fn the_certificate_is_shown_to_the_api() {
    let server = Server::start(knows_its_own()).await;
    assert_eq!(reason(&server.endpoint).await, NotReadyReason::Unknown);
    readyz(&server.endpoint, Some(&server.client_cert()))
        .await
        .unwrap();
}

#[tokio::test]
async fn failed_checks_are_named() {
    let body = "[+]ping ok\n[-]etcd failed: reason withheld\n\
                [-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n\
                readyz check failed\n";
    let server = Server::start(answering(StatusCode::INTERNAL_SERVER_ERROR, body)).await;
    let not_ready = readyz(&server.endpoint, None).await.unwrap_err();
    assert_eq!(not_ready.reason, NotReadyReason::NotReady);
    assert_eq!(
        not_ready.message,
        "hosted API is not ready: etcd, poststarthook/rbac/bootstrap-roles failed"
    );
}

#[rstest]
#[case("", "hosted API answered /readyz with status 500")]
#[case(
    "[-]<script> failed\n[-] \n[-]",
    "hosted API answered /readyz with status 500"
)]
#[case(
    "[-]a x\n[-]b x\n[-]c x\n[-]d x\n[-]e x\n[-]f x\n[-]g x",
    "hosted API is not ready: a, b, c, d, e and 2 more failed"
)]
fn only_names_of_checks_are_taken_over(#[case] body: &str, #[case] message: &str) {
    assert_eq!(describe(StatusCode::INTERNAL_SERVER_ERROR, body), message);
}

#[tokio::test]
async fn another_authoritys_certificate_is_not_trusted() {
    let server = Server::start(answering(StatusCode::OK, "ok")).await;
    let mut endpoint = server.endpoint.clone();
    endpoint.ca_certificate = new_ca().certificate;
    let not_ready = readyz(&endpoint, None).await.unwrap_err();
    assert_eq!(not_ready.reason, NotReadyReason::Tls);
    assert!(
        not_ready.message.contains("not signed by the cluster's CA"),
        "{not_ready}"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let routes = answering(StatusCode::OK, "ok");
    let server = Server::start_with(routes, new_ca(), "example.org").await;
    let not_ready = readyz(&server.endpoint, None).await.unwrap_err();
    assert_eq!(not_ready.reason, NotReadyReason::Tls);
    assert!(not_ready.message.contains("another name"), "{not_ready}");
}

#[tokio::test]
async fn a_certificate_that_the_api_does_not_accept_is_told() {
    let server = Server::start(answering(StatusCode::OK, "ok")).await;
    let stranger = Server::start(Router::new()).await;
    let not_ready = readyz(&server.endpoint, Some(&stranger.client_cert()))
        .await
        .unwrap_err();
    assert_eq!(not_ready.reason, NotReadyReason::Tls, "{not_ready}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let endpoint = Endpoint::new("127.0.0.1", port, new_ca().certificate);
    let not_ready = readyz(&endpoint, None).await.unwrap_err();
    assert_eq!(not_ready.reason, NotReadyReason::Unreachable);
    assert!(not_ready.message.contains("refused"), "{not_ready}");
}

#[tokio::test]
async fn a_port_that_accepts_and_says_nothing_costs_the_connect_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::new("127.0.0.1", port, new_ca().certificate);
    let start = Instant::now();
    assert_eq!(reason(&endpoint).await, NotReadyReason::Timeout);
    let took = start.elapsed();
    assert!(
        took >= CONNECT_TIMEOUT && took < READYZ_DEADLINE,
        "{took:?}"
    );
}

#[tokio::test]
async fn an_api_that_does_not_answer_costs_the_deadline() {
    let routes = Router::new().route(
        "/readyz",
        get(|| async { tokio::time::sleep(Duration::from_mins(1)).await }),
    );
    let server = Server::start(routes).await;
    let start = Instant::now();
    assert_eq!(reason(&server.endpoint).await, NotReadyReason::Timeout);
    let took = start.elapsed();
    assert!(took < READYZ_DEADLINE * 2, "{took:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_told() {
    let endpoint = Endpoint::new("a/b", 1, new_ca().certificate);
    assert_eq!(reason(&endpoint).await, NotReadyReason::Invalid);
    let endpoint = Endpoint::new("127.0.0.1", 1, "");
    assert_eq!(reason(&endpoint).await, NotReadyReason::Invalid);
}
