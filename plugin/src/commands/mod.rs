//! One module a command: its flags, and the way from them to an answer.

pub mod create;
pub mod delete;
pub mod join;
pub mod kubeconfig;
pub mod list;
pub mod policy;
pub mod scale;
pub mod status;
pub mod token;
pub mod upgrade;
pub mod version;
pub mod wait;

use crate::{cli::Command, error::Error, session::Session};

/// Runs a command.
///
/// # Errors
/// Whatever ended it early.
pub async fn run(session: &Session, command: Command) -> Result<(), Error> {
    match command {
        Command::Create(args) => create::run(session, &args).await,
        Command::List(args) => list::run(session, &args).await,
        Command::Status(args) => status::run(session, &args).await,
        Command::Kubeconfig(args) => kubeconfig::run(session, &args).await,
        Command::Join(args) => join::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
        Command::Wait(args) => wait::run(session, &args).await,
        Command::Scale(args) => scale::run(session, &args).await,
        Command::Upgrade(args) => upgrade::run(session, &args).await,
        Command::Policy(args) => policy::run(session, &args).await,
        Command::Version(args) => version::run(session, &args).await,
        Command::Token(args) => token::run(session, &args).await,
    }
}
