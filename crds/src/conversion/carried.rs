//! What goes along in an annotation because the object's version cannot say it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Version, tree};
use crate::names::{
    CLUSTER_REF_NAMESPACE_ANNOTATION, EXTERNAL_TRAFFIC_POLICY_ANNOTATION,
    LOAD_BALANCER_CLASS_ANNOTATION, ONLY_IN_V1BETA1_ANNOTATION, ONLY_IN_V1BETA2_ANNOTATION,
    SERVICE_ANNOTATIONS_ANNOTATION, SERVICE_LABELS_ANNOTATION,
};

/// Where something may be lost on the way there and back. Of the status it is what is on its way
/// out: right to annotate an object is no right to write its status.
const ROOTS: [&str; 2] = ["/spec", "/status/deprecated"];

/// The annotations that a conversion may take away.
const ANNOTATIONS: [&str; 7] = [
    SERVICE_LABELS_ANNOTATION,
    SERVICE_ANNOTATIONS_ANNOTATION,
    EXTERNAL_TRAFFIC_POLICY_ANNOTATION,
    LOAD_BALANCER_CLASS_ANNOTATION,
    CLUSTER_REF_NAMESPACE_ANNOTATION,
    ONLY_IN_V1BETA1_ANNOTATION,
    ONLY_IN_V1BETA2_ANNOTATION,
];

/// Fields of the version that the object is not in. A null is no value: the API server drops those,
/// and types do not take them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Carried(Vec<Field>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    /// A JSON pointer; with `annotation:` before it, the key of an annotation.
    path: String,
    /// What it is; left out when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// What conversion alone would make it; left out when it would make none. Anything else by then
    /// is a change of somebody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Value>,
}

const ANNOTATION: &str = "annotation:";

impl Carried {
    /// What `object` carries of `version`; an error that says what is wrong with it.
    pub fn from_object(object: &Value, version: Version) -> Option<Result<Self, String>> {
        let text = tree::annotation(object, version.annotation())?;
        Some(match serde_json::from_str::<Self>(text) {
            Ok(carried) => match carried.0.iter().find(|field| !field.is_allowed()) {
                None => Ok(carried),
                Some(field) => Err(format!("unknown field {:?}", field.path)),
            },
            Err(error) => Err(error.to_string()),
        })
    }

    /// What `object` says and `back`, the same after a way there and back, does not.
    pub fn between(object: &Value, back: &Value) -> Self {
        let mut fields = Vec::new();
        for root in ROOTS {
            compare(root, object.pointer(root), back.pointer(root), &mut fields);
        }
        for key in ANNOTATIONS {
            let text = |object| tree::annotation(object, key).map(Value::from);
            let (value, over) = (text(object), text(back));
            if value != over {
                let path = format!("{ANNOTATION}{key}");
                fields.push(Field { path, value, over });
            }
        }
        Self(fields)
    }

    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The annotation's value.
    pub fn to_text(&self) -> String {
        // Strings and values only: nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Puts into `object` what nobody changed meanwhile.
    pub fn apply(&self, object: &mut Value) -> Result<(), String> {
        for field in &self.0 {
            if let Some(key) = field.path.strip_prefix(ANNOTATION) {
                field.apply_annotation(object, key)?;
            } else {
                field.apply_field(object);
            }
        }
        Ok(())
    }
}

impl Field {
    fn is_allowed(&self) -> bool {
        match self.path.strip_prefix(ANNOTATION) {
            Some(key) => {
                ANNOTATIONS.contains(&key) && self.value.as_ref().is_none_or(Value::is_string)
            }
            None => ROOTS.iter().any(|root| {
                let below = self.path.strip_prefix(root);
                below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
            }),
        }
    }

    fn apply_annotation(&self, object: &mut Value, key: &str) -> Result<(), String> {
        let over = self.over.as_ref().and_then(Value::as_str);
        if tree::annotation(object, key) != over {
            return Ok(());
        }
        if let Some(text) = self.value.as_ref().and_then(Value::as_str) {
            return tree::set_annotation(object, key, text.to_owned())
                .map_err(|error| error.to_string());
        }
        tree::remove_annotation(object, key);
        Ok(())
    }

    fn apply_field(&self, object: &mut Value) {
        if given(object.pointer(&self.path)) != self.over.as_ref() {
            return;
        }
        let Some((parent, name)) = self.path.rsplit_once('/') else {
            return;
        };
        // Without its parent it was taken away with that.
        let Some(fields) = object.pointer_mut(parent).and_then(Value::as_object_mut) else {
            return;
        };
        let name = name.replace("~1", "/").replace("~0", "~");
        match &self.value {
            Some(value) => {
                fields.insert(name, value.clone());
            }
            None => {
                fields.remove(&name);
            }
        }
    }
}

fn compare(path: &str, value: Option<&Value>, over: Option<&Value>, fields: &mut Vec<Field>) {
    match (given(value), given(over)) {
        (Some(Value::Object(value)), Some(Value::Object(over))) => {
            for name in names(value, over) {
                let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                compare(&path, value.get(name), over.get(name), fields);
            }
        }
        (value, over) if value == over => {}
        (value, over) => fields.push(Field {
            path: path.to_owned(),
            value: value.map(without_nulls),
            over: over.cloned(),
        }),
    }
}

fn given(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

pub fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn names<'a>(one: &'a Map<String, Value>, other: &'a Map<String, Value>) -> BTreeSet<&'a String> {
    one.keys().chain(other.keys()).collect()
}
