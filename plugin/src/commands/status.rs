//! `status`: a Cluster and everything that belongs to it, as a tree.

use clap::Args;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde::Serialize;

use crate::error::Error;
use crate::flags;
use crate::mothership::client::Connection;
use crate::mothership::tree::{self, Node};
use crate::mothership::{fetch, view};
use crate::output::{Paint, Structured};
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron status demo\n\
    \x20 kubectl k0smotron status demo -o json | jq -r .tree.ready")]
pub struct StatusArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// Stay, and show it anew when something changes; Ctrl-C ends it
    #[arg(short, long)]
    pub watch: bool,
    /// Read from the certificates themselves when they end: their Secrets' keys come along
    #[arg(long)]
    pub certificates: bool,
    /// Output format; a tree unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Structured>,
}

/// What programs get: stable names, whatever the tree looks like.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    cluster: &'a DynamicObject,
    tree: &'a Node,
}

/// Shows a cluster and everything that belongs to it.
///
/// # Errors
/// Whatever the API server answers for the cluster itself; children that may not be read are
/// named in the tree.
pub async fn run(session: &Session, args: &StatusArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let mut shown: Option<Node> = None;
    let mut changes = fetch::changes(&connection, &args.name);
    loop {
        let (cluster, tree) = look(&connection, args).await?;
        if shown.as_ref() != Some(&tree) {
            // A terminal without colours may obey nothing else either.
            let is_redrawn =
                session.out.columns().is_some() && session.out.paint() == Paint::Always;
            if args.watch && args.output.is_none() && is_redrawn {
                // To the first line, and everything below it away.
                session.out.data("\u{1b}[H\u{1b}[2J")?;
            } else if shown.is_some() {
                session
                    .out
                    .data(if args.output.is_some() { "" } else { "\n" })?;
            }
            print(session, args, &cluster, &tree)?;
        }
        if !args.watch || session.out.is_unread() {
            return Ok(());
        }
        shown = Some(tree);
        fetch::change(&mut changes).await;
    }
}

async fn look(
    connection: &Connection<'_>,
    args: &StatusArgs,
) -> Result<(DynamicObject, Node), Error> {
    let cluster = connection.cluster(&args.name).await?;
    let mut observed = fetch::observe(connection, &cluster).await?;
    if args.certificates {
        observed
            .ends
            .extend(fetch::ends(connection, &cluster).await?);
    }
    match fetch::events(connection, &cluster, &observed).await {
        Ok(events) => observed.events = events,
        Err(error @ Error::Forbidden { .. }) => observed.gaps.push(error.to_string()),
        Err(error) => return Err(error),
    }
    let cluster = view::without_managed_fields(cluster);
    let tree = tree::build(&cluster, &observed, Timestamp::now());
    Ok((cluster, tree))
}

fn print(
    session: &Session,
    args: &StatusArgs,
    cluster: &DynamicObject,
    tree: &Node,
) -> Result<(), Error> {
    let out = &session.out;
    if let Some(format) = args.output {
        return out.structured(format, &Report { cluster, tree });
    }
    let table = tree::table(tree, Timestamp::now());
    out.data(&table.render_within(out.paint(), out.columns()))
}
