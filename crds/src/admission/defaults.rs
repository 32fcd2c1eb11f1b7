//! What is filled in where an object says nothing.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Map, Value, json};

use super::{Kind, Operation, Request};
use crate::definitions;
use crate::v1beta2::{DEFAULT_ETCD_IMAGE, ServiceType};
use crate::version::DEFAULT_VERSION;

/// The object with what it leaves out filled in; `None` where nothing is left out.
///
/// A new object gets what the schema fills in as well, for whoever has no API server at hand, and
/// the version. One that is there gets neither version nor images: whatever an old one was made
/// without, touching it must not change what it runs. Filling in twice changes nothing.
pub fn default(kind: Kind, request: &Request<'_>) -> Option<Value> {
    let object = request.object?;
    if request.sub_resource.is_some() || request.is_ending() {
        return None;
    }
    match request.operation {
        Operation::Create => {
            let mut filled = object.clone();
            create(kind, &mut filled);
            (filled != *object).then_some(filled)
        }
        Operation::Update if kind == Kind::Cluster => touched(object),
        Operation::Update | Operation::Delete => None,
    }
}

/// A Cluster as it is once somebody has touched it; `None` where that fills in nothing, which is
/// most often so.
pub fn touched(cluster: &Value) -> Option<Value> {
    if !lacks_deploy(cluster) && !lacks_type(cluster) {
        return None;
    }
    let mut filled = cluster.clone();
    deploy(&mut filled);
    service_type(&mut filled);
    Some(filled)
}

/// Fills in what the schema of the object's own version has a default for, as the API server does
/// before it shows an object to anybody. Objects of other kinds and versions stay as they are.
pub fn schema_defaults(object: &mut Value) {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let shape: &Shape = match (text("apiVersion"), text("kind")) {
        ("k0smotron.io/v1beta2", "Cluster") => &CLUSTER,
        ("k0smotron.io/v1beta1", "Cluster") => &V1BETA1_CLUSTER,
        ("k0smotron.io/v1beta2", "JoinTokenRequest") => &JOIN_TOKEN_REQUEST,
        ("k0smotron.io/v1beta1", "JoinTokenRequest") => &V1BETA1_JOIN_TOKEN_REQUEST,
        _ => return,
    };
    shape.fill(object);
}

/// The JSON patch (RFC 6902) of exactly what changed.
pub fn patch(before: &Value, after: &Value) -> json_patch::Patch {
    json_patch::diff(before, after)
}

fn create(kind: Kind, object: &mut Value) {
    let shape: &Shape = match kind {
        Kind::Cluster => &CLUSTER,
        Kind::JoinTokenRequest => &JOIN_TOKEN_REQUEST,
    };
    shape.fill(object);
    if kind == Kind::Cluster {
        fill(object, &["spec"], "version", DEFAULT_VERSION);
        // The schema has defaults for what is missing; earlier clients wrote empty texts instead.
        service_type(object);
        fill(
            object,
            &["spec", "storage", "etcd"],
            "image",
            DEFAULT_ETCD_IMAGE,
        );
        deploy(object);
    }
}

/// An Ingress is made unless told otherwise.
fn lacks_deploy(object: &Value) -> bool {
    let ingress = object.pointer("/spec/ingress").and_then(Value::as_object);
    ingress.is_some_and(|ingress| ingress.get("deploy").is_none_or(Value::is_null))
}

fn deploy(object: &mut Value) {
    if lacks_deploy(object)
        && let Some(ingress) = at(object, &["spec", "ingress"])
    {
        ingress.insert("deploy".to_owned(), json!(true));
    }
}

/// An empty type, which the schema takes for none of the known ones; Go clients write it again with
/// every change.
fn lacks_type(object: &Value) -> bool {
    object
        .pointer("/spec/service/type")
        .is_some_and(|type_| type_ == "")
}

fn service_type(object: &mut Value) {
    let place = ["spec", "service"];
    fill(object, &place, "type", ServiceType::default().as_str());
}

fn fill(object: &mut Value, place: &[&str], field: &str, default: &str) {
    if let Some(fields) = at(object, place)
        && fields
            .get(field)
            .is_none_or(|value| value.is_null() || value == "")
    {
        fields.insert(field.to_owned(), json!(default));
    }
}

fn at<'a>(value: &'a mut Value, place: &[&str]) -> Option<&'a mut Map<String, Value>> {
    place
        .iter()
        .try_fold(value, |value, key| value.get_mut(*key))?
        .as_object_mut()
}

static CLUSTER: LazyLock<Shape> =
    LazyLock::new(|| Shape::from_definition(&definitions::cluster(), "v1beta2"));
static V1BETA1_CLUSTER: LazyLock<Shape> =
    LazyLock::new(|| Shape::from_definition(&definitions::cluster(), "v1beta1"));
static JOIN_TOKEN_REQUEST: LazyLock<Shape> =
    LazyLock::new(|| Shape::from_definition(&definitions::join_token_request(), "v1beta2"));
static V1BETA1_JOIN_TOKEN_REQUEST: LazyLock<Shape> =
    LazyLock::new(|| Shape::from_definition(&definitions::join_token_request(), "v1beta1"));

/// As much of a schema as the API server needs to fill in defaults.
#[derive(Default)]
struct Shape {
    default: Option<Value>,
    fields: Vec<(String, Self)>,
    values: Option<Box<Self>>,
    items: Option<Box<Self>>,
}

impl Shape {
    /// The shape of a version.
    fn from_definition(definition: &CustomResourceDefinition, version: &str) -> Self {
        let mut versions = definition.spec.versions.iter();
        let mut shape = versions
            .find(|found| found.name == version)
            .and_then(|found| found.schema.as_ref()?.open_api_v3_schema.as_ref())
            .map(Self::new)
            .unwrap_or_default();
        // What the user writes of an object is its spec.
        shape.fields.retain(|(name, _)| name == "spec");
        shape
    }

    fn new(schema: &JSONSchemaProps) -> Self {
        let fields = schema.properties.iter().flatten();
        Self {
            default: schema.default.as_ref().map(|default| default.0.clone()),
            fields: fields
                .map(|(name, schema)| (name.clone(), Self::new(schema)))
                .collect(),
            values: match &schema.additional_properties {
                Some(JSONSchemaPropsOrBool::Schema(values)) => Some(Box::new(Self::new(values))),
                _ => None,
            },
            items: match &schema.items {
                Some(JSONSchemaPropsOrArray::Schema(items)) => Some(Box::new(Self::new(items))),
                _ => None,
            },
        }
    }

    /// What the API server does before it shows the object to anybody: what is missing or null gets
    /// the default, and a null without a default goes.
    fn fill(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, shape) in &self.fields {
                    if fields.get(name).is_none_or(Value::is_null) {
                        match &shape.default {
                            Some(default) => {
                                fields.insert(name.clone(), default.clone());
                            }
                            None => {
                                fields.remove(name);
                            }
                        }
                    }
                    if let Some(inner) = fields.get_mut(name) {
                        shape.fill(inner);
                    }
                }
                if let Some(shape) = &self.values {
                    fields.values_mut().for_each(|inner| shape.fill(inner));
                }
            }
            Value::Array(items) => {
                if let Some(shape) = &self.items {
                    for item in items {
                        shape.fill(item);
                    }
                }
            }
            _ => {}
        }
    }
}
