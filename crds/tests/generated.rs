//! The files under `yaml/` and `examples/` are what the types say.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crds::generate;
use crds::policy::validate_policy;
use crds::v1beta2::{Cluster, ClusterPolicy, JoinTokenRequest};
use crds::validation::{
    cluster_warnings, not_implemented, validate_cluster, validate_join_token_request,
};

#[test]
fn nothing_is_stale() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = generate::files().unwrap();
    for file in &files {
        let found = fs::read_to_string(folder.join(&file.path)).unwrap_or_default();
        assert!(
            found == file.content,
            "{} is stale: run `cargo run -p crds --bin crdgen` and commit the result",
            file.path
        );
    }
    let wanted: BTreeSet<_> = files.into_iter().map(|file| file.path).collect();
    for name in ["yaml", "examples"] {
        for entry in fs::read_dir(folder.join(name)).unwrap() {
            let path = format!("{name}/{}", entry.unwrap().file_name().to_string_lossy());
            assert!(wanted.contains(&path), "{path}: nothing makes it any more");
        }
    }
}

#[test]
fn examples_are_right_in_every_way() {
    for example in generate::examples().unwrap() {
        let name = example.name;
        if example.object["kind"] == "Cluster" {
            let cluster: Cluster = serde_json::from_value(example.object).unwrap();
            assert_eq!(validate_cluster(&cluster), [], "{name}");
            assert_eq!(cluster_warnings(&cluster), [], "{name}");
            assert_eq!(
                not_implemented(&cluster.spec),
                Vec::<String>::new(),
                "{name}"
            );
            cluster.validate_cel().unwrap();
        } else if example.object["kind"] == "ClusterPolicy" {
            let policy: ClusterPolicy = serde_json::from_value(example.object).unwrap();
            assert_eq!(validate_policy(&policy), [], "{name}");
            policy.validate_cel().unwrap();
        } else {
            let request: JoinTokenRequest = serde_json::from_value(example.object).unwrap();
            assert_eq!(validate_join_token_request(&request), [], "{name}");
            request.validate_cel().unwrap();
        }
    }
}

#[test]
fn every_field_of_ours_is_explained() {
    fn walk(path: &str, schema: &serde_json::Value, bare: &[&str], missing: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().unwrap_or_default().is_empty() {
                missing.push(path.clone());
            }
            if !bare.contains(&name.as_str()) {
                walk(&path, field, bare, missing);
                walk(&path, &field["items"], bare, missing);
            }
        }
    }
    // Kubernetes' own types are left bare: their texts would be most of the definition.
    let bare = [
        "conditions",
        "resources",
        "persistentVolumeClaim",
        "topologySpreadConstraints",
        "manifests",
        "mounts",
        "k0sConfig",
        "namespaceSelector",
    ];
    let mut missing = Vec::new();
    for definition in crds::definitions::all() {
        let definition = serde_json::to_value(definition).unwrap();
        for version in definition["spec"]["versions"].as_array().unwrap() {
            walk(
                "",
                &version["schema"]["openAPIV3Schema"],
                &bare,
                &mut missing,
            );
        }
    }
    missing.retain(|path| path != ".status");
    assert_eq!(missing, Vec::<String>::new());
}
