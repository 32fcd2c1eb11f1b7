//! Takes out of a user's kubeconfig what merges of one cluster have brought into it.

use serde_json::{Map, Value, json};

use crate::kubeconfig::merge::{Owner, Problem, comments, edit, parse, render};

/// A user's kubeconfig without the entries of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    pub text: String,
    /// Names of the contexts that are not in it any more.
    pub contexts: Vec<String>,
    /// Whether there were comments that are not in it any more.
    pub lost_comments: bool,
    /// Whether the current context was among them; there is none now.
    pub was_current: bool,
}

/// Takes out what belongs to this cluster (of all its users, unless the owner names one): under one
/// name, or under all that it has. Clusters and users that a context of somebody else needs stay. `None` when there is nothing to take out.
///
/// # Errors
/// [`Problem::Unusable`] when the text is no kubeconfig.
pub fn remove(text: &str, owner: &Owner, name: Option<&str>) -> Result<Option<Removed>, Problem> {
    let before = parse(text)?;
    let own = |list: &str, key: &str| -> Vec<usize> {
        entries(&before, list)
            .enumerate()
            .filter(|(_, entry)| name.is_none_or(|name| name_of(entry) == name))
            .filter(|(_, entry)| {
                let content = entry.get(key).and_then(Value::as_object);
                content.is_some_and(|content| owner.has_made(content))
            })
            .map(|(index, _)| index)
            .collect()
    };
    let contexts = own("contexts", "context");
    let needed = |key: &str, entry: &str| {
        entries(&before, "contexts")
            .enumerate()
            .filter(|(index, _)| !contexts.contains(index))
            .any(|(_, context)| context.pointer(&format!("/context/{key}")) == Some(&json!(entry)))
    };
    let mut after = before.clone();
    let mut cuts = Vec::new();
    for (list, key) in [
        ("clusters", "cluster"),
        ("users", "user"),
        ("contexts", "context"),
    ] {
        let kept = |index: &usize| {
            let entry = entries(&before, list).nth(*index);
            key != "context" && entry.is_some_and(|entry| needed(key, name_of(entry)))
        };
        let mut places = own(list, key);
        places.retain(|index| !kept(index));
        // From the end, so that the places before stay what they are.
        for index in places.into_iter().rev() {
            if let Some(list) = after.get_mut(list).and_then(Value::as_array_mut) {
                list.remove(index);
            }
            cuts.push((list, index));
        }
    }
    if cuts.is_empty() {
        return Ok(None);
    }
    let contexts: Vec<String> = contexts
        .iter()
        .filter_map(|index| entries(&before, "contexts").nth(*index))
        .map(|entry| name_of(entry).to_owned())
        .collect();
    let current = before.get("current-context").and_then(Value::as_str);
    let was_current = current.is_some_and(|current| contexts.iter().any(|name| name == current));
    if was_current {
        after.insert("current-context".to_owned(), json!(""));
    }
    let edited = edit::cut(text, &cuts, was_current.then_some(""))
        .filter(|edited| parse(edited).as_ref() == Ok(&after));
    let written = match edited {
        Some(edited) => edited,
        None => render(text, &after)?,
    };
    Ok(Some(Removed {
        lost_comments: comments::are_lost(text, &written),
        text: written,
        contexts,
        was_current,
    }))
}

fn entries<'a>(tree: &'a Map<String, Value>, list: &str) -> impl Iterator<Item = &'a Value> {
    tree.get(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn name_of(entry: &Value) -> &str {
    entry
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}
