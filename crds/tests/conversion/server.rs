//! What the API server does around a conversion: it drops unknown fields and fills in defaults, each
//! by the schema of the version at hand.

use serde_json::{Map, Value};

use crate::{V1BETA1, newer, older};

pub struct Server {
    v1beta1: Value,
    v1beta2: Value,
}

impl Server {
    pub fn new(kind: &str) -> Self {
        let definition = match kind {
            "Cluster" => crds::definitions::cluster(),
            _ => crds::definitions::join_token_request(),
        };
        let definition = serde_json::to_value(definition).unwrap();
        let schema = |index: usize| {
            let mut schema =
                definition["spec"]["versions"][index]["schema"]["openAPIV3Schema"].clone();
            let anything = serde_json::json!({"x-kubernetes-preserve-unknown-fields": true});
            for field in ["apiVersion", "kind", "metadata"] {
                schema["properties"][field] = anything.clone();
            }
            schema
        };
        Self {
            v1beta1: schema(1),
            v1beta2: schema(0),
        }
    }

    pub fn schema(&self, api_version: &str) -> &Value {
        if api_version == V1BETA1 {
            &self.v1beta1
        } else {
            &self.v1beta2
        }
    }

    /// The object as it is read in v1beta2 after it was written.
    pub fn stored(&self, written: &Value) -> Value {
        let given = self.completed(written);
        self.completed(&newer(&given))
    }

    /// A stored object as it is read in v1beta1, which nothing completes.
    pub fn read_v1beta1(&self, stored: &Value) -> Value {
        let mut read = older(stored);
        prune(&mut read, &self.v1beta1);
        read
    }

    pub fn completed(&self, object: &Value) -> Value {
        let schema = self.schema(object["apiVersion"].as_str().unwrap());
        let mut object = object.clone();
        prune(&mut object, schema);
        default(&mut object, schema);
        object
    }
}

pub fn prune(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema["properties"].as_object();
            let values = &schema["additionalProperties"];
            fields.retain(|name, _| {
                schema["x-kubernetes-preserve-unknown-fields"] == true
                    || values.is_object()
                    || properties.is_some_and(|properties| properties.contains_key(name))
            });
            for (name, value) in fields {
                match properties.and_then(|properties| properties.get(name)) {
                    Some(schema) => prune(value, schema),
                    None if values.is_object() => prune(value, values),
                    None => {}
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| prune(item, &schema["items"])),
        _ => {}
    }
}

fn default(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let none = Map::new();
            for (name, schema) in schema["properties"].as_object().unwrap_or(&none) {
                if fields.get(name).is_none_or(Value::is_null) {
                    fields.remove(name);
                    if let Some(value) = schema.get("default") {
                        fields.insert(name.clone(), value.clone());
                    }
                }
                if let Some(value) = fields.get_mut(name) {
                    default(value, schema);
                }
            }
            if schema["additionalProperties"].is_object() {
                for value in fields.values_mut() {
                    default(value, &schema["additionalProperties"]);
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| default(item, &schema["items"])),
        _ => {}
    }
}
