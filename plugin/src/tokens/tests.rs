use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::mothership::client::played;
use crate::mothership::view::tests::cluster;

/// Puts the first request off although it has kept it, and refuses the next, as one that is there.
fn forgetful(found: (u16, Value)) -> impl Fn(&str, &str) -> (u16, Value) + Clone + Send + Sync {
    let asked = Arc::new(AtomicUsize::new(0));
    move |method, _| match method {
        "POST" if asked.fetch_add(1, Ordering::SeqCst) == 0 => {
            played::status(503, "ServiceUnavailable")
        }
        "POST" => played::status(409, "AlreadyExists"),
        _ => found.clone(),
    }
}

#[tokio::test]
async fn a_request_that_was_kept_though_not_answered_is_ones_own() {
    let (session, captured) = played::session();
    let connection = played::connection(&session.out, forgetful(played::status(403, "Forbidden")));
    let cluster = cluster(json!({}));
    let error = obtain(&session, &connection, &played::wanted(None), &cluster)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    let said = captured.stderr();
    let how = "a join token was asked for; take it back: kubectl k0smotron token revoke demo-worker-";
    assert!(said.contains(how), "{said}");

    // What has a name that was chosen may have been there before.
    let connection = played::connection(&session.out, forgetful(played::missing("/mine")));
    let error = obtain(
        &session,
        &connection,
        &played::wanted(Some("mine")),
        &cluster,
    )
    .await
    .unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");

    // A conflict of another kind keeps nothing.
    let connection = played::connection(&session.out, |_, _| played::status(409, "Conflict"));
    let error = obtain(&session, &connection, &played::wanted(None), &cluster)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
}
