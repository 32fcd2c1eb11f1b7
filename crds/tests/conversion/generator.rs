//! Objects made from a schema: every field, every word of an enum, and unknown fields as well.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::server::Server;
use crate::{V1BETA1, V1BETA2};

/// What is in an object besides what its schema says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extras {
    /// Nothing.
    None,
    /// Fields that no version knows, nulls, and annotations of both versions in every shape.
    All,
}

pub fn objects(
    kind: &'static str,
    api_version: &'static str,
    extras: Extras,
) -> BoxedStrategy<Value> {
    let server = Server::new(kind);
    let properties = &server.schema(api_version)["properties"];
    let (spec, status) = (
        values(&properties["spec"], extras, 0),
        values(&properties["status"], extras, 0),
    );
    (
        prop::option::weighted(0.95, spec),
        prop::option::of(status),
        annotations(api_version, extras),
        prop::option::of(prop::collection::btree_map(
            "[a-z]{1,3}",
            "[a-z]{0,3}",
            1..3,
        )),
    )
        .prop_map(move |(spec, status, annotations, labels)| {
            let mut object = json!({
                "apiVersion": api_version, "kind": kind,
                "metadata": {"name": "c", "namespace": "n", "uid": "u", "resourceVersion": "7"},
            });
            let metadata = &mut object["metadata"];
            if let Some(labels) = labels {
                metadata["labels"] = json!(labels);
            }
            if !annotations.is_empty() {
                metadata["annotations"] = Value::Object(annotations);
            }
            // A request without a spec is none.
            if let Some(spec) = spec.or_else(|| {
                (kind != "Cluster").then(
                    || json!({"clusterName": "k", "clusterRef": {"name": "k", "namespace": "n"}}),
                )
            }) {
                object["spec"] = spec;
            }
            if let Some(status) = status {
                object["status"] = status;
            }
            object
        })
        .boxed()
}

