//! `delete`.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use clap::{Args, ValueEnum};
use kube::api::{DeleteParams, DynamicObject, Preconditions};

use crate::{
    ask,
    cli::{self, DryRun},
    client::Connection,
    duration,
    error::Error,
    model, resources,
    session::Session,
    target::Target,
};

/// Flags of `delete`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron delete demo\n\
    \x20 kubectl k0smotron delete demo --yes --wait")]
pub struct DeleteArgs {
    /// Name of the cluster
    #[arg(value_parser = cli::object_name)]
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
    /// Only say what would be deleted
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_value_t,
        default_missing_value = "client"
    )]
    pub dry_run: DryRun,
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
///
/// # Errors
/// Whatever the API server answers, [`Error::Declined`] when the person says no.
pub async fn run(session: &Session, args: &DeleteArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let name = &args.name;
    let cluster = match connection.cluster(name).await {
        Err(Error::UnknownCluster { .. }) if args.ignore_not_found => return Ok(()),
        other => other?,
    };
    if args.dry_run == DryRun::None && !args.yes && io::stdin().is_terminal() {
        confirm(session, &connection, &cluster).await?;
    }
    if args.dry_run != DryRun::Client {
        delete(session, &connection, args, &cluster).await?;
    }
    report(session, args)?;
    if args.wait && args.dry_run == DryRun::None {
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
    let parameters = DeleteParams {
        dry_run: args.dry_run == DryRun::Server,
        // The very object that was asked about, not one that took its name meanwhile.
        preconditions: Some(Preconditions {
            uid: cluster.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    if !parameters.dry_run {
        session.leaves(
            format!("cluster {}/{name} is being deleted", connection.namespace),
            vec![format!(
                "a deletion cannot be taken back; follow it: {}",
                session.kubectl(
                    &format!("k0smotron delete {name} --yes --wait --ignore-not-found"),
                    &connection.namespace
                )
            )],
        );
    }
    let api = connection.api(&resources::clusters());
    let attempt = format!("delete cluster {}/{name}", connection.namespace);
    match connection
        .call(&attempt, || api.delete(name, &parameters))
        .await
    {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

fn report(session: &Session, args: &DeleteArgs) -> Result<(), Error> {
    let kind = match args.dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    let qualified = model::qualified(&args.name);
    match args.output {
        Some(Format::Name) => session.out.data(&(qualified + "\n")),
        None => session.out.data(&format!("{qualified} deleted{kind}\n")),
    }
}

async fn confirm(
    session: &Session,
    connection: &Connection<'_>,
    cluster: &DynamicObject,
) -> Result<(), Error> {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let place = &connection.namespace;
    session.out.note(&format!(
        "Cluster {place}/{name} at {} will be deleted: its control plane, its etcd and what they \
         hold, its kubeconfig and its join tokens. Machines that joined it lose their control \
         plane.",
        connection.server
    ));
    ask::confirm(session, "Delete it?", "nothing was deleted").await
}

async fn gone(
    session: &Session,
    connection: &Connection<'_>,
    args: &DeleteArgs,
) -> Result<(), Error> {
    let timeout = cli::timeout(args.timeout);
    Target::Deleted
        .wait(session, connection, &args.name, timeout)
        .await?;
    session
        .out
        .note(&format!("{} is gone", model::qualified(&args.name)));
    Ok(())
}
