//! What others decide about and people get to see: objects, logs, names; and what they type.

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::duration;
use super::escape;
use super::lines::Lines;
use super::mothership::tree::{self, Observed};
use super::mothership::{event, view};
use super::output::Paint;
use super::redact::Redactor;

const STRANGE: &[&str] = &[
    "\u{1b}]0;owned\u{7}",
    "\u{1b}[31m",
    "\u{9b}2J",
    "\r",
    "\u{8}\u{8}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{61c}",
    "\u{ad}",
    "\u{0}",
    "\u{85}",
    "\u{2029}",
    "\u{1f1e6}",
    "e\u{301}",
    "\u{fffe}",
    "\u{10ffff}",
];

#[test]
fn texts_on_a_terminal() {
    let seeds = [
        "Größe └ waits … 名前 🙂",
        "a\u{1b}]0;owned\u{7}b\r\u{8}\u{7f}",
        "one\n\ttwo",
    ];
    fuzz::check!(fuzz::text(seeds, STRANGE), |text: &str| {
        let shown = escape::text(text);
        assert!(
            !shown.contains(|c| escape::is_obeyed(c) && !"\n\t".contains(c)),
            "{shown:?}"
        );
        assert_eq!(escape::text(&shown), shown);
        let line = escape::line(text);
        assert!(!line.contains(escape::is_obeyed), "{line:?}");
        assert_eq!(escape::line(&line), line);
    });
}

#[test]
fn lines_of_a_stream() {
    let seeds = [
        b"one\r\n\ntwo\nthr\xffee".as_slice(),
        b"join: starting k0s\nnode: n1\n",
    ];
    let chunks = || fuzz::bytes([[1_u8, 7, 3, 200]], &[]);
    let seeds = fuzz::bytes(
        seeds.map(<[u8]>::to_vec),
        &["\n", "\r\n", "xxxxxxxxxxxxxxxxxxxxxxxxxx"],
    );
    fuzz::check!((seeds, chunks()), |input: &(Vec<u8>, Vec<u8>)| {
        let (bytes, sizes) = input;
        let read = |sizes: &mut dyn Iterator<Item = usize>| {
            let (mut lines, mut rest, mut found) = (Lines::new(16), bytes.as_slice(), Vec::new());
            while !rest.is_empty() {
                let size = sizes.next().unwrap_or(rest.len()).clamp(1, rest.len());
                found.extend(lines.feed(&rest[..size]));
                rest = &rest[size..];
            }
            found.extend(lines.rest());
            found
        };
        let whole = read(&mut std::iter::empty());
        assert_eq!(
            whole,
            read(&mut sizes.iter().map(|size| usize::from(*size)))
        );
        assert!(
            whole.iter().all(|line| line.len() <= 16 * 3 + 40),
            "{whole:?}"
        );
    });
}

#[test]
fn durations_that_are_typed() {
    let seeds = [
        "90s", "5m", "1h30m", "1.5h", "7d", "1d12h", "30", "500us", "106751d",
    ];
    fuzz::check!(
        fuzz::text(
            seeds,
            &[
                "d", "h", "m", "s", "ms", "ns", "1e3", "inf", "NaN", ".", "999999"
            ]
        ),
        |text: &str| {
            if let Ok(parsed) = duration::parse(text) {
                let again = duration::parse(&duration::to_go(parsed)).unwrap();
                assert!(
                    parsed.abs_diff(again) <= Duration::from_millis(1),
                    "{parsed:?} {again:?}"
                );
                assert!(parsed.is_zero() == again.is_zero());
                assert!(!duration::age(parsed).is_empty());
            }
        }
    );
}

fn objects() -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
            "metadata": {"name": "demo", "namespace": "a", "uid": "u", "generation": 2,
                "creationTimestamp": "2026-11-22T10:00:00Z", "finalizers": ["k0smotron.io/cleanup"]},
            "spec": {"replicas": 3, "version": "v1.36.3", "service": {"type": "NodePort", "apiPort": 30443}},
            "status": {"observedGeneration": 2, "readyReplicas": 1, "endpoint": "https://10.0.0.1:30443",
                "version": "v1.36.3+k0s.2", "ports": {"api": 30443}, "nodes": {"ready": 1, "total": 2,
                "versions": {"v1.36.3+k0s": 2}},
                "conditions": [
                    {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "all is well"},
                    {"type": "Available", "status": "False", "reason": "EtcdNotReady", "message": "etcd",
                     "lastTransitionTime": "2026-11-22T10:00:00Z"},
                ]},
        }),
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "a"},
            "type": "Warning", "reason": "Failed", "message": "it failed", "count": 3,
            "lastTimestamp": "2026-11-22T10:00:00Z", "series": {"count": 9, "lastObservedTime": "2026-11-22T10:00:00.0Z"},
            "involvedObject": {"kind": "Cluster", "name": "demo", "uid": "u"},
        }),
        json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest", "metadata": {"name": "t"},
            "spec": {"clusterName": "demo", "expiry": "24h"},
            "status": {"tokenID": "abc123", "expiresAt": "2026-11-22T10:00:00Z", "ready": true,
                "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "kmc-demo",
                "labels": {"app": "k0smotron", "cluster": "demo", "component": "cluster"},
                "ownerReferences": [{"kind": "Cluster", "name": "demo", "uid": "u", "apiVersion": "k0smotron.io/v1beta2"}]},
            "spec": {"replicas": 3}, "status": {"readyReplicas": 2, "replicas": 3},
        }),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kmc-demo-0",
                "labels": {"app": "k0smotron", "cluster": "demo", "component": "cluster"},
                "ownerReferences": [{"kind": "StatefulSet", "name": "kmc-demo", "uid": "s", "apiVersion": "apps/v1"}]},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "controller", "ready": false,
                "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}],
                "conditions": [{"type": "Ready", "status": "False", "message": "no"}]},
        }),
    ]
}

