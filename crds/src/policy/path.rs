//! Paths of fields: `spec.mounts[*].hostPath`, `metadata.annotations["example.com/x"]`.

use serde_json::{Map, Value};

use crate::quantity::amount;
use crate::service_annotations;

/// A path from an object's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    /// The same field, in brackets because its name is no word.
    Key(String),
    Each,
}

/// A field that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set<'a> {
    /// Where it is, with the numbers of items.
    pub path: String,
    pub value: &'a Value,
    /// The item of a list that it is, or is a part of: the outermost.
    pub item: Option<&'a Value>,
}

/// Fields of our kinds and of k0s that say whether, or how, what stands beside them counts.
const SWITCHES: [&str; 7] = [
    "type",
    "mode",
    "enabled",
    "disabled",
    "deploy",
    "provider",
    "onlyBindToAddress",
];

const FORM: &str = "must be a path such as spec.patches, spec.mounts[*].hostPath or metadata.annotations[\"example.com/x\"]";

impl Path {
    /// Reads a path.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("[*]") {
                steps.push(Step::Each);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('[') {
                let quote = after.chars().next().filter(|c| ['"', '\''].contains(c));
                let (key, after) = quote
                    .and_then(|quote| after.get(1..)?.split_once(quote))
                    .ok_or(FORM)?;
                steps.push(Step::Key(key.to_owned()));
                rest = after.strip_prefix(']').ok_or(FORM)?;
            } else {
                if !steps.is_empty() {
                    rest = rest.strip_prefix('.').ok_or(FORM)?;
                }
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, after) = rest.split_at_checked(end).ok_or(FORM)?;
                if name.is_empty() || !name.chars().all(is_word) {
                    return Err(FORM.to_owned());
                }
                steps.push(Step::Field(name.to_owned()));
                rest = after;
            }
        }
        if matches!(steps.first(), Some(Step::Field(root)) if root == "spec") {
            // Either way of writing it is the same field, with the same switches around it.
            for step in &mut steps {
                if let Step::Key(key) = step
                    && !key.is_empty()
                    && key.chars().all(is_word)
                {
                    *step = Step::Field(std::mem::take(key));
                }
            }
        }
        match steps.first() {
            Some(Step::Field(root)) if root == "spec" || root == "metadata" => Ok(Self(steps)),
            Some(_) => Err("must begin with spec or metadata".to_owned()),
            None => Err(FORM.to_owned()),
        }
    }

    /// The fields of an object that the path leads to and that are set.
    pub(super) fn set<'a>(&self, object: &'a Value) -> Vec<Set<'a>> {
        let mut found = Vec::new();
        // Most paths lead nowhere, and that is soon seen.
        if leads(&self.0, object) {
            follow(&self.0, &mut Vec::new(), object, None, &mut found);
        }
        let name = match self.0.last() {
            Some(Step::Field(name) | Step::Key(name)) => name,
            Some(Step::Each) | None => "",
        };
        found.retain(|set| self.says_something(name, set));
        found
    }

    fn says_something(&self, name: &str, set: &Set<'_>) -> bool {
        let below = match self.0.get(1) {
            Some(Step::Field(name) | Step::Key(name)) => name,
            Some(Step::Each) | None => "",
        };
        match (self.root(), below) {
            // A label says something by being there.
            ("metadata", _) if self.0.len() > 2 => !set.value.is_null(),
            ("metadata", _) => !is_empty(set.value),
            // A no to k0s may be other than what it takes where nothing is said.
            (_, "k0sConfig") => is_said(set.value),
            // So is the source of a volume, which may be `emptyDir: {}`.
            _ if set.item.is_some() && set.value.is_object() => true,
            _ => is_set(name, set.value),
        }
    }

    fn root(&self) -> &str {
        match self.0.first() {
            Some(Step::Field(name) | Step::Key(name)) => name,
            Some(Step::Each) | None => "",
        }
    }

    /// The switches beside what the path leads through, as far as the first list or key: what is
    /// there already may be switched on by them.
    pub(super) fn around(&self, object: &Value) -> Vec<Value> {
        if let [_, _, Step::Key(key)] = self.0.as_slice()
            && self.root() == "metadata"
            && service_annotations::ANNOTATIONS.contains(&key.as_str())
        {
            // What the annotation says is of some types of the Service only.
            let type_ = object.pointer("/spec/service/type");
            return vec![type_.cloned().unwrap_or_default()];
        }
        let mut around = Vec::new();
        let mut at = object;
        for (depth, step) in self.0.iter().enumerate() {
            let Step::Field(name) = step else { break };
            if depth == 0 && name != "spec" {
                break;
            }
            if depth > 1 {
                around.push(switches(at));
            }
            let Some(inner) = at.get(name) else { break };
            at = inner;
        }
        around
    }
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Whether the steps lead anywhere, as far as the first list.
fn leads(steps: &[Step], object: &Value) -> bool {
    let mut at = object;
    for step in steps {
        match step {
            Step::Field(name) | Step::Key(name) => match at.get(name) {
                Some(inner) => at = inner,
                None => return false,
            },
            Step::Each => return true,
        }
    }
    true
}

