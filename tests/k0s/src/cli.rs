//! The command line, with k0s's flags, spellings and exit codes.

mod flags;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::error::{ContextKind, ErrorKind};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
pub use flags::{
    Common, ControllerArgs, EtcdCommand, InstallArgs, InstallCommand, KubeconfigCommand, ResetArgs,
    StatusArgs, TokenCommand, VersionArgs, WorkerArgs,
};

use crate::{commands, controller, duration, worker};

/// k0s, played by the stand-in of k0smotron's tests: not k0s itself.
#[derive(Debug, Parser)]
#[command(name = "k0s", about = crate::STAND_IN, disable_version_flag = true, infer_long_args = false)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run controller
    Controller(ControllerArgs),
    /// Run worker
    Worker(WorkerArgs),
    /// Manage join tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create a kubeconfig file for a specified user
    #[command(subcommand)]
    Kubeconfig(KubeconfigCommand),
    /// Get k0s instance status information
    Status(StatusArgs),
    /// Print the k0s version
    Version(VersionArgs),
    /// kubectl with the admin's kubeconfig
    #[command(alias = "kc", disable_help_flag = true)]
    Kubectl(PassedOn),
    /// Manage etcd cluster
    #[command(subcommand)]
    Etcd(EtcdCommand),
    /// Install k0s on a brand-new system. Must be run as root (or with sudo)
    #[command(subcommand)]
    Install(InstallCommand),
    /// Start the k0s service configured on this host. Must be run as root (or with sudo)
    Start(Common),
    /// Stop the k0s service configured on this host. Must be run as root (or with sudo)
    Stop(Common),
    /// Uninstall k0s. Must be run as root (or with sudo)
    Reset(ResetArgs),
    /// Not in the stand-in
    #[command(disable_help_flag = true)]
    Backup(PassedOn),
    /// Not in the stand-in
    #[command(disable_help_flag = true)]
    Restore(PassedOn),
}

/// What is not looked at here.
#[derive(Debug, Args)]
pub struct PassedOn {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<OsString>,
}

/// Reads the command line. What is wrong with it is said as pflag says it, with exit code 1.
///
/// # Errors
/// The exit code, when there is nothing to run.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let help = format!("Note: {}.", crate::STAND_IN);
    // k0s calls its flags by name only; a token that starts with a dash does not exist.
    let command = Cli::command().after_help(help);
    let parsed = command
        .try_get_matches_from(args)
        .and_then(|found| Cli::from_arg_matches(&found));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.print().ok();
            ExitCode::SUCCESS
        }
        ErrorKind::UnknownArgument => {
            let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
            complain(&unknown(&argument.unwrap_or_default()));
            ExitCode::FAILURE
        }
        _ => {
            complain(
                error
                    .render()
                    .to_string()
                    .trim_start_matches("error: ")
                    .trim(),
            );
            ExitCode::FAILURE
        }
    })
}

fn unknown(argument: &str) -> String {
    let name = argument.split('=').next().unwrap_or_default();
    if name.starts_with("--") {
        format!("unknown flag: {name}")
    } else if let Some(letters) = name.strip_prefix('-') {
        format!(
            "unknown shorthand flag: '{}' in {name}",
            letters.chars().next().unwrap_or('?')
        )
    } else {
        format!("unknown command or argument {argument:?}")
    }
}

/// Says on stderr what went wrong.
pub fn complain(message: &str) {
    writeln!(std::io::stderr(), "Error: {message}").ok();
}

/// Runs what the command line says.
///
/// # Errors
/// When that fails.
pub fn run(cli: Cli) -> Result<()> {
    // Only fails when a provider is installed already, which is as good.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    match cli.command {
        Command::Controller(args) => run_controller(args),
        Command::Worker(args) => run_worker(args),
        Command::Token(command) => block_on(commands::token(command)),
        Command::Kubeconfig(command) => commands::kubeconfig(command),
        Command::Status(args) => commands::status(&args),
        Command::Version(args) => commands::version(&args),
        Command::Kubectl(args) => commands::kubectl(&args.rest),
        Command::Etcd(command) => block_on(commands::etcd(command)),
        Command::Install(InstallCommand::Worker(args)) => commands::install(&args),
        Command::Install(InstallCommand::Controller(_)) => missing("install controller"),
        Command::Start(_) => commands::start(),
        Command::Stop(_) => commands::stop(),
        Command::Reset(args) => commands::reset(&args),
        Command::Backup(_) => missing("backup"),
        Command::Restore(_) => missing("restore"),
    }
}

fn missing(command: &str) -> Result<()> {
    bail!(
        "`k0s {command}` is not in the stand-in ({})",
        crate::STAND_IN
    )
}

fn run_controller(args: ControllerArgs) -> Result<()> {
    if args.enable_worker || args.single || args.init_only {
        return missing("controller --enable-worker, --single and --init-only");
    }
    if args.node.token.is_some() || args.node.token_file.is_some() {
        return missing("controller TOKEN");
    }
    let api_stop = args
        .api_server_stop_timeout
        .as_deref()
        .map(duration::parse)
        .transpose()?;
    let options = controller::Options {
        config: args.config,
        dynamic_config: args.enable_dynamic_config,
        disabled: args
            .disable_components
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect(),
        log_level: args.common.log_level(),
        api_stop: api_stop
            .map(|time| time.as_secs())
            .filter(|seconds| *seconds > 0),
        manager_args: args.kube_controller_manager_extra_args,
    };
    start_log(&args.common, "controller");
    block_on(controller::run(args.common.paths(), options))
}

fn run_worker(args: WorkerArgs) -> Result<()> {
    let log_level = args.common.log_level();
    let node = args.node;
    let options = worker::Options {
        // The variable is set for everybody in a shell; a file given on the command line wins.
        token: node.token.filter(|token| !token.is_empty()),
        token_file: node.token_file,
        profile: node.profile,
        labels: node.labels,
        taints: node.taints,
        kubelet_extra_args: node.kubelet_extra_args,
        kubelet_root: node.kubelet_root_dir,
        cri_socket: node.cri_socket,
        log_level,
    };
    start_log(&args.common, "worker");
    block_on(worker::run(args.common.paths(), options))
}

/// Starts logging to stderr; the first line says what this is.
fn start_log(common: &Common, role: &str) {
    let level = if common.debug {
        tracing::Level::DEBUG
    } else {
        tracing::Level::INFO
    };
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,kube_client=off,k0s={level}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    tracing::info!(
        "{}; {role}, version {}",
        crate::STAND_IN,
        crate::version::k0s()
    );
}

fn block_on(task: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(task);
    // A name that is still being looked up is nothing to wait for.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests;
