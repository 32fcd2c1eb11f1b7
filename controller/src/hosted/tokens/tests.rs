//! Bootstrap tokens made, repaired and revoked in a hosted cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use kube::core::Status;
use parking_lot::Mutex;
use pki::token::Role;

use super::*;
use crate::hosted::connect;
use crate::hosted::testing::Server;

type Stored = Arc<Mutex<BTreeMap<String, Secret>>>;

fn failure(code: StatusCode, reason: &str) -> Response {
    let status = Status::failure("no", reason).with_code(code.as_u16());
    (code, Json(status)).into_response()
}

fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "NotFound")
}

async fn create(State(stored): State<Stored>, Json(secret): Json<Secret>) -> Response {
    let name = secret.metadata.name.clone().unwrap();
    let mut stored = stored.lock();
    if stored.contains_key(&name) {
        return failure(StatusCode::CONFLICT, "AlreadyExists");
    }
    stored.insert(name, secret.clone());
    (StatusCode::CREATED, Json(secret)).into_response()
}

async fn fetch(State(stored): State<Stored>, Path(name): Path<String>) -> Response {
    let found = stored.lock().get(&name).cloned();
    found.map_or_else(not_found, |secret| Json(secret).into_response())
}

async fn replace(
    State(stored): State<Stored>,
    Path(name): Path<String>,
    Json(secret): Json<Secret>,
) -> Response {
    stored.lock().insert(name, secret.clone());
    Json(secret).into_response()
}

async fn remove(State(stored): State<Stored>, Path(name): Path<String>) -> Response {
    let found = stored.lock().remove(&name);
    found.map_or_else(not_found, |secret| Json(secret).into_response())
}

async fn hosted() -> (Server, Client, Stored) {
    let stored = Stored::default();
    let routes = Router::new()
        .route("/api/v1/namespaces/kube-system/secrets", post(create))
        .route(
            "/api/v1/namespaces/kube-system/secrets/{name}",
            get(fetch).put(replace).delete(remove),
        )
        .with_state(stored.clone());
    let server = Server::start(routes).await;
    let client = connect(&server.endpoint, Some(&server.client_cert())).unwrap();
    (server, client, stored)
}

fn token() -> BootstrapToken {
    BootstrapToken {
        id: "abc123".parse().unwrap(),
        secret: "0123456789abcdef".parse().unwrap(),
        role: Role::Worker,
        expiration: Some("2027-01-01T00:00:00Z".parse().unwrap()),
    }
}

#[tokio::test]
async fn a_token_is_made_once_and_read_back() {
    let (_server, client, stored) = hosted().await;
    let token = token();
    assert_eq!(read(&client, &token.id).await.unwrap(), None);
    assert_eq!(ensure(&client, &token).await.unwrap(), Ensured::Created);
    assert_eq!(ensure(&client, &token).await.unwrap(), Ensured::Unchanged);
    assert_eq!(read(&client, &token.id).await.unwrap(), Some(token));
    assert_eq!(stored.lock().len(), 1);
}

#[tokio::test]
async fn a_token_with_another_end_is_repaired() {
    let (_server, client, _stored) = hosted().await;
    let endless = BootstrapToken {
        expiration: None,
        ..token()
    };
    ensure(&client, &endless).await.unwrap();
    assert_eq!(ensure(&client, &token()).await.unwrap(), Ensured::Repaired);
    assert_eq!(read(&client, &token().id).await.unwrap(), Some(token()));
}

#[tokio::test]
async fn a_token_ends_at_the_earlier_of_two_moments() {
    let (_server, client, stored) = hosted().await;
    let end = |year: u16| Some(format!("{year}-01-01T00:00:00Z").parse().unwrap());
    let cases = [
        (None, None, None),
        (None, end(2027), end(2027)),
        (end(2028), end(2027), end(2027)),
        (end(2027), end(2028), end(2027)),
        (end(2027), None, end(2027)),
    ];
    for (has, asked, ends) in cases {
        stored.lock().clear();
        let expiration = has;
        let made = BootstrapToken {
            expiration,
            ..token()
        };
        ensure(&client, &made).await.unwrap();
        let kept = end_by(&client, made, asked).await.unwrap();
        assert_eq!(kept.expiration, ends);
        assert_eq!(read(&client, &kept.id).await.unwrap(), Some(kept));
    }
}

#[tokio::test]
async fn somebody_elses_token_is_left_alone() {
    let (_server, client, _stored) = hosted().await;
    let other = BootstrapToken {
        secret: "fedcba9876543210".parse().unwrap(),
        ..token()
    };
    ensure(&client, &other).await.unwrap();
    let error = ensure(&client, &token()).await.unwrap_err();
    assert!(matches!(&error, HostedError::TokenTaken(id) if *id == other.id));
    assert_eq!(read(&client, &other.id).await.unwrap(), Some(other));
}

#[tokio::test]
async fn a_token_is_revoked_any_number_of_times() {
    let (_server, client, stored) = hosted().await;
    ensure(&client, &token()).await.unwrap();
    revoke(&client, &token().id).await.unwrap();
    revoke(&client, &token().id).await.unwrap();
    assert!(stored.lock().is_empty());
}

#[tokio::test]
async fn a_secret_that_is_no_token_is_an_error_without_its_content() {
    let (_server, client, stored) = hosted().await;
    let mut secret = bootstrap_secret(&token());
    let data = secret.data.as_mut().unwrap();
    data.insert(
        "token-secret".into(),
        k8s_openapi::ByteString(b"canary-canary".to_vec()),
    );
    stored
        .lock()
        .insert(bootstrap_secret_name(&token().id), secret);
    let error = read(&client, &token().id).await.unwrap_err();
    assert!(matches!(error, HostedError::Token(_)));
    assert!(!format!("{error:?} {error}").contains("canary"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_an_error_without_its_content() {
    let routes = Router::new().route(
        "/api/v1/namespaces/kube-system/secrets/{name}",
        get(|| async { "{\"data\": \"canary\"" }),
    );
    let server = Server::start(routes).await;
    let client = connect(&server.endpoint, None).unwrap();
    let error = read(&client, &token().id).await.unwrap_err();
    assert!(matches!(error, HostedError::Answer), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("canary"));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let routes = Router::new().route(
        "/api/v1/namespaces/kube-system/secrets/{name}",
        get(|| async { vec![b' '; crate::hosted::client::MAX_ANSWER + 1] }),
    );
    let server = Server::start(routes).await;
    let client = connect(&server.endpoint, None).unwrap();
    let error = read(&client, &token().id).await.unwrap_err();
    assert!(matches!(error, HostedError::Answer), "{error:?}");
}
