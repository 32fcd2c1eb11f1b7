//! `token`: the tokens with which machines join.

mod list;
mod revoke;
mod state;

use clap::{Args, Subcommand};

use crate::error::Error;
use crate::session::Session;
use crate::tokens::{self, TokenArgs as NewTokenArgs};

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
    Create(NewTokenArgs),
    /// Revoke tokens: no further machine joins with them
    Revoke(revoke::RevokeArgs),
}

/// Runs a command about tokens.
pub async fn run(session: &Session, args: &TokenArgs) -> Result<(), Error> {
    match &args.command {
        TokenCommand::List(args) => list::run(session, args).await,
        TokenCommand::Create(args) => create(session, args).await,
        TokenCommand::Revoke(args) => revoke::run(session, args).await,
    }
}

/// Asks for a token and prints it alone.
async fn create(session: &Session, args: &NewTokenArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let cluster = connection.cluster(&args.cluster).await?;
    let token = tokens::obtain(session, &connection, args, &cluster).await?;
    let printed = session.out.text(&format!("{}\n", token.token));
    tokens::tell(session, &token);
    printed
}
