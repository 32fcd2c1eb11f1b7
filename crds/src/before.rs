//! What was so before a change is no reason to refuse it. Compared is what was found, never what a
//! message shows of it.

use std::collections::HashMap;
use std::hash::Hash;

use serde_json::Value;

/// Parts what is found in what is new and what was there before, wherever in a list that was. Each
/// thing from before stands for one: a second of its kind is new.
pub(crate) fn part<T, K: Hash + Eq>(
    found: Vec<T>,
    before: &[T],
    key: impl Fn(&T) -> K,
) -> (Vec<T>, Vec<T>) {
    let mut left: HashMap<K, usize> = HashMap::new();
    for thing in before {
        *left.entry(key(thing)).or_default() += 1;
    }
    found
        .into_iter()
        .partition(|thing| match left.get_mut(&key(thing)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
}

/// What is found at a path such as `spec.mounts[1].path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Found {
    /// The path, without the numbers of items.
    place: String,
    value: Option<Value>,
}

impl Found {
    pub(crate) fn at(object: &Value, path: &str) -> Self {
        let mut place = String::new();
        let mut value = Some(object);
        for step in pointer(path).split('/').skip(1) {
            let is_item = value.is_some_and(Value::is_array);
            place.extend(["/", if is_item { "*" } else { step }]);
            value = value.and_then(|value| match value {
                Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                other => other.get(step),
            });
        }
        Self {
            place,
            value: value.cloned(),
        }
    }
}

/// The path as a JSON pointer. One that leads through a key with a dot leads nowhere.
pub(crate) fn pointer(path: &str) -> String {
    format!("/{}", path.replace(['.', '['], "/").replace(']', ""))
}

/// A text without the numbers of the items that it names.
pub(crate) fn without_numbers(text: &str) -> String {
    let mut parts = text.split('[');
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        short.extend(["[", rest]);
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Found, part, without_numbers};

    #[test]
    fn an_item_is_the_same_wherever_in_its_list_it_stands() {
        let before = json!({"spec": {"mounts": [{"path": "/a"}]}});
        let now = json!({"spec": {"mounts": [{"path": "/b"}, {"path": "/a"}]}});
        let was = Found::at(&before, "spec.mounts[0].path");
        assert_eq!(Found::at(&now, "spec.mounts[1].path"), was);
        assert_ne!(Found::at(&now, "spec.mounts[0].path"), was);
        // Where there is no list, a number is a name.
        let labels = json!({"labels": {"1": "x", "2": "x"}});
        assert_ne!(
            Found::at(&labels, "labels[1]"),
            Found::at(&labels, "labels[2]")
        );
        assert_eq!(
            without_numbers("taken by spec.mounts[12]"),
            "taken by spec.mounts[]"
        );
    }

    #[test]
    fn each_thing_from_before_stands_for_one() {
        let (new, unchanged) = part(vec!["b", "a", "a", "c"], &["a", "b", "x"], |thing| *thing);
        assert_eq!(new, ["a", "c"]);
        assert_eq!(unchanged, ["b", "a"]);
    }
}
