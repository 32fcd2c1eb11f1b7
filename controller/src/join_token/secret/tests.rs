//! A token's Secret that others write as well.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response as Reply};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Request, Response};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::client::Body;
use kube::runtime::reflector;
use parking_lot::Mutex;
use pki::token::{BootstrapToken, Role, TokenSecret, bootstrap_secret};
use runtime::backoff::Failures;
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures;
use crate::hosted::testing::Server;
use crate::join_token::dereference::Reach;
use crate::kubernetes::fixtures::{answer, refusal};
use crate::kubernetes::primary::PrimaryWriter;

/// What the API server has of the Secret, and how often it was written.
#[derive(Default)]
struct Mothership {
    secret: Option<Value>,
    version: u32,
    writes: usize,
}

impl Mothership {
    fn change(&mut self, patch: &Value) -> Value {
        self.version += 1;
        let secret = self.secret.get_or_insert_with(|| json!({}));
        json_patch::merge(secret, patch);
        let metadata = json!({"uid": "s", "resourceVersion": self.version.to_string()});
        json_patch::merge(secret, &json!({"metadata": metadata}));
        secret.clone()
    }
}

struct World {
    mothership: Arc<Mutex<Mothership>>,
    /// How often the hosted API was asked.
    asked: Arc<AtomicUsize>,
    request: JoinTokenRequest,
    valid: ValidRequest,
    context: Context,
    _hosted: Server,
}

async fn respond(
    mothership: Arc<Mutex<Mothership>>,
    ca: Value,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if path.ends_with("/secrets/my-ca") {
        return answer(&ca);
    }
    if !path.contains("/ns/secrets") {
        return std::future::pending().await;
    }
    let body = body.collect_bytes().await.unwrap();
    let mut there = mothership.lock();
    if parts.method == "PATCH" {
        let mut patch: Value = serde_json::from_slice(&body).unwrap();
        let is_new = patch["metadata"]["resourceVersion"] == "1";
        let uid = patch["metadata"]["uid"].clone();
        let seen = there
            .secret
            .as_ref()
            .map(|it| it["metadata"]["uid"].clone());
        if is_new && seen.is_some() || !is_new && seen != Some(uid) {
            return refusal(409);
        }
        there.writes += 1;
        patch["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        return answer(&there.change(&patch));
    }
    if path.ends_with("/secrets") {
        return answer(
            &json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {},
            "items": there.secret.as_slice()}),
        );
    }
    there.secret.as_ref().map_or_else(|| refusal(404), answer)
}