/// All that tables show of objects, each of which anybody may have written.
#[test]
fn objects_in_tables() {
    let seeds = || fuzz::tree(objects(), STRANGE);
    let now = "2026-11-23T10:00:00Z".parse().unwrap();
    fuzz::check!((seeds(), seeds(), seeds()), |trees: &(
        Value,
        Value,
        Value
    )| {
        let read = |tree: &Value| serde_json::from_value::<DynamicObject>(tree.clone());
        let (Ok(a), Ok(b), Ok(c)) = (read(&trees.0), read(&trees.1), read(&trees.2)) else {
            return;
        };
        let all = [a, b, c];
        let observed = Observed {
            children: all.to_vec(),
            requests: all.to_vec(),
            events: all.to_vec(),
            ..Observed::default()
        };
        let events: Vec<event::Event> = all.iter().map(event::Event::from_object).collect();
        let tables = [
            tree::table(&tree::build(&all[0], &observed, now), now),
            event::table(&events, now),
        ];
        for table in tables {
            let shown = table.render(Paint::Never);
            assert!(
                !shown.contains(|c| escape::is_obeyed(c) && c != '\n'),
                "{shown:?}"
            );
        }
        for object in &all {
            for text in [view::obstacle(object), view::refusal(object)]
                .into_iter()
                .flatten()
            {
                assert!(!text.contains(escape::is_obeyed), "{text:?}");
            }
            let _ = (
                view::holds(object),
                view::api_port(object),
                view::ClusterRow::from_cluster(object),
            );
        }
    });
}

const CANARY: &str = "c4n4ry-of-a-passw0rd";

/// Whether the canary is anywhere but behind this name.
fn elsewhere(tree: &Value, name: &str) -> bool {
    match tree {
        Value::String(text) => text.contains(CANARY),
        Value::Array(items) => items.iter().any(|item| elsewhere(item, name)),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains(CANARY) || (key != name && elsewhere(value, name))),
        _ => false,
    }
}

#[test]
fn secrets_in_objects_and_texts() {
    let redactor = Redactor::new().unwrap();
    let yaml = format!("spec:\n  password: {CANARY}\n  token: x\n");
    let seeds = [
        json!({"kind": "Cluster", "spec": {"password": CANARY, "env": [{"name": "DB_PASSWORD", "value": "y"}]}}),
        json!({"data": {"a.yaml": yaml, "password": CANARY}, "kind": "ConfigMap"}),
        json!({"args": ["--token", "x", "--password=y"], "url": "https://a:b@c/d", "password": [CANARY]}),
    ];
    let words = &[
        "password",
        "token",
        "kind",
        "Secret",
        "data",
        "stringData",
        "name",
        "value",
        "--token",
        "metadata",
        "managedFields",
        "user",
        "{\"a\": 1}",
        "---\n",
        "password: ",
        "\\\"",
        "|\n  ",
        "eyJhbGciOi.eyJz.x",
    ];
    fuzz::check!(fuzz::tree(seeds, words), |tree: &Value| {
        let shown = redactor.object(tree.clone()).to_string();
        assert!(
            elsewhere(tree, "password") || !shown.contains(CANARY),
            "{shown}"
        );
        for text in [
            tree.to_string(),
            serde_saphyr::to_string(tree).unwrap_or_default(),
        ] {
            let _ = redactor.text(&text);
        }
    });
}

#[test]
fn secrets_in_logs() {
    let redactor = Redactor::new().unwrap();
    let seeds = [
        "time=\"2026\" level=info msg=\"token: abc123.0123456789abcdef\" password='x y'",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\nkey: |\n  a\n  b\nother: c",
        "{\"password\":\"a\\\"b\",\"token\":\"H4sIAAAAAAAAAAAAAAAAAAAA\"} mysql://a:b@c/d ?token=x&y",
    ];
    let words = &[
        "password", "token:", "=", ": ", "\\\"", "\"", "'", "|", ">", "\n  ", "\n", "Bearer ",
        "://a:b@", "%3D",
    ];
    fuzz::check!(fuzz::text(seeds, words), |text: &str| {
        let once = redactor.text(text);
        assert!(once.len() <= text.len() * 12 + 100, "{once}");
        // Behind a name, on a line of its own, nothing stays whatever comes before.
        let more = format!("{text}\n\npassword: {CANARY}\n");
        assert!(!redactor.text(&more).contains(CANARY), "{more}");
    });
}