fn annotations(api_version: &str, extras: Extras) -> BoxedStrategy<Map<String, Value>> {
    let mut choices = vec![("example.com/mine", vec!["", "x"])];
    // Valid v1beta1 objects have none of v1beta2's.
    if api_version == V1BETA2 || extras == Extras::All {
        let maps = vec![
            r#"{"a":"b"}"#,
            r#"{ "c": "d" }"#,
            "{}",
            "",
            "[1]",
            r#"{"a":1}"#,
        ];
        let service = "k0smotron.io/conversion-dropped-service.";
        choices.extend([
            (concat(service, "labels"), maps.clone()),
            (concat(service, "annotations"), maps),
            (
                concat(service, "externalTrafficPolicy"),
                vec![r#""Local""#, r#" "Cluster""#, r#""No""#, "Local"],
            ),
            (
                concat(service, "loadBalancerClass"),
                vec![r#""x""#, r#""""#, "null"],
            ),
            ("k0smotron.io/cluster-ref-namespace", vec!["n", "other"]),
        ]);
    }
    if extras == Extras::All {
        let misplaced = vec!["", "{", r#"[{"path":"/kind"}]"#];
        choices.push(("k0smotron.io/only-in-v1beta1", misplaced.clone()));
        if api_version == V1BETA2 {
            choices.push(("k0smotron.io/only-in-v1beta2", misplaced));
        }
    }
    choices
        .into_iter()
        .map(|(key, texts)| (Just(key), prop::option::weighted(0.3, select(texts))))
        .collect::<Vec<_>>()
        .prop_map(|chosen| {
            let texts = chosen.into_iter();
            texts
                .filter_map(|(key, text)| Some((key.to_owned(), text?.into())))
                .collect()
        })
        .boxed()
}

fn concat(prefix: &str, name: &str) -> &'static str {
    Box::leak(format!("{prefix}{name}").into_boxed_str())
}

fn values(schema: &Value, extras: Extras, depth: usize) -> BoxedStrategy<Value> {
    if let Some(words) = schema["enum"].as_array() {
        return select(words.clone()).boxed();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return prop_oneof![Just(json!("1Gi")), (0..9i64).prop_map(Value::from)].boxed();
    }
    match schema["type"].as_str().unwrap() {
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "integer" => (
            schema["minimum"].as_f64().unwrap_or(-2.0),
            schema["maximum"].as_f64().unwrap_or(70000.0),
        )
            .prop_map_into()
            .boxed(),
        "number" => select(vec![json!(1.5), json!(2)]).boxed(),
        "array" => prop::collection::vec(values(&schema["items"], extras, depth + 1), 0..3)
            .prop_map(Value::from)
            .boxed(),
        "string" if schema["format"] == "date-time" => Just(json!("2026-01-02T03:04:05Z")).boxed(),
        "string" if schema.get("pattern").is_some() => Just(json!("m1")).boxed(),
        "string" => {
            let least = schema["minLength"].as_u64().unwrap_or(0);
            let text = format!(r#"[a-zA-Z0-9 /~."\\é-]{{{least},8}}"#);
            proptest::string::string_regex(&text)
                .unwrap()
                .prop_map(Value::from)
                .boxed()
        }
        "object" => fields(schema, extras, depth),
        other => panic!("{other}"),
    }
}

/// A range of whole numbers.
trait Whole {
    fn prop_map_into(self) -> BoxedStrategy<Value>;
}

impl Whole for (f64, f64) {
    #[allow(clippy::cast_possible_truncation, reason = "the bounds are whole")]
    fn prop_map_into(self) -> BoxedStrategy<Value> {
        (self.0 as i64..=self.1 as i64)
            .prop_map(Value::from)
            .boxed()
    }
}

fn fields(schema: &Value, extras: Extras, depth: usize) -> BoxedStrategy<Value> {
    if schema["additionalProperties"].is_object() {
        let inner = values(&schema["additionalProperties"], extras, depth + 1);
        return prop::collection::btree_map("[a-z/~]{1,4}", inner, 0..3)
            .prop_map(|map| json!(map))
            .boxed();
    }
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    // Most of a Kubernetes type is left out, most of ours is not.
    #[allow(clippy::cast_precision_loss, reason = "there are few fields")]
    let often = if depth < 3 {
        0.5
    } else {
        (2.5 / properties.len() as f64).min(0.5)
    };
    let known: Vec<_> = properties
        .iter()
        .map(|(name, schema)| {
            let inner = values(schema, extras, depth + 1);
            let field = if required.contains(&json!(name)) {
                inner.prop_map(Some).boxed()
            } else if extras == Extras::All {
                let nullable = prop_oneof![19 => inner, 1 => Just(Value::Null)];
                prop::option::weighted(often, nullable).boxed()
            } else {
                prop::option::weighted(often, inner).boxed()
            };
            (Just(name.clone()), field)
        })
        .collect();
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let unknown = if open || (extras == Extras::All && depth > 0) {
        prop::option::weighted(if open { 0.8 } else { 0.1 }, any_json()).boxed()
    } else {
        Just(None).boxed()
    };
    (known, unknown)
        .prop_map(move |(known, unknown)| {
            let mut fields: Map<String, Value> = known
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            if let Some(unknown) = unknown {
                fields.insert("new/er".to_owned(), unknown);
            }
            if open && fields.contains_key("apiVersion") {
                fields.insert("apiVersion".to_owned(), "k0s.k0sproject.io/v1beta1".into());
            }
            Value::Object(fields)
        })
        .boxed()
}

pub fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z/~\"]{0,5}".prop_map(Value::from),
    ];
    let names = select(vec![
        "storage",
        "etcd",
        "kine",
        "service",
        "labels",
        "type",
        "deprecated",
        "v1beta1",
        "ready",
        "clusterRef",
        "persistence",
        "x",
    ]);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let map = prop::collection::btree_map(names.clone(), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            map.prop_map(|map| json!(map)),
        ]
    })
    .boxed()
}

/// The four kinds of objects there are.
pub fn any_object(extras: Extras) -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => objects("Cluster", V1BETA1, extras),
        3 => objects("Cluster", V1BETA2, extras),
        1 => objects("JoinTokenRequest", V1BETA1, extras),
        1 => objects("JoinTokenRequest", V1BETA2, extras),
    ]
}
