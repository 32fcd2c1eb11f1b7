//! `list`: Clusters as a table or as objects, and each change of them.

use std::pin::pin;

use clap::Args;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;

use crate::duration;
use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::resources;
use crate::mothership::view::{self, ClusterRow};
use crate::output::table::{Cell, Table};
use crate::output::{Structured, Style};
use crate::print::{self, Format, PrintArgs};
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron list -A\n\
    \x20 kubectl k0smotron list -l team=web -o wide\n\
    \x20 kubectl k0smotron list -o json | jq -r '.items[].status.endpoint'")]
pub struct ListArgs {
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only clusters with these labels, such as team=web or tier!=test
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Only clusters with these fields, such as metadata.name=demo
    #[arg(long, value_name = "FIELDS")]
    pub field_selector: Option<String>,
    /// Stay, and print each cluster anew when it changes; Ctrl-C ends it
    #[arg(short, long)]
    pub watch: bool,
    /// How it is printed.
    #[command(flatten)]
    pub print: PrintArgs,
}

/// Lists clusters.
pub async fn run(session: &Session, args: &ListArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let resource = resources::clusters();
    let (api, place) = connection.scope(&resource, args.all_namespaces);
    if args.watch {
        return follow(session, &connection, args, &api, &place).await;
    }
    let parameters = ListParams {
        label_selector: args.selector.clone(),
        field_selector: args.field_selector.clone(),
        ..ListParams::default()
    };
    let attempt = format!("list clusters {place}");
    let list = connection.call(&attempt, || api.list(&parameters)).await?;
    if args.print.is_table() && list.items.is_empty() {
        session.out.note(&format!("No clusters found {place}."));
        return Ok(());
    }
    let items = list
        .items
        .into_iter()
        .map(|item| value(&view::identified(item, &resources::clusters())))
        .collect::<Result<Vec<_>, _>>()?;
    print::list(session, &args.print, &items, |items| {
        let rows: Vec<ClusterRow> = items.iter().filter_map(row).collect();
        table(
            &rows,
            args.all_namespaces,
            args.print.is_wide(),
            Timestamp::now(),
        )
    })
}

/// Prints what is there and then each change. The table's columns are those of its first lines,
/// as kubectl has it.
async fn follow(
    session: &Session,
    connection: &Connection<'_>,
    args: &ListArgs,
    api: &Api<DynamicObject>,
    place: &str,
) -> Result<(), Error> {
    session.leaves("nothing was changed", Vec::new());
    // The watch would try a wrong selector for ever; this says what is wrong with it.
    let trial = ListParams {
        label_selector: args.selector.clone(),
        field_selector: args.field_selector.clone(),
        limit: Some(1),
        ..ListParams::default()
    };
    let attempt = format!("watch clusters {place}");
    connection
        .call(&attempt, || api.list_metadata(&trial))
        .await?;
    let mut config = watcher::Config::default();
    config.label_selector.clone_from(&args.selector);
    config.field_selector.clone_from(&args.field_selector);
    let mut changes = pin!(watcher::watcher(api.clone(), config).default_backoff());
    let mut lines = Lines::default();
    loop {
        match changes.try_next().await {
            Ok(Some(
                watcher::Event::InitApply(item)
                | watcher::Event::Apply(item)
                | watcher::Event::Delete(item),
            )) => {
                show(session, args, &mut lines, item)?;
                if session.out.is_unread() {
                    return Ok(());
                }
            }
            Ok(Some(watcher::Event::Init | watcher::Event::InitDone)) => {}
            Ok(None) => return Ok(()),
            Err(error) => session.out.note(&format!(
                "the watch broke off and is restarted: {}",
                crate::error::innermost(&error)
            )),
        }
    }
}

/// The rows of a watch that were printed.
#[derive(Default)]
struct Lines {
    widths: Vec<usize>,
}

