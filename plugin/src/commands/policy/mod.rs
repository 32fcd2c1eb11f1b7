//! `policy`: what policies say, and what they say about objects.

mod cluster_state;
mod combined;
mod documents;
mod explain;
mod list;
mod phrases;
mod prose;
mod report;
mod schema;
mod test;

use clap::{Args, Subcommand};
pub use explain::ExplainArgs;
pub use list::ListArgs;
pub use test::TestArgs;

use crate::error::Error;
use crate::session::Session;

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
    /// List policies, and how much breaks them
    List(ListArgs),
    /// Say in sentences what policies allow, forbid and fill in, and what breaks them
    Explain(ExplainArgs),
}

/// Runs a command about policies.
pub async fn run(session: &Session, args: &PolicyArgs) -> Result<(), Error> {
    match &args.command {
        PolicyCommand::Test(args) => test::run(session, args).await,
        PolicyCommand::List(args) => list::run(session, args).await,
        PolicyCommand::Explain(args) => explain::run(session, args).await,
    }
}
