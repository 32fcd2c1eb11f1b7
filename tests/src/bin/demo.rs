//! `make demo`: what a user would do, step by step, on a mothership of this machine or on a
//! cluster that there is already.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match mothership::demo::run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            let _ = writeln!(std::io::stderr(), "\ndemo: {}", stop.message);
            ExitCode::from(stop.code)
        }
    }
}
