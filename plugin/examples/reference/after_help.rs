//! The text below a command's flags, taken apart.

use clap::Command;

/// A part of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Lines that were set in below a title, such as examples.
    Lines {
        /// Without its colon.
        title: String,
        /// Without what they were set in by.
        lines: Vec<String>,
    },
    /// Sentences.
    Text(String),
}

/// The parts of what a command says below its flags.
pub fn blocks(command: &Command) -> Vec<Block> {
    let text = command
        .get_after_long_help()
        .or_else(|| command.get_after_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    text.split("\n\n").filter_map(block).collect()
}

fn block(text: &str) -> Option<Block> {
    let text = text.trim_matches('\n');
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let is_set_in = !rest.is_empty() && rest.lines().all(|line| line.starts_with("  "));
    match first.strip_suffix(':').filter(|_| is_set_in) {
        Some(title) => Some(Block::Lines {
            title: title.to_owned(),
            lines: rest
                .lines()
                .map(|line| line.get(2..).unwrap_or_default().to_owned())
                .collect(),
        }),
        None if text.is_empty() => None,
        None => Some(Block::Text(text.replace('\n', " "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_and_sentences_flow() {
        let command = Command::new("k").after_help(
            "Examples:\n  k a\n    --b\n\nSentences that\nflow: they do.\n\nNo block:\nof lines",
        );
        let lines = Block::Lines {
            title: "Examples".to_owned(),
            lines: vec!["k a".to_owned(), "  --b".to_owned()],
        };
        let text = |text: &str| Block::Text(text.to_owned());
        assert_eq!(
            blocks(&command),
            [
                lines,
                text("Sentences that flow: they do."),
                text("No block: of lines")
            ]
        );
        assert_eq!(blocks(&Command::new("k")), []);
    }
}
