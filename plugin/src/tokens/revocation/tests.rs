use serde_json::{Value, json};

use super::*;
use crate::mothership::client::testing;
use crate::mothership::view::tests::object;

fn request(status: &Value) -> Value {
    json!({"metadata": {"name": "x", "uid": "u-1"}, "spec": {"clusterName": "demo"},
        "status": status})
}

fn failing() -> Value {
    json!({"tokenID": "abc123", "conditions": [{"type": "Deleting", "status": "True",
        "reason": "HostedUnreachable", "message": "no route to host"}]})
}

fn event(uid: &str, reason: &str) -> Value {
    json!({"metadata": {"name": "e"}, "involvedObject": {"uid": uid}, "reason": reason,
        "message": "the token abc123 was not revoked"})
}

#[test]
fn a_token_has_ended_unless_something_says_otherwise() {
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    let doubt = |status: &Value, events: &[Value]| {
        let events: Vec<_> = events.iter().cloned().map(object).collect();
        doubt(&object(request(status)), Some(&events), now)
    };
    assert_eq!(doubt(&json!({}), &[]), None);
    assert_eq!(doubt(&json!({}), &[event("u-2", LEFT_BEHIND)]), None);
    let left = doubt(&json!({}), &[event("u-1", LEFT_BEHIND)]);
    assert_eq!(left.unwrap(), "the token abc123 was not revoked");
    let failing = failing();
    let seen = doubt(&failing, &[]).unwrap();
    assert_eq!(
        seen,
        "when it was last seen: HostedUnreachable: no route to host"
    );
    assert_eq!(doubt(&failing, &[event("u-1", REVOKED)]), None);
    let unread = super::doubt(&object(request(&failing)), None, now).unwrap();
    assert!(unread.starts_with("it is not known"), "{unread}");
    let held = json!({"conditions": [{"type": "Deleting", "status": "True",
        "reason": WAITING_FOR_FINALIZERS, "message": "held by example.org/a"}]});
    assert_eq!(doubt(&held, &[]), None);
    assert!(doubt(&held, &[event("u-1", LEFT_BEHIND)]).is_some());
    assert!(super::doubt(&object(request(&held)), None, now).is_some());
    let mut expired = failing;
    expired["expiresAt"] = json!("2026-11-22T10:00:00Z");
    assert_eq!(doubt(&expired, &[]), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_left_behind_is_no_success_and_its_end_is_told() {
    for (events, whole) in [
        ((200, json!({"metadata": {}, "items": []})), true),
        (testing::status(403, "Forbidden"), true),
        (
            (
                200,
                json!({"metadata": {}, "items": [event("u-1", LEFT_BEHIND)]}),
            ),
            false,
        ),
    ] {
        let (session, _captured) = testing::session();
        let connection = testing::connection(&session.out, move |_, path| {
            if path.ends_with("/events") {
                events.clone()
            } else {
                testing::missing(path)
            }
        });
        let request = object(request(&json!({"tokenID": "abc123"})));
        let mut told = 0;
        let ending = Ending::new(&session, &connection, vec![request]);
        let ended = ending.wait(None, |_| {
            told += 1;
            Ok(())
        });
        let ended = ended.await;
        assert_eq!(told, u32::from(whole));
        if whole {
            ended.unwrap();
            continue;
        }
        let error = ended.unwrap_err();
        assert_eq!(
            error.to_string(),
            "1 of 1 join tokens may still let machines join: x: the token abc123 was not revoked"
        );
        assert_eq!(
            error.hints(),
            [
                "end it in the hosted cluster: kubectl k0smotron exec demo -n default -- kubectl \
              -n kube-system delete secret bootstrap-token-abc123 --ignore-not-found"
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_left_behind_is_told_of_although_another_takes_too_long() {
    let (session, captured) = testing::session();
    let connection = testing::connection(&session.out, move |_, path| {
        let stays = json!({"metadata": {"name": "y", "uid": "u-2"}});
        let list = |item| json!({"metadata": {}, "items": [item]});
        let found = match path.rsplit('/').next() {
            Some("y") => stays,
            Some("events") => list(event("u-1", LEFT_BEHIND)),
            _ => list(stays),
        };
        (200, found)
    });
    let all = [("x", "u-1"), ("y", "u-2")]
        .map(|(name, uid)| object(json!({"metadata": {"name": name, "uid": uid}})));
    let ending = Ending::new(&session, &connection, all.into());
    let ended = ending.wait(Some(Duration::from_secs(2)), |_| Ok(())).await;
    assert!(matches!(ended, Err(Error::TimedOut { .. })));
    let said = captured.stderr();
    assert!(
        said.contains("x: the token abc123 was not revoked"),
        "{said}"
    );
}

#[test]
fn what_was_begun_is_named() {
    let (session, captured) = testing::session();
    let all = ["x", "y"].map(|name| object(json!({"metadata": {"name": name}})));
    say_begun(&session, &all, 0);
    assert_eq!(captured.stderr(), "");
    say_begun(&session, &all, 1);
    assert_eq!(captured.stderr(), "Being revoked: x.\n");
}

#[tokio::test]
async fn another_request_of_the_name_is_left_alone() {
    for (uid, gone) in [("u-1", false), ("u-2", true)] {
        let (session, _captured) = testing::session();
        let connection = testing::connection(&session.out, move |method, _| match method {
            "DELETE" => testing::status(409, "Conflict"),
            _ => (200, json!({"metadata": {"name": "x", "uid": uid}})),
        });
        let ours = object(request(&json!({})));
        assert_eq!(revoke(&connection, &ours, false).await.is_ok(), gone);
    }
}
