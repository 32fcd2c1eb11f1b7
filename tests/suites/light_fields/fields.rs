//! The fields that the schemas have, and the smallest object in which each can be.

use anyhow::{Context as _, Result};
use mothership::paths;
use serde_json::{Map, Value, json};

use crate::company::{complete, known};

/// A kind, with its schema.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub plural: &'static str,
    /// The schema of `spec`.
    schema: Value,
}

/// The kinds whose objects people write.
pub fn kinds() -> Result<Vec<Kind>> {
    let names = [
        ("Cluster", "clusters"),
        ("JoinTokenRequest", "jointokenrequests"),
        ("ClusterPolicy", "clusterpolicies"),
    ];
    let read = |(name, plural): (&'static str, &'static str)| {
        let path = paths::workspace().join(format!("crds/yaml/{plural}.k0smotron.io.yaml"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let definition: Value = serde_saphyr::from_str(&text)?;
        let versions = definition
            .pointer("/spec/versions")
            .and_then(Value::as_array);
        let stored = versions
            .into_iter()
            .flatten()
            .find(|version| version.get("name").and_then(Value::as_str) == Some("v1beta2"));
        let schema =
            stored.and_then(|stored| stored.pointer("/schema/openAPIV3Schema/properties/spec"));
        Ok(Kind {
            name,
            plural,
            schema: schema.context("no schema")?.clone(),
        })
    };
    names.into_iter().map(read).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    /// The first of a list.
    Item,
    /// A key of a map.
    Key,
}

/// The key that stands for any.
const KEY: &str = "a";

/// Where a field is.
#[derive(Clone, Debug)]
pub struct Field {
    steps: Vec<Step>,
    /// What its schema says.
    pub schema: Value,
}

impl Kind {
    /// Every field, from the top.
    pub fn fields(&self) -> Vec<Field> {
        let mut found = Vec::new();
        walk(&self.schema, &mut Vec::new(), &mut found);
        found
    }

    /// A spec that is valid and says as little as can be.
    pub fn base(&self) -> Value {
        match self.name {
            "JoinTokenRequest" => json!({"clusterName": "c", "expiry": "1h"}),
            "Cluster" => json!({"service": {"type": "ClusterIP"}, "version": "v1.36.3-k0s.2"}),
            _ => json!({}),
        }
    }

    /// The smallest spec that has this field with this value; without one, that lacks it.
    pub fn with(&self, field: &Field, value: Option<Value>) -> Value {
        let mut spec = self.base();
        let gone = value.is_none();
        put(&mut spec, &self.schema, &field.steps, value);
        complete(&mut spec, &field.text());
        if gone {
            put(&mut spec, &self.schema, &field.steps, None);
        }
        spec
    }
}

fn walk(schema: &Value, steps: &mut Vec<Step>, found: &mut Vec<Field>) {
    let mut enter = |step: Step, schema: &Value| {
        steps.push(step);
        found.push(Field {
            steps: steps.clone(),
            schema: schema.clone(),
        });
        walk(schema, steps, found);
        steps.pop();
    };
    for (name, schema) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        enter(Step::Name(name.clone()), schema);
    }
    for (inner, step) in [("items", Step::Item), ("additionalProperties", Step::Key)] {
        if let Some(schema) = schema.get(inner).filter(|schema| schema.is_object()) {
            enter(step, schema);
        }
    }
}

impl Field {
    /// The path as Kubernetes writes it.
    pub fn text(&self) -> String {
        let mut text = "spec".to_owned();
        for step in &self.steps {
            match step {
                Step::Name(name) => text.extend([".", name]),
                Step::Item => text.push_str("[0]"),
                Step::Key => text.extend([".", KEY]),
            }
        }
        text
    }

    /// The field below `spec` that it is, or is a part of.
    pub fn top(&self) -> &str {
        match self.steps.first() {
            Some(Step::Name(name)) => name,
            _ => "",
        }
    }

    /// The last name in its path.
    pub fn name(&self) -> &str {
        let name = |step: &'_ Step| match step {
            Step::Name(_) => true,
            Step::Item | Step::Key => false,
        };
        match self.steps.iter().rev().find(|step| name(step)) {
            Some(Step::Name(name)) => name,
            _ => "",
        }
    }

    /// Whether a text names it: the field, one beside it, or what it is in when that is blamed as a
    /// whole. At the top nothing else will do than itself.
    pub fn is_named_in(&self, message: &str) -> bool {
        let text = self.text();
        let ends = text.match_indices(['.', '[']).map(|(end, _)| end).skip(1);
        let mut around: Vec<&str> = ends.filter_map(|end| text.get(..end)).collect();
        let parent = around.pop().unwrap_or(&text);
        message.contains(parent) || around.iter().any(|whole| is_blamed_in(message, whole))
    }

    /// Whether a text names a part of its path below the top: a child's own paths are others, and end
    /// as it does.
    pub fn is_known_in(&self, message: &str) -> bool {
        let names = self.steps.iter().filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Item | Step::Key => None,
        });
        let deep = self.steps.len() > 1;
        names
            .skip(usize::from(deep))
            .any(|name| message.contains(name))
    }

    pub fn is_required(&self, kind: &Kind) -> bool {
        let mut at = &kind.schema;
        let Some((Step::Name(last), way)) = self.steps.split_last() else {
            return false;
        };
        for step in way {
            at = inner(at, step);
        }
        required(at).any(|name| name == last)
    }
}

