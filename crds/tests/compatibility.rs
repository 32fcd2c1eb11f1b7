//! Whatever upstream's schema accepts, ours accepts: property by property, against facts about
//! upstream's two versions kept in `fixtures/`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

const CLUSTERS: &str = include_str!("fixtures/clusters.json");
const CLUSTERS_V1BETA1: &str = include_str!("fixtures/clusters.v1beta1.json");
const JOIN_TOKEN_REQUESTS: &str = include_str!("fixtures/jointokenrequests.json");
const JOIN_TOKEN_REQUESTS_V1BETA1: &str = include_str!("fixtures/jointokenrequests.v1beta1.json");

/// Defaults of ours where upstream has none. Upstream's webhook or the defaults further down fill
/// in the same values.
const MORE_DEFAULTS: [&str; 3] = [
    "spec.storage",
    "spec.storage.etcd.persistence",
    "spec.etcd.persistence",
];

/// What is required by ours alone: a request without a spec names no Cluster.
const MORE_REQUIRED: [(&str, &str); 1] = [("", "spec")];

/// Where ours refuses by value, each because it could never have worked.
const LIMITS: [(&str, &str); 13] = [
    ("spec.replicas", "minimum"),
    ("spec.service.apiPort", "minimum"),
    ("spec.service.apiPort", "maximum"),
    ("spec.service.konnectivityPort", "minimum"),
    ("spec.service.konnectivityPort", "maximum"),
    ("spec.manifests[].name", "maxLength"),
    ("spec.manifests[].name", "pattern"),
    ("spec.mounts[].path", "minLength"),
    ("spec.clusterName", "minLength"),
    ("spec.clusterName", "maxLength"),
    ("spec.clusterRef.name", "minLength"),
    ("spec.clusterRef.name", "maxLength"),
    ("spec.expiry", "maxLength"),
];

/// Where ours has rules: again only what could never have worked.
const RULES: [&str; 5] = [
    "",
    "spec.service",
    "spec.persistence",
    "spec.k0sConfig",
    "spec.expiry",
];

/// Ours, the version of it that the fixture is about, and theirs.
fn parts(definition: &CustomResourceDefinition, fixture: &str) -> (Value, Value, Value) {
    let ours = serde_json::to_value(definition).unwrap();
    let theirs: Value = serde_json::from_str(fixture).unwrap();
    let versions = ours["spec"]["versions"].as_array().unwrap();
    let version = versions
        .iter()
        .find(|version| version["name"] == theirs["version"])
        .unwrap()
        .clone();
    (ours, version, theirs)
}

fn differences(definition: &CustomResourceDefinition, fixture: &str) -> Vec<String> {
    let (_, version, theirs) = parts(definition, fixture);
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut differences = Vec::new();
    compare("", &theirs["schema"], schema, &mut differences);
    differences
}

fn compare(path: &str, theirs: &Value, ours: &Value, differences: &mut Vec<String>) {
    let mut differ = |what: String| differences.push(format!("{path}: {what}"));
    let (their_type, our_type) = (&theirs["type"], type_of(ours));
    if *their_type != our_type {
        differ(format!("type {their_type} there, {our_type} here"));
    }
    if theirs["open"] == true && ours["x-kubernetes-preserve-unknown-fields"] != true {
        differ("unknown fields are kept there only".to_owned());
    }
    if theirs["format"] == "int64" && ours["format"] == "int32" {
        differ("numbers are larger there".to_owned());
    }
    let more: Vec<_> = strings(&ours["required"])
        .difference(&strings(&theirs["required"]))
        .cloned()
        .collect();
    if more
        .iter()
        .any(|name| !MORE_REQUIRED.contains(&(path, name.as_str())))
    {
        differ(format!("{more:?} required here only"));
    }
    let missing: Vec<_> = strings(&theirs["enum"])
        .difference(&strings(&ours["enum"]))
        .cloned()
        .collect();
    let closed = !ours["enum"].is_null();
    if closed && (!missing.is_empty() || theirs["enum"].is_null()) {
        differ(format!(
            "values {missing:?} there only, {} here",
            ours["enum"]
        ));
    }
    if theirs["default"] != ours["default"]
        && !(theirs["default"].is_null() && MORE_DEFAULTS.contains(&path))
        && theirs["default"] != json!("")
    {
        differ(format!(
            "default {} there, {} here",
            theirs["default"], ours["default"]
        ));
    }
    for (name, field) in theirs["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match ours["properties"].get(name) {
            Some(ours) => compare(&path, field, ours, differences),
            None => differences.push(format!("{path}: there only")),
        }
    }
    for (key, ours_key, mark) in [
        ("items", "items", "[]"),
        ("values", "additionalProperties", "{}"),
    ] {
        if let Some(inner) = theirs.get(key) {
            compare(
                &format!("{path}{mark}"),
                inner,
                &ours[ours_key],
                differences,
            );
        }
    }
}

