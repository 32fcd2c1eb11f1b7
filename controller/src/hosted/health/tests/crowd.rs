//! Many APIs that hang, and one that does not.

use super::*;

/// How many hang, for two places.
const HANG: usize = 8;

/// Each hangs for two seconds, so that they would hold two places for eight.
#[tokio::test]
async fn what_hangs_keeps_neither_its_like_nor_others_waiting() {
    let (_listener, endpoint) = hanging().await;
    let (prober, mut calls) = prober(2, quick());
    let start = Instant::now();
    for uid in 0..HANG {
        prober.observe(
            &uid.to_string(),
            "ns",
            "stuck",
            endpoint.clone(),
            None,
            false,
        );
    }
    let api = Api::default();
    api.set(true);
    let server = api.start().await;
    prober.observe("u", "ns", "a", server.endpoint.clone(), None, false);
    // The one that answers first, though the others were there before it.
    assert_eq!(called(&mut calls).await, "ns/a");
    for _ in 0..HANG {
        assert_eq!(called(&mut calls).await, "ns/stuck");
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");

    // While they are asked again and again.
    api.set(false);
    let start = Instant::now();
    assert_eq!(called(&mut calls).await, "ns/a");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(!prober.last("u").unwrap().ready);
}
