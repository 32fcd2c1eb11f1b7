//! The command line.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::Exit;
use crate::output::ColorWhen;
use crate::{commands, duration};

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

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a cluster
    Create(Box<commands::create::CreateArgs>),
    /// List clusters
    #[command(visible_alias = "ls", alias = "get")]
    List(commands::list::ListArgs),
    /// Show a cluster's conditions and everything that belongs to it
    Status(commands::status::StatusArgs),
    /// Print a cluster's kubeconfig, or merge it into yours
    Kubeconfig(Box<commands::kubeconfig::KubeconfigArgs>),
    /// Let machines join a cluster: with a command, a script, user data, or over ssh
    Join(Box<commands::join::JoinArgs>),
    /// Delete a cluster
    #[command(visible_alias = "rm")]
    Delete(commands::delete::DeleteArgs),
    /// Wait until a cluster is available, upgraded, scaled, deleted, or has nodes
    Wait(commands::wait::WaitArgs),
    /// Change how many control-plane pods a cluster has
    Scale(commands::scale::ScaleArgs),
    /// Plan an upgrade of a cluster, do it and follow it
    Upgrade(commands::upgrade::UpgradeArgs),
    /// Show the events of a cluster and of what belongs to it
    Events(commands::events::EventsArgs),
    /// Print the logs of a control plane
    Logs(commands::logs::LogsArgs),
    /// Describe a cluster: what was asked for, what is known of it, its conditions and events
    Describe(commands::describe::DescribeArgs),
    /// Open a cluster in an editor and apply what you changed
    Edit(commands::edit::EditArgs),
    /// Open the way to a hosted cluster, and a shell or command that uses it
    Connect(commands::connect::ConnectArgs),
    /// Run a command that finds a hosted cluster in its KUBECONFIG
    Exec(commands::connect::ExecArgs),
    /// Make a kubeconfig anew, or revoke join tokens
    Rotate(commands::rotate::RotateArgs),
    /// List k0s versions, and which of them a cluster can go to
    Versions(commands::versions::VersionsArgs),
    /// Let kubectl complete commands, flags and names
    Completion(commands::completion::CompletionArgs),
    /// List, drain and remove the nodes of a hosted cluster
    Node(commands::node::NodeArgs),
    /// Look whether everything is there that hosted clusters need
    Doctor(commands::doctor::DoctorArgs),
    /// Install k0smotron in the mothership, or bring it to this program's version
    Install(commands::install::InstallArgs),
    /// Remove k0smotron from the mothership
    Uninstall(commands::install::UninstallArgs),
    /// See what policies say about objects
    Policy(commands::policy::PolicyArgs),
    /// Show the versions of this program and of the mothership
    Version(commands::version::VersionArgs),
    /// List, make and revoke tokens with which machines join
    Token(commands::token::TokenArgs),
    /// Gather what somebody needs to help, in one file without secrets
    SupportBundle(commands::support_bundle::SupportBundleArgs),
    /// Show what control planes use: CPU and memory of each pod
    Top(commands::top::TopArgs),
}

/// Flags that every command has; kubectl's names and meanings.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Namespace; that of the current context unless given
    #[arg(short, long, global = true, value_name = "NAME", value_parser = not_empty)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig that leads to the mothership
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig file; KUBECONFIG or ~/.kube/config unless given
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Cluster entry of the kubeconfig, in place of the context's
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub cluster: Option<String>,
    /// User entry of the kubeconfig, in place of the context's
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,
    /// User to impersonate
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        hide_short_help = true
    )]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be given several times
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        hide_short_help = true
    )]
    pub impersonate_groups: Vec<String>,
    /// How long a single request may take; 0 is for ever [default: 10s]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = duration::parse,
        hide_short_help = true
    )]
    pub request_timeout: Option<Duration>,
    /// Show each request on standard error: 1 method, path, status and time; 6 the query as well,
    /// 7 headers, 8 bodies up to 1 KiB, 9 whole bodies; secrets are masked
    #[arg(
        short = 'v',
        long = "v",
        global = true,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = 0,
        default_missing_value = "1",
        hide_default_value = true,
        hide_short_help = true
    )]
    pub verbosity: u8,
    /// When to use colours
    #[arg(
        help = "When to use colours; auto is on a terminal without NO_COLOR [default: auto]",
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub color: ColorWhen,
}

/// How long a request may take unless the user says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

impl GlobalArgs {
    /// How long a request may take; `None` is for ever.
    pub fn deadline(&self) -> Option<Duration> {
        let deadline = self.request_timeout.unwrap_or(DEADLINE);
        (!deadline.is_zero()).then_some(deadline)
    }
}

/// `--dry-run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DryRun {
    /// Do it.
    #[default]
    None,
    /// Print what would be sent, without any request.
    Client,
    /// Let the API server check it without keeping it.
    Server,
}

impl DryRun {
    /// What kubectl writes behind what was only tried out.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// The flag of everything that changes something.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct DryRunArgs {
    /// Only say what would be done: checked by nobody (client) or by the API server (server)
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_value_t,
        default_missing_value = "client"
    )]
    pub dry_run: DryRun,
}

/// The flag `--timeout` as kubectl reads it: 0 waits for ever.
pub fn timeout(flag: Duration) -> Option<Duration> {
    (!flag.is_zero()).then_some(flag)
}

/// Names of objects, checked before any request is made: lower-case letters, digits, `-` and `.`.
///
/// # Errors
/// A sentence for the user.
pub fn object_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let mut characters = text.chars();
    if text.len() <= 253
        && edge(characters.next())
        && edge(text.chars().last())
        && text.chars().all(fits)
    {
        Ok(text.to_owned())
    } else {
        Err(
            "a name is made of lower-case letters, digits and '-', and begins and ends with a \
             letter or digit"
                .to_owned(),
        )
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("must not be empty".to_owned())
    } else {
        object_name(text)
    }
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
