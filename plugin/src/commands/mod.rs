//! One module a command: its flags, and the way from them to an answer.

pub mod completion;
pub mod connect;
pub mod create;
pub mod delete;
pub mod describe;
pub mod doctor;
pub mod edit;
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
pub mod top;
pub mod upgrade;
pub mod version;
pub mod versions;
pub mod wait;

use crate::cli::Command;
use crate::error::Error;
use crate::session::Session;

/// Runs a command.
///
/// # Errors
/// Whatever ended it early.
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
        Command::Describe(args) => describe::run(session, &args).await,
        Command::Edit(args) => edit::run(session, &args).await,
        Command::Connect(args) => connect::run(session, &args).await,
        Command::Exec(args) => connect::exec(session, &args).await,
        Command::Rotate(args) => rotate::run(session, &args).await,
        Command::Versions(args) => versions::run(session, &args).await,
        Command::Completion(args) => completion::run(session, &args),
        Command::Node(args) => node::run(session, &args).await,
        Command::Doctor(args) => doctor::run(session, &args).await,
        Command::Install(args) => install::run(session, &args).await,
        Command::Uninstall(args) => install::uninstall(session, &args).await,
        Command::Policy(args) => policy::run(session, &args).await,
        Command::Version(args) => version::run(session, &args).await,
        Command::Token(args) => token::run(session, &args).await,
        Command::SupportBundle(args) => support_bundle::run(session, &args).await,
        Command::Top(args) => top::run(session, &args).await,
    }
}
