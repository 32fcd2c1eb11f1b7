//! The stand-in for k0s: what the harness packs into the `k0s` image when no real k0s is at hand.
//!
//! It looks like k0s to everything outside the pod (command line, files, ports, certificates,
//! objects in the hosted cluster) and runs the real Kubernetes components, found in
//! `<data-dir>/bin` or in `PATH`. It is a test fixture and says so wherever a user meets it.

mod api;
mod args;
mod cli;
mod commands;
mod config;
mod controller;
mod duration;
mod kubeconfig;
mod lease;
mod merge;
mod paths;
mod pki;
mod signals;
mod status;
mod supervisor;
mod token;
mod version;
mod worker;

use std::process::ExitCode;

/// Says, wherever a user could meet this program, what it is.
pub const STAND_IN: &str = "this is k0smotron's k0s stand-in, a test fixture, not k0s itself";

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
