//! `status`.

use clap::Args;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde::Serialize;

use crate::{
    cli,
    error::Error,
    model, observe,
    output::Structured,
    session::Session,
    tree::{self, Node},
};

/// Flags of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron status demo\n\
    \x20 kubectl k0smotron status demo -o json | jq -r .tree.ready")]
pub struct StatusArgs {
    /// Name of the cluster
    #[arg(value_parser = cli::object_name)]
    pub name: String,
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
    let cluster = connection.cluster(&args.name).await?;
    let observed = observe::observe(&connection, &cluster).await?;
    let cluster = model::without_managed_fields(cluster);
    let tree = tree::build(&cluster, &observed);
    if let Some(format) = args.output {
        return session.out.structured(
            format,
            &Report {
                cluster: &cluster,
                tree: &tree,
            },
        );
    }
    let table = tree::table(&tree, Timestamp::now());
    session.out.data(&table.render(session.out.paint()))
}
