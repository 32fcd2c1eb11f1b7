//! Comments of a kubeconfig, found by lines: a text that merely looks like one counts as well.

use std::collections::BTreeMap;

use crate::kubeconfig::read;

/// Whether there are comments in a text that are not in what became of it.
pub fn are_lost(before: &str, after: &str) -> bool {
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    for comment in all(after) {
        *kept.entry(comment).or_default() += 1;
    }
    all(before).any(|comment| match kept.get_mut(comment) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    })
}

/// Each comment, and each beginning of another document, which nobody reads.
fn all(text: &str) -> impl Iterator<Item = &str> {
    text.lines().enumerate().filter_map(|(number, line)| {
        if number > 0 && line.starts_with("---") {
            return Some(line);
        }
        let comment = starts(line).next().map(|at| line.split_at(at).1);
        comment.map(str::trim_end)
    })
}

/// What is behind the value of a key in one line: the comment with the blanks before it.
pub fn behind(line: &str) -> &str {
    let Ok(whole) = read::tree(line) else {
        return "";
    };
    // A text in quotes may have in it what looks like a comment.
    let comment = starts(line)
        .map(|at| line.split_at(at).0.trim_end())
        .find(|value| read::tree(value).as_ref() == Ok(&whole));
    comment.map_or("", |value| line.split_at(value.len()).1)
}

/// Where comments may begin.
fn starts(line: &str) -> impl Iterator<Item = usize> {
    line.match_indices('#').map(|(at, _)| at).filter(|at| {
        let before = line.split_at(*at).0;
        before.is_empty() || before.ends_with([' ', '\t'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_value_is_told_from_what_is_in_it() {
        for (line, comment) in [
            ("current-context: a # mine", " # mine"),
            ("current-context: a\t # mine # too", "\t # mine # too"),
            ("current-context: 'a # b'", ""),
            ("current-context: \"a # b\" # mine", " # mine"),
            ("current-context: a#b", ""),
            ("current-context: a", ""),
            ("current-context: # none", " # none"),
            ("clusters: [] # none", " # none"),
            ("clusters: [", ""),
        ] {
            assert_eq!(behind(line), comment, "{line}");
        }
    }

    #[test]
    fn a_comment_is_lost_that_is_there_less_often() {
        let text = "# a\nb: c # d\ne: f\t# g\n# a\n";
        assert!(!are_lost(text, text));
        assert!(!are_lost(text, "# g\n# d\n  # a\nx: y # a\n# new\n"));
        for line in text.lines() {
            let without = text.replacen(line, "", 1);
            assert_eq!(are_lost(text, &without), line.contains('#'), "{line}");
        }
        assert!(are_lost("a: b\n---\nc: d\n", "a: b\n"));
        assert!(!are_lost("---\na: b#c\n", "a: b\n"));
    }
}