/// `trail` holds the steps so far, each with the item that it took: the text is made of those that
/// have led to something.
fn follow<'a, 'p>(
    steps: &'p [Step],
    trail: &mut Vec<(&'p Step, usize)>,
    value: &'a Value,
    item: Option<&'a Value>,
    found: &mut Vec<Set<'a>>,
) {
    let Some((step, rest)) = steps.split_first() else {
        let path = text(trail);
        found.push(Set { path, value, item });
        return;
    };
    let inner: &mut dyn Iterator<Item = &'a Value> = match step {
        Step::Field(name) | Step::Key(name) => &mut value.get(name).into_iter(),
        Step::Each => &mut value.as_array().into_iter().flatten(),
    };
    for (index, value) in inner.enumerate() {
        trail.push((step, index));
        let item = item.or_else(|| (*step == Step::Each).then_some(value));
        follow(rest, trail, value, item, found);
        trail.pop();
    }
}

fn text(trail: &[(&Step, usize)]) -> String {
    let mut text = String::new();
    for (step, index) in trail {
        match step {
            Step::Field(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Key(key) => text.extend(["[", key, "]"]),
            Step::Each => text.extend(["[", &index.to_string(), "]"]),
        }
    }
    text
}

/// The value without those of its fields that count as left out.
pub(super) fn without_unset(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !is_empty(value));
            let set = set.map(|(name, value)| (name.clone(), value.clone()));
            Value::Object(set.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// Those of its fields that say what else of it counts.
fn switches(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, value| {
            let is_left_out = match name.as_str() {
                // Of this one nothing means yes.
                "deploy" => matches!(value, Value::Null | Value::Bool(true)),
                _ => is_empty(value),
            };
            SWITCHES.contains(&name.as_str()) && !is_left_out
        });
    }
    value
}

/// Whether a field says anything: Go's encoder writes zeros for what its program has left out, and
/// whole objects of them.
fn is_set(name: &str, value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| is_set(name, value)),
        // The product takes a volume without a size for one of the usual size.
        Value::String(size) if name == "size" => !size.is_empty() && amount(size) != Some(0.0),
        other => !is_empty(other),
    }
}

