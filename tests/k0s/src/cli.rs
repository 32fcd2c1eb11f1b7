//! The command line, with k0s's flags, spellings and exit codes.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::error::{ContextKind, ErrorKind};
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::paths::Paths;
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
    /// Not in the stand-in
    #[command(disable_help_flag = true)]
    Install(PassedOn),
    /// Not in the stand-in
    #[command(disable_help_flag = true)]
    Start(PassedOn),
    /// Not in the stand-in
    #[command(disable_help_flag = true)]
    Stop(PassedOn),
    /// Not in the stand-in
    #[command(disable_help_flag = true)]
    Reset(PassedOn),
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

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// Data directory for k0s [default: /var/lib/k0s]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Run directory [default: /run/k0s for root, else <data-dir>/run]
    #[arg(long, hide = true)]
    run_dir: Option<PathBuf>,
    /// Full path to the status socket [default: <run-dir>/status.sock]
    #[arg(long)]
    status_socket: Option<PathBuf>,
    /// Debug logging
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    debug: bool,
    /// Verbose logging
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    verbose: bool,
    /// Accepted and ignored
    #[arg(long = "debugListenOn", hide = true)]
    debug_listen_on: Option<String>,
}

impl Common {
    /// The directories of the instance that is meant.
    pub fn paths(&self) -> Paths {
        Paths::new(
            self.data_dir.clone(),
            self.run_dir.clone(),
            self.status_socket.clone(),
        )
    }

    fn log_level(&self) -> u8 {
        if self.debug { 2 } else { 1 }
    }
}

/// Flags that controllers have too, for they may run a worker.
#[derive(Debug, Args)]
struct NodeArgs {
    #[arg(long)]
    cidr_range: Option<String>,
    #[arg(long)]
    cri_socket: Option<String>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    enable_cloud_provider: bool,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    ignore_pre_flight_checks: bool,
    #[arg(long)]
    iptables_mode: Option<String>,
    #[arg(long, default_value = "")]
    kubelet_extra_args: String,
    #[arg(long)]
    kubelet_root_dir: Option<PathBuf>,
    /// Node labels, list of key=value pairs
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    #[arg(short, long)]
    logging: Vec<String>,
    #[arg(long, default_value = "default")]
    profile: String,
    /// Node taints, list of key=value:effect strings
    #[arg(long, value_delimiter = ',')]
    taints: Vec<String>,
    /// Path to the file containing the join token
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// The join token
    #[arg(env = "K0S_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(Debug, Args)]
struct ControllerArgs {
    /// Config file, use '-' to read the config from stdin
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// Disable components, a list
    #[arg(long, value_delimiter = ',')]
    disable_components: Vec<String>,
    /// Enable cluster-wide dynamic config based on a custom resource
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    enable_dynamic_config: bool,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    enable_k0s_cloud_provider: bool,
    #[arg(long)]
    k0s_cloud_provider_port: Option<u16>,
    #[arg(long)]
    k0s_cloud_provider_update_frequency: Option<String>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    enable_metrics_scraper: bool,
    /// Not in the stand-in
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    enable_worker: bool,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    no_taints: bool,
    /// Not in the stand-in
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    single: bool,
    /// Not in the stand-in
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    init_only: bool,
    #[arg(long)]
    feature_gates: Vec<String>,
    #[arg(long, default_value = "")]
    kube_controller_manager_extra_args: String,
    #[arg(long)]
    api_server_stop_timeout: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct WorkerArgs {
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create join token
    Create {
        /// Expiration time of the token. Format 1.5h, 2h45m or 300ms
        #[arg(long, default_value = "0s")]
        expiry: String,
        /// Either worker or controller
        #[arg(long, default_value = "worker")]
        role: String,
        /// Wait until the controller answers
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
        wait: bool,
        #[command(flatten)]
        common: Common,
    },
    /// List join tokens
    List {
        /// Either worker, controller or empty for all roles
        #[arg(long, default_value = "")]
        role: String,
        #[command(flatten)]
        common: Common,
    },
    /// Invalidates existing join token
    Invalidate {
        /// The tokens' ids
        ids: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Subcommand)]
pub enum KubeconfigCommand {
    /// Create a kubeconfig for a user
    Create {
        /// The user's name
        username: String,
        /// Specify groups
        #[arg(long, default_value = "")]
        groups: String,
        /// The expiration duration of the certificate
        #[arg(long, default_value = "8760h")]
        certificate_expires_after: String,
        /// Specify kubeconfig context name
        #[arg(long, default_value = "k0s")]
        context_name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Display Admin's Kubeconfig file
    Admin {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// sets type of output to json or yaml
    #[arg(short, long)]
    pub out: Option<String>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct VersionArgs {
    /// use to print all k0s version info
    #[arg(short, long)]
    pub all: bool,
    /// use to print all k0s version info in json
    #[arg(short, long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum EtcdCommand {
    /// List etcd cluster members (JSON encoded)
    MemberList {
        #[command(flatten)]
        common: Common,
    },
    /// Leave the etcd cluster, or remove a specific peer
    Leave {
        /// etcd peer address to remove (default <this node's peer address>)
        #[arg(long)]
        peer_address: Option<String>,
        #[command(flatten)]
        common: Common,
    },
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
        Command::Install(_) => missing("install"),
        Command::Start(_) => missing("start"),
        Command::Stop(_) => missing("stop"),
        Command::Reset(_) => missing("reset"),
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
