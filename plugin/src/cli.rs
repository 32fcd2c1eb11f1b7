//! The flags of all commands and the list of exit codes, as clap reads and prints them.

use std::ffi::OsString;
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

impl Cli {
    /// The flags that mean something, and the command.
    pub fn given(self) -> (GlobalArgs, Command) {
        (self.global.given(), self.command)
    }
}

/// `-v6` and `-v 6`, as people write it for kubectl, in the way that leaves `-v` a flag that takes no
/// name for its level.
pub fn spelled(arguments: &[OsString]) -> Vec<OsString> {
    let is_level = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let level = |word: &OsString| {
        word.to_str()
            .filter(|text| is_level(text))
            .map(str::to_owned)
    };
    let mut spelled = Vec::new();
    let mut rest = arguments.iter().peekable();
    while let Some(word) = rest.next() {
        let text = word.to_str().unwrap_or_default();
        let joined = text
            .strip_prefix("-v")
            .filter(|rest| is_level(rest))
            .map(str::to_owned);
        let mut apart = || rest.next_if(|next| level(next).is_some()).and_then(level);
        let found = match text {
            "--" => {
                spelled.push(word.clone());
                break;
            }
            "-v" | "--v" => apart(),
            _ => joined,
        };
        spelled.push(found.map_or_else(|| word.clone(), |level| format!("-v={level}").into()));
    }
    spelled.extend(rest.cloned());
    spelled
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
    use crate::flags;

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
    fn kubectls_ways_to_write_a_level_are_read() {
        let level = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Cli::try_parse_from(spelled(&words))
                .unwrap()
                .global
                .verbosity
        };
        for (line, expected) in [
            ("k list -v6", 6),
            ("k list -v 6", 6),
            ("k -v 6 status demo", 6),
            ("k --v 6 list", 6),
            ("k -v status demo", 1),
            ("k connect demo -- head -v 6", 0),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }

    #[test]
    fn a_flag_that_a_script_left_empty_is_not_there() {
        let line = [
            "k",
            "list",
            "--context",
            "",
            "-n",
            "",
            "--kubeconfig",
            "",
            "--as",
            "",
        ];
        let (global, _) = Cli::try_parse_from(line).unwrap().given();
        assert_eq!((global.context, global.namespace), (None, None));
        assert_eq!((global.kubeconfig, global.impersonate), (None, None));
    }

    /// Of two arguments with one id clap takes the value of either for both.
    #[test]
    fn no_command_has_an_argument_that_clap_takes_for_one_of_all() {
        fn look(command: &clap::Command, known: &[&clap::Id]) {
            let name = command.get_name();
            for own in command.get_arguments().map(clap::Arg::get_id) {
                let is_meant = name == "kubeconfig" && own == flags::SERVER;
                assert!(is_meant || !known.contains(&own), "{name}: {own}");
            }
            for command in command.get_subcommands() {
                look(command, known);
            }
        }
        let whole = Cli::command();
        let known: Vec<_> = whole.get_arguments().map(clap::Arg::get_id).collect();
        assert!(known.len() > 10);
        for command in whole.get_subcommands() {
            look(command, &known);
        }
    }

    #[test]
    fn the_motherships_address_is_no_other_one_that_a_command_has() {
        for (line, mothership, written) in [
            (
                "k -s https://m:1 kubeconfig demo",
                Some("https://m:1"),
                None,
            ),
            (
                "k --server https://m:1 kubeconfig demo",
                Some("https://m:1"),
                None,
            ),
            (
                "k kubeconfig demo -s https://m:1",
                Some("https://m:1"),
                None,
            ),
            (
                "k kubeconfig demo --server https://h:1",
                None,
                Some("https://h:1"),
            ),
            (
                "k -s https://m:1 kubeconfig demo --server https://h:1",
                Some("https://m:1"),
                Some("https://h:1"),
            ),
            (
                "k kubeconfig demo --server https://h:1 -s https://m:1",
                Some("https://m:1"),
                Some("https://h:1"),
            ),
            ("k list --server https://m:1", Some("https://m:1"), None),
            ("k list -s https://m:1", Some("https://m:1"), None),
        ] {
            let (global, command) = Cli::try_parse_from(line.split(' ')).unwrap().given();
            assert_eq!(global.server.as_deref(), mothership, "{line}");
            if let Command::Kubeconfig(args) = command {
                assert_eq!(args.server.as_deref(), written, "{line}");
            }
        }
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
