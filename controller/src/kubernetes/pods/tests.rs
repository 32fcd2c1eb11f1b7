//! When pods are asked for, and when not.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

/// An API server with one pod and some refusals, or none that answers, and what it was asked.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

/// What its pod is asked for by.
const FIRST: &str = "fieldSelector=metadata.name%3Dkmc-a-0&";

#[derive(Default)]
struct State {
    asked: Vec<(Duration, String)>,
    pod: Option<Value>,
    /// An answer each, and whether the last is followed by others for ever.
    refusals: Vec<Value>,
    goes_on: bool,
    fails: bool,
}

impl Server {
    fn client(&self) -> Client {
        let (state, began) = (self.0.clone(), Instant::now());
        let service = tower::service_fn(move |request: Request<Body>| {
            let mut state = state.lock().unwrap();
            state
                .asked
                .push((began.elapsed(), request.uri().to_string()));
            let query = request.uri().query().unwrap_or_default();
            let is_for_pods = request.uri().path().ends_with("/pods");
            let page = query.split_once("continue=").map(|(_, page)| page);
            let page: usize = page.map_or(0, |page| page.parse().unwrap());
            let (item, more) = match &state.pod {
                Some(pod) if is_for_pods && query.contains(FIRST) => (Some(pod), false),
                _ if is_for_pods => (None, false),
                _ => {
                    let more = state.goes_on || page + 1 < state.refusals.len();
                    (state.refusals.get(page), more)
                }
            };
            let items: Vec<_> = item.into_iter().collect();
            let token = if more {
                (page + 1).to_string()
            } else {
                String::new()
            };
            let (code, body) = if state.fails {
                let said = "pods is forbidden: 10.0.0.7:41312->x\n";
                (
                    403,
                    json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                    "status": "Failure", "message": said, "reason": "Forbidden", "code": 403}),
                )
            } else {
                (
                    200,
                    json!({"metadata": {"continue": token}, "items": items}),
                )
            };
            let body = body.to_string();
            let answer = Response::builder().status(code);
            let answer = answer.body(Body::from(body.into_bytes())).unwrap();
            async { Ok::<_, Infallible>(answer) }
        });
        Client::new(service, "default")
    }

    fn says(&self, reason: Option<&str>) {
        let state = json!({"waiting": {"reason": reason.unwrap_or_default()}});
        self.0.lock().unwrap().pod = Some(json!({
            "metadata": {"name": "kmc-a-0", "ownerReferences": [{"apiVersion": "apps/v1",
                "kind": "StatefulSet", "name": "kmc-a", "uid": "set", "controller": true}]},
            "status": {"containerStatuses": [{"name": "k0s", "image": "x", "imageID": "",
                "ready": false, "restartCount": 0, "state": state}]},
        }));
    }

    /// When it was asked for its pod, in seconds.
    fn asked(&self) -> Vec<u64> {
        let state = self.0.lock().unwrap();
        let asked = state.asked.iter().filter(|(_, path)| path.contains(FIRST));
        asked.map(|(at, _)| at.as_secs()).collect()
    }

    fn paths(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.asked.iter().map(|(_, path)| path.clone()).collect()
    }
}

fn poller(server: &Server) -> (PodPoller, mpsc::UnboundedReceiver<String>) {
    let (sender, calls) = mpsc::unbounded_channel();
    let changed = move |namespace: &str, name: &str| {
        let _ = sender.send(format!("{namespace}/{name}"));
    };
    (PodPoller::new(server.client(), changed), calls)
}

fn lacking(ready: i32, created: i32) -> Vec<Lacking> {
    lacking_of(3, ready, created)
}

