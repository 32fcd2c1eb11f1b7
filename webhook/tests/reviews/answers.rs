//! What is answered to which AdmissionReview.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crds::admission::{Decision, Request};
use crds::lookup::{Mothership, Unknown};
use crds::policy::Policies;
use crds::v1beta2::Cluster;
use crds::version::DEFAULT_VERSION;
use rstest::rstest;
use serde_json::{Value, json};
use webhook::handlers::{Handlers, Kind, World};
use webhook::metrics::Metrics;
use webhook::review::{ReviewError, Stage, admit, convert, converter};

use crate::{answer, answer_knowing, cluster, review};

fn validate(review: &Value) -> Value {
    answer(Stage::Validate, review.to_string().as_bytes()).unwrap()["response"].take()
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut review = review(cluster(json!({})));
    *review.pointer_mut(pointer).unwrap() = value;
    review
}

#[test]
fn the_answer_is_for_who_asked() {
    for stage in [Stage::Mutate, Stage::Validate] {
        let body = review(cluster(json!({}))).to_string();
        let answer = answer(stage, body.as_bytes()).unwrap();
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(
            answer["response"]["uid"],
            "705ab4f5-6393-11e8-b7cc-42010a800002"
        );
        assert_eq!(answer["response"]["allowed"], true);
    }
}

#[rstest]
#[case::an_older_version(changed("/apiVersion", json!("admission.k8s.io/v1beta1")))]
#[case::another_kind(changed("/kind", json!("ConversionReview")))]
#[case::no_request(changed("/request", Value::Null))]
#[case::no_uid(changed("/request/uid", json!("")))]
#[case::a_uid_that_is_none(changed("/request/uid", json!(7)))]
#[case::nothing_of_it(json!([]))]
fn what_nobody_could_be_answered_for_is_an_error(#[case] review: Value) {
    assert!(answer(Stage::Validate, review.to_string().as_bytes()).is_err());
}

#[test]
fn every_error_is_told_with_its_field_in_a_line_and_in_a_cause() {
    let spec = json!({"replicas": -1, "externalAddress": "not a host"});
    let response = validate(&review(cluster(spec)));
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(422), &json!("Invalid"))
    );
    assert_eq!(status["details"]["kind"], "Cluster");
    assert_eq!(status["details"]["name"], "c");
    let causes = status["details"]["causes"].as_array().unwrap();
    let lines: Vec<&str> = status["message"].as_str().unwrap().lines().collect();
    let fields: Vec<_> = causes.iter().map(|cause| cause["field"].clone()).collect();
    assert_eq!(fields, ["spec.replicas", "spec.externalAddress"]);
    assert_eq!(lines.len(), causes.len());
    for (line, cause) in lines.iter().zip(causes) {
        let text = |key: &str| cause[key].as_str().unwrap().to_owned();
        assert_eq!(*line, format!("{}: {}", text("field"), text("message")));
    }
}

#[test]
fn every_cause_has_the_reason_of_its_sort() {
    let spec = json!({
        "replicas": -1, "persistence": {"type": "pvc"}, "k0sConfig": {"apiVersion": "v1"},
        "storage": {"etcd": {"args": ["--force-new-cluster"]}},
        "certificateRefs": [{"type": "ca"}, {"type": "ca"}],
    });
    let response = validate(&review(cluster(spec)));
    let causes = response["status"]["details"]["causes"].as_array().unwrap();
    let mut found: Vec<(&str, &str)> = causes
        .iter()
        .map(|cause| {
            let text = |key: &str| cause[key].as_str().unwrap();
            assert!(!text("message").contains(text("field")), "{cause}");
            (text("field"), text("reason"))
        })
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("spec.certificateRefs[1].type", "FieldValueDuplicate"),
            ("spec.k0sConfig.apiVersion", "FieldValueNotSupported"),
            (
                "spec.persistence.persistentVolumeClaim",
                "FieldValueRequired"
            ),
            ("spec.replicas", "FieldValueInvalid"),
            ("spec.storage.etcd.args[0]", "FieldValueForbidden"),
        ]
    );
}

