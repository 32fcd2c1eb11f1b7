//! A man page for each command.

use std::io::{self, Write as _};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::File;
use super::after_help::{Block, blocks};
use super::markdown::usage;

/// The pages of a command line that has been built.
///
/// # Errors
/// Those of writing into memory: none is known.
pub fn files(command: &Command) -> io::Result<Vec<File>> {
    let mut files = vec![page(command)?];
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        files.extend(self::files(inner)?);
    }
    Ok(files)
}

fn page(command: &Command) -> io::Result<File> {
    // What is only hidden to keep -h short belongs here.
    let command = command
        .clone()
        .override_usage(usage(command))
        .mut_args(|arg| arg.hide_short_help(false));
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone())
        // An empty one would let the next take its place.
        .date(" ")
        .source(format!("k0smotron {version}"))
        .manual("k0smotron");
    let mut content = Vec::new();
    man.render_title(&mut content)?;
    man.render_name_section(&mut content)?;
    man.render_synopsis_section(&mut content)?;
    man.render_description_section(&mut content)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut content)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut content)?;
    }
    content.write_all(&after_help(&command))?;
    Ok(File {
        name: man.get_filename(),
        content,
    })
}

/// Examples and the like, line by line.
fn after_help(command: &Command) -> Vec<u8> {
    let mut roff = Roff::new();
    let mut is_noted = false;
    for block in blocks(command) {
        match block {
            Block::Lines { title, lines } => {
                roff.control("SH", [title.to_uppercase().as_str()]);
                roff.control("nf", []);
                for line in lines {
                    roff.text([roman(line)]);
                }
                roff.control("fi", []);
                is_noted = false;
            }
            Block::Text(text) => {
                roff.control(
                    if is_noted { "PP" } else { "SH" },
                    if is_noted { vec![] } else { vec!["NOTES"] },
                );
                roff.text([roman(text)]);
                is_noted = true;
            }
        }
    }
    roff.render().into_bytes()
}
