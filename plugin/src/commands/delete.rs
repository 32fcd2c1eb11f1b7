//! `delete`: ends a cluster, asks before, and can wait until it is gone.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kube::api::DynamicObject;

use crate::error::Error;
use crate::flags::{self, DryRun, DryRunArgs};
use crate::mothership::client::Connection;
use crate::mothership::{resources, view};
use crate::session::Session;
use crate::wait::condition::WaitTarget;
use crate::{duration, prompt};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron delete demo\n\
    \x20 kubectl k0smotron delete demo --yes --wait")]
pub struct DeleteArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// Don't ask; nothing is asked either when standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
    /// Wait until the cluster and what belongs to it are gone
    #[arg(long)]
    pub wait: bool,
    /// How long --wait waits; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// A cluster that is not there is as good as deleted
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Whether it is unasked out only.
    #[command(flatten)]
    pub trial: DryRunArgs,
    /// Output format; a sentence unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// How the deletion is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Only the name, with its kind.
    Name,
}

/// Deletes a cluster.
pub async fn run(session: &Session, args: &DeleteArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let name = &args.name;
    let cluster = match connection.cluster(name).await {
        Err(Error::UnknownCluster { .. }) if args.ignore_not_found => return Ok(()),
        other => other?,
    };
    let unasked = args.yes || args.trial.dry_run != DryRun::None;
    confirm(session, &connection, unasked, &cluster).await?;
    if args.trial.dry_run != DryRun::Client {
        delete(session, &connection, args, &cluster).await?;
    }
    report(session, args)?;
    if args.wait && args.trial.dry_run == DryRun::None {
        gone(session, &connection, args).await?;
    }
    Ok(())
}

async fn delete(
    session: &Session,
    connection: &Connection<'_>,
    args: &DeleteArgs,
    cluster: &DynamicObject,
) -> Result<(), Error> {
    let name = &args.name;
    let dry_run = args.trial.dry_run == DryRun::Server;
    if !dry_run {
        session.leaves(
            format!("cluster {}/{name} is being deleted", connection.namespace),
            vec![format!(
                "a deletion cannot be undone; follow it: {}",
                session.kubectl(
                    &format!("k0smotron delete {name} --yes --wait --ignore-not-found"),
                    &connection.namespace
                )
            )],
        );
    }
    let api = connection.api(&resources::clusters());
    let attempt = format!("delete cluster {}/{name}", connection.namespace);
    connection
        .delete(&attempt, &api, &cluster.metadata, dry_run)
        .await
}

fn report(session: &Session, args: &DeleteArgs) -> Result<(), Error> {
    let kind = args.trial.dry_run.suffix();
    let qualified = view::qualified(&args.name);
    match args.output {
        Some(Format::Name) => session.out.text(&(qualified + "\n")),
        None => session.out.text(&format!("{qualified} deleted{kind}\n")),
    }
}

async fn confirm(
    session: &Session,
    connection: &Connection<'_>,
    unasked: bool,
    cluster: &DynamicObject,
) -> Result<(), Error> {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let place = &connection.namespace;
    let question = format!(
        "Cluster {place}/{name} at {} will be deleted: its control plane, its etcd and what they \
         hold, its kubeconfig and its join tokens. Machines that joined it lose their control \
         plane.\nDelete it?",
        connection.server
    );
    prompt::confirm(session, unasked, &question, "nothing was deleted").await
}

async fn gone(
    session: &Session,
    connection: &Connection<'_>,
    args: &DeleteArgs,
) -> Result<(), Error> {
    let timeout = flags::timeout(args.timeout);
    WaitTarget::Deleted
        .wait(session, connection, &args.name, timeout)
        .await?;
    session
        .out
        .note(&format!("{} is gone", view::qualified(&args.name)));
    Ok(())
}
