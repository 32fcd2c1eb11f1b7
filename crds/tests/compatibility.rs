//! Whatever upstream's schema accepts, ours accepts: property by property, against facts about
//! upstream's v1beta2 kept in `fixtures/`.

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
const JOIN_TOKEN_REQUESTS: &str = include_str!("fixtures/jointokenrequests.json");

/// Defaults of ours where upstream has none. Upstream's webhook or the defaults further down fill
/// in the same values.
const MORE_DEFAULTS: [&str; 2] = ["spec.storage", "spec.storage.etcd.persistence"];

/// What is required by ours alone: a request without a spec names no Cluster.
const MORE_REQUIRED: [(&str, &str); 1] = [("", "spec")];

/// Where ours refuses by value, each because it could never have worked.
const LIMITS: [(&str, &str); 11] = [
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

fn parts(definition: &CustomResourceDefinition, fixture: &str) -> (Value, Value, Value) {
    let ours = serde_json::to_value(definition).unwrap();
    let theirs: Value = serde_json::from_str(fixture).unwrap();
    let schema = ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    (ours, schema, theirs)
}

fn differences(definition: &CustomResourceDefinition, fixture: &str) -> Vec<String> {
    let (_, schema, theirs) = parts(definition, fixture);
    let mut differences = Vec::new();
    compare("", &theirs["schema"], &schema, &mut differences);
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
    let differences = differences(&crds::definitions::cluster(), CLUSTERS);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn join_token_requests_accept_what_upstream_accepts() {
    let differences = differences(
        &crds::definitions::join_token_request(),
        JOIN_TOKEN_REQUESTS,
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn names_and_subresources_are_upstreams() {
    for (definition, fixture) in [
        (crds::definitions::cluster(), CLUSTERS),
        (crds::definitions::join_token_request(), JOIN_TOKEN_REQUESTS),
    ] {
        let (ours, _, theirs) = parts(&definition, fixture);
        assert_eq!(ours["spec"]["group"], theirs["group"]);
        for key in ["kind", "plural", "shortNames"] {
            assert_eq!(ours["spec"]["names"][key], theirs[key]);
        }
        assert_eq!(ours["spec"]["scope"], "Namespaced");
        let version = &ours["spec"]["versions"][0];
        assert_eq!(version["name"], theirs["version"]);
        assert_eq!(version["subresources"], theirs["subresources"]);
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
    for definition in crds::definitions::all() {
        let ours = serde_json::to_value(definition).unwrap();
        walk(
            "",
            &ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
            &mut limits,
            &mut rules,
        );
    }
    limits.retain(|(path, key)| !LIMITS.contains(&(path.as_str(), key.as_str())));
    rules.retain(|path| !RULES.contains(&path.as_str()));
    assert_eq!(limits, []);
    assert_eq!(rules, Vec::<String>::new());
}