fn type_of(schema: &Value) -> Value {
    if schema["x-kubernetes-int-or-string"] == true {
        json!("int-or-string")
    } else {
        schema["type"].clone()
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn clusters_accept_what_upstream_accepts() {
    for fixture in [CLUSTERS, CLUSTERS_V1BETA1] {
        let differences = differences(&crds::definitions::cluster(), fixture);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

#[test]
fn join_token_requests_accept_what_upstream_accepts() {
    for fixture in [JOIN_TOKEN_REQUESTS, JOIN_TOKEN_REQUESTS_V1BETA1] {
        let differences = differences(&crds::definitions::join_token_request(), fixture);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

#[test]
fn names_and_subresources_are_upstreams() {
    let (cluster, request) = (
        crds::definitions::cluster(),
        crds::definitions::join_token_request(),
    );
    for (definition, fixture) in [
        (&cluster, CLUSTERS),
        (&cluster, CLUSTERS_V1BETA1),
        (&request, JOIN_TOKEN_REQUESTS),
        (&request, JOIN_TOKEN_REQUESTS_V1BETA1),
    ] {
        let (ours, version, theirs) = parts(definition, fixture);
        assert_eq!(ours["spec"]["group"], theirs["group"]);
        for key in ["kind", "plural", "shortNames"] {
            assert_eq!(ours["spec"]["names"][key], theirs[key]);
        }
        assert_eq!(ours["spec"]["scope"], "Namespaced");
        assert_eq!(version["subresources"], theirs["subresources"]);
    }
}

/// The kinds that upstream has as well, and had in v1beta1.
fn upstreams() -> [CustomResourceDefinition; 2] {
    [
        crds::definitions::cluster(),
        crds::definitions::join_token_request(),
    ]
}

#[test]
fn v1beta2_is_stored_and_v1beta1_is_served_with_a_warning() {
    for definition in upstreams() {
        let ours = serde_json::to_value(definition).unwrap();
        let versions = ours["spec"]["versions"].as_array().unwrap();
        let flags: Vec<_> = versions
            .iter()
            .map(|version| {
                (
                    version["name"].as_str().unwrap(),
                    version["served"] == true,
                    version["storage"] == true,
                    version["deprecated"] == true,
                )
            })
            .collect();
        assert_eq!(
            flags,
            [
                ("v1beta2", true, true, false),
                ("v1beta1", true, false, true)
            ]
        );
        let warning = versions[1]["deprecationWarning"].as_str().unwrap();
        assert!(warning.contains("k0smotron.io/v1beta2"), "{warning}");
        assert_eq!(
            ours["spec"]["conversion"],
            json!({
                "strategy": "Webhook",
                "webhook": {
                    "clientConfig": {"service": {
                        "name": "k0smotron-webhook", "namespace": "k0smotron",
                        "path": "/convert", "port": 443,
                    }},
                    "conversionReviewVersions": ["v1"],
                },
            })
        );
    }
}

/// What only one status had could only travel in an annotation, and so could be lost by whoever
/// writes the object without it.
#[test]
fn the_status_of_v1beta1_holds_all_of_v1beta2s() {
    for definition in upstreams() {
        let ours = serde_json::to_value(definition).unwrap();
        let [newer, older] = [0, 1].map(|index| {
            let schema = &ours["spec"]["versions"][index]["schema"]["openAPIV3Schema"];
            schema["properties"]["status"]["properties"].clone()
        });
        for (name, field) in newer.as_object().unwrap() {
            if name == "deprecated" {
                for (name, field) in field["properties"]["v1beta1"]["properties"]
                    .as_object()
                    .unwrap()
                {
                    assert_eq!(older[name]["type"], field["type"], "{name}");
                }
            } else {
                assert_eq!(older[name], *field, "{name}");
            }
        }
    }
}

#[test]
fn every_limit_and_rule_is_known() {
    fn walk(
        path: &str,
        schema: &Value,
        limits: &mut Vec<(String, String)>,
        rules: &mut Vec<String>,
    ) {
        let fields = schema.as_object().into_iter().flatten();
        for key in fields.map(|(key, _)| key.as_str()) {
            match key {
                "x-kubernetes-validations" => rules.push(path.to_owned()),
                // A quantity that is none is refused everywhere in Kubernetes.
                "pattern" if schema["x-kubernetes-int-or-string"] == true => {}
                "minimum" | "maximum" | "minLength" | "maxLength" | "pattern" | "minItems"
                | "maxItems" | "minProperties" | "maxProperties" | "multipleOf" | "not"
                | "oneOf" | "anyOf" | "allOf" | "uniqueItems" => {
                    limits.push((path.to_owned(), key.to_owned()));
                }
                _ => {}
            }
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            walk(&path, field, limits, rules);
        }
        if schema["items"].is_object() {
            walk(&format!("{path}[]"), &schema["items"], limits, rules);
        }
        if schema["additionalProperties"].is_object() {
            walk(
                &format!("{path}{{}}"),
                &schema["additionalProperties"],
                limits,
                rules,
            );
        }
    }
    let (mut limits, mut rules) = (Vec::new(), Vec::new());
    for definition in [
        crds::definitions::cluster(),
        crds::definitions::join_token_request(),
    ] {
        let ours = serde_json::to_value(definition).unwrap();
        for version in ours["spec"]["versions"].as_array().unwrap() {
            let schema = &version["schema"]["openAPIV3Schema"];
            walk("", schema, &mut limits, &mut rules);
        }
    }
    limits.retain(|(path, key)| !LIMITS.contains(&(path.as_str(), key.as_str())));
    rules.retain(|path| !RULES.contains(&path.as_str()));
    assert_eq!(limits, []);
    assert_eq!(rules, Vec::<String>::new());
}
