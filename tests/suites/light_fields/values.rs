//! What is tried with each field.

use serde_json::{Value, json};

use crate::fields::{Field, Kind, sample};

/// A field with a value, or without one.
#[derive(Clone, Debug)]
pub struct Case<'k> {
    /// By which it is asked for again.
    pub number: usize,
    pub kind: &'k Kind,
    pub field: Field,
    /// In a word.
    pub what: &'static str,
    pub spec: Value,
}

impl Case<'_> {
    /// As a failure has it.
    pub fn title(&self) -> String {
        format!(
            "{} {} {} {}",
            self.number,
            self.kind.name,
            self.field.text(),
            self.what
        )
    }
}

/// Every value of every field, in an order that only a change of the schemas changes.
pub fn all(kinds: &[Kind]) -> Vec<Case<'_>> {
    let mut all = Vec::new();
    for kind in kinds {
        for field in kind.fields() {
            for (what, value) in values(&field) {
                let spec = kind.with(&field, value);
                all.push(Case {
                    number: all.len(),
                    kind,
                    field: field.clone(),
                    what,
                    spec,
                });
            }
        }
    }
    all
}

fn values(field: &Field) -> Vec<(&'static str, Option<Value>)> {
    let valid = sample(field.name(), &field.schema);
    let mut values = vec![("valid", valid.clone()), ("null", Value::Null)];
    let type_ = field
        .schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("any");
    let texts = || {
        [
            ("empty", json!("")),
            ("huge", json!("a".repeat(64 * 1024))),
            ("control characters", json!("a\u{1b}[2J\nb\u{0}\u{202e}")),
            ("other letters", json!("名前 é")),
            ("shell", json!("'; $(reboot) #")),
        ]
    };
    let numbers = || {
        [
            ("zero", json!(0)),
            ("negative", json!(-1)),
            ("largest", json!(i32::MAX)),
            ("least", json!(i32::MIN)),
            ("larger", json!(i64::MAX)),
            ("too large", json!(1e19)),
            ("a fraction", json!(1.5)),
        ]
    };
    match type_ {
        "string" => {
            values.extend(texts());
            values.extend([
                ("a number", json!(7)),
                ("a list", json!([])),
                ("an object", json!({})),
            ]);
        }
        "integer" | "number" => {
            values.extend(numbers());
            values.extend([("a text", json!("7")), ("an object", json!({}))]);
        }
        "boolean" => values.extend([
            ("no", json!(false)),
            ("a text", json!("true")),
            ("a number", json!(1)),
        ]),
        "array" => {
            let many = vec![valid.get(0).cloned().unwrap_or_default(); 300];
            values.extend([
                ("empty", json!([])),
                ("many of one", json!(many)),
                ("of nothing", json!([null])),
                ("an object", json!({})),
                ("a text", json!("a")),
            ]);
        }
        "object" => values.extend([
            ("empty", json!({})),
            ("unknown", json!({"noSuchField": {"deep": [1]}, "": ""})),
            ("strange keys", json!({"a b\n": "x", "名": "x"})),
            ("a list", json!([])),
            ("a text", json!("a")),
        ]),
        _ => {
            values.extend(texts());
            values.extend(numbers());
            values.extend([("a list", json!([])), ("an object", json!({}))]);
        }
    }
    let values = values.into_iter().map(|(what, value)| (what, Some(value)));
    values.chain([("gone", None)]).collect()
}
