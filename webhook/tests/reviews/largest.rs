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
