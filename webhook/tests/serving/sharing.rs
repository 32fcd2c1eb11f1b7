//! That nobody keeps the API server out by taking what all callers share.

use std::net::Ipv4Addr;
use std::time::Duration;

use webhook::server::Limits;

use crate::client::Caller;
use crate::scene::{NAME, Scene, limits, roots};
use crate::soon;

const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Who is slow is not cut off before others need what it has.
fn patient() -> Limits {
    Limits {
        reading: Duration::from_secs(20),
        ..limits()
    }
}

async fn neighbour(scene: &Scene) -> Caller {
    let roots = roots(&scene.stored, &["ca.crt"]);
    Caller::connect_from(NEIGHBOUR, scene.address, roots)
        .await
        .unwrap()
}

/// A request whose body never comes whole.
async fn begin(caller: &mut Caller, announced: usize, sent: usize) {
    let body = "x".repeat(sent);
    caller
        .send(&format!(
            "POST /mutate HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {announced}\r\n\r\n{body}"
        ))
        .await
        .unwrap();
    // It has been read.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn idle_connections_give_way_to_a_new_one_longest_first() {
    let scene = Scene::start(Limits {
        connections: 2,
        ..patient()
    })
    .await;
    let (mut first, mut second) = (scene.caller().await, scene.caller().await);
    soon(first.post("/mutate", "x")).await.unwrap();
    soon(second.post("/mutate", "x")).await.unwrap();
    let mut third = scene.caller().await;
    assert_eq!(soon(third.post("/mutate", "x")).await.unwrap().status, 200);
    assert!(soon(first.is_closed()).await);
    assert_eq!(soon(second.post("/mutate", "x")).await.unwrap().status, 200);
    assert!(scene.metric(r#"k0smotron_webhook_rejected_total{reason="connections"} 1"#));
}

#[tokio::test]
async fn who_holds_all_connections_keeps_nobody_out() {
    let scene = Scene::start(Limits {
        connections: 4,
        ..patient()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut caller = neighbour(&scene).await;
        soon(caller.post("/mutate", "x")).await.unwrap();
        held.push(caller);
    }
    let mut api_server = scene.caller().await;
    let answer = soon(api_server.post("/mutate", "x")).await.unwrap();
    assert_eq!(answer.status, 200);
    // Nor does it get the place back by coming again: its own give way.
    for _ in 0..8 {
        held.push(neighbour(&scene).await);
    }
    let answer = soon(api_server.post("/mutate", "x")).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn who_serves_a_request_gives_no_place_away() {
    let scene = Scene::start(Limits {
        connections: 1,
        ..patient()
    })
    .await;
    let mut busy = scene.caller().await;
    begin(&mut busy, 2, 1).await;
    let roots = roots(&scene.stored, &["ca.crt"]);
    assert!(soon(Caller::connect(scene.address, roots)).await.is_err());
    busy.send("x").await.unwrap();
    assert_eq!(soon(busy.answer()).await.unwrap().status, 200);
}

#[tokio::test]
async fn who_holds_all_requests_is_told_to_come_again() {
    let scene = Scene::start(Limits {
        requests: 2,
        ..patient()
    })
    .await;
    let (mut first, mut second) = (neighbour(&scene).await, neighbour(&scene).await);
    begin(&mut first, 2, 1).await;
    begin(&mut second, 2, 1).await;
    let mut api_server = scene.caller().await;
    let answer = soon(api_server.post("/mutate", "x")).await.unwrap();
    assert_eq!(answer.status, 200);
    let answer = soon(first.answer()).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.head.to_lowercase().contains("retry-after: 1"));
    second.send("x").await.unwrap();
    assert_eq!(soon(second.answer()).await.unwrap().status, 200);
    assert!(scene.metric(r#"k0smotron_webhook_rejected_total{reason="requests"} 1"#));
}

#[tokio::test]
async fn bytes_that_are_only_announced_take_nothing_from_others() {
    let scene = Scene::start(patient()).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut caller = scene.caller().await;
        begin(&mut caller, 64 << 10, 1).await;
        slow.push(caller);
    }
    let body = "x".repeat(64 << 10);
    let answer = soon(scene.caller().await.post("/mutate", &body)).await;
    assert_eq!(answer.unwrap().status, 200);
}

#[tokio::test]
async fn who_holds_all_bytes_is_told_to_come_again() {
    let scene = Scene::start(patient()).await;
    let (mut first, mut second) = (neighbour(&scene).await, neighbour(&scene).await);
    begin(&mut first, 64 << 10, (64 << 10) - 1).await;
    begin(&mut second, 64 << 10, (64 << 10) - 1).await;
    let mut api_server = scene.caller().await;
    let answer = soon(api_server.post("/mutate", "four")).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(soon(first.answer()).await.unwrap().status, 503);
    // Who has more than others is not given theirs.
    begin(&mut api_server, 5, 4).await;
    let mut third = neighbour(&scene).await;
    begin(&mut third, 64 << 10, (64 << 10) - 1).await;
    assert_eq!(soon(second.answer()).await.unwrap().status, 503);
    api_server.send("x").await.unwrap();
    assert_eq!(soon(api_server.answer()).await.unwrap().status, 200);
    assert!(scene.metric(r#"k0smotron_webhook_rejected_total{reason="bytes"} 2"#));
}

#[tokio::test]
async fn a_place_that_is_left_is_free_again() {
    let scene = Scene::start(Limits {
        connections: 1,
        requests: 1,
        bodies: 64 << 10,
        ..patient()
    })
    .await;
    let body = "x".repeat(64 << 10);
    for _ in 0..3 {
        let answer = soon(scene.caller().await.post("/mutate", &body)).await;
        assert_eq!(answer.unwrap().status, 200);
    }
}
