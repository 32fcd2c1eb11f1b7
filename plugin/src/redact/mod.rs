//! Takes out what lets somebody in. Pure. Nothing gets into an archive, and no body of a request is
//! shown, but through here.
//!
//! It errs on the safe side: a word too much is hidden rather than one too few.

mod names;
mod objects;
#[cfg(test)]
mod tests;
mod values;

use std::borrow::Cow;
use std::ops::Range;

use regex::{Captures, Regex};

use self::names::Says;
use crate::error::Error;

/// What stands in the place of something secret.
pub const MARK: &str = "[redacted]";

/// Private keys; line ends may be escaped.
const WHOLE_KEY: &str = r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----";
const KEY_WITHOUT_END: &str =
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----(?:(?:\\+[nr]|\s)*[A-Za-z0-9+/=]+)*";
const KEY_WITHOUT_BEGINNING: &str =
    r"(?:[A-Za-z0-9+/=]+(?:\\+[nr]|\s)+)*-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----";

/// What else is secret wherever it stands, and what takes its place.
const SHAPES: [(&str, &str); 10] = [
    // A k0s join token: a compressed kubeconfig.
    (r"H4sI[A-Za-z0-9+/_=-]{16,}", MARK),
    // PEM in base64, as kubeconfigs and Secrets have it.
    (r"LS0tLS1CRUdJTi[A-Za-z0-9+/_=-]{8,}", MARK),
    // A JSON web token, such as that of a service account.
    (
        r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?",
        MARK,
    ),
    // A bootstrap token; its first half is its name.
    (r"\b([a-z0-9]{6})\.[a-z0-9]{16}\b", "${1}.[redacted]"),
    (
        r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}",
        "${1}${2}[redacted]",
    ),
    // Users and passwords in URLs; a password may hold `@` and `/`.
    (
        r#"\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s"]*@"#,
        "${1}[redacted]@",
    ),
    // The same as Go's drivers for MySQL have it, without a scheme.
    (r#"[^\s"@:]+:[^\s"]*@(tcp6?|unix)\("#, "[redacted]@${1}("),
    // Bytes as Go prints them.
    (r"\[(?:\d{1,3} ){12,}\d{1,3}\]", MARK),
    // The file .netrc.
    (r"(?i)(\blogin\s+\S+\s+password\s+)\S+", "${1}[redacted]"),
    // How MySQL's own language has it.
    (r"(?i)\b(identified by\s+)('[^']*'|\S+)", "${1}[redacted]"),
];

/// Takes out secrets; the patterns are compiled once.
#[derive(Debug)]
pub struct Redactor {
    whole_key: Regex,
    key_without_end: Regex,
    key_without_beginning: Regex,
    shapes: Vec<(Regex, &'static str)>,
    /// A name and what stands between it and its value; `value` itself may, as in
    /// `{name: PASSWORD, value: x}`.
    named: Regex,
    strong: Regex,
    /// Long enough to be a key.
    base64: Regex,
}

impl Redactor {
    /// A redactor.
    ///
    /// # Errors
    /// [`Error::Io`] when a pattern is wrong, which no input can bring about.
    pub fn new() -> Result<Self, Error> {
        let compile = |pattern: &str| {
            Regex::new(pattern)
                .map_err(|error| Error::io("prepare the redaction", std::io::Error::other(error)))
        };
        let shapes = SHAPES
            .iter()
            .map(|(pattern, with)| Ok((compile(pattern)?, *with)));
        let (strong, weak) = (names::STRONG, names::WEAK);
        Ok(Self {
            whole_key: compile(WHOLE_KEY)?,
            key_without_end: compile(KEY_WITHOUT_END)?,
            key_without_beginning: compile(KEY_WITHOUT_BEGINNING)?,
            shapes: shapes.collect::<Result<_, Error>>()?,
            named: compile(&format!(
                r#"(?i)(?P<name>[\w.-]*(?:{strong}|{weak}|\bauth\b)[\w.-]*)(?P<between>\\*["']?(?:[,\s]+\\*["']?value\\*["']?)?[ \t]*(?:=>|[:=]|%3D)[ \t]*|[ \t]+)"#
            ))?,
            strong: compile(&format!("(?i){strong}"))?,
            base64: compile(r"[A-Za-z0-9+/]{40,}={0,2}")?,
        })
    }

