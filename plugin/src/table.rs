//! Columns as kubectl aligns them: three spaces apart, no borders, titles in capitals.

use crate::output::{Paint, Style};

/// One cell: its text and how it is shown where colours are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell with a colour of its own.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
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
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .map(|cell| width(&cell.text))
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        let mut out = String::new();
        for row in &self.rows {
            let filled = row.iter().rposition(|cell| !cell.text.is_empty());
            let filled = filled.map_or(0, |last| last + 1);
            for (index, (cell, wide)) in row.iter().zip(&widths).take(filled).enumerate() {
                out.push_str(&paint.apply(cell.style, &cell.text));
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
    fn colours_do_not_move_columns() {
        let mut table = Table::new(["A", "B"]);
        table.push(vec![Cell::styled("no", Style::Bad), "x".into()]);
        let painted = table.render(Paint::Always);
        assert!(painted.contains("\u{1b}[31mno\u{1b}[0m   x"), "{painted:?}");
    }
}
