//! `token`: the tokens with which machines join.

mod list;
mod revoke;
mod state;

use clap::{Args, Subcommand};

pub use self::list::is_of;
pub use self::revoke::revoke;
use super::join;
use crate::error::Error;
use crate::session::Session;

/// `token` and what it can do.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List tokens, and whether they are still good
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Make a token and print it alone; the same as join -o token
    Create(join::TokenArgs),
    /// Revoke tokens: no further machine joins with them
    Revoke(revoke::RevokeArgs),
}

/// Runs a command about tokens.
///
/// # Errors
/// Whatever ended it early.
pub async fn run(session: &Session, args: &TokenArgs) -> Result<(), Error> {
    match &args.command {
        TokenCommand::List(args) => list::run(session, args).await,
        TokenCommand::Create(args) => join::token(session, args).await,
        TokenCommand::Revoke(args) => self::revoke::run(session, args).await,
    }
}
