//! The flags of all commands and the list of exit codes, as clap reads and prints them.

use std::fmt::Write as _;

use clap::Parser;

use crate::commands::Command;
use crate::error::Exit;
use crate::flags::GlobalArgs;

/// Hosted k0s control planes: make one, look at it, and let machines join it.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-k0smotron",
    bin_name = "kubectl k0smotron",
    version,
    propagate_version = false,
    disable_help_subcommand = true,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = after_help(),
)]
pub struct Cli {
    /// Flags that every command has.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

fn after_help() -> String {
    let mut text = String::from(
        "Examples:\n\
         \x20 kubectl k0smotron create demo --wait\n\
         \x20 kubectl k0smotron status demo\n\
         \x20 kubectl k0smotron kubeconfig demo --merge\n\
         \x20 kubectl k0smotron join demo\n\n\
         Exit codes:\n",
    );
    for exit in Exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning());
    }
    text.push_str("\nSee a command's own flags with: kubectl k0smotron COMMAND --help");
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn verbosity_needs_no_level_and_swallows_no_argument() {
        let cli = Cli::try_parse_from(["k", "-v", "status", "demo"]).unwrap();
        assert_eq!(cli.global.verbosity, 1);
        let cli = Cli::try_parse_from(["k", "status", "demo", "-v=6"]).unwrap();
        assert_eq!(cli.global.verbosity, 6);
    }

    #[test]
    fn a_name_that_no_object_can_have_is_refused_before_any_request() {
        for name in ["Demo", "-demo", "demo-", "de_mo", "../secrets", "a/b", ""] {
            let refused = Cli::try_parse_from(["k", "status", "--", name]);
            assert_eq!(refused.unwrap_err().exit_code(), 2, "{name}");
        }
        assert!(Cli::try_parse_from(["k", "status", "demo-1.x"]).is_ok());
    }

    #[test]
    fn request_timeout_0_is_for_ever() {
        let cli = Cli::try_parse_from(["k", "list", "--request-timeout", "0"]).unwrap();
        assert_eq!(cli.global.deadline(), None);
        let cli = Cli::try_parse_from(["k", "list"]).unwrap();
        assert_eq!(cli.global.deadline(), Some(Duration::from_secs(10)));
    }
}
