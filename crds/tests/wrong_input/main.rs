//! Every wrong input gets an error that names the field; corrected, it is accepted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking, its helpers too, and reads better with literals passed as they are"
)]

mod later;
mod schema;
mod values;

use crds::v1beta2::{Cluster, JoinTokenRequest};
use crds::validation::FieldError;
use serde_json::{Value, json};

fn named(name: &str, spec: Value) -> Cluster {
    serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": name, "namespace": "n"}, "spec": spec,
    }))
    .unwrap()
}

fn cluster(spec: Value) -> Cluster {
    named("c", spec)
}

fn request(name: &str, spec: Value) -> JoinTokenRequest {
    serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "metadata": {"name": name, "namespace": "n"}, "spec": spec,
    }))
    .unwrap()
}

fn paths(errors: &[FieldError]) -> Vec<&str> {
    errors.iter().map(|error| error.path.as_str()).collect()
}

fn claim(spec: Value) -> Value {
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {"spec": spec}}})
}
