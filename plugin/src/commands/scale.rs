//! `scale`: another number of control-plane pods.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::duration;
use crate::error::Error;
use crate::flags::{self, DryRun, DryRunArgs};
use crate::mothership::view;
use crate::session::Session;
use crate::wait::condition::WaitTarget;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron scale demo --replicas 3 --wait\n\
    \x20 kubectl k0smotron scale demo --replicas 5 --current-replicas 3")]
pub struct ScaleArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// Control-plane pods; 3 survive the loss of any one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub replicas: u16,
    /// Only if it has this many now
    #[arg(long, value_name = "N")]
    pub current_replicas: Option<u16>,
    /// Wait until all of them are ready
    #[arg(long)]
    pub wait: bool,
    /// How long --wait waits; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Whether it is tried out only.
    #[command(flatten)]
    pub trial: DryRunArgs,
}

/// Changes how many control-plane pods a cluster has.
pub async fn run(session: &Session, args: &ScaleArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let (name, place) = (&args.name, connection.namespace.as_str());
    let cluster = connection.cluster(name).await?;
    let now = view::number(&cluster, "/spec/replicas").unwrap_or(1);
    let attempt = format!("scale cluster {place}/{name}");
    if args
        .current_replicas
        .is_some_and(|wanted| i64::from(wanted) != now)
    {
        return Err(Error::Conflict {
            attempt,
            answer: format!("it has {now} replicas"),
            hint: "leave --current-replicas out to scale it all the same".to_owned(),
        });
    }
    let qualified = view::qualified(name);
    let dry = args.trial.dry_run.suffix();
    if args.trial.dry_run != DryRun::Client && now != i64::from(args.replicas) {
        let status = session.kubectl(&format!("k0smotron status {name}"), place);
        let back = format!("k0smotron scale {name} --replicas {now}");
        if args.trial.dry_run == DryRun::None {
            session.leaves(
                format!(
                    "cluster {place}/{name} goes on from {now} to {} replicas",
                    args.replicas
                ),
                vec![
                    format!("follow it: {status}"),
                    format!("take it back: {}", session.kubectl(&back, place)),
                ],
            );
        }
        let spec = json!({"replicas": args.replicas});
        let dry_run = args.trial.dry_run == DryRun::Server;
        connection.change(&attempt, &cluster, spec, dry_run).await?;
    }
    session.out.text(&format!("{qualified} scaled{dry}\n"))?;
    if args.wait && args.trial.dry_run == DryRun::None {
        let timeout = flags::timeout(args.timeout);
        WaitTarget::Scaled
            .wait(session, &connection, name, timeout)
            .await?;
        session
            .out
            .note(&format!("{qualified} has {} replicas", args.replicas));
    }
    Ok(())
}
