//! `mothership`: starts and ends the motherships of the demo and the suites.

fn main() -> std::process::ExitCode {
    mothership::cli::main()
}