    /// The text without what is secret in it: a log, a message, a table.
    ///
    /// The order matters: a whole key before a part of one, and shapes before names, which would take
    /// a part of a shape. A shape that would take a name leaves it, or its value would stay.
    pub fn text(&self, text: &str) -> String {
        let text = self.whole_key.replace_all(text, MARK);
        let text = self
            .key_without_end
            .replace_all(&text, |found: &Captures<'_>| {
                let found = found.get(0);
                let after = found.map_or("", |found| text.get(found.end()..).unwrap_or_default());
                let rest = self.after_key(found.map_or("", |found| found.as_str()), after);
                format!("{MARK}{rest}")
            });
        let text = self.key_without_beginning.replace_all(&text, MARK);
        let mut text = text.into_owned();
        for (shape, with) in &self.shapes {
            let changed = shape.replace_all(&text, |found: &Captures<'_>| {
                let mut changed = String::new();
                match found.get(0) {
                    Some(all) if self.ends_in_name(&text, all.range()) => all.as_str().to_owned(),
                    _ => {
                        found.expand(with, &mut changed);
                        changed
                    }
                }
            });
            if let Cow::Owned(changed) = changed {
                text = changed;
            }
        }
        let text = self.without_values(&text);
        let without_keys = self.base64.replace_all(&text, |found: &Captures<'_>| {
            let found = found.get(0).map_or("", |found| found.as_str());
            if is_random(found) { MARK } else { found }.to_owned()
        });
        without_keys.into_owned()
    }

    /// Whether the last word there is a name of a secret, and its value follows.
    fn ends_in_name(&self, text: &str, range: Range<usize>) -> bool {
        let after = text.get(range.end..).unwrap_or_default();
        let found = text.get(range).unwrap_or_default();
        let last = found.rsplit(char::is_whitespace).next().unwrap_or_default();
        let name = last.trim_end_matches([':', '=']);
        (name.len() < last.len() || after.starts_with([':', '=']))
            && names::says(&self.strong, name) != Says::Nothing
    }

    /// What is no part of a key that has no end, though its letters could be: from the first word on
    /// that names a secret, and the beginning of a word that goes on as no key does.
    fn after_key<'t>(&self, key: &'t str, after: &str) -> &'t str {
        let is_apart = |c: char| c.is_whitespace() || c == '\\';
        let header = key.rfind("-----").map_or(0, |at| at + 5);
        let mut start = header;
        let mut words = key
            .get(header..)
            .unwrap_or_default()
            .split_inclusive(is_apart);
        let named = words.find_map(|word| {
            let at = start;
            start += word.len();
            let name = word.split('=').next().unwrap_or_default();
            (names::says(&self.strong, name) != Says::Nothing).then_some(at)
        });
        let last = || {
            let last = key.rfind(is_apart).map_or(header, |at| at + 1);
            after.starts_with(['-', '_', '.']).then_some(last)
        };
        // With what keeps it apart: its line must not become another's.
        let from = named.or_else(last).and_then(|at| key.get(..at));
        let from = from.map(|before| before.trim_end_matches(is_apart).len());
        from.and_then(|at| key.get(at..)).unwrap_or_default()
    }
}

/// Whether this is bytes in base64 rather than a path, a hash or a long name: random bytes have
/// letters of both cases and digits, and seldom a `/`.
fn is_random(text: &str) -> bool {
    let has = |fits: fn(&char) -> bool| text.chars().any(|c| fits(&c));
    let slashes = text.matches('/').count();
    has(char::is_ascii_lowercase)
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_digit)
        && slashes * 10 <= text.len()
}
