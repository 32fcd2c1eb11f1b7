//! `-o jsonpath=TEMPLATE`: text, paths in braces, and `{range PATH}...{end}`, as kubectl has it.

use serde_json::Value;

use super::path::Path;

/// What was read of a template.
#[derive(Debug, Clone)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Path(Path),
    Range(Path, Vec<Self>),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut open: Vec<(Option<Path>, Vec<Part>)> = vec![(None, Vec::new())];
        let mut rest = text;
        while !rest.is_empty() {
            let start = rest.find('{').unwrap_or(rest.len());
            let (plain, tail) = rest.split_at(start);
            if !plain.is_empty() {
                add(&mut open, Part::Text(plain.to_owned()));
            }
            let Some(inner) = tail.strip_prefix('{') else {
                break;
            };
            let end = closing(inner).ok_or_else(|| format!("\"{text}\" lacks a closing brace"))?;
            let (inside, after) = inner.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let inside = inside.trim();
            if let Some(path) = inside.strip_prefix("range ") {
                open.push((Some(Path::parse(path)?), Vec::new()));
            } else if inside == "end" {
                match open.pop() {
                    Some((Some(path), parts)) => add(&mut open, Part::Range(path, parts)),
                    _ => return Err(format!("\"{text}\" has an {{end}} without {{range}}")),
                }
            } else if inside.starts_with(['"', '\'']) {
                add(&mut open, Part::Text(unquoted(inside)?));
            } else {
                add(&mut open, Part::Path(Path::parse(inside)?));
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some((None, parts)), true) => Ok(Self(parts)),
            _ => Err(format!("\"{text}\" has a {{range}} without {{end}}")),
        }
    }

    /// The text for a value; what a path does not find is left out.
    pub fn render(&self, value: &Value) -> String {
        let mut out = String::new();
        render(&self.0, value, &mut out);
        out
    }
}

fn add(open: &mut [(Option<Path>, Vec<Part>)], part: Part) {
    if let Some((_, parts)) = open.last_mut() {
        parts.push(part);
    }
}

fn render(parts: &[Part], value: &Value, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(path) => {
                let found: Vec<String> = path.find(value).into_iter().map(shown).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range(path, inner) => {
                for found in path.find(value) {
                    render(inner, found, out);
                }
            }
        }
    }
}

/// Strings without quotes, everything else as JSON.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Where the brace that closes is: one within quotes does not.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, next) in text.char_indices() {
        match (quote, next) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), next) if open == next => quote = None,
            (None, '\'' | '"') => quote = Some(next),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> Result<String, String> {
    let quote = text.chars().next().unwrap_or('"');
    let inner = text
        .get(1..)
        .and_then(|rest| rest.strip_suffix(quote))
        .ok_or_else(|| format!("{text} lacks a closing quote"))?;
    let mut out = String::new();
    let mut characters = inner.chars();
    while let Some(next) = characters.next() {
        match next {
            '\\' => out.extend(characters.next().map(|escaped| match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            })),
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(template: &str) -> String {
        let list = json!({"items": [
            {"metadata": {"name": "a"}, "spec": {"replicas": 1}},
            {"metadata": {"name": "b"}, "spec": {"replicas": 3, "sans": ["x"]}},
        ]});
        Template::parse(template).unwrap().render(&list)
    }

    #[test]
    fn templates_do_what_kubectls_do() {
        assert_eq!(rendered("{.items[*].metadata.name}"), "a b");
        assert_eq!(
            rendered(r#"{range .items[*]}{.metadata.name}{"\t"}{.spec.replicas}{"\n"}{end}"#),
            "a\t1\nb\t3\n"
        );
        assert_eq!(
            rendered("names: {.items[1].spec.sans}!"),
            r#"names: ["x"]!"#
        );
        assert_eq!(rendered("{.items[0].spec.missing}"), "");
        assert_eq!(rendered(r#"{"}"}"#), "}");
    }

    #[test]
    fn a_broken_template_is_refused() {
        for broken in ["{.a", "{end}", "{range .items[*]}x", "{'x}"] {
            assert!(Template::parse(broken).is_err(), "{broken}");
        }
    }
}
