//! Conversion between v1beta1 and v1beta2 loses nothing, and leaves changes of users alone.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "a test fails by panicking, its helpers too, and reads better with literals passed as they are"
)]

mod changes;
mod generator;
mod limits;
mod properties;
mod samples;
mod server;
mod speed;
mod table;

use crds::conversion::{ConversionError, convert};
use serde_json::{Value, json};

const V1BETA1: &str = "k0smotron.io/v1beta1";
const V1BETA2: &str = "k0smotron.io/v1beta2";

fn older(object: &Value) -> Value {
    try_older(object).unwrap()
}

fn newer(object: &Value) -> Value {
    try_newer(object).unwrap()
}

fn try_older(object: &Value) -> Result<Value, ConversionError> {
    convert(object.clone(), V1BETA1)
}

fn try_newer(object: &Value) -> Result<Value, ConversionError> {
    convert(object.clone(), V1BETA2)
}

fn object(kind: &str, api_version: &str, body: Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": "c", "namespace": "n", "uid": "u", "generation": 2},
    });
    for (key, value) in body.as_object().unwrap() {
        if key == "annotations" {
            object["metadata"]["annotations"] = value.clone();
        } else {
            object[key] = value.clone();
        }
    }
    object
}

fn cluster(api_version: &str, body: Value) -> Value {
    object("Cluster", api_version, body)
}

fn request(api_version: &str, body: Value) -> Value {
    object("JoinTokenRequest", api_version, body)
}

fn annotations(object: &Value) -> &Value {
    &object["metadata"]["annotations"]
}