#[test]
fn what_works_but_should_not_be_is_a_warning() {
    let response = validate(&review(cluster(json!({"replicas": 0}))));
    assert_eq!(response["allowed"], true);
    let warnings = response["warnings"].to_string();
    assert!(warnings.contains("spec.replicas"), "{warnings}");
    let spec =
        json!({"ingress": {"apiHost": "a.example.com", "konnectivityHost": "k.example.com"}});
    let warnings = validate(&review(cluster(spec)))["warnings"].to_string();
    assert!(
        warnings.contains("spec.ingress: not implemented"),
        "{warnings}"
    );
}

#[test]
fn a_protected_cluster_is_not_deleted() {
    let mut review = changed("/request/operation", json!("DELETE"));
    let mut old = cluster(json!({}));
    review["request"]["object"] = Value::Null;
    review["request"]["oldObject"] = old.clone();
    assert_eq!(validate(&review)["allowed"], true);
    old["metadata"]["annotations"] = json!({"k0smotron.io/protect": "prod"});
    review["request"]["oldObject"] = old;
    let response = validate(&review);
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 403);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("k0smotron.io/protect-"),
        "it says what to do: {message}"
    );
}

struct OneCluster(Arc<Cluster>);

impl Mothership for OneCluster {
    fn cluster(&self, _: &str, _: &str) -> Option<Arc<Cluster>> {
        Some(self.0.clone())
    }
}

#[test]
fn a_scale_is_judged_by_its_replicas_alone() {
    let mut review = changed("/request/operation", json!("UPDATE"));
    review["request"]["subResource"] = json!("scale");
    let scale = |replicas: i32| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "c", "namespace": "a"}, "spec": {"replicas": replicas},
        })
    };
    review["request"]["oldObject"] = scale(1);
    let stored = cluster(json!({"externalAddress": "not a host"}));
    let known = OneCluster(Arc::new(serde_json::from_value(stored).unwrap()));
    let mut judged = |replicas: i32| {
        review["request"]["object"] = scale(replicas);
        let body = review.to_string();
        answer_knowing(&known, Stage::Validate, body.as_bytes()).unwrap()["response"].take()
    };
    assert_eq!(judged(3)["allowed"], true);
    assert!(judged(0)["warnings"].to_string().contains("spec.replicas"));
    assert_eq!(judged(-1)["allowed"], false);
}

#[test]
fn an_object_of_another_version_is_refused_with_the_reason() {
    let response = validate(&changed("/request/resource/version", json!("v1beta1")));
    assert_eq!(
        (&response["allowed"], &response["status"]["code"]),
        (&json!(false), &json!(400))
    );
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("matchPolicy"), "{message}");
}

#[test]
fn what_is_not_the_products_is_let_through_and_said() {
    for (pointer, value) in [
        ("/request/resource/resource", "pods"),
        ("/request/resource/group", ""),
    ] {
        let response = validate(&changed(pointer, json!(value)));
        assert_eq!(response["allowed"], true);
        assert!(response["warnings"].to_string().contains("no rules"));
    }
}

#[rstest]
#[case::no_object(changed("/request/object", Value::Null))]
#[case::an_object_that_is_none(changed("/request/object", json!([1])))]
#[case::an_operation_that_is_none(changed("/request/operation", json!("CONNECT")))]
#[case::a_field_of_another_type(review(cluster(json!({"replicas": "three"}))))]
fn what_cannot_be_decided_about_is_refused_with_the_uid(#[case] review: Value) {
    let response = validate(&review);
    assert_eq!(response["allowed"], false);
    assert_eq!(response["uid"], review["request"]["uid"]);
}

