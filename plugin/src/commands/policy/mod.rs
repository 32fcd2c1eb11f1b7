//! `policy`: what policies say about objects.

mod documents;
mod known;
mod report;
mod rules;
mod test;

use clap::{Args, Subcommand};

pub use test::TestArgs;

use crate::{error::Error, session::Session};

/// `policy` and what it can do.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say whether objects in files would be accepted, without submitting them
    Test(TestArgs),
}

/// Runs a command about policies.
///
/// # Errors
/// Whatever ended it early.
pub async fn run(session: &Session, args: &PolicyArgs) -> Result<(), Error> {
    match &args.command {
        PolicyCommand::Test(args) => test::run(session, args).await,
    }
}
