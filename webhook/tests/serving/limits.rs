//! What the server refuses of slow, large and many requests.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use webhook::server::Limits;

use crate::client::{Caller, config};
use crate::scene::{NAME, Scene, limits, roots};
use crate::soon;

#[tokio::test]
async fn a_request_is_answered_and_the_connection_stays_open() {
    let scene = Scene::start(limits()).await;
    let mut caller = scene.caller().await;
    for body in ["one", "two"] {
        let answer = soon(caller.post("/mutate", body)).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, body));
        assert!(!answer.closes());
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_whether_its_length_is_told_or_not() {
    let scene = Scene::start(limits()).await;
    let large = "x".repeat((64 << 10) + 1);
    let answer = soon(scene.caller().await.post("/mutate", &large))
        .await
        .unwrap();
    assert_eq!(answer.status, 413);
    let mut caller = scene.caller().await;
    let head =
        format!("POST /mutate HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n");
    // The server may have answered and closed before all is sent.
    let _ = caller
        .send(&format!("{head}{:x}\r\n{large}\r\n0\r\n\r\n", large.len()))
        .await;
    assert_eq!(soon(caller.answer()).await.unwrap().status, 413);
    let exact = "x".repeat(64 << 10);
    let answer = soon(scene.caller().await.post("/mutate", &exact))
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(scene.metric(r#"k0smotron_webhook_rejected_total{reason="too-large"} 2"#));
}

#[tokio::test]
async fn what_is_no_request_is_told_so() {
    let scene = Scene::start(limits()).await;
    let mut caller = scene.caller().await;
    let answer = soon(caller.post("/mutate", "")).await.unwrap();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (400, "the body is empty")
    );
    let answer = soon(caller.post("/convert", "x")).await.unwrap();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (400, "the request has no uid")
    );
    assert_eq!(
        soon(caller.post("/elsewhere", "x")).await.unwrap().status,
        404
    );
    caller
        .send(&format!("GET /mutate HTTP/1.1\r\nHost: {NAME}\r\n\r\n"))
        .await
        .unwrap();
    assert_eq!(soon(caller.answer()).await.unwrap().status, 405);
}

#[tokio::test]
async fn before_the_lists_are_there_nothing_is_decided_and_all_is_converted() {
    let lists = Duration::from_millis(300);
    let scene = Scene::start(Limits { lists, ..limits() }).await;
    scene.echo.waits.store(true, Relaxed);
    let answer = soon(scene.caller().await.post("/mutate", "x")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("the first list of Cluster"),
        "{answer:?}"
    );
    assert!(answer.head.to_lowercase().contains("retry-after: 1"));
    let mut caller = scene.caller().await;
    let answer = soon(caller.post("/convert", "x")).await.unwrap();
    assert_eq!(answer.body, "the request has no uid");
    // A moment is waited for.
    let come = async {
        tokio::time::sleep(lists / 3).await;
        scene.echo.waits.store(false, Relaxed);
    };
    let (answer, ()) = tokio::join!(soon(caller.post("/mutate", "x")), come);
    assert_eq!(answer.unwrap().status, 200);
    assert!(scene.metric(r#"k0smotron_webhook_rejected_total{reason="unready"} 1"#));
}

#[tokio::test]
async fn a_panic_is_the_failure_of_one_request() {
    let scene = Scene::start(limits()).await;
    let mut caller = scene.caller().await;
    let answer = soon(caller.post("/validate", "x")).await.unwrap();
    assert_eq!(answer.status, 500);
    assert!(
        !answer.body.contains("as asked"),
        "what happened inside is for the log"
    );
    assert_eq!(soon(caller.post("/mutate", "x")).await.unwrap().status, 200);
    assert!(scene.metric("k0smotron_webhook_inflight 0"));
}

#[tokio::test]
async fn who_is_slow_with_the_head_is_cut_off() {
    let scene = Scene::start(limits()).await;
    let mut silent = scene.caller().await;
    let mut begun = scene.caller().await;
    begun.send("POST /mutate HTT").await.unwrap();
    assert!(soon(silent.is_closed()).await);
    assert!(soon(begun.is_closed()).await);
    // The same on a connection that has been used.
    let mut used = scene.caller().await;
    soon(used.post("/mutate", "x")).await.unwrap();
    used.send("POST").await.unwrap();
    assert!(soon(used.is_closed()).await);
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off_too() {
    let scene = Scene::start(limits()).await;
    let mut caller = scene.caller().await;
    let started = Instant::now();
    while caller.send("X").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn an_idle_connection_lives_longer_than_a_head_may_take() {
    let idle = Duration::from_millis(900);
    let scene = Scene::start(Limits { idle, ..limits() }).await;
    let mut caller = scene.caller().await;
    soon(caller.post("/mutate", "x")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(soon(caller.post("/mutate", "x")).await.unwrap().status, 200);
    let started = Instant::now();
    assert!(soon(caller.is_closed()).await);
    assert!(
        started.elapsed() > Duration::from_millis(600),
        "it was idle for less"
    );
}

#[tokio::test]
async fn who_is_slow_with_the_body_is_told_so() {
    let scene = Scene::start(limits()).await;
    let mut caller = scene.caller().await;
    let head = format!("POST /mutate HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 9\r\n\r\nx");
    caller.send(&head).await.unwrap();
    assert_eq!(soon(caller.answer()).await.unwrap().status, 408);
}

#[tokio::test]
async fn who_does_not_shake_hands_is_cut_off() {
    let scene = Scene::start(limits()).await;
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    let mut buffer = [0; 1];
    assert_eq!(soon(stream.read(&mut buffer)).await.unwrap_or(0), 0);
    let line = r#"k0smotron_webhook_tls_handshake_errors_total{reason="timeout"} 1"#;
    assert!(scene.metric(line));
}

#[tokio::test]
async fn an_old_connection_ends_with_an_answer_that_says_so() {
    let age = Duration::from_millis(200);
    let scene = Scene::start(Limits { age, ..limits() }).await;
    let mut caller = scene.caller().await;
    assert!(!soon(caller.post("/mutate", "x")).await.unwrap().closes());
    tokio::time::sleep(age * 2).await;
    let answer = soon(caller.post("/mutate", "x")).await.unwrap();
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    assert!(soon(caller.is_closed()).await);
}

#[tokio::test]
async fn http_2_is_not_spoken_and_a_stranger_is_not_trusted() {
    let scene = Scene::start(limits()).await;
    let known = roots(&scene.stored, &["ca.crt"]);
    let h2 = config(known, &["h2"]);
    assert!(soon(Caller::connect_with(scene.address, h2)).await.is_err());
    assert!(
        soon(Caller::connect(scene.address, RootCertStore::empty()))
            .await
            .is_err()
    );
}
