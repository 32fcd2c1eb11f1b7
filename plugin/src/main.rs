//! `kubectl k0smotron`: hosted k0s control planes from the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    plugin::run(std::env::args_os())
}
