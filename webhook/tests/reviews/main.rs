//! Reviews without a server: whom the answer is for, what it says, and what no body can do.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::unwrap_in_result,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a body that is no answer fails its test; json! literals are moved in"
)]

mod answers;
mod largest;
mod unseen;

use crds::lookup::{Mothership, Unknown};
use crds::policy::Policies;
use serde_json::{Value, json};
use webhook::handlers::{Handlers, World};
use webhook::metrics::Metrics;
use webhook::review::{ReviewError, Stage, admit};

/// A review of a Cluster that is created.
fn review(object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "k0smotron.io", "version": "v1beta2", "kind": "Cluster"},
            "resource": {"group": "k0smotron.io", "version": "v1beta2", "resource": "clusters"},
            "name": "c",
            "namespace": "a",
            "operation": "CREATE",
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": null,
            "dryRun": false,
        },
    })
}

fn cluster(spec: Value) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "c", "namespace": "a", "managedFields": [{"manager": "kubectl"}]},
        "spec": spec,
    })
}

fn answer(stage: Stage, body: &[u8]) -> Result<Value, ReviewError> {
    answer_knowing(&Unknown, stage, body)
}

fn answer_knowing(
    mothership: &dyn Mothership,
    stage: Stage,
    body: &[u8],
) -> Result<Value, ReviewError> {
    let metrics = Metrics::default();
    let world = World {
        mothership,
        policies: &Policies::default(),
    };
    let bytes = admit(&Handlers::default(), world, stage, &metrics, body)?;
    Ok(serde_json::from_slice(&bytes).expect("an answer is JSON"))
}
