//! `kubectl k0smotron`: makes, shows and deletes hosted control planes, and lets machines join
//! them.
//!
//! Each command fetches what it needs (`mothership::client`), makes a plain model of it
//! (`mothership::view`, `mothership::tree`, `kubeconfig::merge`: pure and tested without a
//! server) and renders that through `output::Output`.

pub mod cli;
mod commands;
mod duration;
mod error;
mod escape;
mod flags;
#[cfg(test)]
mod fuzz;
mod hosted;
mod kubeconfig;
mod lines;
mod mothership;
mod output;
mod print;
mod prompt;
mod prune;
mod redact;
mod session;
mod suggest;
mod tokens;
mod trace;
mod transport;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::Cli;
use crate::commands::{Command, completion};
use crate::error::{Error, Exit};
use crate::output::Output;
use crate::session::Session;

/// Runs the program with these arguments and says how the process ends.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(words) = completion::asked(&arguments) {
        completion::complete(Cli::command(), words);
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse_from(cli::spelled(&arguments)) {
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
    let (global, command) = cli.given();
    let session = Session::new(global, out);
    ExitCode::from(exit_code(&session, block_on(&session, command)))
}

/// Prints what went wrong, and says with which code the process ends.
fn exit_code(session: &Session, result: Result<(), Error>) -> u8 {
    let Err(error) = result else {
        return Exit::Success.code();
    };
    // What a command of the user's says about itself is enough.
    if !matches!(error, Error::Child { .. }) {
        session.out.error(&error);
    }
    error.code()
}

fn block_on(session: &Session, command: Command) -> Result<(), Error> {
    // Fails only when something has installed another provider first; nothing here does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::io("start", source))?;
    let result = runtime.block_on(session.until_interrupted(commands::run(session, command)));
    // A question that nobody answers must not hold up the end.
    runtime.shutdown_background();
    result
}
