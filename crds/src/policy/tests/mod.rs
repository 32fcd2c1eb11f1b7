//! Policies asked about submitted objects.

mod any;
mod audit;
mod changes;
mod decisions;
mod speed;
mod updates;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Input, Outcome, Policies};
use crate::admission::{Operation, Request, User};
use crate::lookup::{Mothership, Namespace, Usage};
use crate::v1beta2::{Cluster, ClusterPolicy, PolicyKind};

/// A mothership with one namespace, `team-a`.
#[derive(Clone, Debug, Default)]
struct Known {
    labels: BTreeMap<String, String>,
    usage: Usage,
    cluster: Option<Cluster>,
}

impl Mothership for Known {
    fn namespace(&self, name: &str) -> Option<Namespace> {
        (name == "team-a").then(|| Namespace {
            name: name.to_owned(),
            labels: self.labels.clone(),
            annotations: BTreeMap::new(),
        })
    }

    fn cluster(&self, _namespace: &str, _name: &str) -> Option<Arc<Cluster>> {
        self.cluster.clone().map(Arc::new)
    }

    fn usage(&self, _namespace: &str, _but: &str) -> Usage {
        self.usage
    }
}

fn policy(name: &str, spec: &Value) -> ClusterPolicy {
    serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy",
        "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

fn policies(spec: &Value) -> Policies {
    Policies::new([policy("teams", spec)])
}

fn cluster(spec: &Value) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "demo", "namespace": "team-a"}, "spec": spec,
    })
}

fn token(expiry: &str) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "metadata": {"name": "demo", "namespace": "team-a"},
        "spec": {"clusterName": "demo", "expiry": expiry},
    })
}

fn request<'a>(object: &'a Value, old: Option<&'a Value>) -> Request<'a> {
    Request {
        operation: if old.is_some() {
            Operation::Update
        } else {
            Operation::Create
        },
        sub_resource: None,
        namespace: "team-a",
        name: "demo",
        user: User {
            name: "jo".to_owned(),
            groups: vec!["dev".to_owned()],
        },
        object: Some(object),
        old_object: old,
        dry_run: false,
    }
}

fn kind(object: &Value) -> PolicyKind {
    if object["kind"] == "JoinTokenRequest" {
        PolicyKind::JoinTokenRequest
    } else {
        PolicyKind::Cluster
    }
}

fn decide(policies: &Policies, object: &Value, old: Option<&Value>, known: &Known) -> Outcome {
    policies.decide(&Input {
        request: &request(object, old),
        kind: kind(object),
        mothership: known,
    })
}

fn create(policies: &Policies, object: &Value) -> Outcome {
    decide(policies, object, None, &Known::default())
}

fn texts(outcome: &Outcome) -> Vec<String> {
    outcome.errors.iter().map(ToString::to_string).collect()
}
