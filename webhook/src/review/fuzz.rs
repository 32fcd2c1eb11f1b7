//! Reviews as anybody who reaches the webhook may send them: an answer to its uid or an error, and
//! one decision, whichever way it is made.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crds::lookup::{Mothership, Namespace};
use crds::policy::Policies;
use serde_json::{Value, json};

use super::{ReviewError, Stage, admit, convert, converter};
use crate::handlers::{Handlers, World};
use crate::metrics::Metrics;

const WORDS: &[&str] = &[
    "\"uid\":\"other\",",
    "\\u0000",
    "\\ud800",
    "\\u001b",
    "{}",
    "[]",
    "true",
    "0.5",
    "CREATE",
    "UPDATE",
    "DELETE",
    "CONNECT",
    "scale",
    "status",
    "clusters",
    "jointokenrequests",
    "clusterpolicies",
    "v1beta1",
    "v1beta2",
    "k0smotron.io",
    "k0smotron.io/v1beta1",
    "k0smotron.io/v1beta2",
    "object",
    "oldObject",
    "dryRun",
    "subResource",
    "userInfo",
    "metadata",
    "managedFields",
    "deletionTimestamp",
    "spec",
    "replicas",
    "version",
    "v1.36.3",
    "service",
    "type",
    "",
    "k0sConfig",
    "mounts",
    "path",
    "x",
];

fn admit_with(policies: &Policies, stage: Stage, body: &[u8]) -> Result<Value, ReviewError> {
    let world = World {
        mothership: &Plain,
        policies,
    };
    let answer = admit(
        &Handlers::default(),
        world,
        stage,
        &Metrics::default(),
        body,
    );
    answer.map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

/// Every namespace is there, and none has a label.
struct Plain;

impl Mothership for Plain {
    fn namespace(&self, name: &str) -> Option<Namespace> {
        Some(Namespace {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        })
    }
}

fn review(object: &Value) -> Value {
    let plural = match object["kind"].as_str() {
        Some("JoinTokenRequest") => "jointokenrequests",
        Some("ClusterPolicy") => "clusterpolicies",
        _ => "clusters",
    };
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "resource": {"group": "k0smotron.io", "version": "v1beta2", "resource": plural},
            "name": "c", "namespace": "a", "operation": "CREATE",
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": object, "oldObject": null, "dryRun": false,
        },
    })
}

fn reviews() -> Vec<Value> {
    let created: Vec<Value> = fuzz::objects("crds/examples").iter().map(review).collect();
    let others = created.iter().flat_map(|review| {
        let (mut updated, mut deleted, mut scaled) =
            (review.clone(), review.clone(), review.clone());
        updated["request"]["operation"] = json!("UPDATE");
        updated["request"]["oldObject"] = review["request"]["object"].clone();
        updated["request"]["object"]["spec"]["replicas"] = json!(5);
        deleted["request"]["operation"] = json!("DELETE");
        deleted["request"]["oldObject"] = deleted["request"]["object"].take();
        scaled["request"]["operation"] = json!("UPDATE");
        scaled["request"]["subResource"] = json!("scale");
        scaled["request"]["object"] = json!({"spec": {"replicas": 3}});
        scaled["request"]["oldObject"] = json!({"spec": {"replicas": 1}});
        [updated, deleted, scaled]
    });
    let others: Vec<Value> = others.collect();
    [created, others].concat()
}

/// Whether the answer has the request's uid. A body with half a surrogate where nobody looks is
/// answered and yet no JSON: then the uid has to be somewhere in it.
fn is_for(answer: &Value, body: &[u8]) -> bool {
    let uid = &answer["response"]["uid"];
    if let Ok(asked) = serde_json::from_slice::<Value>(body) {
        return *uid == asked["request"]["uid"];
    }
    let body = String::from_utf8_lossy(body);
    // As it is, or as it is written where there is an escape in it.
    let written = uid.to_string();
    body.contains(uid.as_str().unwrap_or("no uid")) || body.contains(written.trim_matches('"'))
}

#[test]
fn admission_reviews_as_bytes() {
    let bodies = reviews().into_iter().map(|review| review.to_string());
    fuzz::check!(fuzz::bytes(bodies, WORDS), |body: &[u8]| {
        for stage in [Stage::Mutate, Stage::Validate] {
            if let Ok(answer) = admit_with(&Policies::default(), stage, body) {
                assert!(is_for(&answer, body), "{answer}");
                assert!(answer["response"]["allowed"].is_boolean());
            }
        }
    });
}

/// A policy that is about another namespace changes no decision, though it takes another way: what
/// is decided about a text is what is decided about its tree. And what is filled in is filled in once,
/// by a patch that fits, and changes no refusal into anything but what the new fields say.
#[test]
fn admission_reviews_as_trees() {
    let elsewhere = Policies::new([serde_json::from_value::<crds::v1beta2::ClusterPolicy>(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy", "metadata": {"name": "p"},
        "spec": {"namespaceSelector": {"matchLabels": {"no": "such"}}, "replicas": {"max": 1}},
    }))
    .unwrap()]);
    fuzz::check!(fuzz::tree(reviews(), WORDS), |review: &Value| {
        let body = review.to_string().into_bytes();
        let Ok(validated) = admit_with(&Policies::default(), Stage::Validate, &body) else {
            return;
        };
        let by_tree = admit_with(&elsewhere, Stage::Validate, &body).unwrap();
        // Of a Cluster that was never seen.
        if by_tree["response"]["status"]["code"] == 503 {
            return;
        }
        assert_eq!(validated, by_tree);
        let mutated = admit_with(&Policies::default(), Stage::Mutate, &body).unwrap();
        let Some(patch) = mutated["response"]["patch"].as_str() else {
            return;
        };
        assert_eq!(mutated["response"]["allowed"], true);
        let patch = BASE64_STANDARD.decode(patch).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        let mut review = review.clone();
        json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
        let again = admit_with(
            &Policies::default(),
            Stage::Mutate,
            review.to_string().as_bytes(),
        );
        assert_eq!(again.unwrap()["response"].get("patch"), None);
    });
}

#[test]
fn conversion_reviews() {
    let objects = fuzz::objects("crds/examples");
    let mut objects: Vec<Value> = objects
        .into_iter()
        .filter(|object| object["kind"] != "ClusterPolicy")
        .collect();
    let older = objects
        .iter()
        .map(|object| converter(object.clone(), "k0smotron.io/v1beta1").unwrap());
    let older: Vec<Value> = older.collect();
    objects.extend(older);
    let bodies = objects.iter().flat_map(|object| {
        ["v1beta1", "v1beta2"].map(|version| {
            json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
                "request": {
                    "uid": "u", "desiredAPIVersion": format!("k0smotron.io/{version}"),
                    "objects": [object, object],
                },
            })
            .to_string()
        })
    });
    fuzz::check!(
        fuzz::bytes(bodies.collect::<Vec<_>>(), WORDS),
        |body: &[u8]| {
            if let Ok(answer) = convert(converter, &Metrics::default(), body) {
                let answer: Value = serde_json::from_slice(&answer).unwrap();
                assert!(is_for(&answer, body), "{answer}");
                let response = &answer["response"];
                let converted = response["convertedObjects"].as_array().map_or(0, Vec::len);
                match serde_json::from_slice::<Value>(body) {
                    Ok(asked) if response["result"]["status"] == "Success" => {
                        let objects = asked["request"]["objects"].as_array().map_or(0, Vec::len);
                        assert_eq!(converted, objects);
                    }
                    _ => {}
                }
            }
        }
    );
}
