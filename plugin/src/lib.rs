//! `kubectl k0smotron`: makes, shows and deletes hosted control planes, and lets machines join
//! them.
//!
//! Each command fetches what it needs ([`client`]), makes a plain model of it ([`model`],
//! [`tree`], [`merge`]: pure and tested without a server) and renders that through
//! [`output::Output`].

pub mod ask;
pub mod cli;
pub mod client;
pub mod commands;
pub mod duration;
pub mod error;
pub mod escape;
pub mod event;
pub mod hosted;
pub mod kubeconfig;
pub mod kubeconfig_file;
mod lines;
pub mod merge;
pub mod model;
pub mod observe;
pub mod output;
pub mod print;
pub mod progress;
pub mod redact;
pub mod release;
pub mod resources;
pub mod session;
pub mod suggest;
pub mod table;
pub mod target;
pub mod trace;
pub mod tree;
pub mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::commands::completion;
use crate::error::Exit;
use crate::output::Output;
use crate::session::Session;

/// Runs the program with these arguments and says how the process ends.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(words) = completion::asked(&arguments) {
        completion::complete(words);
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => {
            // A reader that has gone does not change what the command line was worth.
            let _ = message.print();
            let exit = if message.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            };
            return ExitCode::from(exit.code());
        }
    };
    let out = Output::of_process(cli.global.color, cli.global.verbosity);
    let session = Session::new(cli.global, out);
    ExitCode::from(session.run(cli.command))
}
