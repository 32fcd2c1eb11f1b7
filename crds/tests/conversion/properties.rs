//! What holds for every object.

use crds::{v1beta1, v1beta2};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::generator::{Extras, any_object, objects};
use crate::server::{Server, prune};
use crate::{V1BETA1, V1BETA2, newer, older};

/// Runs `property` on generated objects. Making the strategy costs more than a case: once a test.
fn all(objects: impl Strategy<Value = Value>, property: impl Fn(Value)) {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&objects, |object| {
            property(object);
            Ok(())
        })
        .unwrap();
}

fn other(object: &Value) -> Value {
    if object["apiVersion"] == V1BETA1 {
        newer(object)
    } else {
        older(object)
    }
}

#[test]
fn there_and_back_is_the_same_object() {
    all(any_object(Extras::None), |object| {
        assert_eq!(other(&other(&object)), object);
    });
}

#[test]
fn there_and_back_keeps_what_no_version_knows() {
    all(any_object(Extras::All), |object| {
        let back = other(&other(&object));
        assert_eq!(without_nulls(back), without_nulls(object));
    });
}

/// A null is as good as nothing.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[test]
fn converting_twice_is_converting_once() {
    all(any_object(Extras::None), |object| {
        let once = other(&object);
        assert_eq!(other(&other(&once)), once);
    });
}

#[test]
fn of_the_metadata_only_labels_and_annotations_change() {
    all(any_object(Extras::All), |object| {
        let rest = |object: &Value| {
            let mut metadata = object["metadata"].as_object().unwrap().clone();
            metadata.remove("annotations");
            metadata.remove("labels");
            metadata
        };
        let result = other(&object);
        assert_eq!(rest(&result), rest(&object));
        assert_eq!(result["kind"], object["kind"]);
        assert_ne!(result["apiVersion"], object["apiVersion"]);
    });
}

#[test]
fn the_result_is_what_the_schema_and_the_types_say() {
    fn read(object: &Value) -> Result<(), serde_json::Error> {
        let older = object["apiVersion"] == V1BETA1;
        match object["kind"].as_str() {
            Some("Cluster") if older => v1beta1::Cluster::deserialize(object).map(|_| ()),
            Some("Cluster") => v1beta2::Cluster::deserialize(object).map(|_| ()),
            _ if older => v1beta1::JoinTokenRequest::deserialize(object).map(|_| ()),
            _ => v1beta2::JoinTokenRequest::deserialize(object).map(|_| ()),
        }
    }
    let servers = [Server::new("Cluster"), Server::new("JoinTokenRequest")];
    all(any_object(Extras::None), |mut object| {
        let server = &servers[usize::from(object["kind"] != "Cluster")];
        if object.get("spec").is_none() {
            object["spec"] = json!({});
        }
        read(&object).unwrap();
        let result = other(&object);
        read(&result).unwrap();
        let mut pruned = result.clone();
        prune(
            &mut pruned,
            server.schema(result["apiVersion"].as_str().unwrap()),
        );
        assert_eq!(pruned, result, "the schema has no such field");
    });
}

#[test]
fn what_v1beta1_writes_it_reads_again() {
    for kind in ["Cluster", "JoinTokenRequest"] {
        let server = Server::new(kind);
        all(objects(kind, V1BETA1, Extras::None), |object| {
            let stored = server.stored(&object);
            let read = server.read_v1beta1(&stored);
            assert_eq!(read, server.completed(&object));
        });
    }
}

/// Labels, replicas and flags are changed through v1beta1; the rest of a v1beta2 object stays, with
/// all that the API server does on the way.
#[test]
fn a_change_through_v1beta1_changes_nothing_else() {
    let server = Server::new("Cluster");
    all(objects("Cluster", V1BETA2, Extras::None), |object| {
        let stored = server.stored(&object);
        let mut read = server.read_v1beta1(&stored);
        let mut wanted = stored;
        for (object, flags) in [
            (&mut read, "controllerPlaneFlags"),
            (&mut wanted, "controlPlaneFlags"),
        ] {
            object["metadata"]["labels"]["changed"] = json!("yes");
            object["metadata"]["annotations"]["changed"] = json!("yes");
            object["spec"]["replicas"] = json!(5);
            object["spec"][flags] = json!(["--changed"]);
        }
        assert_eq!(server.stored(&read), wanted);
    });
}

#[test]
fn scaling_through_v1beta1_sees_and_sets_the_same_numbers() {
    let server = Server::new("Cluster");
    all(objects("Cluster", V1BETA2, Extras::None), |object| {
        let stored = server.stored(&object);
        let read = server.read_v1beta1(&stored);
        for path in ["/spec/replicas", "/status/replicas", "/status/selector"] {
            assert_eq!(read.pointer(path), stored.pointer(path), "{path}");
        }
    });
}
