//! Writes what there is to read about the command line: the Markdown reference in
//! `docs/reference`, and man pages. An example and not a command, so that nothing of it is in the
//! plugin.

mod after_help;
mod man;
mod markdown;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use plugin::cli::Cli;

const USAGE: &str = "\
usage: reference markdown [--check] DIR
       reference man DIR

Writes the reference of every command into DIR, as Markdown or as man pages.

  --check   write nothing; name the files that are stale and exit with 1";

/// A file of the reference.
struct File {
    name: String,
    content: Vec<u8>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["markdown", dir] => write(&markdown::files(&command()), Path::new(dir)),
        ["markdown", "--check", dir] => stale(&markdown::files(&command()), Path::new(dir)),
        ["man", dir] => man::files(&command())
            .map_err(Into::into)
            .and_then(|files| write(&files, Path::new(dir))),
        ["-h" | "--help"] => return say(&mut io::stdout(), USAGE, 0),
        _ => return say(&mut io::stderr(), USAGE, 2),
    };
    match outcome {
        Ok(stale) if stale.is_empty() => ExitCode::SUCCESS,
        Ok(stale) => {
            let list = stale.join("\n");
            say(
                &mut io::stderr(),
                &format!("stale, run make generate:\n{list}"),
                1,
            )
        }
        Err(error) => say(&mut io::stderr(), &format!("reference: {error}"), 2),
    }
}

/// The whole command line, with what clap adds to it.
fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

fn say(out: &mut impl Write, text: &str, code: u8) -> ExitCode {
    match writeln!(out, "{text}") {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Makes the folder hold these files; those of an earlier run that nothing makes any more go.
fn write(files: &[File], dir: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    for name in present(dir)? {
        if !files.iter().any(|file| file.name == name) {
            fs::remove_file(dir.join(name))?;
        }
    }
    for file in files {
        fs::write(dir.join(&file.name), &file.content)?;
    }
    Ok(Vec::new())
}

/// Names of files that are not as they would be written.
fn stale(files: &[File], dir: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut stale = Vec::new();
    for name in present(dir)? {
        if !files.iter().any(|file| file.name == name) {
            stale.push(format!(
                "{} (nothing makes it any more)",
                dir.join(name).display()
            ));
        }
    }
    for file in files {
        let path = dir.join(&file.name);
        if fs::read(&path).ok().as_ref() != Some(&file.content) {
            stale.push(path.display().to_string());
        }
    }
    Ok(stale)
}

fn present(dir: &Path) -> io::Result<Vec<String>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(dir)?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader can ask for, without what clap adds.
    fn names(command: &Command) -> Vec<String> {
        let inner = command
            .get_subcommands()
            .filter(|inner| !inner.is_hide_set());
        inner
            .flat_map(|inner| {
                let own = inner.get_display_name().unwrap_or_default().to_owned();
                std::iter::once(own).chain(names(inner))
            })
            .collect()
    }

    #[test]
    fn every_command_has_a_man_page() {
        let files = man::files(&command()).unwrap();
        let mut expected = names(&command());
        expected.push("kubectl-k0smotron".to_owned());
        assert!(expected.contains(&"kubectl-k0smotron-token-list".to_owned()));
        for name in &expected {
            let file = files.iter().find(|file| file.name == format!("{name}.1"));
            let page = String::from_utf8_lossy(&file.unwrap().content);
            assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        }
        assert_eq!(files.len(), expected.len());
    }

    #[test]
    fn every_command_and_flag_is_in_the_markdown() {
        let command = command();
        let files = markdown::files(&command);
        for inner in command.get_subcommands() {
            let name = format!("{}.md", inner.get_name());
            let file = files.iter().find(|file| file.name == name).unwrap();
            let page = String::from_utf8_lossy(&file.content);
            for arg in inner.get_arguments() {
                let listed = !arg.is_hide_set() && !arg.is_global_set() && !markdown::is_added(arg);
                if let Some(long) = arg.get_long().filter(|_| listed) {
                    assert!(page.contains(&format!("--{long}")), "{name}: {long}");
                }
            }
        }
        assert_eq!(files.len(), command.get_subcommands().count() + 1);
    }

    #[test]
    fn what_is_stale_or_left_over_is_named_and_mended() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| File {
            name: name.to_owned(),
            content: content.into(),
        };
        let old = [file("a.md", "old"), file("gone.md", "")];
        write(&old, dir.path()).unwrap();
        let new = [file("a.md", "new"), file("b.md", "")];
        assert_eq!(stale(&new, dir.path()).unwrap().len(), 3);
        write(&new, dir.path()).unwrap();
        assert!(stale(&new, dir.path()).unwrap().is_empty());
    }
}
