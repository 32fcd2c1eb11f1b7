//! How the server ends without a failed request.

use std::time::{Duration, Instant};

use webhook::server::Limits;

use crate::scene::{NAME, Scene, limits};
use crate::soon;

#[tokio::test]
async fn after_the_stop_it_serves_on_and_every_answer_ends_its_connection() {
    let scene = Scene::start(limits()).await;
    let mut open = scene.caller().await;
    assert!(!soon(open.post("/mutate", "x")).await.unwrap().closes());
    scene.stop.cancel();
    let started = Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // An idle connection is not closed: its caller may be about to send.
    for mut caller in [open, scene.caller().await] {
        let answer = soon(caller.post("/mutate", "x")).await.unwrap();
        assert!(answer.status == 200 && answer.closes(), "{answer:?}");
        assert!(soon(caller.is_closed()).await);
    }
    soon(scene.task).await.unwrap();
    assert!(
        started.elapsed() >= Duration::from_millis(500),
        "it has to serve for the whole time"
    );
}

#[tokio::test]
async fn what_is_open_at_the_end_is_answered_and_what_is_idle_is_closed() {
    let scene = Scene::start(Limits {
        reading: Duration::from_secs(5),
        ..limits()
    })
    .await;
    let mut idle = scene.caller().await;
    soon(idle.post("/mutate", "x")).await.unwrap();
    let mut open = scene.caller().await;
    let head = format!("POST /mutate HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1\r\n\r\n");
    open.send(&head).await.unwrap();
    scene.stop.cancel();
    assert!(soon(idle.is_closed()).await);
    open.send("x").await.unwrap();
    assert_eq!(soon(open.answer()).await.unwrap().status, 200);
    soon(scene.task).await.unwrap();
}
