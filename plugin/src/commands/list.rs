//! `list`.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use crate::{
    duration,
    error::Error,
    model::{self, ClusterRow},
    output::{Structured, Style},
    resources,
    session::Session,
    table::{Cell, Table},
};

/// Flags of `list`.
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
    /// Output format; a table unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Leave the titles out
    #[arg(long)]
    pub no_headers: bool,
}

/// How the list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table with more columns.
    Wide,
    /// A v1 List of the objects.
    Json,
    /// The same as YAML.
    Yaml,
    /// Only the names, with their kind.
    Name,
}

/// Lists clusters.
///
/// # Errors
/// Whatever the API server answers.
pub async fn run(session: &Session, args: &ListArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let resource = resources::clusters();
    let (api, place) = if args.all_namespaces {
        (
            connection.api_everywhere(&resource),
            "in all namespaces".to_owned(),
        )
    } else {
        let place = format!("in namespace \"{}\"", connection.namespace);
        (connection.api(&resource), place)
    };
    let mut parameters = ListParams::default();
    if let Some(selector) = &args.selector {
        parameters = parameters.labels(selector);
    }
    let attempt = format!("list clusters {place}");
    let list = connection.call(&attempt, || api.list(&parameters)).await?;
    let items: Vec<DynamicObject> = list.items.into_iter().map(identified).collect();
    let out = &session.out;
    match args.output {
        Some(Format::Json) => out.structured(Structured::Json, &as_list(&items)),
        Some(Format::Yaml) => out.structured(Structured::Yaml, &as_list(&items)),
        Some(Format::Name) => {
            let names: Vec<String> = items
                .iter()
                .filter_map(|item| item.metadata.name.as_deref())
                .map(|name| model::qualified(name) + "\n")
                .collect();
            out.data(&names.concat())
        }
        None | Some(Format::Wide) if items.is_empty() => {
            out.note(&format!("No clusters found {place}."));
            Ok(())
        }
        None | Some(Format::Wide) => {
            let rows: Vec<ClusterRow> = items.iter().map(ClusterRow::of).collect();
            let wide = args.output.is_some();
            let table = table(&rows, args.all_namespaces, wide, Timestamp::now());
            let text = table.render(out.paint());
            let skip = usize::from(args.no_headers);
            out.data(&text.split_inclusive('\n').skip(skip).collect::<String>())
        }
    }
}

/// Items of a list may come without their kind; programs that read one need it.
fn identified(mut item: DynamicObject) -> DynamicObject {
    item.types.get_or_insert_with(|| kube::core::TypeMeta {
        api_version: resources::clusters().api_version,
        kind: resources::clusters().kind,
    });
    model::without_managed_fields(item)
}

fn as_list(items: &[DynamicObject]) -> Value {
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
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
    use super::*;
    use crate::{model::tests::cluster, output::Paint};

    fn rows() -> Vec<ClusterRow> {
        let condition = json!({"type": "Available", "status": "True", "reason": "Available"});
        let ready = cluster(json!({
            "version": "v1.36.3+k0s.2", "readyReplicas": 3,
            "endpoint": "https://10.0.0.7:31443", "conditions": [condition],
        }));
        vec![ClusterRow::of(&ready), ClusterRow::of(&cluster(json!({})))]
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
