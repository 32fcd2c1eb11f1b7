//! Whether an object has to be written.

use serde_json::Value;

/// Whether `live` says everything that `wanted` says. Fields that only the live object has
/// (defaults of the API server, other writers' fields) do not count. Entries of a list are
/// matched by their name where all have one, else by position and number.
pub fn contains(live: &Value, wanted: &Value) -> bool {
    difference(live, wanted).is_none()
}

/// The fields that nobody else adds to without changing what they mean: one label more selects other
/// pods.
const SELECTORS: [&str; 2] = ["selector", "labelSelector"];

/// The path of the first field that `live` says otherwise than `wanted`.
pub fn difference(live: &Value, wanted: &Value) -> Option<String> {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().find_map(|(key, wanted)| {
            let below = match live.get(key) {
                Some(live) if SELECTORS.contains(&key.as_str()) => {
                    difference(live, wanted).or_else(|| difference(wanted, live))
                }
                Some(live) => difference(live, wanted),
                // The API server drops empty maps, lists and strings.
                None => (!is_empty(wanted)).then(String::new),
            };
            below.map(|below| format!(".{key}{below}"))
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            if let Some(by_name) = names(wanted) {
                return by_name.into_iter().zip(wanted).find_map(|(name, wanted)| {
                    let entry = live
                        .iter()
                        .find(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
                    entry
                        .map_or_else(|| Some(String::new()), |live| difference(live, wanted))
                        .map(|below| format!("[{name}]{below}"))
                });
            }
            if live.len() != wanted.len() {
                return Some("[]".to_owned());
            }
            live.iter()
                .zip(wanted)
                .enumerate()
                .find_map(|(index, (live, wanted))| {
                    difference(live, wanted).map(|below| format!("[{index}]{below}"))
                })
        }
        (live, wanted) => (live != wanted).then(String::new),
    }
}

/// The names of a list's entries, if each has one and no two are the same.
fn names(entries: &[Value]) -> Option<Vec<&str>> {
    if entries.is_empty() {
        return None;
    }
    let names: Vec<_> = entries
        .iter()
        .map(|entry| entry.get("name")?.as_str())
        .collect::<Option<_>>()?;
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    (sorted.len() == names.len()).then_some(names)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::defaults_are_ignored(json!({"a": 1, "b": 2}), json!({"a": 1}), true)]
    #[case::a_changed_field(json!({"a": 2}), json!({"a": 1}), false)]
    #[case::a_missing_field(json!({}), json!({"a": 1}), false)]
    #[case::an_empty_map_is_no_difference(json!({}), json!({"a": {}}), true)]
    #[case::lists_by_name(json!([{"name": "b", "x": 1}, {"name": "a"}]), json!([{"name": "a"}]), true)]
    #[case::lists_by_position(json!(["a", "b"]), json!(["b", "a"]), false)]
    #[case::longer_lists_differ(json!(["a", "b"]), json!(["a"]), false)]
    #[case::a_selector_with_one_label_more(
        json!({"selector": {"matchLabels": {"a": "b", "c": "d"}}}),
        json!({"selector": {"matchLabels": {"a": "b"}}}), false)]
    #[case::a_label_selector_with_an_expression_more(
        json!([{"labelSelector": {"matchLabels": {}, "matchExpressions": [{"key": "x"}]}}]),
        json!([{"labelSelector": {"matchLabels": {}}}]), false)]
    #[case::a_selector_without_what_is_empty(
        json!({"labelSelector": {}}), json!({"labelSelector": {"matchLabels": {}}}), true)]
    #[case::false_is_said(json!({}), json!({"a": false}), false)]
    fn comparing(#[case] live: Value, #[case] wanted: Value, #[case] same: bool) {
        assert_eq!(contains(&live, &wanted), same);
    }
}
