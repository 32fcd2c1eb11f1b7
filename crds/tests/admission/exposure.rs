//! What is said about another port or address is about those that workers have joined at.

use crds::admission::Kind;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, paths, serving, update, with_status};

const VERSION: &str = "v1.35.1-k0s.0";

/// Workers look for the port that the Service has, whatever is asked for meanwhile.
#[rstest]
#[case::settled(30443, json!({"api": 30443, "konnectivity": 30132}), 30443)]
#[case::another_is_under_way(31000, json!({"api": 30443, "konnectivity": 30132}), 30443)]
#[case::a_zero_is_recorded(31000, json!({"api": 0, "konnectivity": 30132}), 31000)]
#[case::nothing_is_recorded(31000, Value::Null, 31000)]
#[case::nobody_knows(0, Value::Null, 0)]
fn the_port_that_workers_know_is_named(
    #[case] asked: i32,
    #[case] recorded: Value,
    #[case] known: i32,
) {
    let node_port = |api: i32| {
        cluster(json!({"version": VERSION, "service": {"type": "NodePort", "apiPort": api}}))
    };
    let mut status = serving(VERSION);
    status["ports"] = recorded;
    let decision = update(
        Kind::Cluster,
        &with_status(node_port(asked), status),
        &node_port(32000),
    );
    assert_eq!(paths(&decision), ["spec.service.apiPort"]);
    let error = &decision.errors[0];
    assert!(
        error.message.ends_with(&format!("connect to port {known}")),
        "{error}"
    );
    assert!(error.hint.starts_with(&format!("keep {known},")), "{error}");
}

/// Workers keep the address that they have joined at, whatever is asked for meanwhile.
#[rstest]
#[case::settled("a.x", "a.x", "b.x", Some("a.x"))]
#[case::another_is_under_way("b.x", "a.x", "c.x", Some("a.x"))]
#[case::back_from_one_under_way("b.x", "a.x", "a.x", None)]
#[case::found_out("", "192.0.2.1", "a.x", Some("192.0.2.1"))]
#[case::the_one_that_was_found_out("", "192.0.2.1", "192.0.2.1", None)]
#[case::not_recorded_yet("a.x", "", "b.x", Some("a.x"))]
#[case::nobody_knows("", "", "a.x", None)]
fn the_address_that_workers_know_is_named(
    #[case] asked: &str,
    #[case] recorded: &str,
    #[case] new: &str,
    #[case] kept: Option<&str>,
) {
    let at = |address: &str| {
        cluster(
            json!({"version": VERSION, "service": {"type": "NodePort"}, "externalAddress": address}),
        )
    };
    let mut status = serving(VERSION);
    status["externalAddress"] = json!(recorded);
    let decision = update(Kind::Cluster, &with_status(at(asked), status), &at(new));
    assert_eq!(decision.errors, []);
    let mut said = decision.warnings.iter();
    let said = said.find(|text| text.starts_with("spec.externalAddress"));
    assert_eq!(said.is_some(), kept.is_some(), "{said:?}");
    if let (Some(said), Some(kept)) = (said, kept) {
        assert!(said.contains(&format!("they keep {kept} ")), "{said}");
    }
}
