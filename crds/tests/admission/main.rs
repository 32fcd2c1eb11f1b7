//! What is decided about submitted objects.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "a test fails by panicking, its helpers too, and reads better with literals passed as they are"
)]

mod conflicts;
mod defaults;
mod exposure;
mod k0s_config;
mod namesakes;
mod objects;
mod properties;
mod requests;
mod rules;
mod services;
mod speed;
mod start;
mod stored;
mod upgrades;

use crds::admission::{Decision, Kind, Operation, Request, User, validate, validate_new};
use crds::lookup::{Mothership, Unknown};
use serde_json::{Value, json};

/// A Cluster as a client writes it.
fn cluster(spec: Value) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "c", "namespace": "n"}, "spec": spec,
    })
}

/// The same with what the controller has found out.
fn with_status(mut cluster: Value, status: Value) -> Value {
    cluster["status"] = status;
    cluster
}

/// The status of a Cluster that has served, with workers.
fn serving(version: &str) -> Value {
    json!({
        "version": version, "etcdMembers": 1, "replicas": 1, "readyReplicas": 1,
        "ports": {"api": 30443, "konnectivity": 30132},
        "nodes": {"joined": 2, "ready": 2, "oldestKubelet": "v1.34.1+k0s"},
        "conditions": [condition("Available", "True"), condition("CertificatesAvailable", "True")],
    })
}

fn condition(type_: &str, status: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": "R", "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn request<'a>(
    operation: Operation,
    old: Option<&'a Value>,
    object: Option<&'a Value>,
) -> Request<'a> {
    Request {
        operation,
        sub_resource: None,
        namespace: "n",
        name: "c",
        user: User::default(),
        object,
        old_object: old,
        dry_run: false,
    }
}

fn create(kind: Kind, object: &Value) -> Decision {
    create_on(kind, object, &Unknown)
}

fn create_on(kind: Kind, object: &Value, known: &dyn Mothership) -> Decision {
    let request = request(Operation::Create, None, Some(object));
    let decision = validate(kind, &request, known);
    // With or without a tree of the object, it is the same decision.
    if let Some(new) = validate_new(kind, &request, &object.to_string(), known) {
        assert_eq!(new, decision, "{object}");
    }
    decision
}

fn update(kind: Kind, old: &Value, new: &Value) -> Decision {
    let request = request(Operation::Update, Some(old), Some(new));
    validate(kind, &request, &Unknown)
}

fn paths(decision: &Decision) -> Vec<&str> {
    let errors = decision.errors.iter();
    errors.map(|error| error.path.as_str()).collect()
}
