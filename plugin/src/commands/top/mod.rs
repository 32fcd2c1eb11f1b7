//! `top`: what control planes use.

mod rows;
mod source;
mod usage;

use clap::{Args, ValueEnum};
use crds::labels;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use self::rows::Columns;
use crate::error::Error;
use crate::flags;
use crate::mothership::client::Connection;
use crate::print::{self, PrintArgs};
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron top demo\n\
    \x20 kubectl k0smotron top -A --sort-by memory\n\
    \x20 kubectl k0smotron top demo --containers -o wide\n\
    \x20 kubectl k0smotron top -A -o json | jq '[.items[].usage.memoryBytes] | add'\n\n\
    It asks metrics.k8s.io; where there is none, the kubelets (needs the right to get\n\
    nodes/proxy). What it shows of memory is what cannot be taken back: the working set.")]
pub struct TopArgs {
    /// Name of the cluster; all of the namespace unless given
    #[arg(value_parser = flags::object_name)]
    pub name: Option<String>,
    /// The clusters of every namespace
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,
    /// A line for each container
    #[arg(long)]
    pub containers: bool,
    /// Show first what uses the most: cpu or memory
    #[arg(long, value_enum, value_name = "RESOURCE", hide_possible_values = true)]
    pub sort_by: Option<SortBy>,
    /// How it is printed.
    #[command(flatten)]
    pub print: PrintArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    /// CPU.
    Cpu,
    /// Memory.
    Memory,
}

/// Shows what the pods of control planes use.
///
/// # Errors
/// [`Error::Unmeasured`] when nobody tells, or whatever the API server answers.
pub async fn run(session: &Session, args: &TopArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    if let Some(name) = &args.name {
        connection.cluster(name).await?;
    }
    let namespace = (!args.all_namespaces).then_some(connection.namespace.as_str());
    let selector = selector(args.name.as_deref());
    let pods = pods(&connection, namespace, &selector).await?;
    if pods.is_empty() && args.print.is_table() {
        session.out.note(&nothing(args, &connection));
        return Ok(());
    }
    let measured = source::measure(&connection, namespace, &selector, &pods).await?;
    let groups = rows::groups(&pods, &measured.usage, args.sort_by);
    let columns = Columns {
        namespaces: args.all_namespaces,
        containers: args.containers,
        wide: args.print.is_wide(),
    };
    print::list(session, &args.print, &rows::items(&groups), |_| {
        rows::table(&groups, columns, Timestamp::now())
    })?;
    for note in &measured.notes {
        session.out.note(note);
    }
    Ok(())
}

/// What the pods of control planes and of their etcd carry.
fn selector(name: Option<&str>) -> String {
    let (app, product) = (labels::APP, labels::APP_VALUE);
    let (cluster, component) = (labels::CLUSTER, labels::COMPONENT);
    let of = name.map_or_else(|| cluster.to_owned(), |name| format!("{cluster}={name}"));
    format!("{app}={product},{of},{component} in (cluster,etcd)")
}

async fn pods(
    connection: &Connection<'_>,
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<Pod>, Error> {
    let client = connection.client().clone();
    let (api, place): (Api<Pod>, String) = match namespace {
        Some(namespace) => (
            Api::namespaced(client, namespace),
            format!("in namespace \"{namespace}\""),
        ),
        None => (Api::all(client), "in all namespaces".to_owned()),
    };
    let parameters = ListParams::default().labels(selector);
    let attempt = format!("list pods {place}");
    let found = connection.call(&attempt, || api.list(&parameters)).await?;
    Ok(found.items)
}

fn nothing(args: &TopArgs, connection: &Connection<'_>) -> String {
    let place = &connection.namespace;
    match &args.name {
        Some(name) => format!(
            "Cluster {name} has no pods; see why: kubectl k0smotron status {name} -n {place}"
        ),
        None if args.all_namespaces => "No control planes found in all namespaces.".to_owned(),
        None => format!("No control planes found in namespace \"{place}\"."),
    }
}
