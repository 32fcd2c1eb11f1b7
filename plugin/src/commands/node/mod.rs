//! `node`: the machines that have joined a hosted cluster.

mod drain;
mod pods;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

pub use self::drain::{CordonArgs, DrainArgs};
use crate::error::Error;
use crate::hosted::{HostedConnection, ViaArgs};
use crate::mothership::{resources, view};
use crate::output::Style;
use crate::output::table::{Cell, Table};
use crate::print::{self, PrintArgs};
use crate::session::Session;
use crate::{duration, flags, prompt};

/// `node` and what it can do.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: NodeCommand,
}

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the nodes of a cluster
    List(ListArgs),
    /// Let no new pods come to nodes, and move theirs elsewhere
    Drain(DrainArgs),
    /// Let pods come to nodes again
    Uncordon(CordonArgs),
    /// Drain nodes and remove them from the cluster
    Remove(RemoveArgs),
}

/// Flags of `node list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron node list demo\n\
    \x20 kubectl k0smotron node list demo -o name")]
pub struct ListArgs {
    /// Name of the cluster
    #[arg(id = "hosted", value_name = "NAME", value_parser = flags::object_name)]
    pub cluster: String,
    /// Only nodes with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// How to get there.
    #[command(flatten)]
    pub way: ViaArgs,
    /// How it is printed.
    #[command(flatten)]
    pub print: PrintArgs,
}

/// Flags of `node remove`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron node remove demo worker-1\n\
    \x20 kubectl k0smotron node remove demo worker-1 --no-drain --yes")]
pub struct RemoveArgs {
    /// What is drained, and how.
    #[command(flatten)]
    pub drain: DrainArgs,
    /// Leave the pods where they are: for a machine that is gone
    #[arg(long)]
    pub no_drain: bool,
    /// Don't ask; nothing is asked either when standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
}

/// Runs a command about nodes.
///
/// # Errors
/// Whatever ended it early.
pub async fn run(session: &Session, args: &NodeArgs) -> Result<(), Error> {
    match &args.command {
        NodeCommand::List(args) => list(session, args).await,
        NodeCommand::Drain(args) => drain::run(session, args).await,
        NodeCommand::Uncordon(args) => drain::uncordon(session, args).await,
        NodeCommand::Remove(args) => remove(session, args).await,
    }
}

async fn list(session: &Session, args: &ListArgs) -> Result<(), Error> {
    let place = HostedConnection::open(session, &args.cluster, &args.way).await?;
    let listed = ListParams {
        label_selector: args.selector.clone(),
        ..ListParams::default()
    };
    let api = place.nodes();
    let attempt = format!("list the nodes of cluster {}", args.cluster);
    let found = place
        .connection
        .call(&attempt, || api.list(&listed))
        .await?;
    if found.items.is_empty() && args.print.is_table() {
        session.out.note(&format!(
            "No nodes found in cluster {}; let a machine join: kubectl k0smotron join {}",
            args.cluster, args.cluster
        ));
        return Ok(());
    }
    let items = found
        .items
        .into_iter()
        .map(|node| view::identified(node, &resources::nodes()))
        .filter_map(|node| serde_json::to_value(node).ok())
        .collect();
    print::list(session, &args.print, items, |items| {
        table(items, args.print.is_wide(), Timestamp::now())
    })
}

