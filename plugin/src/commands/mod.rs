//! One module a command: its flags, and the way from them to an answer.

pub mod completion;
pub mod connect;
pub mod create;
pub mod delete;
pub mod doctor;
pub mod events;
pub mod install;
pub mod join;
pub mod kubeconfig;
pub mod list;
pub mod logs;
pub mod node;
pub mod policy;
pub mod rotate;
pub mod scale;
pub mod status;
pub mod support_bundle;
pub mod token;
pub mod uninstall;
pub mod upgrade;
pub mod version;
pub mod versions;
pub mod wait;

use clap::Subcommand;

use crate::error::Error;
use crate::session::Session;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a cluster
    Create(Box<create::CreateArgs>),
    /// List clusters
    #[command(visible_alias = "ls", alias = "get")]
    List(list::ListArgs),
    /// Show a cluster's conditions and everything that belongs to it
    Status(status::StatusArgs),
    /// Print a cluster's kubeconfig, or merge it into yours
    Kubeconfig(Box<kubeconfig::KubeconfigArgs>),
    /// Let machines join a cluster: with a command, a script, user data, or over ssh
    Join(Box<join::JoinArgs>),
    /// Delete a cluster
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArgs),
    /// Wait until a cluster is available, upgraded, scaled, deleted, or has nodes
    Wait(wait::WaitArgs),
    /// Change how many control-plane pods a cluster has
    Scale(scale::ScaleArgs),
    /// Plan an upgrade of a cluster, do it and follow it
    Upgrade(upgrade::UpgradeArgs),
    /// Show the events of a cluster and of what belongs to it
    Events(events::EventsArgs),
    /// Print the logs of a control plane
    Logs(logs::LogsArgs),
    /// Open the way to a hosted cluster, and a shell or command that uses it
    Connect(connect::ConnectArgs),
    /// Run a command that finds a hosted cluster in its KUBECONFIG
    Exec(connect::ExecArgs),
    /// Make a kubeconfig anew, or revoke join tokens
    Rotate(rotate::RotateArgs),
    /// List k0s versions, and which of them a cluster can go to
    Versions(versions::VersionsArgs),
    /// Let kubectl complete commands, flags and names
    Completion(completion::CompletionArgs),
    /// List and remove the nodes of a hosted cluster
    Node(node::NodeArgs),
    /// Look whether everything is there that hosted clusters need
    Doctor(doctor::DoctorArgs),
    /// Install k0smotron in the mothership, or bring it to this program's version
    Install(install::InstallArgs),
    /// Remove k0smotron from the mothership
    Uninstall(uninstall::UninstallArgs),
    /// See what policies say about objects
    Policy(policy::PolicyArgs),
    /// Show the versions of this program and of the mothership
    Version(version::VersionArgs),
    /// List, make and revoke tokens with which machines join
    Token(token::TokenArgs),
    /// Gather what somebody needs to help, in one file without secrets
    SupportBundle(support_bundle::SupportBundleArgs),
}

/// Runs a command.
pub async fn run(session: &Session, command: Command) -> Result<(), Error> {
    match command {
        Command::Create(args) => create::run(session, *args).await,
        Command::List(args) => list::run(session, &args).await,
        Command::Status(args) => status::run(session, &args).await,
        Command::Kubeconfig(args) => kubeconfig::run(session, &args).await,
        Command::Join(args) => join::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
        Command::Wait(args) => wait::run(session, &args).await,
        Command::Scale(args) => scale::run(session, &args).await,
        Command::Upgrade(args) => upgrade::run(session, &args).await,
        Command::Events(args) => events::run(session, &args).await,
        Command::Logs(args) => logs::run(session, &args).await,
        Command::Connect(args) => connect::run(session, &args).await,
        Command::Exec(args) => connect::exec(session, &args).await,
        Command::Rotate(args) => rotate::run(session, &args).await,
        Command::Versions(args) => versions::run(session, &args).await,
        Command::Completion(args) => completion::run(session, &args),
        Command::Node(args) => node::run(session, &args).await,
        Command::Doctor(args) => doctor::run(session, &args).await,
        Command::Install(args) => install::run(session, &args).await,
        Command::Uninstall(args) => uninstall::run(session, &args).await,
        Command::Policy(args) => policy::run(session, &args).await,
        Command::Version(args) => version::run(session, &args).await,
        Command::Token(args) => token::run(session, &args).await,
        Command::SupportBundle(args) => support_bundle::run(session, &args).await,
    }
}
