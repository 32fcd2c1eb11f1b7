//! `upgrade`: another k0s version, planned, asked about and followed.

mod plan;

use std::time::Duration;

use clap::Args;
use crds::v1beta2::Cluster;
use crds::version::K0sVersion;
use kube::api::DynamicObject;
use serde_json::json;

use self::plan::Plan;
use crate::error::Error;
use crate::escape::quoted;
use crate::flags::{self, DryRun, DryRunArgs};
use crate::mothership::client::Connection;
use crate::mothership::view;
use crate::output::Structured;
use crate::session::Session;
use crate::wait::condition::WaitTarget;
use crate::{duration, prompt};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron upgrade demo --dry-run\n\
    \x20 kubectl k0smotron upgrade demo --to v1.36.3\n\
    \x20 kubectl k0smotron upgrade demo --to v1.36.3 --yes --wait=false")]
pub struct UpgradeArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// Version to go to, such as v1.36.3; the newest that can be reached in one step unless given
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Don't ask; nothing is asked either when standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
    /// Wait until the cluster runs it
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub wait: bool,
    /// How long --wait waits; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Whether it is tried out only.
    #[command(flatten)]
    pub trial: DryRunArgs,
    /// Format of the plan; text unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Structured>,
}

/// Plans an upgrade, asks, does it and follows it.
///
/// # Errors
/// [`Error::Refused`] for what is forbidden, [`Error::Declined`] when the person says no, or
/// whatever the API server answers.
pub async fn run(session: &Session, args: &UpgradeArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let object = connection.cluster(&args.name).await?;
    let cluster = typed(&object)?;
    let Some(to) = version(args, &cluster)? else {
        session.out.note(&format!(
            "{} runs {}, the newest that is known",
            view::qualified(&args.name),
            plan::running(&cluster)
        ));
        return Ok(());
    };
    let plan = Plan::new(&cluster, &to);
    let asked_for = view::text(&object, "/spec/version").unwrap_or_default();
    if view::same_version(&plan.from, &to) && view::same_version(&asked_for, &to) {
        session.out.note(&format!(
            "{} runs {to} already",
            view::qualified(&args.name)
        ));
        return Ok(());
    }
    show(session, args, &plan)?;
    if let Some(forbidden) = forbidden(&plan) {
        return Err(forbidden);
    }
    if args.trial.dry_run == DryRun::Client {
        return Ok(());
    }
    let unasked = args.yes || args.trial.dry_run != DryRun::None;
    prompt::confirm(session, unasked, "Upgrade it?", "nothing was upgraded").await?;
    change(session, &connection, args, &object, &plan).await?;
    if args.trial.dry_run == DryRun::Server {
        session.out.note("The API server accepts it.");
        return Ok(());
    }
    if args.wait {
        let timeout = flags::timeout(args.timeout);
        WaitTarget::Upgraded
            .wait(session, &connection, &args.name, timeout)
            .await?;
    }
    let done = if args.wait {
        "upgraded"
    } else {
        "is being upgraded"
    };
    session
        .out
        .note(&format!("{} {done} to {to}", view::qualified(&args.name)));
    Ok(())
}

/// The version to go to; `None` when nothing newer is known.
fn version(args: &UpgradeArgs, cluster: &Cluster) -> Result<Option<String>, Error> {
    let unknown = |text: &str, what: &str| Error::Usage {
        message: format!("{what} \"{text}\" must be a k0s version such as v1.36.3"),
        hint: "write it like v1.36.3 or v1.36.3-k0s.2; kubectl k0smotron versions lists them"
            .to_owned(),
    };
    if let Some(to) = &args.to {
        let read = to.parse::<K0sVersion>().map_err(|_| unknown(to, "--to"))?;
        // What a person shortens to v1.36.3 is the newest build of it.
        let whole = if to.contains("k0s") {
            None
        } else {
            crds::upgrade::newest_build(&read)
        };
        return Ok(Some(whole.map_or_else(|| to.clone(), ToString::to_string)));
    }
    let text = plan::running(cluster);
    let running = text
        .parse::<K0sVersion>()
        .map_err(|_| unknown(text, "the cluster's"))?;
    Ok(plan::newest_step(&running).map(ToString::to_string))
}

fn typed(object: &DynamicObject) -> Result<Cluster, Error> {
    serde_json::to_value(object)
        .and_then(serde_json::from_value)
        .map_err(|source| Error::io("read the cluster", source.into()))
}

fn show(session: &Session, args: &UpgradeArgs, plan: &Plan) -> Result<(), Error> {
    match args.output {
        Some(format) => session.out.structured(format, plan),
        None => session.out.text(&plan.render()),
    }
}

fn forbidden(plan: &Plan) -> Option<Error> {
    (!plan.forbidden.is_empty()).then(|| Error::Refused {
        attempt: format!("upgrade cluster {}/{}", plan.namespace, plan.cluster),
        causes: plan.forbidden.clone(),
        hint: "see which versions it can go to: kubectl k0smotron versions".to_owned(),
    })
}

async fn change(
    session: &Session,
    connection: &Connection<'_>,
    args: &UpgradeArgs,
    object: &DynamicObject,
    plan: &Plan,
) -> Result<(), Error> {
    let (name, place) = (&args.name, connection.namespace.as_str());
    let server = args.trial.dry_run == DryRun::Server;
    if !server {
        let follow = format!("k0smotron wait {name} --for upgraded");
        let back = format!("k0smotron upgrade {name} --to {}", quoted(&plan.from));
        session.leaves(
            format!(
                "cluster {place}/{name} goes on from {} to {}",
                plan.from, plan.to
            ),
            vec![
                format!("follow it: {}", session.kubectl(&follow, place)),
                format!(
                    "go back while it is under way: {}",
                    session.kubectl(&back, place)
                ),
            ],
        );
    }
    let attempt = format!("upgrade cluster {place}/{name}");
    let spec = json!({"version": plan.to});
    connection.change(&attempt, object, spec, server).await
}
