//! A cluster's kubeconfig and how it comes into the user's own. Pure: texts in, texts out.
//!
//! The user's file is treated as a tree of values, so that fields which no version of kubectl
//! knows survive; comments survive too wherever `edit` can place the entries by lines.

mod comments;
mod edit;
mod entry;
mod remove;

use std::path::Path;

use serde_json::{Map, Value, json};

pub use crate::kubeconfig::merge::entry::Entry;
pub use crate::kubeconfig::merge::remove::{Removed, remove};
use crate::kubeconfig::read::{self, Kubeconfig};

const LISTS: [(&str, &str); 3] = [
    ("clusters", "cluster"),
    ("users", "user"),
    ("contexts", "context"),
];
/// Name of the extension by which entries of ours are recognised.
const EXTENSION: &str = "k0smotron.io";

/// Why a kubeconfig cannot be used or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Unusable(String),
    /// Something is in a hosted cluster's kubeconfig that has no place there.
    #[error("{field}: {why}")]
    Forbidden {
        /// Where, such as `users[0].user.exec`.
        field: String,
        /// Why not, and what may be there.
        why: String,
    },
    #[error("it has a {list} entry \"{name}\" already, which is not this cluster's and user's")]
    Taken {
        /// `context`, `cluster` or `user`.
        list: &'static str,
        /// The name.
        name: String,
    },
}

/// Whose an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub cluster: String,
    pub namespace: String,
    pub mothership: String,
    /// Whom it lets in; the administrator unless given.
    pub user: Option<String>,
}

impl Owner {
    fn extension(&self) -> Value {
        let mut whose = json!({
            "cluster": self.cluster,
            "namespace": self.namespace,
            "mothership": self.mothership,
        });
        if let (Some(user), Some(whose)) = (&self.user, whose.as_object_mut()) {
            whose.insert("user".to_owned(), json!(user));
        }
        json!({"name": EXTENSION, "extension": whose})
    }

    /// Whether it has made this; one without a user has made what all users of the cluster have.
    fn has_made(&self, content: &Map<String, Value>) -> bool {
        let Some(found) = extension(content) else {
            return false;
        };
        let user = found.pointer("/extension/user").and_then(Value::as_str);
        let maker = Self {
            user: user.map(str::to_owned),
            ..self.clone()
        };
        maker.extension() == *found && (self.user.is_none() || self.user == maker.user)
    }
}

/// A user's kubeconfig after the merge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an answer of its own"
)]
pub struct Merged {
    pub text: String,
    pub changed: bool,
    /// Whether there were comments that are not in it any more.
    pub lost_comments: bool,
    /// Whether the new context is the current one.
    pub is_current: bool,
    /// What was in entries of ours and has no place there, such as `user.exec`.
    pub dropped: Vec<String>,
    /// Whether there was nothing of ours in it before.
    pub is_first: bool,
}

/// Whether a merge makes its context the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Current {
    Switch,
    IfNone,
    Leave,
}

/// What a merge does to one list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    list: &'static str,
    /// The place of an entry that is replaced; `None` adds one.
    index: Option<usize>,
    entry: Value,
    dropped: Vec<String>,
}

/// Brings an entry into the user's kubeconfig as cluster, user and context `name`. Entries that
/// an earlier merge of the same cluster made are made anew: an earlier release put into them
/// whatever somebody had written into the Secret.
///
/// # Errors
/// [`Problem::Taken`] when a name belongs to something else, [`Problem::Unusable`] when the text
/// is no kubeconfig.
pub fn merge(
    text: &str,
    entry: &Entry,
    owner: &Owner,
    name: &str,
    current: Current,
) -> Result<Merged, Problem> {
    let before = parse(text)?;
    let is_first = !LISTS.iter().any(|(list, key)| {
        let entries = before.get(*list).and_then(Value::as_array);
        let mut contents = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.get(key));
        contents.any(|content| content.as_object().and_then(extension).is_some())
    });
    let lists: [(&'static str, &'static str, Map<String, Value>); 3] = [
        ("clusters", "cluster", entry.cluster.clone()),
        ("users", "user", entry.user.clone()),
        ("contexts", "context", entry.context_of(name, name)),
    ];
    let mut after = before.clone();
    let mut changes = Vec::new();
    let mut dropped = Vec::new();
    for (list, key, content) in lists {
        let change = change(&before, list, key, content, owner, name)?;
        if let Some(mut change) = change {
            dropped.append(&mut change.dropped);
            apply(&mut after, &change);
            changes.push(change);
        }
    }
    if !matches!(
        before.get("current-context"),
        None | Some(Value::Null | Value::String(_))
    ) {
        let message = "its current-context must be a name".to_owned();
        return Err(Problem::Unusable(message));
    }
    let known = current_of(&before);
    let becomes_current = match current {
        Current::Switch => true,
        Current::IfNone => known.is_empty(),
        Current::Leave => false,
    };
    let new_current = (becomes_current && known != name).then_some(name);
    if let Some(name) = new_current {
        after.insert("current-context".to_owned(), json!(name));
    }
    finish(&mut after);
    // What kubectl cannot read is not made longer.
    Kubeconfig::new(&after, Path::new("/")).map_err(Problem::Unusable)?;
    let changed = after != before;
    let (text, lost_comments) = if changed {
        written(text, &after, &changes, new_current)?
    } else {
        (text.to_owned(), false)
    };
    Ok(Merged {
        text,
        changed,
        lost_comments,
        is_current: becomes_current || known == name,
        dropped,
        is_first,
    })
}

