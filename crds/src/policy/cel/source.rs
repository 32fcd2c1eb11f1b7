//! What the text of an expression tells, and its tree doesn't.

use super::Fault;

/// How deep brackets may be nested, and how many `?:` there may be.
const MAX_BRACKETS: usize = 20;
const MAX_CHOICES: usize = 20;

/// Refuses what the parser would go too deep into, at the place where it gets too deep.
pub(super) fn nesting(source: &str) -> Result<(), Fault> {
    let (mut depth, mut choices) = (0_usize, 0_usize);
    for (position, _, c) in outside_of_texts(source) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => choices += 1,
            _ => {}
        }
        let message = if depth > MAX_BRACKETS {
            format!("brackets are nested more than {MAX_BRACKETS} deep")
        } else if choices > MAX_CHOICES {
            format!("there are more than {MAX_CHOICES} choices (?:)")
        } else {
            continue;
        };
        let (line, column) = position;
        return Err(Fault {
            line,
            column,
            message,
        });
    }
    Ok(())
}

/// The characters that are part of no text, with line, column and offset.
fn outside_of_texts(source: &str) -> impl Iterator<Item = ((usize, usize), usize, char)> {
    let mut position = (1, 1);
    let mut quote = None;
    let mut escaped = false;
    source.char_indices().filter_map(move |(offset, c)| {
        let at = position;
        position = match c {
            '\n' => (position.0 + 1, 1),
            _ => (position.0, position.1 + 1),
        };
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None => return Some((at, offset, c)),
        }
        None
    })
}

/// Line and column of a name; the tree does not say where its parts were written.
pub(super) fn locate(source: &str, word: &str) -> (usize, usize) {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |offset: usize| {
        let (before, rest) = source.split_at_checked(offset)?;
        let after = rest.strip_prefix(word).filter(|_| !word.is_empty())?;
        (!before.ends_with(part_of_name) && !after.starts_with(part_of_name)).then_some(())
    };
    outside_of_texts(source)
        .find(|(_, offset, _)| whole(*offset).is_some())
        .map_or((1, 1), |(position, ..)| position)
}
