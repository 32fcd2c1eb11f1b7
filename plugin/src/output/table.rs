//! Columns as kubectl aligns them: three spaces apart, no borders, titles in capitals.
//!
//! comfy-table brings a terminal library for its colours (crossterm) in the place of these few lines.

use std::borrow::Cow;

use crate::escape;
use crate::output::{Paint, Style};

/// One cell: its text, on one line, and how it is shown where colours are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell with a colour of its own.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: escape::line(&text.into()).into_owned(),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::Plain)
    }
}

/// Rows under titles.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with these titles.
    pub fn new(titles: impl IntoIterator<Item = &'static str>) -> Self {
        let titles = titles
            .into_iter()
            .map(|title| Cell::styled(title, Style::Bold));
        Self {
            rows: vec![titles.collect()],
        }
    }

    /// Adds a row; cells beyond the titles are shown all the same.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The whole table, each line ended; nothing is padded after the last filled cell.
    pub fn render(&self, paint: Paint) -> String {
        self.render_within(paint, None)
    }

    /// The table with the text of its last column cut where the line would be longer than this,
    /// down to a third of it: what leaves less than that for a text is better wrapped.
    pub fn render_within(&self, paint: Paint, limit: Option<usize>) -> String {
        self.lay_out(paint, limit, &mut Vec::new())
    }

    /// The table under another one: its columns are at least as wide as those, which are noted.
    pub fn render_after(&self, paint: Paint, widths: &mut Vec<usize>) -> String {
        self.lay_out(paint, None, widths)
    }

    fn lay_out(&self, paint: Paint, limit: Option<usize>, noted: &mut Vec<usize>) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .map(|cell| width(&cell.text))
                    .chain(noted.get(column).copied())
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        noted.clone_from(&widths);
        let before_last: usize = widths.iter().rev().skip(1).map(|wide| wide + 3).sum();
        let room = limit.and_then(|limit| {
            limit
                .checked_sub(before_last)
                .filter(|room| *room >= limit / 3)
        });
        let mut out = String::new();
        for row in &self.rows {
            let filled = row.iter().rposition(|cell| !cell.text.is_empty());
            let filled = filled.map_or(0, |last| last + 1);
            for (index, (cell, wide)) in row.iter().zip(&widths).take(filled).enumerate() {
                let is_last = index + 1 == columns;
                let text = cut(&cell.text, room.filter(|_| is_last));
                out.push_str(&paint.apply(cell.style, &text));
                if index + 1 < filled {
                    let gap = wide - width(&cell.text) + 3;
                    out.extend(std::iter::repeat_n(' ', gap));
                }
            }
            out.push('\n');
        }
        out
    }
}

fn cut(text: &str, room: Option<usize>) -> Cow<'_, str> {
    match room {
        Some(room) if width(text) > room => {
            let kept: String = text.chars().take(room.saturating_sub(1)).collect();
            Cow::Owned(kept + "…")
        }
        _ => Cow::Borrowed(text),
    }
}

/// Columns that a text takes; the names and lines shown here hold no wide characters.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_with_their_text() {
        let mut table = Table::new(["NAME", "READY", "MESSAGE"]);
        table.push(vec!["a-long-name".into(), "1/1".into(), "".into()]);
        table.push(vec!["b".into(), "".into(), "└ waits".into()]);
        insta::assert_snapshot!(table.render(Paint::Never), @r"
        NAME          READY   MESSAGE
        a-long-name   1/1
        b                     └ waits
        ");
    }

    #[test]
    fn the_last_column_is_cut_to_fit_and_no_other() {
        let mut table = Table::new(["NAME", "MESSAGE"]);
        table.push(vec!["demo".into(), "0 of 1 members are ready".into()]);
        let cut = table.render_within(Paint::Never, Some(20));
        assert_eq!(cut, "NAME   MESSAGE\ndemo   0 of 1 membe…\n");
        let whole = table.render_within(Paint::Never, Some(8));
        assert_eq!(whole, table.render(Paint::Never));
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(["A", "B"]);
        table.push(vec![Cell::styled("no", Style::Bad), "x".into()]);
        let painted = table.render(Paint::Always);
        assert!(painted.contains("\u{1b}[31mno\u{1b}[0m   x"), "{painted:?}");
    }
}
