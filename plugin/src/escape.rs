//! Texts of others, as people may be shown them: what a terminal would obey is made visible, and what a
//! shell would, in a command that they may copy, is quoted.
//!
//! Whoever may write an object, a log or a Node decides about such a text, and a terminal takes
//! escape sequences for orders: they rewrite lines, titles, and what is copied from it.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use crds::validation::is_obeyed;

/// A text with its lines.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'), None)
}

/// A text that has one line: what would end it is a blank.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false, Some(' '))
}

/// The word as a shell reads it whole, in quotes only where it needs them: people read these lines,
/// and `shell_words` puts quotes around `BatchMode=yes` as well.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn escaped(text: &str, stays: impl Fn(char) -> bool, blank: Option<char>) -> Cow<'_, str> {
    let acts = |c: char| is_obeyed(c) && !stays(c);
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match (c, blank) {
            (c, _) if !acts(c) => out.push(c),
            ('\n' | '\t', Some(blank)) => out.push(blank),
            ('\0'..='\x1f' | '\x7f', _) => out.extend(['^', caret(c)]),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "\\u{:04x}", u32::from(c))),
        }
    }
    Cow::Owned(out)
}

/// The key that makes it together with Ctrl, as kubectl shows it.
fn caret(c: char) -> char {
    u8::try_from(c).map_or('?', |byte| char::from(byte ^ 0x40))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let title = "a\u{1b}]0;owned\u{7}b\r\u{8}\u{7f}";
        assert_eq!(text(title), "a^[]0;owned^Gb^M^H^?");
        assert_eq!(line(title), text(title));
        assert_eq!(text("\u{9b}31m\u{85}"), "\\u009b31m\\u0085");
        assert_eq!(text("abc\u{202e}fed\u{2066}"), "abc\\u202efed\\u2066");
    }

    #[test]
    fn only_what_has_lines_keeps_them() {
        assert_eq!(text("one\n\ttwo"), "one\n\ttwo");
        assert_eq!(line("one\n\ttwo"), "one  two");
    }

    #[test]
    fn any_other_text_stays_as_it_is() {
        let plain = "Größe └ waits … 名前 🙂";
        assert!(matches!(text(plain), Cow::Borrowed(same) if same == plain));
        assert!(matches!(line(plain), Cow::Borrowed(same) if same == plain));
    }
}
