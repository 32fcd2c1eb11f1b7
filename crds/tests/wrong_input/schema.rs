//! What the schema itself says.

use crds::validation::validate_join_token_request;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, request};

/// The schema's own rules, evaluated here by an evaluator that is not the API server's.
#[rstest]
#[case::pvc(json!({"persistence": {"type": "pvc"}}), "spec.persistence")]
#[case::host_path(json!({"persistence": {"type": "hostPath", "hostPath": ""}}), "spec.persistence")]
#[case::port_zero(json!({"service": {"apiPort": 0}}), "spec.service")]
#[case::konnectivity_zero(json!({"service": {"konnectivityPort": 0}}), "spec.service")]
#[case::equal_ports(json!({"service": {"apiPort": 1, "konnectivityPort": 1}}), "spec.service")]
#[case::config(json!({"k0sConfig": {"apiVersion": "v1"}}), "spec.k0sConfig")]
fn a_rule_of_the_schema_names_the_field(#[case] wrong: Value, #[case] field: &str) {
    let errors = cluster(wrong).validate_cel().unwrap_err().to_string();
    assert!(errors.contains(field), "{errors}");
}

#[rstest]
#[case("1d", false)]
#[case("-1h", false)]
#[case("$(reboot)", false)]
#[case("", false)]
#[case("0s", true)]
#[case("0", true)]
#[case("1h30m", true)]
#[case("1.5h", true)]
#[case("300ms", true)]
fn the_schemas_rule_for_requests(#[case] expiry: &str, #[case] right: bool) {
    let request = request("t", json!({"clusterName": "c", "expiry": expiry}));
    assert_eq!(request.validate_cel().is_ok(), right);
    assert_eq!(validate_join_token_request(&request).is_empty(), right);
}

#[rstest]
#[case::nothing(json!({"persistence": {"type": "nfs"}}))]
#[case::high_ports(json!({"service": {"type": "NodePort", "apiPort": 6443}}))]
#[case::both_allocated(json!({"service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0}}))]
#[case::shared_host_path(json!({"replicas": 3, "persistence": {"type": "hostPath", "hostPath": "/x"}}))]
fn the_schemas_rules_let_through_what_may_be_stored_already(#[case] spec: Value) {
    cluster(spec).validate_cel().unwrap();
}