fn show(
    session: &Session,
    args: &ListArgs,
    lines: &mut Lines,
    item: DynamicObject,
) -> Result<(), Error> {
    let out = &session.out;
    let item = view::identified(item, &resources::clusters());
    match args.print.output {
        None | Some(Format::Wide) => {
            let rows = [ClusterRow::from_cluster(&item)];
            let wide = args.print.is_wide();
            let table = table(&rows, args.all_namespaces, wide, Timestamp::now());
            let first = lines.widths.is_empty();
            let text = table.render_after(out.paint(), &mut lines.widths);
            let skip = usize::from(!first || args.print.no_headers);
            out.data(&text.split_inclusive('\n').skip(skip).collect::<String>())
        }
        Some(Format::Json) => out.structured(Structured::Json, &item),
        Some(Format::Yaml) => {
            out.text("---\n")?;
            out.structured(Structured::Yaml, &item)
        }
        Some(Format::Name) => out.text(&(print::qualified(&value(&item)?) + "\n")),
    }
}

fn row(item: &Value) -> Option<ClusterRow> {
    let cluster: DynamicObject = serde_json::from_value(item.clone()).ok()?;
    Some(ClusterRow::from_cluster(&cluster))
}

fn value(item: &DynamicObject) -> Result<Value, Error> {
    serde_json::to_value(item).map_err(|source| Error::io("read a cluster", source.into()))
}

fn table(rows: &[ClusterRow], namespaces: bool, wide: bool, now: Timestamp) -> Table {
    let titles = namespaces.then_some("NAMESPACE").into_iter();
    let titles = titles
        .chain([
            "NAME", "VERSION", "REPLICAS", "READY", "ENDPOINT", "STORAGE", "AGE",
        ])
        .chain(wide.then_some(["SERVICE", "REASON"]).into_iter().flatten());
    let mut table = Table::new(titles);
    for row in rows {
        let ready = if row.available == "True" {
            Style::Good
        } else {
            Style::Waiting
        };
        let mut cells: Vec<Cell> = Vec::new();
        if namespaces {
            cells.push(row.namespace.as_str().into());
        }
        cells.extend([
            row.name.as_str().into(),
            row.version.as_str().into(),
            row.replicas.as_str().into(),
            Cell::styled(row.ready.as_str(), ready),
            row.endpoint.as_str().into(),
            row.storage.as_str().into(),
            duration::age_since(row.created.as_deref(), now).into(),
        ]);
        if wide {
            cells.push(row.service.as_str().into());
            cells.push(Cell::styled(row.reason.as_str(), ready));
        }
        table.push(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::cluster;
    use crate::output::Paint;

    fn rows() -> Vec<ClusterRow> {
        let condition = json!({"type": "Available", "status": "True", "reason": "Available"});
        let ready = cluster(json!({
            "version": "v1.36.3+k0s.2", "readyReplicas": 3,
            "endpoint": "https://10.0.0.7:31443", "conditions": [condition],
        }));
        vec![
            ClusterRow::from_cluster(&ready),
            ClusterRow::from_cluster(&cluster(json!({}))),
        ]
    }

    fn now() -> Timestamp {
        "2026-11-22T10:05:30Z".parse().unwrap()
    }

    #[test]
    fn the_plain_table_has_the_columns_of_kubectl_get() {
        insta::assert_snapshot!(table(&rows(), false, false, now()).render(Paint::Never), @r"
        NAME   VERSION         REPLICAS   READY   ENDPOINT                 STORAGE   AGE
        demo   v1.36.3+k0s.2   3          3       https://10.0.0.7:31443   etcd      5m30s
        demo   v1.36.3-k0s.2   3          0       <pending>                etcd      5m30s
        ");
    }

    #[test]
    fn wide_in_all_namespaces_has_every_column() {
        insta::assert_snapshot!(table(&rows(), true, true, now()).render(Paint::Never), @r"
        NAMESPACE   NAME   VERSION         REPLICAS   READY   ENDPOINT                 STORAGE   AGE     SERVICE    REASON
        team-a      demo   v1.36.3+k0s.2   3          3       https://10.0.0.7:31443   etcd      5m30s   NodePort   Available
        team-a      demo   v1.36.3-k0s.2   3          0       <pending>                etcd      5m30s   NodePort   <pending>
        ");
    }
}
