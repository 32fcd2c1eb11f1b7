//! When a request is looked at again, and what it says while it waits.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Request;
use kube::client::Body;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::apply::Problem;
use crate::cluster::fixtures;
use crate::hosted::turns::{Call, Turn};
use crate::kubernetes::fixtures::{answer, client};
use crate::kubernetes::store::Kind;

#[test]
fn a_secret_that_is_left_alone_ends_an_earlier_failure_unless_that_goes_on() {
    let (wait, failures) = (Duration::from_secs(3), Failures::default());
    let contested = || {
        let problem = Problem::new(&ObjectKey::new(Kind::Secret, "ns", "token"), "x");
        Error::Contested(Held { problem, wait })
    };
    let uids = ["contested", "paced", "fails", "waits", "down"];
    for uid in uids {
        failures.delay(uid);
    }
    std::thread::sleep(Duration::from_secs(1));
    let errors = [
        contested(),
        Error::Paced(wait),
        Error::TooSoon(wait),
        Error::NoTurn(wait),
        Error::Down("x".to_owned()),
    ];
    let begins_anew = errors.into_iter().zip(uids).map(|(error, uid)| {
        let next = again(Err(error), uid, &failures);
        assert!(next.is_err() || next.is_ok_and(|next| next == Action::requeue(wait)));
        failures.delay(uid) < Duration::from_millis(400)
    });
    let begins_anew: Vec<_> = begins_anew.collect();
    assert_eq!(begins_anew, [true, true, false, false, false]);
}

/// A request for a token of a cluster that serves, and the statuses that are written of it.
struct World {
    request: Arc<JoinTokenRequest>,
    context: Context,
    told: Arc<Mutex<Vec<Value>>>,
}

impl World {
    fn new(metadata: &Value) -> Self {
        let owner = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "name": "demo",
            "uid": "1", "controller": true});
        let mut request = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
            "metadata": {"name": "token", "namespace": "ns", "uid": "r", "resourceVersion": "1",
                "finalizers": [crds::names::JOIN_TOKEN_REQUEST_FINALIZER],
                "ownerReferences": [owner.clone()]},
            "spec": {"clusterName": "demo"}});
        json_patch::merge(&mut request, &json!({"metadata": metadata}));
        let told = Arc::new(Mutex::new(Vec::new()));
        let (to, there) = (Arc::clone(&told), request.clone());
        let server = client(move |request: Request<Body>| {
            let (to, mut there) = (Arc::clone(&to), there.clone());
            async move {
                let body = request.into_body().collect_bytes().await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                there["status"] = body["status"].clone();
                let mut to = to.lock();
                to.push(there["status"].clone());
                there["metadata"]["resourceVersion"] = json!((to.len() + 1).to_string());
                answer(&there)
            }
        });
        let none = |_| async { answer(&json!({"metadata": {}, "items": []})) };
        let shared = fixtures::context(none);
        let now = Timestamp::now();
        let ca = pki::ca::new("kubernetes", now, pki::ca::LIFETIME).unwrap();
        let meta = |name: &str| {
            json!({"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                "ownerReferences": [owner.clone()]})
        };
        let ca = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("demo-ca"),
            "data": {"tls.crt": BASE64_STANDARD.encode(ca.certificate)}});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("kmc-demo"),
            "spec": {"clusterIP": "10.0.0.1"}});
        let store = &shared.mothership.store;
        store.put(Kind::Secret, serde_json::from_value(ca).unwrap(), 0);
        store.put(Kind::Service, serde_json::from_value(service).unwrap(), 0);
        let (clusters, mut writer) = reflector::store();
        let functional = json!([{"type": "ControlPlaneFunctional", "status": "True",
            "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let cluster = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
            "spec": {"service": {"type": "ClusterIP"}},
            "status": {"ports": {"api": 6443, "konnectivity": 8132}, "conditions": functional}});
        let cluster: Cluster = serde_json::from_value(cluster).unwrap();
        writer.apply_watcher_event(&Event::Apply(cluster));
        Self {
            request: Arc::new(serde_json::from_value(request).unwrap()),
            context: Context {
                shared: Arc::new(shared),
                clusters,
                primary: PrimaryWriter::new(server),
                failures: Failures::default(),
            },
            told,
        }
    }

    /// Others' calls to its API, which are not over.
    async fn crowd(&self, call: Call) -> Vec<Turn> {
        let mut turns = Vec::new();
        while let Ok(Some(turn)) = self.context.shared.turns.take("1", call).await {
            turns.push(turn);
        }
        turns
    }

    async fn run(&self) -> Result<Action, Error> {
        let latest = self.context.primary.latest(Arc::clone(&self.request));
        run(&latest, &self.context).await
    }
}

/// There may be hundreds before it, at an API that takes seconds for each.
#[tokio::test]
async fn a_request_that_waits_for_its_turn_says_so_once() {
    let deleted = json!({"deletionTimestamp": "2027-01-01T00:00:00Z"});
    for (metadata, call, type_, status) in [
        (json!({}), Call::Make, status::SECRET_CREATED, "False"),
        (deleted, Call::Revoke, status::DELETING, "True"),
    ] {
        let world = World::new(&metadata);
        let _turns = world.crowd(call).await;
        for _ in 0..2 {
            let waits = world.run().await;
            assert!(matches!(waits, Err(Error::NoTurn(_))), "{waits:?}");
        }
        let told = world.told.lock();
        let [said] = told.as_slice() else {
            panic!("{told:?}");
        };
        let said = &said["conditions"][0];
        let found = ["type", "status", "reason"].map(|field| said[field].as_str().unwrap());
        assert_eq!(found, [type_, status, "WaitingForTurn"]);
        assert!(
            said["message"].as_str().unwrap().contains("its turn"),
            "{said}"
        );
    }
}
