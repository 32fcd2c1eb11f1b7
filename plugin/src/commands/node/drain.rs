//! `node drain` and `node uncordon`.

use std::time::Duration;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::pods::{self, Allowed};
use crate::error::Error;
use crate::hosted::{HostedConnection, ViaArgs};
use crate::session::{Session, quoted};
use crate::wait::{Look, Wait};
use crate::{duration, escape, flags};

/// Flags of `node drain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron node drain demo worker-1\n\
    \x20 kubectl k0smotron node drain demo worker-1 worker-2 --delete-emptydir-data --force")]
pub struct DrainArgs {
    /// Name of the cluster
    #[arg(id = "hosted", value_name = "NAME", value_parser = flags::object_name)]
    pub cluster: String,
    /// Names of the nodes
    #[arg(required = true, value_name = "NODE", value_parser = flags::object_name)]
    pub nodes: Vec<String>,
    /// Delete pods that nobody makes anew
    #[arg(long)]
    pub force: bool,
    /// Go on although emptyDir volumes are lost
    #[arg(long)]
    pub delete_emptydir_data: bool,
    /// Seconds that a pod has to end; its own unless given
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,
    /// How long to wait for each node; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// How to get there.
    #[command(flatten)]
    pub way: ViaArgs,
}

/// Flags of `node uncordon`.
#[derive(Debug, Args)]
pub struct CordonArgs {
    /// Name of the cluster
    #[arg(id = "hosted", value_name = "NAME", value_parser = flags::object_name)]
    pub cluster: String,
    /// Names of the nodes
    #[arg(required = true, value_name = "NODE", value_parser = flags::object_name)]
    pub nodes: Vec<String>,
    /// How to get there.
    #[command(flatten)]
    pub way: ViaArgs,
}

/// Drains nodes, one after another.
///
/// # Errors
/// [`Error::Conflict`] for pods that would be lost, [`Error::TimedOut`] for pods that stay.
pub async fn run(session: &Session, args: &DrainArgs) -> Result<(), Error> {
    let place = HostedConnection::open(session, &args.cluster, &args.way).await?;
    for name in &args.nodes {
        place.node(name).await?;
    }
    for name in &args.nodes {
        drain(session, &place, args, name).await?;
        let dry = if args.dry_run { " (dry run)" } else { "" };
        session.out.data(&format!("node/{name} drained{dry}\n"))?;
    }
    Ok(())
}

/// Lets pods come to nodes again.
///
/// # Errors
/// Whatever the hosted API answers.
pub async fn uncordon(session: &Session, args: &CordonArgs) -> Result<(), Error> {
    let place = HostedConnection::open(session, &args.cluster, &args.way).await?;
    for name in &args.nodes {
        place.node(name).await?;
        cordon(&place, name, false).await?;
        session.out.data(&format!("node/{name} uncordoned\n"))?;
    }
    Ok(())
}

async fn cordon(place: &HostedConnection<'_>, node: &str, closed: bool) -> Result<(), Error> {
    let api = place.nodes();
    let patch = Patch::Merge(json!({"spec": {"unschedulable": closed}}));
    let parameters = PatchParams::default();
    let verb = if closed { "cordon" } else { "uncordon" };
    let attempt = format!("{verb} node {node} of cluster {}", place.name);
    place
        .connection
        .call(&attempt, || api.patch(node, &parameters, &patch))
        .await
        .map(drop)
}

/// Closes a node and moves its pods elsewhere.
pub(super) async fn drain(
    session: &Session,
    place: &HostedConnection<'_>,
    args: &DrainArgs,
    name: &str,
) -> Result<(), Error> {
    let allowed = Allowed {
        unmanaged: args.force,
        empty_dirs: args.delete_emptydir_data,
    };
    let sorted = pods::sort(on(place, name).await?, allowed);
    if !sorted.obstacles.is_empty() {
        let told: Vec<String> = sorted
            .obstacles
            .iter()
            .map(|(pod, why)| format!("{pod} ({why})"))
            .collect();
        return Err(Error::Conflict {
            attempt: format!("drain node {name} of cluster {}", place.name),
            answer: told.join(", "),
            hint: "nothing was changed; add the flags, or delete these pods first".to_owned(),
        });
    }
    for (pod, why) in &sorted.kept {
        session.out.note(&format!("  {pod} stays: it is {why}"));
    }
    if args.dry_run {
        for pod in &sorted.evicted {
            session
                .out
                .note(&format!("  {} would be evicted", pods::name(pod)));
        }
        return Ok(());
    }
    session.leaves(
        format!("node {name} takes no new pods, and some of its pods may have gone"),
        vec![format!(
            "let pods come back: {}",
            session.kubectl(
                &format!("k0smotron node uncordon {} {}", place.name, quoted(name)),
                &place.connection.namespace
            )
        )],
    );
    cordon(place, name, true).await?;
    let what = format!("the pods of node {name} to go");
    let wait = Wait {
        what: &what,
        timeout: flags::timeout(args.timeout),
        interval: Duration::from_secs(1),
    };
    wait.until(session, async || {
        // Looked at anew each time: what a budget has held back is asked to go again.
        let left = pods::sort(on(place, name).await?, allowed).evicted;
        let mut state = None;
        for pod in &left {
            if pod.metadata.deletion_timestamp.is_some() {
                state.get_or_insert_with(|| format!("{} ends", pods::name(pod)));
            } else if let Some(held) = evict(place, pod, args.grace_period).await? {
                state = Some(format!("{}: {held}", pods::name(pod)));
            }
        }
        Ok(match (left.len(), state) {
            (0, _) => Look::Done(()),
            (count, None) => Look::Pending(format!("{count} pods end")),
            (count, Some(state)) => Look::Pending(format!("{count} pods are left: {state}")),
        })
    })
    .await
}

async fn on(place: &HostedConnection<'_>, node: &str) -> Result<Vec<Pod>, Error> {
    let api: Api<Pod> = Api::all(place.client.clone());
    let listed = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let attempt = format!("list the pods of node {node}");
    let found = place
        .connection
        .call(&attempt, || api.list(&listed))
        .await?;
    Ok(found.items)
}

/// Asks a pod to go; what a disruption budget says against it, for now.
async fn evict(
    place: &HostedConnection<'_>,
    pod: &Pod,
    grace: Option<u32>,
) -> Result<Option<String>, Error> {
    let namespace = pod.namespace().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(place.client.clone(), &namespace);
    let parameters = EvictParams {
        delete_options: Some(DeleteParams {
            grace_period_seconds: grace,
            ..DeleteParams::default()
        }),
        ..EvictParams::default()
    };
    // Not through the connection, which would wait for the budget itself.
    match api.evict(&pod.name_any(), &parameters).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 429 => {
            Ok(Some(escape::line(&status.message).into_owned()))
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(Error::from_kube(
            &format!("evict pod {}", pods::name(pod)),
            &place.hosted.server,
            error,
        )),
    }
}