#[test]
fn a_new_cluster_is_patched_with_what_it_leaves_out() {
    let mut object = cluster(json!({"ingress": {"apiHost": "a", "konnectivityHost": "k"}}));
    let answer = answer(Stage::Mutate, review(object.clone()).to_string().as_bytes());
    let response = answer.unwrap()["response"].take();
    let patch = BASE64_STANDARD
        .decode(response["patch"].as_str().unwrap())
        .unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    assert_eq!(object["spec"]["version"], DEFAULT_VERSION);
    assert_eq!(object["spec"]["ingress"]["deploy"], true);
}

/// Sets one field, and does not mind managedFields that it cannot see.
struct Defaulting;

impl Kind for Defaulting {
    fn name(&self) -> &'static str {
        "Cluster"
    }

    fn resource(&self) -> &'static str {
        "clusters"
    }

    fn default(&self, request: &Request<'_>, _: World<'_>) -> Option<Value> {
        let mut object = request.object?.clone();
        object["spec"]["replicas"] = json!(1);
        Some(object)
    }

    fn decide(&self, _: &Request<'_>, _: World<'_>) -> Decision {
        Decision::default()
    }
}

#[test]
fn a_patch_changes_what_was_filled_in_and_nothing_else() {
    let kinds = Handlers::new(vec![Box::new(Defaulting)]);
    let mutate = |object: &Value| {
        let body = review(object.clone()).to_string();
        let bytes = admit(
            &kinds,
            World {
                mothership: &Unknown,
                policies: &Policies::default(),
            },
            Stage::Mutate,
            &Metrics::default(),
            body.as_bytes(),
        );
        serde_json::from_slice::<Value>(&bytes.unwrap()).unwrap()["response"].take()
    };
    let mut object = cluster(json!({"version": "v1.36.3"}));
    let response = mutate(&object);
    assert_eq!(response["patchType"], "JSONPatch");
    let patch = BASE64_STANDARD
        .decode(response["patch"].as_str().unwrap())
        .unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    assert_eq!(patch.0.len(), 1);
    json_patch::patch(&mut object, &patch).unwrap();
    assert_eq!(
        object,
        cluster(json!({"version": "v1.36.3", "replicas": 1}))
    );
    // Once more, there is nothing left to fill in.
    assert_eq!(mutate(&object)["patch"], Value::Null);
}

fn conversion(objects: &Value) -> String {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": {"uid": "u", "desiredAPIVersion": "k0smotron.io/v1beta2", "objects": objects},
    })
    .to_string()
}

#[test]
fn a_conversion_gives_all_objects_or_none_and_the_reason() {
    let ask = |body: String| {
        let bytes = convert(converter, &Metrics::default(), body.as_bytes()).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["response"].take()
    };
    let object = cluster(json!({}));
    let mut older = cluster(json!({
        "controllerPlaneFlags": ["--debug"],
        "persistence": {"type": "emptyDir", "autoDeletePVCs": false},
    }));
    older["apiVersion"] = json!("k0smotron.io/v1beta1");
    let response = ask(conversion(&json!([older, object])));
    assert_eq!(response["uid"], "u");
    assert_eq!(response["result"]["status"], "Success");
    let spec = json!({"controlPlaneFlags": ["--debug"], "storage": {"type": "etcd"}});
    assert_eq!(response["convertedObjects"], json!([cluster(spec), object]));
    let response = ask(conversion(&json!([object, {"kind": "Cluster"}])));
    assert_eq!(response["uid"], "u");
    assert_eq!(response["result"]["status"], "Failed");
    assert_eq!(response["convertedObjects"], json!([]));
    let message = response["result"]["message"].as_str().unwrap();
    assert!(message.starts_with("objects[1]: "), "{message}");
}

#[test]
fn a_conversion_of_an_older_version_is_an_error() {
    let body =
        conversion(&json!([])).replace("apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1");
    let result = convert(converter, &Metrics::default(), body.as_bytes());
    assert!(matches!(result, Err(ReviewError::Version { .. })));
}