fn lacking_of(wanted: i32, ready: i32, created: i32) -> Vec<Lacking> {
    let set: StatefulSet = serde_json::from_value(json!({
        "metadata": {"name": "kmc-a", "uid": "set"},
        "spec": {"replicas": wanted, "selector": {}, "serviceName": "a", "template": {}},
        "status": {"replicas": created, "readyReplicas": ready},
    }))
    .unwrap();
    Lacking::of(&set).into_iter().collect()
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_become_ready_soon_are_never_asked_for() {
    let server = Server::default();
    let (poller, _calls) = poller(&server);
    poller.follow("1", "ns", "a", lacking(0, 3));
    after(7).await;
    poller.follow("1", "ns", "a", lacking(3, 3));
    after(3600).await;
    assert_eq!(server.asked(), Vec::<u64>::new());
    assert_eq!(poller.last("1"), Pods::Unknown);
}

#[tokio::test(start_paused = true)]
async fn those_that_do_not_are_asked_for_ever_less_often() {
    let server = Server::default();
    server.says(None);
    let (poller, mut calls) = poller(&server);
    poller.follow("1", "ns", "a", lacking(0, 3));
    after(3600).await;
    let asked = server.asked();
    assert!((8..=12).contains(&asked[0]), "{asked:?}");
    assert!((24..=36).contains(&asked[1]), "{asked:?}");
    assert!((14..=20).contains(&asked.len()), "{asked:?}");
    // By their names, whoever else has their labels. No event can be about pods that are all there.
    let pod = |index: usize| {
        format!("/api/v1/namespaces/ns/pods?&fieldSelector=metadata.name%3Dkmc-a-{index}&limit=1")
    };
    let mut paths = server.paths();
    paths.sort();
    paths.dedup();
    assert_eq!(paths, [pod(0), pod(1), pod(2)]);
    assert_eq!(poller.last("1"), Pods::Known(None));
    assert_eq!(calls.recv().await.as_deref(), Some("ns/a"), "what is known");
    assert!(calls.try_recv().is_err(), "once");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_told_once_and_asked_again_when_a_set_changes() {
    let server = Server::default();
    server.says(Some("ErrImagePull"));
    let (poller, mut calls) = poller(&server);
    poller.follow("1", "ns", "a", lacking(0, 3));
    calls.recv().await;
    assert!(matches!(poller.last("1"), Pods::Known(Some(_))));
    server.says(Some("ImagePullBackOff"));
    after(1200).await;
    assert!(calls.try_recv().is_err(), "in other words");

    let before = server.asked().len();
    // It says the same of itself.
    poller.follow("1", "ns", "a", lacking(0, 3));
    after(4).await;
    assert!(server.asked().len() <= before + 1, "{:?}", server.asked());
    server.says(None);
    poller.follow("1", "ns", "a", lacking(1, 3));
    after(4).await;
    assert_eq!(calls.try_recv().as_deref(), Ok("ns/a"));
    assert_eq!(poller.last("1"), Pods::Known(None));
}

/// A set whose pods come and go all the time must not put the question off for ever.
#[tokio::test(start_paused = true)]
async fn a_set_that_changes_all_the_time_is_asked_about_all_the_same() {
    let server = Server::default();
    let (poller, _calls) = poller(&server);
    for second in 0..60 {
        poller.follow("1", "ns", "a", lacking(second % 2, 3));
        after(1).await;
    }
    let asked = server.asked().len();
    assert!((4..=8).contains(&asked), "{:?}", server.asked());
}

#[tokio::test(start_paused = true)]
async fn of_pods_that_are_not_there_their_sets_events_are_asked_for() {
    let server = Server::default();
    let (poller, _calls) = poller(&server);
    poller.follow("1", "ns", "a", lacking(0, 1));
    after(15).await;
    let events = "/apis/events.k8s.io/v1/namespaces/ns/events?\
                  &fieldSelector=regarding.uid%3Dset%2Creason%3DFailedCreate&limit=4";
    assert_eq!(server.paths().get(3).map(String::as_str), Some(events));
    assert_eq!(server.paths().len(), 4);
}

/// What others can write makes neither the answers more nor larger.
#[tokio::test(start_paused = true)]
async fn of_how_much_there_is_only_so_much_is_read() {
    let server = Server::default();
    let refusal = |minute: u32| {
        json!({"metadata": {}, "eventTime": null, "reason": "FailedCreate",
            "note": format!("number {minute}"), "regarding": {"uid": "set"},
            "deprecatedLastTimestamp": format!("2026-01-01T11:{minute}:00Z")})
    };
    server.0.lock().unwrap().refusals = [11, 13, 12].map(refusal).to_vec();
    let (poller, mut calls) = poller(&server);
    poller.follow("1", "ns", "a", lacking_of(3, 0, 1));
    calls.recv().await;
    let Pods::Known(Some(found)) = poller.last("1") else {
        panic!("{:?}", server.paths());
    };
    assert!(found.to_string().ends_with("number 13"), "{found}");
    assert_eq!(server.paths().len(), 3 + 3);

    server.0.lock().unwrap().goes_on = true;
    let before = server.paths().len();
    poller.follow("1", "ns", "a", lacking_of(i32::MAX, 0, 1));
    after(4).await;
    assert_eq!(server.paths().len() - before, 32 + 25);
}

/// An image that comes at last may only show another cause, and no set tells of that.
#[tokio::test(start_paused = true)]
async fn while_something_is_wrong_it_is_looked_at_each_minute() {
    let server = Server::default();
    server.says(Some("ErrImagePull"));
    let (poller, mut calls) = poller(&server);
    poller.follow("1", "ns", "a", lacking(0, 3));
    calls.recv().await;
    after(3600).await;
    server.says(Some("CreateContainerConfigError"));
    after(75).await;
    assert_eq!(calls.try_recv().as_deref(), Ok("ns/a"));
    let asked = server.asked().len();
    assert!((50..=76).contains(&asked), "{:?}", server.asked());
}

/// A moment later nobody knows whether its image has come and another cause is there.
#[tokio::test(start_paused = true)]
async fn an_answer_stands_for_a_moment_while_there_is_no_other() {
    let server = Server::default();
    server.says(Some("ErrImagePull"));
    let (poller, mut calls) = poller(&server);
    poller.follow("1", "ns", "a", lacking(0, 3));
    calls.recv().await;
    let known = poller.last("1");
    server.0.lock().unwrap().fails = true;
    let before = server.asked().len();
    while server.asked().len() == before {
        assert_eq!(poller.last("1"), known);
        after(1).await;
    }
    server.0.lock().unwrap().fails = false;
    after(60).await;
    assert_eq!(poller.last("1"), known);
    assert!(calls.try_recv().is_err(), "it was nothing");

    server.0.lock().unwrap().fails = true;
    let before = server.asked().len();
    calls.recv().await;
    let tries = server.asked().len() - before;
    assert!((2..=3).contains(&tries), "{:?}", server.asked());
    let Pods::Failed(why) = poller.last("1") else {
        panic!("{:?}", poller.last("1"));
    };
    let why = why.to_string();
    assert_eq!(why, "the pods could not be listed: pods is forbidden: x");
    after(1200).await;
    assert!(calls.try_recv().is_err(), "once");
    server.0.lock().unwrap().fails = false;
    after(75).await;
    assert_eq!(calls.try_recv().as_deref(), Ok("ns/a"), "it is over");
    assert_eq!(poller.last("1"), known);

    server.0.lock().unwrap().fails = true;
    poller.forget("1");
    assert_eq!(poller.last("1"), Pods::Unknown);
    let asked = server.asked().len();
    after(1200).await;
    assert_eq!(server.asked().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn pods_that_never_could_be_listed_are_told_of() {
    let server = Server::default();
    server.0.lock().unwrap().fails = true;
    let (poller, mut calls) = poller(&server);
    poller.follow("1", "ns", "a", lacking(0, 3));
    after(9).await;
    assert_eq!(poller.last("1"), Pods::Unknown);
    after(30).await;
    assert_eq!(calls.try_recv().as_deref(), Ok("ns/a"));
    assert!(matches!(poller.last("1"), Pods::Failed(_)));
}
