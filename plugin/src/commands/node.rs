//! `node`: the machines that have joined a hosted cluster.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use crate::error::Error;
use crate::escape::quoted;
use crate::hosted::{HostedConnection, ViaArgs};
use crate::mothership::{resources, view};
use crate::output::Style;
use crate::output::table::{Cell, Table};
use crate::print::{self, PrintArgs};
use crate::session::Session;
use crate::{duration, escape, flags, prompt};

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
    /// Remove drained nodes from the cluster
    Remove(RemoveArgs),
}

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

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron exec demo -- kubectl drain worker-1 --ignore-daemonsets\n\
    \x20 kubectl k0smotron node remove demo worker-1\n\
    \x20 kubectl k0smotron node remove demo worker-1 --no-drain --yes")]
pub struct RemoveArgs {
    /// Name of the cluster
    #[arg(id = "hosted", value_name = "NAME", value_parser = flags::object_name)]
    pub cluster: String,
    /// Names of the nodes
    #[arg(required = true, value_name = "NODE", value_parser = flags::object_name)]
    pub nodes: Vec<String>,
    /// Although pods run there that were not moved elsewhere: for a machine that is gone
    #[arg(long)]
    pub no_drain: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Don't ask; nothing is asked either when standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
    /// How to get there.
    #[command(flatten)]
    pub way: ViaArgs,
}

/// Runs a command about nodes.
pub async fn run(session: &Session, args: &NodeArgs) -> Result<(), Error> {
    match &args.command {
        NodeCommand::List(args) => list(session, args).await,
        NodeCommand::Remove(args) => remove(session, args).await,
    }
}

async fn list(session: &Session, args: &ListArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let place = HostedConnection::open(session, &connection, &args.cluster, &args.way).await?;
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
            "No nodes found in cluster {}; let a machine join: {}",
            args.cluster,
            session.kubectl(
                &format!("k0smotron join {}", args.cluster),
                &place.connection.namespace
            )
        ));
        return Ok(());
    }
    let items: Vec<Value> = found
        .items
        .into_iter()
        .map(|node| view::identified(node, &resources::nodes()))
        .filter_map(|node| serde_json::to_value(node).ok())
        .collect();
    print::list(session, &args.print, &items, |items| {
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
    let connection = session.connect().await?;
    let place = HostedConnection::open(session, &connection, &args.cluster, &args.way).await?;
    let mut nodes = Vec::new();
    for name in &args.nodes {
        let node = place.node(name).await?;
        if !args.no_drain {
            is_drained(session, &place, name).await?;
        }
        nodes.push(node);
    }
    let question = format!(
        "Remove {} from cluster {}?",
        args.nodes.join(", "),
        args.cluster
    );
    let unasked = args.yes || args.dry_run;
    prompt::confirm(session, unasked, &question, "nothing was removed").await?;
    for (name, node) in args.nodes.iter().zip(nodes) {
        if args.dry_run {
            session
                .out
                .text(&format!("node/{name} removed (dry run)\n"))?;
            continue;
        }
        session.leaves("some of the nodes may have been removed", Vec::new());
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

/// Fails with [`Error::Conflict`] while pods run on a node that `kubectl drain` would move.
async fn is_drained(
    session: &Session,
    place: &HostedConnection<'_>,
    node: &str,
) -> Result<(), Error> {
    let api: Api<Pod> = Api::all(place.client.clone());
    let listed = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let attempt = format!("list the pods of node {node}");
    let found = place
        .connection
        .call(&attempt, || api.list(&listed))
        .await?;
    let left: Vec<&Pod> = found.items.iter().filter(|pod| moves(pod)).collect();
    let Some(first) = left.first() else {
        return Ok(());
    };
    let first = format!(
        "{}/{}",
        first.namespace().unwrap_or_default(),
        first.name_any()
    );
    Err(Error::Conflict {
        attempt: format!("remove node {node} of cluster {}", place.name),
        answer: match left.len() {
            1 => format!("pod {} runs there", escape::line(&first)),
            count => format!("{count} pods run there, such as {}", escape::line(&first)),
        },
        hint: format!(
            "move them: {} -- kubectl drain {} --ignore-daemonsets --timeout 5m; or leave them, \
             where the machine is gone: --no-drain",
            session.kubectl(
                &format!("k0smotron exec {}", place.name),
                &place.connection.namespace
            ),
            quoted(node),
        ),
    })
}

/// Whether a pod is of those that can be moved: not the node's own, and not over.
fn moves(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let is_over = matches!(phase, Some("Succeeded" | "Failed"));
    let of_daemon_set = |pod: &Pod| {
        let owners = pod.owner_references();
        owners.iter().any(|owner| owner.kind == "DaemonSet")
    };
    let is_mirrored = pod
        .annotations()
        .contains_key("kubernetes.io/config.mirror");
    !is_over && !is_mirrored && !of_daemon_set(pod)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::output::Paint;

    #[rstest]
    #[case::of_a_replica_set("ReplicaSet", "Running", None, true)]
    #[case::of_nobody("", "Pending", None, true)]
    #[case::of_a_daemon_set("DaemonSet", "Running", None, false)]
    #[case::over("Job", "Succeeded", None, false)]
    #[case::of_a_file("Node", "Running", Some("x"), false)]
    fn a_node_is_drained_when_only_its_own_pods_are_left(
        #[case] owner: &str,
        #[case] phase: &str,
        #[case] mirror: Option<&str>,
        #[case] expected: bool,
    ) {
        let mut pod = json!({"metadata": {"name": "a"}, "status": {"phase": phase}});
        if !owner.is_empty() {
            pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": owner,
                "name": "x", "uid": "1", "controller": true}]);
        }
        if let Some(mirror) = mirror {
            pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": mirror});
        }
        assert_eq!(moves(&serde_json::from_value(pod).unwrap()), expected);
    }

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
