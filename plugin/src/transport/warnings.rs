//! What an API server says besides its answers.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, header};

use crate::escape;

/// How many a server is listened to for.
const MOST: usize = 100;
/// How many characters of one are shown of a hosted API, where anybody may answer.
const LENGTH: usize = 300;

/// Shows warnings on standard error, as kubectl does, each once.
#[derive(Clone, Default)]
pub struct Warnings {
    /// The hosted API that warns; else it is the mothership.
    hosted: Option<String>,
    shown: Arc<Mutex<BTreeSet<String>>>,
}

impl Warnings {
    /// Those of a hosted API at this address.
    pub fn of(hosted: String) -> Self {
        Self {
            hosted: Some(hosted),
            ..Self::default()
        }
    }

    pub fn show(&self, headers: &HeaderMap) {
        for text in self.fresh(headers) {
            // A stream that is gone is no failure.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    fn fresh(&self, headers: &HeaderMap) -> Vec<String> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let values = headers.get_all(header::WARNING).iter();
        let texts = values.flat_map(|value| texts(&String::from_utf8_lossy(value.as_bytes())));
        let texts = texts.map(|text| self.line(&text));
        texts
            .filter(|text| shown.len() < MOST && shown.insert(text.clone()))
            .collect()
    }

    fn line(&self, text: &str) -> String {
        let Some(server) = &self.hosted else {
            return format!("warning: {}", escape::line(text));
        };
        let cut: String = text.chars().take(LENGTH).collect();
        let end = if cut.len() < text.len() { "..." } else { "" };
        let cut = escape::line(&cut);
        format!("warning of the hosted API at {server}: {cut}{end}")
    }
}

/// The texts of `299 - "text"`, of which a header may have several: the code that says that they
/// stay true. What is written otherwise is nothing to show.
fn texts(header: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = header;
    while let Some((before, quoted)) = rest.split_once('"') {
        let mut text = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next() {
                None => return texts,
                Some('"') => break,
                Some('\\') => text.extend(characters.next()),
                Some(other) => text.push(other),
            }
        }
        // A date in quotes may follow its text.
        let mut words = before.trim_start_matches(',').split_whitespace();
        if words.next() == Some("299") && words.next().is_some() && !text.is_empty() {
            texts.push(text);
        }
        rest = characters.as_str();
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read_as_they_are_written() {
        for (header, read) in [
            (r#"299 - "no limits are set""#, &["no limits are set"][..]),
            (r#"299 - "say \"a\" or \\""#, &[r#"say "a" or \"#]),
            (r#"299 - "a", 299 api "b""#, &["a", "b"]),
            (
                r#"299 - "a" "Wed, 21 Oct 2026 07:28:00 GMT", 299 - "b""#,
                &["a", "b"],
            ),
            (r#"199 - "passing""#, &[]),
            (r#"299 - """#, &[]),
            (r#"299 - "open"#, &[]),
            ("299 - bare", &[]),
            ("", &[]),
        ] {
            assert_eq!(texts(header), read, "{header}");
        }
    }

    #[test]
    fn each_is_shown_once_and_orders_no_terminal() {
        let warnings = Warnings::default();
        let headers = |text: &[u8]| {
            let value = header::HeaderValue::from_bytes(text).unwrap();
            HeaderMap::from_iter([(header::WARNING, value)])
        };
        let orders = headers(b"299 - \"a\xc2\x9bb\"");
        assert_eq!(warnings.fresh(&orders), ["warning: a\\u009bb"]);
        assert!(warnings.fresh(&orders).is_empty());
        for number in 0..2 * MOST {
            warnings.fresh(&headers(format!("299 - \"{number}\"").as_bytes()));
        }
        assert_eq!(warnings.shown.lock().unwrap().len(), MOST);

        let hosted = Warnings::of("https://demo:6443".to_owned());
        let named = "warning of the hosted API at https://demo:6443: ";
        let short = hosted.fresh(&headers(b"299 - \"no limits\""));
        assert_eq!(short, [format!("{named}no limits")]);
        let long = format!("299 - \"{}\"", "\u{e9}".repeat(LENGTH + 1));
        let cut = format!("{named}{}...", "\u{e9}".repeat(LENGTH));
        assert_eq!(hosted.fresh(&headers(long.as_bytes())), [cut]);
    }
}
