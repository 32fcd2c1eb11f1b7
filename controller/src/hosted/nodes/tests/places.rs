//! Who holds a place, for how long, and who waits for one.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::AtomicBool;

use kube::client::Body;
use tokio::sync::oneshot;

use super::*;
use crate::hosted::deadline;

/// A count of the poller that is begun by the test.
async fn counting(census: &NodePoller, uid: &str, is_slow: bool) -> Counting {
    let target = Target {
        namespace: "ns".to_owned(),
        name: uid.to_owned(),
        endpoint: Endpoint::new("127.0.0.1", 1, String::new()),
        client_cert: None,
    };
    let (sender, receiver) = oneshot::channel();
    let run = |task| async move { assert!(sender.send(task).is_ok()) };
    census.0.with_or_start(uid, target, |_, _| (), run);
    let task = receiver.await.unwrap();
    Counting { task, is_slow }
}

/// An API with so many pages, each of which comes after this time.
async fn paged(pages: u32, each: Duration) -> Result<Begun, HostedError> {
    let left = Arc::new(AtomicU32::new(pages));
    let client = tower::service_fn(move |_: http::Request<Body>| {
        let more = match left.fetch_sub(1, Ordering::SeqCst) {
            1 => "",
            _ => "more",
        };
        async move {
            tokio::time::sleep(each).await;
            let page = json!({"metadata": {"continue": more}, "items": []}).to_string();
            Ok::<_, Infallible>(http::Response::new(Body::from(page.into_bytes())))
        }
    });
    let client = Client::new(client, "default");
    let first = deadline(ask(&client, &first_page())).await?;
    Ok((client, first))
}

#[tokio::test(start_paused = true)]
async fn an_api_is_slow_by_the_time_of_all_its_pages() {
    let (census, _calls) = census();
    let mut trickles = counting(&census, "1", false).await;
    let each = Duration::from_secs(1);
    let start = Instant::now();
    let counted = trickles.count(paged(59, each)).await;
    assert!(matches!(counted, Err(HostedError::Timeout)), "{counted:?}");
    assert_eq!(start.elapsed(), ALL_PAGES, "others wait for its place");
    assert!(trickles.is_slow);
    trickles.count(paged(59, each)).await.unwrap();
    assert!(trickles.is_slow, "each answer came just in time");
    trickles.count(paged(1, each)).await.unwrap();
    assert!(!trickles.is_slow);
    trickles.count(paged(3, each)).await.unwrap();
    assert!(trickles.is_slow);
    // A control plane that restarts is none to wait behind those that trickle.
    let refused = async { Err(HostedError::Answer) };
    assert!(trickles.count(refused).await.is_err());
    assert!(!trickles.is_slow);
}

#[tokio::test(start_paused = true)]
async fn no_more_lists_are_in_memory_than_are_meant() {
    let (census, _calls) = census();
    let reading = Arc::new(AtomicU32::new(0));
    for uid in 0..40 {
        let mut counting = counting(&census, &uid.to_string(), uid % 2 == 0).await;
        let reading = Arc::clone(&reading);
        tokio::spawn(async move {
            let begin = async {
                reading.fetch_add(1, Ordering::SeqCst);
                let client = tower::service_fn(|_: http::Request<Body>| async {
                    let never = futures::stream::pending::<Result<Vec<u8>, Infallible>>();
                    let body = axum::body::Body::from_stream(never);
                    Ok::<_, Infallible>(http::Response::new(body))
                });
                let client = Client::new(client, "default");
                let first = deadline(ask(&client, &first_page())).await?;
                Ok((client, first))
            };
            let _ = counting.count(begin).await;
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(reading.load(Ordering::SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn nobody_holds_a_connection_for_long_who_waits_to_read() {
    let (census, _calls) = census();
    let mut waits = counting(&census, "1", false).await;
    let shared = Arc::clone(&waits.task.shared);
    let each = Duration::from_millis(300);
    let takes_all = async {
        let mut places = Vec::new();
        for _ in 0..CONCURRENCY {
            places.push(shared.place(false).await);
        }
        pending::<()>().await;
    };
    let start = Instant::now();
    let counted = tokio::select! {
        biased;
        counted = waits.count(paged(1, each)) => counted,
        () = takes_all => unreachable!(),
        () = tokio::time::sleep(Duration::from_mins(1)) => panic!("it still waits"),
    };
    assert!(matches!(counted, Err(HostedError::Timeout)), "{counted:?}");
    assert_eq!(start.elapsed(), each + CALL_DEADLINE);
    assert!(!waits.is_slow, "it was others that took long");
}

#[tokio::test(start_paused = true)]
async fn what_is_slow_connects_when_it_is_its_turn() {
    let (census, _calls) = census();
    let mut slow = counting(&census, "1", true).await;
    let shared = Arc::clone(&slow.task.shared);
    let mut places = Vec::new();
    for _ in 0..CONCURRENCY {
        places.push(shared.place(true).await);
    }
    let connected = AtomicBool::new(false);
    let begin = async {
        connected.store(true, Ordering::SeqCst);
        paged(1, Duration::from_secs(3)).await
    };
    let frees = async {
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert!(!connected.load(Ordering::SeqCst));
        drop(places);
    };
    let (counted, ()) = tokio::join!(slow.count(begin), frees);
    counted.unwrap();
    assert!(slow.is_slow);
}
