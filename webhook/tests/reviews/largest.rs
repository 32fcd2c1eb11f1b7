//! The largest body there may be.

use std::time::{Duration, Instant};

use serde_json::json;
use webhook::review::Stage;

use crate::{answer, cluster, review};

/// The promise for a release build. One without optimisation is ten times as slow.
const BUDGET: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 });

/// As deep and as wide as a body may be.
#[test]
fn a_body_of_the_largest_size_is_answered_in_time() {
    let spec =
        json!({"k0sConfig": {"spec": {"api": {"x": vec![json!({"a": "b".repeat(50)}); 40_000]}}}});
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

/// One that cannot be read takes the list of all with it, on its way out as well.
#[test]
fn nothing_is_nested_deeper_than_a_list_can_be_read() {
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    // The object, its spec and the configuration lie above it.
    let with = |depth: usize| cluster(json!({"k0sConfig": {"spec": {"a": nested(depth - 4)}}}));
    for stage in [Stage::Mutate, Stage::Validate] {
        let refused = answer(stage, review(with(101)).to_string().as_bytes()).unwrap();
        assert_eq!(refused["response"]["allowed"], false);
        let message = refused["response"]["status"]["message"].as_str().unwrap();
        assert!(
            message.contains("must not be nested deeper than 100 levels"),
            "{message}"
        );
        let mut ending = review(with(101));
        ending["request"]["operation"] = json!("UPDATE");
        ending["request"]["oldObject"] = cluster(json!({}));
        let since = json!("2026-01-01T00:00:00Z");
        ending["request"]["object"]["metadata"]["deletionTimestamp"] = since.clone();
        ending["request"]["oldObject"]["metadata"]["deletionTimestamp"] = since;
        let refused = answer(stage, ending.to_string().as_bytes()).unwrap();
        assert_eq!(refused["response"]["allowed"], false, "{refused}");
    }
    let read = answer(Stage::Validate, review(with(100)).to_string().as_bytes()).unwrap();
    let message = read["response"]["status"]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(!message.contains("nested"), "{message}");
}

/// Each of them costs reading the object once more.
#[test]
fn fields_that_cannot_be_read_end_an_answer_soon() {
    let mut review = review(cluster(json!({"replicas": 1})));
    let mut old = cluster(json!({"replicas": 2}));
    let labels: serde_json::Map<_, _> = (0..50_000).map(|n| (format!("l{n}"), json!(n))).collect();
    old["metadata"]["labels"] = labels.into();
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["oldObject"] = old;
    let started = Instant::now();
    answer(Stage::Validate, review.to_string().as_bytes()).unwrap();
    assert!(
        started.elapsed() < BUDGET * 10,
        "took {:?}",
        started.elapsed()
    );
}
