//! Every workload with every single fault at every one of its requests.

use std::process::ExitCode;
use std::time::Duration;

use support::faults::{Scope, main as run};

fn main() -> ExitCode {
    run(Scope {
        workloads: &[],
        one_in: 1,
        quiet: Duration::from_secs(5),
        at_once: 54,
    })
}
