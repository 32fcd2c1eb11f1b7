//! The plans of the workloads that have found most: every single fault at every request, of which
//! each run takes the same share. `long_faults` runs all.

use std::process::ExitCode;
use std::time::Duration;

use support::faults::{Scope, main as run};

fn main() -> ExitCode {
    run(Scope {
        workloads: &["create", "again", "foreign"],
        one_in: 24,
        quiet: Duration::from_secs(2),
        at_once: 14,
    })
}
