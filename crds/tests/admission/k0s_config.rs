//! The door's verdict about a k0s configuration, beside that of k0s itself.
//!
//! `k0s_config.tsv` holds, for each configuration, what `k0s config validate` of v1.36.3+k0s.2 said
//! about it once the product's own settings were merged into it: `accepts`, `refuses` or `ends` (it
//! panics); or `starts not`, where that accepts what kube-apiserver or the hosted API's schema of
//! k0s refuses at the start. Then the field that the door names, or `-`, and the configuration.

use crds::admission::Kind;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, create, paths, serving, update, with_status};

const CASES: &str = include_str!("k0s_config.tsv");

fn with(config: &Value) -> Value {
    cluster(json!({"service": {"type": "ClusterIP"}, "k0sConfig": config}))
}

#[test]
fn what_k0s_refuses_is_refused_and_what_it_takes_is_taken() {
    let mut differences = Vec::new();
    for line in CASES.lines() {
        let mut columns = line.split('\t');
        let (verdict, path) = (columns.next().unwrap(), columns.next().unwrap());
        let config: Value = serde_json::from_str(columns.next().unwrap()).unwrap();
        let decision = create(Kind::Cluster, &with(&config));
        let found = paths(&decision).first().copied().unwrap_or("-").to_owned();
        let as_k0s = (verdict == "accepts") == (found == "-");
        if !as_k0s || found != path {
            differences.push(format!("{line}\n    {found} {:?}", decision.errors));
        }
    }
    assert!(
        differences.is_empty(),
        "{}\n{} differ",
        differences.join("\n"),
        differences.len()
    );
}
