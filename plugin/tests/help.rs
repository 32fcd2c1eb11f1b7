//! The help of every command, as it is printed. `TRYCMD=overwrite cargo test -p plugin --test help`
//! writes it anew.

use clap::{Command, CommandFactory as _};
use plugin::cli::Cli;

const TRANSCRIPT: &str = "tests/help.trycmd";

/// The words of every command, the program's own first.
fn lines(command: &Command, words: &str, found: &mut Vec<String>) {
    found.push(format!("$ {words} --help"));
    let inner = command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set());
    for inner in inner {
        lines(inner, &format!("{words} {}", inner.get_name()), found);
    }
}

#[test]
fn the_help_of_every_command_is_as_it_was_written_down() {
    let mut expected = Vec::new();
    lines(&Cli::command(), "kubectl-k0smotron", &mut expected);
    let transcript = std::fs::read_to_string(TRANSCRIPT).unwrap_or_default();
    let asked: Vec<&str> = transcript
        .lines()
        .filter(|line| line.starts_with("$ "))
        .collect();
    if asked != expected {
        // What they print is filled in by TRYCMD=overwrite.
        let blocks: Vec<String> = expected
            .iter()
            .map(|line| format!("```\n{line}\n\n```\n"))
            .collect();
        std::fs::write(TRANSCRIPT, blocks.join("\n")).unwrap();
    }
    assert!(
        asked == expected || std::env::var("TRYCMD").as_deref() == Ok("overwrite"),
        "{TRANSCRIPT} was made anew: fill it with TRYCMD=overwrite"
    );
    trycmd::TestCases::new()
        .register_bin(
            "kubectl-k0smotron",
            trycmd::cargo::cargo_bin!("kubectl-k0smotron"),
        )
        .env("COLUMNS", "100")
        .case(TRANSCRIPT);
}
