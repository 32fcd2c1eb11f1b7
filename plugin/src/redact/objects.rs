//! Objects: what their structure tells of secrets, down into documents that they hold as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::names::{self, Says};
use super::{MARK, Redactor};

/// Ends of annotations that hold a whole object as somebody applied it.
const LAST_APPLIED: &str = "last-applied-configuration";

impl Redactor {
    /// The object without what is secret in it, and without the record of who wrote which field.
    pub fn object(&self, value: Value) -> Value {
        match value {
            Value::Object(fields) if is_secret(&fields) => self.secret(fields),
            Value::Object(fields) => Value::Object(self.fields(fields)),
            Value::Array(items) => Value::Array(self.items(items)),
            Value::String(text) => Value::String(self.document(&text)),
            other => other,
        }
    }

    fn fields(&self, fields: Map<String, Value>) -> Map<String, Value> {
        // Environment variables, headers and the like: a name beside its value.
        let names_secret = ["name", "key"].iter().any(|field| {
            let name = fields.get(*field).and_then(Value::as_str);
            name.is_some_and(|name| names::says(&self.strong, name) != Says::Nothing)
        });
        fields
            .into_iter()
            .filter(|(name, _)| name != "managedFields")
            .map(|(name, value)| {
                let value = if name.ends_with(LAST_APPLIED) {
                    json!(MARK)
                } else if name == "value" && names_secret {
                    hidden(value)
                } else {
                    match names::says(&self.strong, &name) {
                        Says::Nothing => self.object(value),
                        Says::Strong => hidden(value),
                        Says::Weak => self.weak(value),
                    }
                };
                (self.text(&name), value)
            })
            .collect()
    }

    /// Texts are secret; what has a structure (`secret: {secretName: ...}`) tells for itself.
    fn weak(&self, value: Value) -> Value {
        match value {
            Value::String(_) => hidden(value),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.weak(item)).collect())
            }
            other => self.object(other),
        }
    }

    /// Arguments among them: a flag's value may be the next one.
    fn items(&self, items: Vec<Value>) -> Vec<Value> {
        let mut after_flag = false;
        items
            .into_iter()
            .map(|item| {
                let hide = after_flag;
                after_flag = item.as_str().is_some_and(|text| {
                    text.starts_with('-')
                        && !text.contains('=')
                        && names::says(&self.strong, text) != Says::Nothing
                });
                let is_flag = item.as_str().is_some_and(|text| text.starts_with("--"));
                if hide && !is_flag {
                    hidden(item)
                } else {
                    self.object(item)
                }
            })
            .collect()
    }

    /// A text that holds objects is one of them; a comment goes with them when there was a secret.
    fn document(&self, text: &str) -> String {
        let start = text.trim_start();
        let is_json = start.starts_with(['{', '[']);
        if !is_json && !text.trim_end().contains('\n') {
            return self.text(text);
        }
        let Ok(documents) = serde_saphyr::from_multiple::<Value>(text) else {
            return self.text(text);
        };
        let redacted: Vec<Value> = documents
            .iter()
            .map(|document| self.object(document.clone()))
            .collect();
        if redacted == documents || documents.iter().all(Value::is_string) {
            return self.text(text);
        }
        let written: Result<Vec<String>, ()> = redacted
            .iter()
            .map(|document| {
                if is_json {
                    serde_json::to_string(document).map_err(drop)
                } else {
                    serde_saphyr::to_string(document).map_err(drop)
                }
            })
            .collect();
        written.map_or_else(
            |()| MARK.to_owned(),
            |written| written.join(if is_json { "\n" } else { "---\n" }),
        )
    }

    /// Of a Secret: what it is called, and which keys it has with how many bytes each.
    fn secret(&self, mut fields: Map<String, Value>) -> Value {
        let mut sizes = Map::new();
        for (field, is_encoded) in [("data", true), ("stringData", false)] {
            let Some(Value::Object(values)) = fields.remove(field) else {
                continue;
            };
            for (key, value) in values {
                let text = value.as_str().unwrap_or_default();
                let decoded = STANDARD.decode(text).map(|bytes| bytes.len());
                let size = decoded.ok().filter(|_| is_encoded).unwrap_or(text.len());
                sizes.insert(key, json!(size));
            }
        }
        fields.retain(|field, _| {
            matches!(
                field.as_str(),
                "apiVersion" | "kind" | "metadata" | "type" | "immutable"
            )
        });
        let mut kept = self.fields(fields);
        kept.insert("bytes".to_owned(), Value::Object(sizes));
        Value::Object(kept)
    }
}

fn is_secret(fields: &Map<String, Value>) -> bool {
    fields.get("kind").and_then(Value::as_str) == Some("Secret")
        && (fields.contains_key("data") || fields.contains_key("stringData"))
}

/// A mark for every text and number; truth values let nobody in.
fn hidden(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(hidden).collect()),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, hidden(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::String(text) if names::is_harmless(&text) => Value::String(text),
        Value::Bool(_) | Value::Null => value,
        Value::String(_) | Value::Number(_) => json!(MARK),
    }
}
