//! `wait`: until a Cluster is available, upgraded, scaled, deleted, or has nodes.

use std::time::Duration;

use clap::Args;

use crate::error::Error;
use crate::mothership::view;
use crate::session::Session;
use crate::wait::condition::WaitTarget;
use crate::{duration, flags};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron wait demo\n\
    \x20 kubectl k0smotron wait demo --for nodes=3 --timeout 15m\n\
    \x20 kubectl k0smotron wait demo --for deleted")]
pub struct WaitArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// What to wait for: available, upgraded, scaled, deleted or nodes=N
    #[arg(
        long = "for",
        value_name = "WHAT",
        default_value = "available",
        hide_default_value = false
    )]
    pub target: WaitTarget,
    /// How long to wait; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// Waits until a cluster is what was asked for.
///
/// # Errors
/// [`Error::TimedOut`], or whatever the API server answers.
pub async fn run(session: &Session, args: &WaitArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    session.leaves(
        "nothing was changed",
        vec![format!(
            "see its status: {}",
            session.kubectl(
                &format!("k0smotron status {}", args.name),
                &connection.namespace
            )
        )],
    );
    let timeout = flags::timeout(args.timeout);
    args.target
        .wait(session, &connection, &args.name, timeout)
        .await?;
    session
        .out
        .data(&format!("{} condition met\n", view::qualified(&args.name)))
}