/// Whether a path is in a text and does not go on there.
fn is_blamed_in(message: &str, path: &str) -> bool {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '[');
    message
        .split(path)
        .skip(1)
        .any(|rest| !rest.starts_with(goes_on))
}

fn inner<'a>(schema: &'a Value, step: &Step) -> &'a Value {
    static NOTHING: Value = Value::Null;
    let found = match step {
        Step::Name(name) => schema.get("properties").and_then(|all| all.get(name)),
        Step::Item => schema.get("items"),
        Step::Key => schema.get("additionalProperties"),
    };
    found.unwrap_or(&NOTHING)
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// Puts the value in its place, and on the way what has to be there besides.
fn put(at: &mut Value, schema: &Value, steps: &[Step], value: Option<Value>) {
    let Some((step, rest)) = steps.split_first() else {
        if let Some(value) = value {
            *at = value;
        }
        return;
    };
    let below = inner(schema, step);
    match step {
        Step::Item => {
            let found = at.as_array_mut().filter(|items| !items.is_empty());
            let mut item = found.map_or(Value::Null, |items| items.swap_remove(0));
            put(&mut item, below, rest, value);
            *at = Value::Array(vec![item]);
        }
        Step::Name(_) | Step::Key => {
            let name = match step {
                Step::Name(name) => name,
                _ => KEY,
            };
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            let Some(fields) = at.as_object_mut() else {
                return;
            };
            for needed in required(schema) {
                let sample = || sample(needed, inner(schema, &Step::Name(needed.to_owned())));
                fields.entry(needed).or_insert_with(sample);
            }
            match (rest, value) {
                ([], None) => drop(fields.remove(name)),
                ([], Some(value)) => drop(fields.insert(name.to_owned(), value)),
                (rest, value) => put(
                    fields.entry(name).or_insert(Value::Null),
                    below,
                    rest,
                    value,
                ),
            }
        }
    }
}

/// A value of this schema that is valid, as far as that can be told from it and from its name.
pub fn sample(name: &str, schema: &Value) -> Value {
    if let Some(known) = known(name) {
        return known;
    }
    if let Some(first) = schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|all| all.first())
    {
        return first.clone();
    }
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return if schema.get("pattern").is_some() {
            json!("1Gi")
        } else {
            json!(1)
        };
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        Some("array") => json!([sample(name, inner(schema, &Step::Item))]),
        Some("object") => {
            if schema
                .get("additionalProperties")
                .is_some_and(Value::is_object)
            {
                return json!({KEY: sample(name, inner(schema, &Step::Key))});
            }
            let fields = required(schema).map(|name| {
                (
                    name.to_owned(),
                    sample(name, inner(schema, &Step::Name(name.to_owned()))),
                )
            });
            Value::Object(fields.collect())
        }
        _ if schema.get("format").and_then(Value::as_str) == Some("date-time") => {
            json!("2026-01-02T03:04:05Z")
        }
        _ => json!("a"),
    }
}
