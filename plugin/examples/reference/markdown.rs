//! A page of Markdown for each command, and one that lists them.
//!
//! clap-markdown makes one page of all commands, and runs the lines of their examples together.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::File;
use super::after_help::{Block, blocks};

const GENERATED: &str =
    "<!-- Generated from the definition of the command line by `make generate`. -->\n\n";

/// The pages of a command line that has been built: one a command, with its subcommands, and
/// `README.md`.
pub fn files(root: &Command) -> Vec<File> {
    let mut files = vec![index(root)];
    files.extend(shown(root).map(|command| {
        let mut text = GENERATED.to_owned();
        section(&mut text, command, 1);
        text.push_str("\nAnd the [global options](README.md#global-options).\n");
        file(format!("{}.md", command.get_name()), text)
    }));
    files
}

fn file(name: String, text: String) -> File {
    File {
        name,
        content: text.into_bytes(),
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
}

fn index(root: &Command) -> File {
    let mut text = GENERATED.to_owned();
    heading(&mut text, root, 1);
    text.push_str("\n| command | what it does |\n|---|---|\n");
    for command in shown(root) {
        let name = command.get_name();
        let about = about(command).replace('|', "\\|");
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "| [{name}]({name}.md) | {about} |");
    }
    text.push_str("\nEvery command has `--help`.\n");
    options(
        &mut text,
        "Global options",
        2,
        root.get_arguments().filter(|arg| arg.is_global_set()),
    );
    notes(&mut text, root, 2);
    file("README.md".to_owned(), text)
}

/// A command and those below it.
fn section(text: &mut String, command: &Command, level: usize) {
    heading(text, command, level);
    let own = |arg: &&Arg| !arg.is_global_set();
    options(
        text,
        "Arguments",
        level + 1,
        command.get_positionals().filter(own),
    );
    let flags = command.get_arguments().filter(|arg| !arg.is_positional());
    options(text, "Options", level + 1, flags.filter(own));
    notes(text, command, level + 1);
    for inner in shown(command) {
        text.push('\n');
        section(text, inner, level + 1);
    }
}

/// What it is called, does and takes.
fn heading(text: &mut String, command: &Command, level: usize) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let marks = "#".repeat(level);
    let _ = writeln!(text, "{marks} {name}\n\n{}.", about(command));
    let _ = writeln!(text, "\n```\n{}\n```", usage(command));
    let aliases: Vec<String> = command.get_visible_aliases().map(code).collect();
    if !aliases.is_empty() {
        let _ = writeln!(text, "\nAlso called {}.", aliases.join(", "));
    }
}

/// How it is called, a line for each way.
pub fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage:").unwrap_or(&usage);
    let lines = usage.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

fn about(command: &Command) -> String {
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    plain(about.trim_end_matches('.'))
}

fn options<'a>(text: &mut String, title: &str, level: usize, args: impl Iterator<Item = &'a Arg>) {
    let args: Vec<&Arg> = args
        .filter(|arg| !arg.is_hide_set() && !is_added(arg))
        .collect();
    if args.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{} {title}\n", "#".repeat(level));
    for arg in args {
        option(text, arg);
    }
}

/// Whether clap adds it to every command.
pub fn is_added(arg: &Arg) -> bool {
    use ArgAction::{Help, HelpLong, HelpShort, Version};
    matches!(arg.get_action(), Help | HelpLong | HelpShort | Version)
}

/// An item of a list: how it is written, what it means, what it is unless given, what it can be.
fn option(text: &mut String, arg: &Arg) {
    let short = arg.get_short().filter(|_| arg.get_long().is_some());
    let written = short.map_or_else(String::new, |short| format!("-{short}, ")) + &arg.to_string();
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let lines: Vec<&str> = help.lines().map(str::trim).collect();
    let _ = write!(text, "- {}: {}", code(&written), plain(&lines.join(" ")));
    let takes_value = arg.get_num_args().is_some_and(|range| range.takes_values());
    let defaults = arg.get_default_values();
    if takes_value && !defaults.is_empty() && !arg.is_hide_default_value_set() {
        let shown: Vec<String> = defaults
            .iter()
            .map(|value| code(value.to_string_lossy()))
            .collect();
        let _ = write!(text, "; {} unless given", shown.join(", "));
    }
    text.push('\n');
    // Those of a switch are clap's own.
    for value in arg
        .get_possible_values()
        .iter()
        .filter(|value| takes_value && !value.is_hide_set())
    {
        let help = value
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let _ = write!(text, "  - {}", code(value.get_name()));
        if !help.is_empty() {
            let _ = write!(text, ": {}", plain(help.trim_end_matches('.')));
        }
        text.push('\n');
    }
}

fn notes(text: &mut String, command: &Command, level: usize) {
    for block in blocks(command) {
        let _ = match block {
            Block::Lines { title, lines } => {
                let marks = "#".repeat(level);
                writeln!(text, "\n{marks} {title}\n\n```\n{}\n```", lines.join("\n"))
            }
            Block::Text(sentences) => writeln!(text, "\n{}", plain(&sentences)),
        };
    }
}

fn code(text: impl AsRef<str>) -> String {
    format!("`{}`", text.as_ref())
}

/// Text in which nothing but code is taken for markup.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '<' | '*' | '\\') {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_all_that_the_help_says() {
        let mut root = Command::new("k").disable_help_subcommand(true).subcommand(
            Command::new("make")
                .disable_help_subcommand(true)
                .about("Make a <thing>")
                .visible_alias("m")
                .after_help("Examples:\n  k make a\n\nMore.")
                .arg(Arg::new("NAME").required(true).help("Its name"))
                .arg(
                    Arg::new("all")
                        .long("all")
                        .action(ArgAction::SetTrue)
                        .help("All | none"),
                )
                .arg(Arg::new("secret").long("secret").hide(true))
                .arg(
                    Arg::new("as")
                        .short('a')
                        .long("as")
                        .value_name("KIND")
                        .default_value("x")
                        .value_parser(["x", "y"])
                        .help("What it becomes"),
                )
                .subcommand(Command::new("again").about("Make it anew")),
        );
        root.build();
        let pages = files(&root);
        let page = pages.iter().find(|file| file.name == "make.md").unwrap();
        insta::assert_snapshot!(String::from_utf8_lossy(&page.content), @r"
        <!-- Generated from the definition of the command line by `make generate`. -->

        # k make

        Make a \<thing>.

        ```
        k make [OPTIONS] <NAME> [COMMAND]
        ```

        Also called `m`.

        ## Arguments

        - `<NAME>`: Its name

        ## Options

        - `--all`: All | none
        - `-a, --as <KIND>`: What it becomes; `x` unless given
          - `x`
          - `y`

        ## Examples

        ```
        k make a
        ```

        More.

        ## k make again

        Make it anew.

        ```
        k make <NAME> again
        ```

        And the [global options](README.md#global-options).
        ");
    }
}