fn table(items: &[Value], wide: bool, now: Timestamp) -> Table {
    let titles = ["NAME", "STATUS", "ROLES", "AGE", "VERSION"].into_iter();
    let mut table = Table::new(
        titles.chain(
            wide.then_some(["INTERNAL-IP", "OS-IMAGE"])
                .into_iter()
                .flatten(),
        ),
    );
    for item in items {
        let Ok(node) = serde_json::from_value::<DynamicObject>(item.clone()) else {
            continue;
        };
        let ready = view::condition(&node, "Ready");
        let is_ready = ready.as_ref().is_some_and(view::Condition::is_true);
        let status = match (&ready, view::text(&node, "/spec/unschedulable").as_deref()) {
            (Some(_), Some("true")) if is_ready => "Ready,SchedulingDisabled",
            (_, Some("true")) => "NotReady,SchedulingDisabled",
            _ if is_ready => "Ready",
            (None, _) => "Unknown",
            _ => "NotReady",
        };
        let roles: Vec<&str> = node
            .labels()
            .keys()
            .filter_map(|key| key.strip_prefix("node-role.kubernetes.io/"))
            .collect();
        let roles = if roles.is_empty() {
            "<none>".to_owned()
        } else {
            roles.join(",")
        };
        let style = if is_ready { Style::Good } else { Style::Bad };
        let text = |pointer: &str| view::text(&node, pointer).unwrap_or_else(|| "<none>".into());
        let mut cells: Vec<Cell> = vec![
            node.name_any().into(),
            Cell::styled(status, style),
            roles.into(),
            duration::age_since(view::created(&node).as_deref(), now).into(),
            text("/status/nodeInfo/kubeletVersion").into(),
        ];
        if wide {
            let addresses = item.pointer("/status/addresses").and_then(Value::as_array);
            let internal = addresses
                .into_iter()
                .flatten()
                .find(|address| address.get("type").and_then(Value::as_str) == Some("InternalIP"));
            let internal = internal
                .and_then(|address| address.get("address"))
                .and_then(Value::as_str);
            cells.push(internal.unwrap_or("<none>").into());
            cells.push(text("/status/nodeInfo/osImage").into());
        }
        table.push(cells);
    }
    table
}

async fn remove(session: &Session, args: &RemoveArgs) -> Result<(), Error> {
    let drained = &args.drain;
    let place = HostedConnection::open(session, &drained.cluster, &drained.way).await?;
    let mut nodes = Vec::new();
    for name in &drained.nodes {
        nodes.push(place.node(name).await?);
    }
    let question = format!(
        "Remove {} from cluster {}? Its pods go elsewhere, if there is room.",
        drained.nodes.join(", "),
        drained.cluster
    );
    let unasked = args.yes || drained.dry_run;
    prompt::confirm(session, unasked, &question, "nothing was removed").await?;
    for (name, node) in drained.nodes.iter().zip(nodes) {
        if !args.no_drain {
            drain::drain(session, &place, drained, name).await?;
        }
        if drained.dry_run {
            session
                .out
                .text(&format!("node/{name} removed (dry run)\n"))?;
            continue;
        }
        let attempt = format!("remove node {name} of cluster {}", place.name);
        place
            .connection
            .delete(&attempt, &place.nodes(), &node.metadata, false)
            .await?;
        session.out.text(&format!("node/{name} removed\n"))?;
        session.out.note(
            "  it comes back when its k0s starts again; on the machine: k0s stop && k0s reset",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::Paint;

    #[test]
    fn nodes_are_listed_as_kubectl_lists_them() {
        let node = |name: &str, ready: &str, closed: bool| {
            json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "creationTimestamp": "2026-11-22T10:00:00Z",
                    "labels": {"node-role.kubernetes.io/edge": ""}},
                "spec": {"unschedulable": closed},
                "status": {"conditions": [{"type": "Ready", "status": ready}],
                    "nodeInfo": {"kubeletVersion": "v1.36.3+k0s", "osImage": "Debian"},
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]},
            })
        };
        let nodes = [
            node("a", "True", false),
            node("b", "True", true),
            node("c", "Unknown", false),
        ];
        let now = "2026-11-22T10:05:00Z".parse().unwrap();
        insta::assert_snapshot!(table(&nodes, true, now).render(Paint::Never), @"
        NAME   STATUS                     ROLES   AGE   VERSION       INTERNAL-IP   OS-IMAGE
        a      Ready                      edge    5m    v1.36.3+k0s   10.0.0.9      Debian
        b      Ready,SchedulingDisabled   edge    5m    v1.36.3+k0s   10.0.0.9      Debian
        c      NotReady                   edge    5m    v1.36.3+k0s   10.0.0.9      Debian
        ");
    }
}
