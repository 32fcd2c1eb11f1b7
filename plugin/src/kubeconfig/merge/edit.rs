//! Changes a kubeconfig by lines, so that comments, order and spelling of all the rest stay.
//!
//! Only the common block style is understood; the caller compares what the edited text means with
//! what it should, and writes the whole tree anew when they differ or nothing is returned.
//!
//! yamlpatch would do this with two further parsers of YAML, one of them in C (tree-sitter).

use serde_json::json;

use crate::kubeconfig::merge::{Change, comments};

/// The text with these changes; `None` where its style is not understood.
pub fn edit(text: &str, changes: &[Change], current: Option<&str>) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    if !changes.is_empty() && lines.iter().any(|line| line.starts_with('{')) {
        return None;
    }
    for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        if section(&lines, key).is_none() {
            let place = lines
                .iter()
                .rposition(|line| line == "---")
                .map_or(0, |dashes| dashes + 1);
            lines.insert(place, format!("{key}: {value}"));
        }
    }
    for change in changes {
        place(&mut lines, change)?;
    }
    set_current(&mut lines, current)?;
    Some(lines.join("\n") + "\n")
}

/// The text without these entries, each a list and a place in it, later places of a list first.
pub fn cut(text: &str, cuts: &[(&'static str, usize)], current: Option<&str>) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (list, number) in cuts {
        let (start, end) = section(&lines, list)?;
        let (_, items) = items(&lines, start, end)?;
        let from = *items.get(*number)?;
        let to = items.get(number + 1).copied().unwrap_or(end);
        let to = content_end(&lines, from, to);
        lines.drain(from..to);
        if items.len() == 1 {
            let head = lines.get_mut(start)?;
            *head = head.replacen(':', ": []", 1);
        }
    }
    set_current(&mut lines, current)?;
    Some(lines.join("\n") + "\n")
}

fn set_current(lines: &mut Vec<String>, current: Option<&str>) -> Option<()> {
    if let Some(name) = current {
        let line = serde_saphyr::to_string(&json!({"current-context": name})).ok()?;
        let line = line.trim_end().to_owned();
        match section(lines, "current-context") {
            Some((start, _)) => {
                let known = lines.get_mut(start)?;
                *known = line + comments::behind(known);
            }
            None => lines.push(line),
        }
    }
    Some(())
}

/// The margin of a section's entries, and the line at which each begins.
fn items(lines: &[String], start: usize, end: usize) -> Option<(usize, Vec<usize>)> {
    let inner = (start + 1..end).filter(|index| is_item(lines, *index));
    let margins: Vec<(usize, usize)> = inner
        .filter_map(|index| Some((index, margin(lines.get(index)?))))
        .collect();
    let indent = margins.iter().map(|(_, margin)| *margin).min()?;
    let items = margins.into_iter().filter(|(_, margin)| *margin == indent);
    Some((indent, items.map(|(index, _)| index).collect()))
}

/// The lines from a key at the left margin to before the next one.
fn section(lines: &[String], key: &str) -> Option<(usize, usize)> {
    let is_key =
        |line: &str| !line.starts_with([' ', '\t', '#', '-', '\r']) && !line.trim().is_empty();
    let start = lines.iter().position(|line| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(':'))
    })?;
    let length = lines.iter().skip(start + 1).position(|line| is_key(line));
    Some((
        start,
        length.map_or(lines.len(), |length| start + 1 + length),
    ))
}

fn place(lines: &mut Vec<String>, change: &Change) -> Option<()> {
    let Some((start, end)) = section(lines, change.list) else {
        lines.push(format!("{}:", change.list));
        lines.extend(item(change, 0)?);
        return Some(());
    };
    let head = lines.get(start)?;
    let comment = comments::behind(head).to_owned();
    let (_, value) = head.strip_suffix(&comment)?.split_once(':')?;
    let value = value.trim();
    let Some((indent, items)) = items(lines, start, end) else {
        if !matches!(value, "" | "[]" | "null" | "~") {
            return None;
        }
        *lines.get_mut(start)? = format!("{}:{comment}", change.list);
        let after = start + 1;
        lines.splice(after..after, item(change, 0)?);
        return Some(());
    };
    if let Some(number) = change.index {
        let from = *items.get(number)?;
        let to = items.get(number + 1).copied().unwrap_or(end);
        let to = content_end(lines, from, to);
        lines.splice(from..to, item(change, indent)?);
    } else {
        let after = content_end(lines, start, end);
        lines.splice(after..after, item(change, indent)?);
    }
    Some(())
}

fn is_item(lines: &[String], index: usize) -> bool {
    lines.get(index).is_some_and(|line| {
        let line = line.trim_start();
        line.starts_with("- ") || line.trim_end() == "-"
    })
}

fn margin(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The end of what is between two lines, without the blank lines and comments that belong to what
/// follows.
fn content_end(lines: &[String], from: usize, to: usize) -> usize {
    let filled = |index: &usize| {
        lines.get(*index).is_some_and(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        })
    };
    (from..to)
        .rev()
        .find(filled)
        .map_or(from + 1, |last| last + 1)
}

fn item(change: &Change, indent: usize) -> Option<Vec<String>> {
    let text = serde_saphyr::to_string(&json!([change.entry])).ok()?;
    let margin = " ".repeat(indent);
    Some(text.lines().map(|line| format!("{margin}{line}")).collect())
}