impl World {
    /// With a hosted API that has the token, or with one that says this instead.
    async fn new(fails: Option<StatusCode>) -> Self {
        let id: TokenId = "abc123".parse().unwrap();
        let token = BootstrapToken {
            id,
            secret: TokenSecret::random().unwrap(),
            role: Role::Worker,
            expiration: None,
        };
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let routes = Router::new().fallback(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let secret = bootstrap_secret(&token);
            async move {
                let reply = |code: StatusCode| code.into_response();
                fails.map_or_else(|| Json(secret).into_response(), reply) as Reply
            }
        });
        let hosted = Server::start(routes).await;
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let ca = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "my-ca", "namespace": "ns", "uid": "ca"},
            "data": {"tls.crt": encoded(&hosted.ca.certificate),
                "tls.key": encoded(hosted.ca.key.expose())}});
        let mothership = Arc::new(Mutex::new(Mothership::default()));
        let to = mothership.clone();
        let shared = fixtures::context(move |request| respond(to.clone(), ca.clone(), request));
        let owner = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "name": "demo",
            "uid": "1", "controller": true});
        let request: JoinTokenRequest = serde_json::from_value(json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
            "metadata": {"name": "token", "namespace": "ns", "uid": "r",
                "finalizers": [crds::names::JOIN_TOKEN_REQUEST_FINALIZER],
                "ownerReferences": [owner.clone()]},
            "spec": {"clusterName": "demo"}, "status": {"tokenID": "abc123"},
        }))
        .unwrap();
        let valid = ValidRequest {
            role: Role::Worker,
            lifetime: None,
            server: "https://192.0.2.1:6443".to_owned(),
            reach: Reach {
                cluster_uid: "1".to_owned(),
                service_ip: hosted.endpoint.host.clone(),
                port: hosted.endpoint.port,
                ca_secret: ObjectKey::new(Kind::Secret, "ns", "my-ca"),
                certificate: hosted.ca.certificate.clone(),
            },
            owner: serde_json::from_value(owner).unwrap(),
        };
        let context = Context {
            shared: Arc::new(shared),
            clusters: reflector::store().0,
            primary: PrimaryWriter::new(crate::kubernetes::fixtures::client(|_| {
                std::future::pending()
            })),
            failures: Failures::default(),
        };
        Self {
            mothership,
            asked,
            request,
            valid,
            context,
            _hosted: hosted,
        }
    }

    async fn ensure(&self) -> Result<Issued, Error> {
        let live = own(&self.request, &self.valid, &self.context).await?;
        ensure(&self.request, &self.valid, live, &self.context).await
    }

    /// Somebody else changes the Secret, and a watch shows it.
    fn edit(&self, patch: &Value) {
        let secret = self.mothership.lock().change(patch);
        let store = &self.context.shared.mothership.store;
        store.put(Kind::Secret, serde_json::from_value(secret).unwrap(), 4);
    }

    fn writes(&self) -> usize {
        self.mothership.lock().writes
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

const LABEL: fn(usize) -> Value =
    |edit| json!({"metadata": {"labels": {crds::labels::TOKEN_ROLE: format!("rival-{edit}")}}});
const TOKEN: fn(usize) -> Value =
    |edit| json!({"data": {"token": BASE64_STANDARD.encode(edit.to_string())}});

#[tokio::test]
async fn a_secret_that_others_write_again_and_again_is_written_five_times_at_once() {
    for (change, asks) in [(LABEL, 1), (TOKEN, 5)] {
        let world = World::new(None).await;
        assert_eq!(world.ensure().await.unwrap().id.as_str(), "abc123");
        for edit in 0..30 {
            world.edit(&change(edit));
            match world.ensure().await {
                Ok(_) => {}
                Err(Error::Paced(wait)) => assert!(wait.as_secs() < 2, "{wait:?}"),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((world.writes(), world.asked()), (5, asks));
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_not_asked_for_at_each_change() {
    let world = World::new(Some(StatusCode::INTERNAL_SERVER_ERROR)).await;
    let mut said = 0;
    for _ in 0..30 {
        match world.ensure().await {
            Err(Error::Hosted(_)) => said += 1,
            Err(Error::TooSoon(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((said, world.asked(), world.writes()), (1, 1, 0));
}

#[tokio::test]
async fn a_fight_for_the_secret_is_said() {
    let world = World::new(None).await;
    world.ensure().await.unwrap();
    world.edit(&LABEL(0));
    let live = own(&world.request, &world.valid, &world.context)
        .await
        .unwrap()
        .unwrap();
    let wanted = build::secret(&world.request, &world.valid, &"abc123".parse().unwrap());
    for _ in 0..10 {
        let (damping, rival) = (&world.context.shared.damping, Some("sync".to_owned()));
        damping.wrote(&wanted.key, wanted.hash(), rival, Instant::now());
    }
    let error = ensure(&world.request, &world.valid, Some(live), &world.context).await;
    let error = error.unwrap_err();
    assert_eq!(error.reason(), "Failed");
    let message = error.message();
    for part in ["Secret ns/token", "\"sync\"", "repeatedly changes"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(error.wait().is_some_and(|wait| wait.as_secs() >= 1));
    assert_eq!(world.writes(), 1);
}

/// Its watch hangs, and tells nobody of the deletion once we have found out.
#[tokio::test]
async fn a_secret_that_has_gone_unseen_is_made_again_at_once() {
    for change in [LABEL, TOKEN] {
        let world = World::new(None).await;
        world.ensure().await.unwrap();
        world.edit(&change(0));
        world.mothership.lock().secret = None;
        world.ensure().await.unwrap();
        let mothership = world.mothership.lock();
        let secret = mothership.secret.as_ref();
        assert!(secret.is_some_and(|secret| secret["data"]["token"].is_string()));
        assert_eq!((mothership.writes, world.asked()), (2, 2));
    }
}

/// It is revoked there alone.
#[tokio::test]
async fn which_cluster_has_a_token_is_recorded_once_no_other_may_have_it() {
    let mut world = World::new(None).await;
    let issued = world.ensure().await.unwrap();
    assert_eq!(issued.cluster_uid.as_deref(), Some("1"));
    let recorded = status::created(&world.request, &issued);

    let beside = OwnerReference {
        name: "beside".to_owned(),
        uid: "2".to_owned(),
        controller: None,
        ..world.valid.owner.clone()
    };
    world.request.owner_references_mut().push(beside);
    let issued = world.ensure().await.unwrap();
    assert_eq!(issued.cluster_uid, None);
    for (status, wanted) in [
        (world.request.status.clone(), None),
        (Some(recorded), Some("1")),
    ] {
        world.request.status = status;
        world.request.status = Some(status::created(&world.request, &issued));
        assert_eq!(status::cluster_uid(&world.request), wanted);
    }
}
