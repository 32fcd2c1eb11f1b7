//! One path as kubectl writes it, `.metadata.labels.app\.kubernetes\.io/name`, evaluated as the
//! `JSONPath` of RFC 9535.

use serde_json::Value;
use serde_json_path::JsonPath;

/// A path into an object.
#[derive(Debug, Clone)]
pub struct Path(JsonPath);

impl Path {
    /// Reads `.a.b`, `{.a.b}`, `$.a.b` or `a.b`; `\.` is a dot within a name.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim();
        let inner = inner
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or(inner)
            .trim();
        JsonPath::parse(&standard(inner))
            .map(Self)
            .map_err(|error| format!("\"{text}\" is no JSONPath: {error}"))
    }

    /// Everything that it finds, in the order of the document.
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        self.0.query(value).all()
    }
}

/// The same path in the words of the standard: every name in brackets, since there a bare one has
/// no `-` and no `/`, and in front of all a `$`.
fn standard(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    // A dot outside a path is that of a number.
    let mut in_path = true;
    if !text.starts_with(['$', '@']) {
        out.push('$');
        if !text.is_empty() && !text.starts_with(['.', '[']) {
            rest = name(rest, &mut out);
        }
    }
    while let Some(next) = rest.chars().next() {
        let tail = rest.get(next.len_utf8()..).unwrap_or_default();
        match next {
            '\'' | '"' => {
                let end = quoted(rest, next);
                // kubectl wants dots escaped here too; the standard does not let them be.
                out.push_str(&rest.get(..end).unwrap_or(rest).replace("\\.", "."));
                rest = rest.get(end..).unwrap_or_default();
                continue;
            }
            '.' if in_path && tail.starts_with('.') => {
                out.push_str("..");
                let tail = tail.get(1..).unwrap_or_default();
                rest = if tail.starts_with(['*', '[']) {
                    tail
                } else {
                    name(tail, &mut out)
                };
                continue;
            }
            '.' if in_path && tail.starts_with('[') => {}
            '.' if in_path && tail.starts_with('*') => out.push('.'),
            '.' if in_path => {
                rest = name(tail, &mut out);
                continue;
            }
            '@' | '$' | ']' => {
                in_path = true;
                out.push(next);
            }
            '*' => out.push(next),
            _ => {
                in_path = false;
                out.push(next);
            }
        }
        rest = tail;
    }
    out
}

/// Writes the name at the beginning in brackets and returns what follows it.
fn name<'a>(text: &'a str, out: &mut String) -> &'a str {
    let mut found = String::new();
    let mut characters = text.char_indices();
    let mut end = text.len();
    while let Some((at, next)) = characters.next() {
        match next {
            '\\' => found.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' | ']' | ' ' | '=' | '!' | '<' | '>' | '&' | '|' | '(' | ')' | ',' => {
                end = at;
                break;
            }
            _ => found.push(next),
        }
    }
    out.push('[');
    out.push_str(&Value::String(found).to_string());
    out.push(']');
    text.get(end..).unwrap_or_default()
}

/// Where the quoted string at the beginning ends.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if next == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str) -> Vec<Value> {
        let object = json!({
            "metadata": {"name": "demo", "labels": {"k0smotron.io/team-a": "x", "a.b": "y"}},
            "status": {"replicas": 3, "conditions": [
                {"type": "Accepted", "status": "True", "weight": 0.5},
                {"type": "Available", "status": "False", "weight": 1.5},
            ]},
        });
        let path = Path::parse(path).unwrap();
        path.find(&object).into_iter().cloned().collect()
    }

    #[test]
    fn paths_are_read_as_kubectl_reads_them() {
        for path in [
            ".metadata.name",
            "{.metadata.name}",
            "metadata.name",
            "$.metadata.name",
        ] {
            assert_eq!(found(path), ["demo"], "{path}");
        }
        assert_eq!(found(r".metadata.labels.k0smotron\.io/team-a"), ["x"]);
        assert_eq!(found(r".metadata.labels['a\.b']"), ["y"]);
        assert_eq!(found(".metadata.labels['a.b']"), ["y"]);
        assert_eq!(
            found(".status.conditions[*].type"),
            ["Accepted", "Available"]
        );
        assert_eq!(found(".status.conditions[-1].type"), ["Available"]);
        assert_eq!(
            found(r#".status.conditions[?(@.type=="Available")].status"#),
            ["False"]
        );
        assert_eq!(
            found(".status.conditions[?(@.weight > 1.0)].type"),
            ["Available"]
        );
        assert_eq!(found("..weight"), [json!(0.5), json!(1.5)]);
        assert!(found(".spec.replicas").is_empty());
    }

    #[test]
    fn what_is_no_path_is_named() {
        assert!(
            Path::parse(".a[")
                .unwrap_err()
                .contains("\".a[\" is no JSONPath")
        );
    }
}
