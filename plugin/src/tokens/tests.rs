use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;
use crate::error::Error;
use crate::mothership::client::testing;
use crate::mothership::view::tests::cluster;

/// Puts the first request off although it has kept it, and refuses the next, as one that is there.
fn forgetful(found: (u16, Value)) -> impl Fn(&str, &str) -> (u16, Value) + Clone + Send + Sync {
    let asked = Arc::new(AtomicUsize::new(0));
    move |method, _| match method {
        "POST" if asked.fetch_add(1, Ordering::SeqCst) == 0 => {
            testing::status(503, "ServiceUnavailable")
        }
        "POST" => testing::status(409, "AlreadyExists"),
        _ => found.clone(),
    }
}

#[tokio::test]
async fn a_request_that_was_kept_though_not_answered_is_ones_own() {
    let (session, captured) = testing::session();
    let connection =
        testing::connection(&session.out, forgetful(testing::status(403, "Forbidden")));
    let cluster = cluster(json!({}));
    let error = obtain(&session, &connection, &testing::wanted(None), &cluster)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    let said = captured.stderr();
    let how =
        "a join token was asked for; take it back: kubectl k0smotron token revoke demo-worker-";
    assert!(said.contains(how), "{said}");

    // What has a name that was chosen may have been there before.
    let connection = testing::connection(&session.out, forgetful(testing::missing("/mine")));
    let error = obtain(
        &session,
        &connection,
        &testing::wanted(Some("mine")),
        &cluster,
    )
    .await
    .unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");

    // A conflict of another kind keeps nothing.
    let connection = testing::connection(&session.out, |_, _| testing::status(409, "Conflict"));
    let error = obtain(&session, &connection, &testing::wanted(None), &cluster)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn nothing_but_an_id_is_taken_for_a_tokens_id() {
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "k0s",
        "clusters": [{"name": "k0s", "cluster": {"server": "https://demo:6443",
            "certificate-authority-data": "Q0E="}}],
        "users": [{"name": "kubelet-bootstrap", "user": {"token": "a1b2c3.x"}}],
        "contexts": [{"name": "k0s",
            "context": {"cluster": "k0s", "user": "kubelet-bootstrap"}}]});
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(kubeconfig.to_string().as_bytes()).unwrap();
    let token = STANDARD.encode(STANDARD.encode(gzip.finish().unwrap()));
    let cluster = cluster(json!({}));
    for (told, taken) in [
        ("a1b2c3", Some("a1b2c3")),
        ("\u{9b}2J\u{202e}", None),
        ("a1b2c3 and more", None),
    ] {
        let (session, _captured) = testing::session();
        let token = token.clone();
        let connection = testing::connection(&session.out, move |method, path| {
            let object = match (method, path.contains("/secrets/")) {
                ("POST", _) => json!({"metadata": {"name": "a"}}),
                (_, true) => json!({"metadata": {"name": "a"}, "data": {"token": token}}),
                (_, false) => json!({"metadata": {"name": "a"}, "status": {"tokenID": told}}),
            };
            (200, object)
        });
        let wanted = testing::wanted(None);
        let made = obtain(&session, &connection, &wanted, &cluster);
        assert_eq!(made.await.unwrap().token_id.as_deref(), taken, "{told:?}");
    }
}