/// The kubeconfig with this current context, and whether there were comments that are not in it any
/// more.
///
/// # Errors
/// [`Problem::Unusable`] when the text is no kubeconfig.
pub fn switch(text: &str, name: &str) -> Result<(String, bool), Problem> {
    let mut after = parse(text)?;
    after.insert("current-context".to_owned(), json!(name));
    finish(&mut after);
    written(text, &after, &[], Some(name))
}

fn finish(tree: &mut Map<String, Value>) {
    for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        tree.entry(key).or_insert_with(|| json!(value));
    }
}

fn written(
    text: &str,
    after: &Map<String, Value>,
    changes: &[Change],
    current: Option<&str>,
) -> Result<(String, bool), Problem> {
    let edited =
        edit::edit(text, changes, current).filter(|edited| parse(edited).as_ref() == Ok(after));
    let written = match edited {
        Some(edited) => edited,
        None => render(text, after)?,
    };
    let lost_comments = comments::are_lost(text, &written);
    Ok((written, lost_comments))
}

/// Whether a kubeconfig says which context is the current one.
pub fn has_current(text: &str) -> bool {
    parse(text).is_ok_and(|tree| !current_of(&tree).is_empty())
}

fn current_of(tree: &Map<String, Value>) -> &str {
    let current = tree.get("current-context").and_then(Value::as_str);
    current.unwrap_or_default()
}

fn parse(text: &str) -> Result<Map<String, Value>, Problem> {
    read::tree(text).map_err(Problem::Unusable)
}

fn change(
    tree: &Map<String, Value>,
    list: &'static str,
    key: &'static str,
    content: Map<String, Value>,
    owner: &Owner,
    name: &str,
) -> Result<Option<Change>, Problem> {
    let empty = Vec::new();
    let entries = match tree.get(list) {
        None | Some(Value::Null) => &empty,
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(Problem::Unusable(format!("its {list} must be a list"))),
    };
    let place = entries
        .iter()
        .position(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
    let found = place.and_then(|index| Some((index, entries.get(index)?)));
    let Some((index, found)) = found else {
        let content = with_extension(content, owner);
        let entry = json!({"name": name, key: content});
        return Ok(Some(Change {
            list,
            index: None,
            entry,
            dropped: Vec::new(),
        }));
    };
    let known = found
        .get(key)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let same = content
        .iter()
        .all(|(field, value)| known.get(field) == Some(value));
    // Who has put a proxy or a program there cannot be told; a namespace is the user's choice.
    let stays = |field: &str, value: &Value| match (key, field) {
        (_, "extensions") => true,
        ("context", "namespace") => value.as_str().is_some_and(entry::is_label),
        _ => false,
    };
    if extension(&known) != Some(&owner.extension()) {
        let more = |(field, value): (&String, &Value)| {
            !content.contains_key(field) && !stays(field, value)
        };
        if same && !known.iter().any(more) {
            return Ok(None);
        }
        return Err(Problem::Taken {
            list: key,
            name: name.to_owned(),
        });
    }
    let mut anew = content;
    let mut dropped = Vec::new();
    for (field, value) in &known {
        if stays(field, value) {
            anew.insert(field.clone(), value.clone());
        } else if !anew.contains_key(field) {
            dropped.push(format!("{key}.{}", entry::short(field)));
        }
    }
    if anew == known {
        return Ok(None);
    }
    let mut entry = found.clone();
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(key.to_owned(), Value::Object(anew));
    }
    Ok(Some(Change {
        list,
        index: Some(index),
        entry,
        dropped,
    }))
}

fn extension(content: &Map<String, Value>) -> Option<&Value> {
    let extensions = content.get("extensions")?.as_array()?;
    extensions
        .iter()
        .find(|item| item.get("name").and_then(Value::as_str) == Some(EXTENSION))
}

fn with_extension(mut content: Map<String, Value>, owner: &Owner) -> Map<String, Value> {
    let extensions = content.entry("extensions").or_insert_with(|| json!([]));
    if let Some(extensions) = extensions.as_array_mut() {
        extensions.push(owner.extension());
    }
    content
}

fn apply(tree: &mut Map<String, Value>, change: &Change) {
    let list = tree.entry(change.list).or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else {
        return;
    };
    match change.index.and_then(|index| list.get_mut(index)) {
        Some(entry) => *entry = change.entry.clone(),
        None => list.push(change.entry.clone()),
    }
}

/// A file that was JSON stays JSON.
fn render(before: &str, tree: &Map<String, Value>) -> Result<String, Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem::Unusable(error.to_string());
    if before.trim_start().starts_with('{') {
        return serde_json::to_string_pretty(tree)
            .map(|text| text + "\n")
            .map_err(|error| failed(&error));
    }
    serde_saphyr::to_string(tree).map_err(|error| failed(&error))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
