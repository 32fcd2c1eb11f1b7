//! The flags of the commands, as k0s spells them.
#![expect(clippy::struct_excessive_bools, reason = "k0s has that many switches")]

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

use crate::paths::Paths;

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// Data directory for k0s [default: /var/lib/k0s]
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Run directory [default: /run/k0s for root, else DATA-DIR/run]
    #[arg(long, hide = true)]
    pub run_dir: Option<PathBuf>,
    /// Full path to the status socket [default: RUN-DIR/status.sock]
    #[arg(long)]
    pub status_socket: Option<PathBuf>,
    /// Debug logging
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub debug: bool,
    /// Verbose logging
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub verbose: bool,
    /// Accepted and ignored
    #[arg(long = "debugListenOn", hide = true)]
    pub debug_listen_on: Option<String>,
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

    /// `-v` of the Kubernetes components.
    pub fn log_level(&self) -> u8 {
        if self.debug { 2 } else { 1 }
    }
}

/// Flags that controllers have too, for they may run a worker.
#[derive(Debug, Args)]
pub struct NodeArgs {
    #[arg(long)]
    pub cidr_range: Option<String>,
    #[arg(long)]
    pub cri_socket: Option<String>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub enable_cloud_provider: bool,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub ignore_pre_flight_checks: bool,
    #[arg(long)]
    pub iptables_mode: Option<String>,
    #[arg(long, default_value = "")]
    pub kubelet_extra_args: String,
    #[arg(long)]
    pub kubelet_root_dir: Option<PathBuf>,
    /// Node labels, list of key=value pairs
    #[arg(long, value_delimiter = ',')]
    pub labels: Vec<String>,
    #[arg(short, long)]
    pub logging: Vec<String>,
    #[arg(long, default_value = "default")]
    pub profile: String,
    /// Node taints, list of key=value:effect strings
    #[arg(long, value_delimiter = ',')]
    pub taints: Vec<String>,
    /// Path to the file containing the join token
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// The join token
    #[arg(env = "K0S_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Args)]
pub struct ControllerArgs {
    /// Config file, use '-' to read the config from stdin
    #[arg(short, long)]
    pub config: Option<PathBuf>,
    /// Disable components, a list
    #[arg(long, value_delimiter = ',')]
    pub disable_components: Vec<String>,
    /// Enable cluster-wide dynamic config based on a custom resource
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub enable_dynamic_config: bool,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub enable_k0s_cloud_provider: bool,
    #[arg(long)]
    pub k0s_cloud_provider_port: Option<u16>,
    #[arg(long)]
    pub k0s_cloud_provider_update_frequency: Option<String>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub enable_metrics_scraper: bool,
    /// Not in the stand-in
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub enable_worker: bool,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub no_taints: bool,
    /// Not in the stand-in
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub single: bool,
    /// Not in the stand-in
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub init_only: bool,
    #[arg(long)]
    pub feature_gates: Vec<String>,
    #[arg(long, default_value = "")]
    pub kube_controller_manager_extra_args: String,
    #[arg(long)]
    pub api_server_stop_timeout: Option<String>,
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct WorkerArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Subcommand)]
pub enum InstallCommand {
    /// Install k0s worker on a brand-new system. Must be run as root (or with sudo)
    Worker(Box<InstallArgs>),
    /// Not in the stand-in
    #[command(disable_help_flag = true)]
    Controller(super::PassedOn),
}

#[derive(Debug, Args)]
pub struct InstallArgs {
    /// force init script creation
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub force: bool,
    /// set environment variable
    #[arg(short, long)]
    pub env: Vec<String>,
    /// start the service immediately after installation
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub start: bool,
    #[command(flatten)]
    pub worker: WorkerArgs,
}

#[derive(Debug, Args)]
pub struct ResetArgs {
    #[arg(long)]
    pub kubelet_root_dir: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
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
