//! Whatever the bytes of a review, there is an answer.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};
use webhook::metrics::Metrics;
use webhook::review::{Stage, convert, converter};

use crate::{answer, cluster, review};

/// The promise for a release build. One without optimisation is ten times as slow.
const BUDGET: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 });

#[derive(Clone, Debug)]
enum Mutation {
    Replace(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize, usize),
    Cut(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..8),
        prop::sample::select(vec![
            "null",
            "{",
            "}",
            "[",
            "]",
            "\"",
            "\\",
            "\\u0000",
            "\\ud800",
            ":",
            ",",
            "-1",
            "1e999",
            "99999999999999999999",
            "0.5",
            "true",
            "{}",
            "[]",
            "\"uid\":\"other\",",
            "\u{feff}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (any::<usize>(), piece).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (any::<usize>(), 1..40_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (any::<usize>(), 1..40_usize, 1..200_usize)
            .prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        any::<usize>().prop_map(Mutation::Cut),
    ]
}

fn mutate(mut body: Vec<u8>, mutations: Vec<Mutation>) -> Vec<u8> {
    for mutation in mutations {
        let length = body.len().max(1);
        let range = |at: usize, count: usize| {
            let from = (at % length).min(body.len());
            from..(from + count).min(body.len())
        };
        match mutation {
            Mutation::Replace(at, byte) => {
                if let Some(old) = body.get_mut(at % length) {
                    *old = byte;
                }
            }
            Mutation::Insert(at, piece) => {
                let at = range(at, 0);
                body.splice(at, piece);
            }
            Mutation::Remove(at, count) => drop(body.drain(range(at, count))),
            Mutation::Repeat(at, count, times) => {
                let range = range(at, count);
                let piece = body[range.clone()].repeat(times);
                body.splice(range, piece);
            }
            Mutation::Cut(at) => body.truncate(at % length),
        }
    }
    body
}

fn bodies() -> Vec<Vec<u8>> {
    let spec = json!({
        "replicas": 3, "version": "v1.36.3-k0s.2", "externalAddress": "cp.example.com",
        "service": {"type": "NodePort", "apiPort": 30443, "konnectivityPort": 30132},
        "persistence": {"type": "pvc", "persistentVolumeClaim": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}},
        "k0sConfig": {"spec": {"api": {"sans": ["a.example.com"]}}},
        "controlPlaneFlags": ["--debug", "--labels='a=b'"],
        "mounts": [{"path": "/x", "emptyDir": {}}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
    });
    let created = review(cluster(spec));
    let mut deleted = created.clone();
    deleted["request"]["operation"] = json!("DELETE");
    deleted["request"]["oldObject"] = deleted["request"]["object"].take();
    let mut token = review(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "metadata": {"name": "t", "namespace": "a"},
        "spec": {"clusterName": "c", "expiry": "24h", "role": "worker"},
    }));
    token["request"]["resource"]["resource"] = json!("jointokenrequests");
    [created, deleted, token]
        .map(|review| review.to_string().into_bytes())
        .into()
}

/// Whether the answer has the request's uid. A body with half a surrogate where nobody looks is
/// answered and yet no JSON: then the uid has to be somewhere in it.
fn is_for(answer: &Value, body: &[u8]) -> bool {
    let uid = &answer["response"]["uid"];
    if let Ok(asked) = serde_json::from_slice::<Value>(body) {
        return *uid == asked["request"]["uid"];
    }
    let body = String::from_utf8_lossy(body);
    // As it is, or as it is written where there is an escape in it.
    let written = uid.to_string();
    body.contains(uid.as_str().unwrap_or("no uid")) || body.contains(written.trim_matches('"'))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_body_gets_anything_but_an_answer_to_its_uid_or_an_error(
        body in prop::sample::select(bodies()),
        mutations in prop::collection::vec(mutation(), 0..6),
    ) {
        let body = mutate(body, mutations);
        for stage in [Stage::Mutate, Stage::Validate] {
            let started = Instant::now();
            let answer = answer(stage, &body);
            prop_assert!(started.elapsed() < BUDGET, "took {:?}", started.elapsed());
            if let Ok(answer) = answer {
                prop_assert!(is_for(&answer, &body), "{answer}");
                prop_assert!(answer["response"]["allowed"].is_boolean());
            }
        }
    }

    #[test]
    fn no_body_makes_a_conversion_panic(mutations in prop::collection::vec(mutation(), 0..6)) {
        let newer = cluster(json!({
            "replicas": 3, "controlPlaneFlags": ["--debug"],
            "patches": [{"target": {"kind": "Service", "component": "control-plane"},
                "patch": {"type": "merge", "content": "{}"}}],
        }));
        let older = crds::conversion::convert(newer, "k0smotron.io/v1beta1").unwrap();
        prop_assert!(older["metadata"]["annotations"].is_object(), "{older}");
        let body = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "request": {
                "uid": "u", "desiredAPIVersion": "k0smotron.io/v1beta2", "objects": [older],
            },
        });
        let body = mutate(body.to_string().into_bytes(), mutations);
        let started = Instant::now();
        let answer = convert(converter, &Metrics::default(), &body);
        prop_assert!(started.elapsed() < BUDGET, "took {:?}", started.elapsed());
        if let Ok(answer) = answer {
            let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
            prop_assert!(is_for(&answer, &body), "{answer}");
        }
    }
}

/// As deep and as wide as a body may be.
#[test]
fn a_body_of_the_largest_size_is_answered_in_time() {
    let spec = json!({"k0sConfig": {"spec": {"x": vec![json!({"a": "b".repeat(50)}); 40_000]}}});
    let body = review(cluster(spec)).to_string().into_bytes();
    assert!(
        body.len() > 2 << 20 && body.len() < 8 << 20,
        "{}",
        body.len()
    );
    let started = Instant::now();
    answer(Stage::Validate, &body).unwrap();
    println!("{} bytes took {:?}", body.len(), started.elapsed());
    assert!(
        started.elapsed() < BUDGET * 2,
        "took {:?}",
        started.elapsed()
    );
    let deep = "[".repeat(4 << 20);
    assert!(answer(Stage::Validate, deep.as_bytes()).is_err());
}
