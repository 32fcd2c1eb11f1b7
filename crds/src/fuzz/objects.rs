//! Whole objects and policies.

use fuzz::{objects, tree};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::admission::{self, Kind, Operation, Request, User};
use crate::conversion::{ConversionError, convert, without_nulls};
use crate::lookup::Unknown;
use crate::names;
use crate::policy::{Input, Policies, read_policy, validate_policy};
use crate::v1beta2::PolicyKind;
use crate::validation::is_obeyed;
use crate::{v1beta1, v1beta2};

/// Words of our objects, so that what is strange gets where something looks at it.
const WORDS: &[&str] = &[
    "apiVersion",
    "k0smotron.io/v1beta1",
    "k0smotron.io/v1beta2",
    "kind",
    "Cluster",
    "JoinTokenRequest",
    "metadata",
    "name",
    "namespace",
    "generateName",
    "labels",
    "annotations",
    "deletionTimestamp",
    "2027-01-01T00:00:00Z",
    "spec",
    "status",
    "replicas",
    "version",
    "image",
    "externalAddress",
    "service",
    "type",
    "NodePort",
    "LoadBalancer",
    "apiPort",
    "konnectivityPort",
    "persistence",
    "pvc",
    "hostPath",
    "storage",
    "etcd",
    "kine",
    "size",
    "1Gi",
    "-1Gi",
    "1e3",
    "k0sConfig",
    "api",
    "sans",
    "mounts",
    "path",
    "/etc/k0smotron",
    "/var/lib/k0s/pki",
    "manifests",
    "configMap",
    "secret",
    "emptyDir",
    "resources",
    "limits",
    "cpu",
    "controlPlaneFlags",
    "--x='",
    "certificateRefs",
    "ca",
    "patches",
    "target",
    "patch",
    "content",
    "[{\"op\":\"remove\",\"path\":\"/spec\"}]",
    "clusterName",
    "clusterRef",
    "expiry",
    "24h",
    "k0smotron.io/only-in-v1beta1",
    "k0smotron.io/only-in-v1beta2",
    "k0smotron.io/conversion-dropped-service.labels",
    "k0smotron.io/conversion-dropped-service.annotations",
    "{\"a\":\"b\"}",
    "[{\"path\":\"/spec/x\",\"value\":1}]",
    "ingress",
    "deploy",
    "x",
];

/// The examples, and what upstream's own users have.
fn all_objects() -> Vec<Value> {
    let mut all = objects("crds/examples");
    all.extend(objects("tests/fixtures/compat/clients"));
    let specs = objects("controller/tests/clusters")
        .into_iter()
        .map(|spec| {
            json!({
                "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "metadata": {"name": "demo", "namespace": "team", "labels": {"team": "a"}},
                "spec": spec,
            })
        });
    all.extend(specs);
    let ours = |object: &Value| {
        object["apiVersion"]
            .as_str()
            .is_some_and(|version| version.starts_with("k0smotron.io/"))
    };
    all.retain(ours);
    all
}

/// Without what the conversion notes for itself, which it notes anew.
fn users(mut object: Value) -> Value {
    let annotations = object.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.starts_with("k0smotron.io/only-in-"));
        if annotations.is_empty()
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("annotations");
        }
    }
    object
}

/// Whether something of it could not be taken over.
fn says_why_not(object: &Value) -> bool {
    !object["metadata"]["annotations"][names::CONVERSION_ERROR_ANNOTATION].is_null()
}

fn is_readable(object: &Value) -> bool {
    let older = object["apiVersion"] == "k0smotron.io/v1beta1";
    match object["kind"].as_str() {
        Some("Cluster") if older => v1beta1::Cluster::deserialize(object).is_ok(),
        Some("Cluster") => v1beta2::Cluster::deserialize(object).is_ok(),
        _ if older => v1beta1::JoinTokenRequest::deserialize(object).is_ok(),
        _ => v1beta2::JoinTokenRequest::deserialize(object).is_ok(),
    }
}