/// Whether there is anything at all, be it a no.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(is_said),
        Value::Bool(_) => true,
        other => !is_empty(other),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::Path;

    #[rstest]
    #[case("spec.patches", &["spec.patches"])]
    #[case("spec.persistence.hostPath", &["spec.persistence.hostPath"])]
    #[case("spec.mounts[*].hostPath", &["spec.mounts[1].hostPath"])]
    #[case("metadata.annotations[\"example.com/x\"]", &["metadata.annotations[example.com/x]"])]
    #[case("metadata.annotations['example.com/x']", &["metadata.annotations[example.com/x]"])]
    #[case("spec.monitoring.enabled", &[])]
    #[case("spec.controlPlaneFlags", &[])]
    #[case("spec.k0sConfig", &[])]
    #[case("spec.mounts.hostPath", &[])]
    fn a_path_leads_to_what_is_set(#[case] path: &str, #[case] wanted: &[&str]) {
        let object = json!({
            "metadata": {"annotations": {"example.com/x": "y"}},
            "spec": {
                "patches": [{}],
                "persistence": {"hostPath": "/data"},
                "mounts": [{"path": "/a"}, {"path": "/b", "hostPath": {"path": "/"}}],
                "monitoring": {"enabled": false},
                "controlPlaneFlags": [],
                "k0sConfig": null,
            },
        });
        let found = Path::parse(path).unwrap().set(&object);
        let found: Vec<&str> = found.iter().map(|set| set.path.as_str()).collect();
        assert_eq!(found, wanted);
    }

    #[rstest]
    #[case::zeros(json!({"nats": {"persistence": {"size": "0", "storageClass": ""}, "tls": {}}}), &[])]
    #[case::a_size(json!({"nats": {"persistence": {"size": "1Gi"}}}), &["spec.nats", "spec.nats.persistence.size"])]
    #[case::a_zero_of_another_name(json!({"nats": {"persistence": {"count": "0"}}}), &["spec.nats"])]
    #[case::a_list(json!({"nats": {"args": [""]}}), &["spec.nats"])]
    // Left out, k0s would take something else for it.
    #[case::a_no_to_k0s(json!({"k0sConfig": {"spec": {"telemetry": {"enabled": false}}}}), &["spec.k0sConfig", "spec.k0sConfig.spec"])]
    fn an_object_is_set_if_any_of_it_is(#[case] spec: Value, #[case] wanted: &[&str]) {
        let object = json!({ "spec": spec });
        let paths = [
            "spec.nats",
            "spec.nats.persistence.size",
            "spec.k0sConfig",
            "spec.k0sConfig.spec",
        ];
        let found = paths.map(|path| Path::parse(path).unwrap().set(&object));
        let found: Vec<&str> = found
            .iter()
            .flatten()
            .map(|set| set.path.as_str())
            .collect();
        assert_eq!(found, wanted);
    }

    #[rstest]
    #[case("metadata.annotations['k0smotron.io/protect']", true)]
    #[case("metadata.labels.size", true)]
    #[case("metadata.labels", true)]
    #[case("spec.mounts[*].emptyDir", true)]
    #[case("spec.mounts[*].readOnly", false)]
    #[case("spec.k0sConfig.spec.telemetry.enabled", true)]
    #[case("spec['k0sConfig'].spec", true)]
    #[case("spec.k0sConfig.spec.none", false)]
    fn what_says_something_though_it_is_empty_is_set(#[case] path: &str, #[case] is_set: bool) {
        let object = json!({
            "metadata": {"annotations": {"k0smotron.io/protect": ""}, "labels": {"size": "0"}},
            "spec": {
                "mounts": [{"path": "/a", "readOnly": false, "emptyDir": {}}],
                "k0sConfig": {"spec": {"telemetry": {"enabled": false}, "none": {"a": {}}}},
            },
        });
        assert_eq!(!Path::parse(path).unwrap().set(&object).is_empty(), is_set);
    }

    #[rstest]
    #[case("")]
    #[case("status.ready")]
    #[case(".spec")]
    #[case("spec..x")]
    #[case("spec.")]
    #[case("spec[")]
    #[case("spec[0]")]
    #[case("spec['x]")]
    #[case("spec['x'")]
    #[case("spec[*]x")]
    #[case("spec.a b")]
    fn other_texts_are_no_path(#[case] text: &str) {
        assert!(Path::parse(text).is_err());
    }
}
