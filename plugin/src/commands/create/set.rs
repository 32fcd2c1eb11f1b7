//! `--set path=value`: one field of an object, by its path. Pure.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::kubeconfig::parse_message;

/// A field and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    path: Vec<Step>,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

impl FromStr for Set {
    type Err = String;

    /// `spec.replicas=3`, `spec.mounts[0].path=/etc/x`, `metadata.labels.example\.org/team=web`;
    /// the value is read as YAML.
    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) = text
            .split_once('=')
            .ok_or_else(|| format!("\"{text}\" has no =; write path=value"))?;
        let value = serde_saphyr::from_str(value)
            .map_err(|error| format!("\"{value}\" must be YAML: {}", parse_message(&error)))?;
        let path = steps(path).ok_or_else(|| {
            format!("\"{path}\" must be a path such as spec.replicas or spec.mounts[0].path")
        })?;
        match path.first() {
            Some(Step::Field(first)) if first == "spec" || first == "metadata" => {
                Ok(Self { path, value })
            }
            _ => Err("a path begins with spec. or metadata.".to_owned()),
        }
    }
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut field = String::new();
    let mut characters = path.chars().peekable();
    while let Some(next) = characters.next() {
        match next {
            '\\' => field.push(characters.next()?),
            '.' | '[' => {
                if !field.is_empty() {
                    steps.push(Step::Field(std::mem::take(&mut field)));
                } else if !matches!(steps.last(), Some(Step::Item(_))) {
                    return None;
                }
                if next == '[' {
                    let index: String = characters.by_ref().take_while(|c| *c != ']').collect();
                    steps.push(Step::Item(index.parse().ok()?));
                }
            }
            other => field.push(other),
        }
    }
    match (field.is_empty(), steps.last()) {
        (false, _) => steps.push(Step::Field(field)),
        (true, Some(Step::Item(_))) => {}
        _ => return None,
    }
    Some(steps)
}

impl Set {
    /// Puts the value in its place; objects and lists on the way are made.
    ///
    /// # Errors
    /// A sentence for the user when something else is in the way.
    pub fn apply(&self, object: &mut Value) -> Result<(), String> {
        let mut place = object;
        for step in &self.path {
            place = match step {
                Step::Field(name) => {
                    if place.is_null() {
                        *place = Value::Object(Map::new());
                    }
                    let fields = place
                        .as_object_mut()
                        .ok_or_else(|| format!("\"{name}\" is looked for in what has no fields"))?;
                    fields.entry(name.clone()).or_insert(Value::Null)
                }
                Step::Item(index) => {
                    if place.is_null() {
                        *place = Value::Array(Vec::new());
                    }
                    let items = place
                        .as_array_mut()
                        .ok_or_else(|| format!("[{index}] is looked for in what is not a list"))?;
                    if *index == items.len() {
                        items.push(Value::Null);
                    }
                    let count = items.len();
                    items.get_mut(*index).ok_or_else(|| {
                        format!("[{index}] leaves a gap: the list has {count} items")
                    })?
                }
            };
        }
        *place = self.value.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(texts: &[&str]) -> Result<Value, String> {
        let mut object = json!({"spec": {"replicas": 1}});
        for text in texts {
            text.parse::<Set>()?.apply(&mut object)?;
        }
        Ok(object)
    }

    #[test]
    fn values_are_yaml_and_what_is_missing_on_the_way_is_made() {
        let made = set(&[
            "spec.replicas=3",
            "spec.version=v1.36.3",
            r"metadata.labels.example\.org/team=web",
            "spec.mounts[0].path=/etc/x",
            "spec.mounts[1]={path: /etc/y}",
            "spec.controlPlaneFlags=[--debug]",
        ]);
        assert_eq!(
            made.unwrap(),
            json!({
                "metadata": {"labels": {"example.org/team": "web"}},
                "spec": {"replicas": 3, "version": "v1.36.3", "controlPlaneFlags": ["--debug"],
                    "mounts": [{"path": "/etc/x"}, {"path": "/etc/y"}]},
            })
        );
    }

    #[test]
    fn what_cannot_be_set_says_why() {
        for (text, why) in [
            ("spec.replicas", "has no ="),
            ("replicas=3", "begins with spec."),
            ("spec..a=1", "must be a path such as"),
            ("spec.mounts[1]=x", "leaves a gap"),
            ("spec.replicas.x=1", "has no fields"),
            ("spec[x]=1", "must be a path such as"),
            ("spec.a={b", "must be YAML"),
            ("spec.a={b: 1, b: 2}", "duplicate mapping key `b`"),
        ] {
            let error = set(&[text]).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(
                !error.contains('\n') && !error.contains("Options"),
                "{error}"
            );
        }
    }
}