#[test]
fn conversions() {
    let mut seeds = all_objects();
    seeds.retain(|object| object["kind"] != "ClusterPolicy");
    let other = seeds.iter().filter_map(|object| {
        let to = if object["apiVersion"] == "k0smotron.io/v1beta2" {
            "v1beta1"
        } else {
            "v1beta2"
        };
        convert(object.clone(), &format!("k0smotron.io/{to}")).ok()
    });
    let other: Vec<Value> = other.collect();
    seeds.extend(other);
    fuzz::check!(tree(seeds, WORDS), |object: &Value| {
        // What the schema of its version does not let through is never converted.
        if !is_readable(object) {
            return;
        }
        let from = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        for to in ["k0smotron.io/v1beta1", "k0smotron.io/v1beta2"] {
            match convert(object.clone(), to) {
                // No such object gets past its schema and the door; a list of others must not fail.
                Ok(there) if says_why_not(&there) => {
                    assert_eq!(there["apiVersion"], to);
                    assert!(is_readable(&there), "{there}");
                }
                Ok(there) if there["apiVersion"] == to => match convert(there.clone(), &from) {
                    Ok(back) => {
                        assert_eq!(
                            without_nulls(&users(back.clone())),
                            without_nulls(&users(object.clone()))
                        );
                        // What was carried along is there again.
                        assert_eq!(
                            convert(back, to).as_ref().map(without_nulls),
                            Ok(without_nulls(&there))
                        );
                    }
                    // The reader is told, and writes the other version.
                    Err(ConversionError::ReadOnly | ConversionError::TooLarge(_)) => {}
                    Err(error) => panic!("no way back: {error}"),
                },
                Ok(there) => panic!("not {to}: {there}"),
                Err(error) => assert!(!error.to_string().contains(is_obeyed), "{error}"),
            }
        }
    });
}

fn request<'a>(object: &'a Value, old: Option<&'a Value>) -> Request<'a> {
    Request {
        operation: if old.is_some() {
            Operation::Update
        } else {
            Operation::Create
        },
        sub_resource: None,
        namespace: "team",
        name: "demo",
        user: User::default(),
        object: Some(object),
        old_object: old,
        dry_run: false,
    }
}

fn kind(object: &Value) -> Kind {
    match object["kind"].as_str() {
        Some("JoinTokenRequest") => Kind::JoinTokenRequest,
        _ => Kind::Cluster,
    }
}

/// What the text of a new object gets for an answer is what its tree gets; what is filled in once is
/// not filled in again; and whatever is refused is refused with a path, on one line.
#[test]
fn admission_of_objects() {
    let seeds = || {
        let mut seeds = all_objects();
        seeds.retain(|object| object["kind"] != "ClusterPolicy");
        tree(seeds, WORDS)
    };
    fuzz::check!((seeds(), seeds()), |pair: &(Value, Value)| {
        let (object, old) = pair;
        for old in [None, Some(old)] {
            let request = request(object, old);
            let kind = kind(object);
            let decision = admission::validate(kind, &request, &Unknown);
            for error in &decision.errors {
                assert!(!error.path.is_empty(), "{error}");
                assert!(!error.to_string().contains(is_obeyed), "{error}");
            }
            for warning in &decision.warnings {
                assert!(!warning.contains(is_obeyed), "{warning:?}");
            }
            let text = object.to_string();
            if let Some(at_once) = admission::validate_new(kind, &request, &text, &Unknown) {
                assert_eq!(at_once, decision, "{object}");
            }
            if let Some(filled) = admission::default(kind, &request) {
                let again = Request {
                    object: Some(&filled),
                    ..request.clone()
                };
                assert_eq!(admission::default(kind, &again), None, "{filled}");
            }
        }
    });
}

#[test]
fn policies() {
    let policies = objects("crds/examples")
        .into_iter()
        .filter(|object| object["kind"] == "ClusterPolicy");
    let words = &[
        "spec.mounts[*].hostPath",
        "metadata.annotations[\"a/b\"]",
        "[*]",
        "spec",
        "quay.io/a",
        "quay.io/*",
        ">=1.35 <1.37",
        "1.x",
        "[a-z]+",
        "(",
        "a{1000}",
        "forbiddenFields",
        "defaults",
        "labels",
        "rules",
        "expression",
        "messageExpression",
        "object.spec.replicas > 1",
        "namespaceSelector",
        "matchExpressions",
        "operator",
        "In",
        "resources",
        "controlPlane",
        "requests",
        "min",
        "max",
        "1Gi",
        "-1",
    ];
    let clusters = tree(all_objects(), WORDS);
    fuzz::check!(
        (tree(policies.collect::<Vec<_>>(), words), clusters),
        |pair: &(Value, Value)| {
            let (policy, object) = pair;
            let Ok(policy) = read_policy(policy) else {
                return;
            };
            for error in validate_policy(&policy) {
                assert!(
                    error.path.starts_with("spec") || error.path.starts_with("metadata"),
                    "{error}"
                );
                assert!(!error.to_string().contains(is_obeyed), "{error}");
            }
            let policies = Policies::new([&policy]);
            let request = request(object, None);
            for kind in [PolicyKind::Cluster, PolicyKind::JoinTokenRequest] {
                let outcome = policies.decide(&Input {
                    request: &request,
                    kind,
                    mothership: &Unknown,
                });
                for text in outcome
                    .errors
                    .iter()
                    .map(ToString::to_string)
                    .chain(outcome.warnings)
                {
                    assert!(!text.contains(is_obeyed), "{text:?}");
                }
            }
        }
    );
}
