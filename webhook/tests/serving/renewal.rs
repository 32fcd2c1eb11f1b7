//! Certificates that change while requests come in.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use jiff::Timestamp;
use webhook::certificates::plan::Change;

use crate::client::Caller;
use crate::scene::{Scene, changed, limits, roots, secret};
use crate::soon;

/// Callers that trust both CAs, some on one connection, some on a new one each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_authority_takes_over_under_load_without_one_failed_request() {
    let scene = Scene::start(limits()).await;
    let prepared = changed(scene.stored.clone(), Change::Prepare);
    let both = roots(&prepared, &["ca.crt", "next-ca.crt"]);
    let (done, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (0..8)
        .map(|index| {
            let (address, both) = (scene.address, both.clone());
            let (done, answered) = (done.clone(), answered.clone());
            tokio::spawn(async move {
                let mut caller = Caller::connect(address, both.clone()).await.unwrap();
                while !done.load(Relaxed) {
                    if index % 2 == 0 {
                        caller = Caller::connect(address, both.clone()).await.unwrap();
                    }
                    let answer = caller.post("/mutate", "x").await.unwrap();
                    assert_eq!(answer.status, 200);
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let more = async |count: usize| {
        let wanted = answered.load(Relaxed) + count;
        soon(async {
            while answered.load(Relaxed) < wanted {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    more(50).await;
    let promoted = changed(prepared, Change::Promote);
    scene.served.take(&secret(&promoted), Timestamp::now());
    more(50).await;
    // And many times over, which no CA would.
    let mut stored = promoted;
    for _ in 0..20 {
        stored = changed(stored, Change::Issue);
        scene.served.take(&secret(&stored), Timestamp::now());
        more(5).await;
    }
    done.store(true, Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let new = roots(&stored, &["ca.crt"]);
    assert!(soon(Caller::connect(scene.address, new)).await.is_ok());
    let old = roots(&stored, &["old-ca.crt"]);
    assert!(soon(Caller::connect(scene.address, old)).await.is_err());
}
