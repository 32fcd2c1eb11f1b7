//! What comes before the watches have brought what decides about it, and what is stored already.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::lookup::{Mothership, Namespace};
use crds::policy::Policies;
use crds::v1beta2::{Cluster, ClusterPolicy};
use rstest::rstest;
use serde_json::{Value, json};
use webhook::handlers::{Handlers, World};
use webhook::metrics::Metrics;
use webhook::review::{Stage, admit};

use crate::{cluster, review};

/// What has been seen.
#[derive(Default)]
struct Seen {
    namespace: Option<Namespace>,
    cluster: Option<Arc<Cluster>>,
}

impl Mothership for Seen {
    fn namespace(&self, _: &str) -> Option<Namespace> {
        self.namespace.clone()
    }

    fn cluster(&self, _: &str, _: &str) -> Option<Arc<Cluster>> {
        self.cluster.clone()
    }
}

/// One policy for tenants, and their namespace.
fn tenants() -> (Policies, Namespace) {
    let policy: ClusterPolicy = serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy",
        "metadata": {"name": "tenants"},
        "spec": {
            "action": "Enforce",
            "namespaceSelector": {"matchLabels": {"tenant": "true"}},
            "forbiddenFields": ["spec.persistence.hostPath"],
            "defaults": {"labels": {"team": "blue"}},
        },
    }))
    .unwrap();
    let namespace = Namespace {
        name: "a".to_owned(),
        labels: BTreeMap::from([("tenant".to_owned(), "true".to_owned())]),
        annotations: BTreeMap::new(),
    };
    (Policies::new([policy]), namespace)
}

fn answered(seen: &Seen, policies: &Policies, stage: Stage, review: &Value) -> Value {
    let world = World {
        mothership: seen,
        policies,
    };
    let (kinds, metrics) = (Handlers::default(), Metrics::default());
    let bytes = admit(
        &kinds,
        world,
        stage,
        &metrics,
        review.to_string().as_bytes(),
    )
    .unwrap();
    serde_json::from_slice::<Value>(&bytes).unwrap()["response"].take()
}

fn is_put_off(response: &Value) {
    assert_eq!(response["allowed"], false, "{response}");
    assert_eq!(response["status"]["code"], 503, "{response}");
    assert_eq!(response["status"]["details"]["retryAfterSeconds"], 1);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("try again"), "{message}");
}

#[rstest]
fn in_a_namespace_that_was_not_seen_nothing_is_decided_where_there_are_policies(
    #[values(Stage::Mutate, Stage::Validate)] stage: Stage,
) {
    let hosted = json!({"persistence": {"type": "hostPath", "hostPath": "/"}});
    let created = review(cluster(hosted.clone()));
    let (policies, namespace) = tenants();
    let mut seen = Seen::default();
    is_put_off(&answered(&seen, &policies, stage, &created));
    let mut changed = created.clone();
    changed["request"]["operation"] = json!("UPDATE");
    changed["request"]["oldObject"] = cluster(json!({}));
    is_put_off(&answered(&seen, &policies, stage, &changed));

    // What is going is in nobody's way, and without policies it makes no difference.
    changed["request"]["oldObject"]["metadata"]["deletionTimestamp"] =
        json!("2026-01-01T00:00:00Z");
    assert_eq!(answered(&seen, &policies, stage, &changed)["allowed"], true);
    let none = Policies::default();
    assert_eq!(answered(&seen, &none, stage, &created)["allowed"], true);

    seen.namespace = Some(namespace);
    let response = answered(&seen, &policies, stage, &created);
    let decided = match stage {
        Stage::Mutate => response["patch"].is_string(),
        Stage::Validate => response["status"]["code"] == 422,
    };
    assert!(decided, "{response}");
}

#[test]
fn how_many_a_cluster_may_have_is_decided_when_it_was_seen() {
    let scale = |replicas: i32| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "c", "namespace": "a"}, "spec": {"replicas": replicas},
        })
    };
    let mut scaled = review(scale(3));
    scaled["request"]["operation"] = json!("UPDATE");
    scaled["request"]["subResource"] = json!("scale");
    scaled["request"]["oldObject"] = scale(1);
    let none = Policies::default();
    let mut seen = Seen::default();
    is_put_off(&answered(&seen, &none, Stage::Validate, &scaled));
    seen.cluster = Some(Arc::new(
        serde_json::from_value(cluster(json!({}))).unwrap(),
    ));
    let response = answered(&seen, &none, Stage::Validate, &scaled);
    assert_eq!(response["allowed"], true, "{response}");
}

#[test]
fn a_policy_that_is_stored_and_invalid_can_be_labelled_and_let_go() {
    let mut stored = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy",
        "metadata": {"name": "p"}, "spec": {"versions": ["no range"]},
    });
    let mut changed = review(stored.clone());
    changed["request"]["resource"]["resource"] = json!("clusterpolicies");
    changed["request"]["namespace"] = json!("");
    let (seen, none) = (Seen::default(), Policies::default());
    let response = answered(&seen, &none, Stage::Validate, &changed);
    assert_eq!(response["allowed"], false, "{response}");

    changed["request"]["operation"] = json!("UPDATE");
    changed["request"]["oldObject"] = stored.clone();
    stored["metadata"]["labels"] = json!({"a": "b"});
    changed["request"]["object"] = stored.clone();
    let response = answered(&seen, &none, Stage::Validate, &changed);
    assert_eq!(response["allowed"], true, "{response}");
    stored["spec"]["versions"] = json!(["no range either"]);
    changed["request"]["object"] = stored;
    let response = answered(&seen, &none, Stage::Validate, &changed);
    assert_eq!(response["allowed"], false, "{response}");
}
