//! Values behind names, in whatever text they stand: logs, JSON, YAML, flags, queries of URLs.

use super::names::{self, Says};
use super::{MARK, Redactor};

/// A value in a text: the quotes around it, and how many bytes it takes with them.
#[derive(Debug, PartialEq, Eq)]
struct Extent<'a> {
    quote: &'a str,
    length: usize,
}

impl Redactor {
    /// The text with a mark in the place of each value whose name says that it is secret.
    pub(super) fn without_values(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(found) = self.named.captures_at(text, at) {
            let part = |name: &str| found.name(name).map_or("", |part| part.as_str());
            let (name, between) = (part("name"), part("between"));
            let (start, end) = found
                .get(0)
                .map_or((at, text.len()), |all| (all.start(), all.end()));
            let before = text.get(..start).unwrap_or_default();
            let rest = text.get(end..).unwrap_or_default();
            let indent = before.rsplit('\n').next().unwrap_or_default();
            let says = names::says(&self.strong, name);
            let extent = extent(says, indent, between, rest);
            let value = rest.get(..extent.length).unwrap_or_default();
            out.push_str(text.get(at..end).unwrap_or_default());
            at = end;
            if hides(says, name, between, indent, value, extent.quote) {
                out.push_str(extent.quote);
                out.push_str(MARK);
                out.push_str(extent.quote);
                at += extent.length;
            }
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out
    }
}

fn hides(says: Says, name: &str, between: &str, indent: &str, value: &str, quote: &str) -> bool {
    let bare = value.trim_matches(|c| quote.contains(c) || c == '\\');
    let is_assigned = !between.trim_matches([' ', '\t']).is_empty();
    let is_flag = name.starts_with('-');
    if names::is_harmless(bare) || !(is_assigned || is_flag) {
        return false;
    }
    match says {
        Says::Nothing => false,
        Says::Strong => true,
        Says::Weak => {
            let may_be_prose = between.contains(':') && quote.is_empty() && !is_head(indent);
            !(may_be_prose && is_word(value))
        }
    }
}

/// Whether what follows is the first of its line but for a time, as in YAML.
fn is_head(before: &str) -> bool {
    before
        .chars()
        .all(|c| c.is_whitespace() || c.is_ascii_digit() || "-\"'.:+TZ".contains(c))
}

/// A short word of prose, such as the reason of an error.
fn is_word(value: &str) -> bool {
    let value = value.trim_end_matches([',', '.', ':', ';', ')']);
    let mut letters = value.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && value.len() <= 12
        && letters.all(|c| c.is_ascii_lowercase())
}

/// How far the value at the beginning of `rest` goes; `before` is what its line begins with.
fn extent<'a>(says: Says, before: &str, between: &str, rest: &'a str) -> Extent<'a> {
    let escapes = rest.len() - rest.trim_start_matches('\\').len();
    let quote = rest
        .get(escapes..)
        .and_then(|rest| rest.chars().next())
        .filter(|c| matches!(c, '"' | '\''));
    let line = rest.find('\n').unwrap_or(rest.len());
    if let Some(quote) = quote {
        let opening = rest.get(..=escapes).unwrap_or_default();
        return Extent {
            quote: opening,
            length: closing(rest, quote, escapes).unwrap_or(line),
        };
    }
    if between.contains(':') && is_head(before) {
        let first = rest.get(..line).unwrap_or_default();
        let is_block = first.starts_with(['|', '>']);
        return Extent {
            quote: "",
            length: if is_block {
                line + block(before, rest.get(line..).unwrap_or_default())
            } else {
                first.trim_end().len()
            },
        };
    }
    // A password may have several words; a token has one.
    let goes_on = says == Says::Strong && between.ends_with([' ', '\t']) && between.contains(':');
    let ends = |c: char| match c {
        '"' | '\n' => true,
        c => !goes_on && (c == '\'' || c.is_whitespace()),
    };
    let word = rest.find(ends);
    let word = rest.get(..word.unwrap_or(rest.len())).unwrap_or_default();
    Extent {
        quote: "",
        length: word.trim_end_matches('\\').len(),
    }
}

/// Behind the quote that ends a value: one that is escaped no more than the one that began it.
fn closing(rest: &str, quote: char, escapes: usize) -> Option<usize> {
    let mut before = 0;
    for (at, c) in rest.char_indices().skip(escapes + 1) {
        match c {
            '\\' => before += 1,
            c if c == quote && before <= escapes => return Some(at + 1),
            _ => before = 0,
        }
    }
    None
}

/// How far the lines go that are further in than the line whose value they are.
fn block(before: &str, rest: &str) -> usize {
    let own = before.len();
    let further = |line: &&str| {
        let text = line.trim_start();
        text.trim_end().is_empty() || line.len() - text.len() > own
    };
    let lines = rest
        .strip_prefix('\n')
        .unwrap_or(rest)
        .split_inclusive('\n');
    match lines.take_while(further).map(str::len).sum::<usize>() {
        0 => 0,
        // With the line end before them; the last one stays.
        length => rest
            .get(..=length)
            .unwrap_or(rest)
            .trim_end_matches('\n')
            .len(),
    }
}
