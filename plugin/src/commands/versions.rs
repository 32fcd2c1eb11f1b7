//! `versions`: which k0s versions there are, and which a cluster can go to.

use clap::Args;
use crds::upgrade;
use crds::version::{DEFAULT_VERSION, K0sVersion};
use serde_json::{Value, json};

use crate::error::Error;
use crate::flags;
use crate::mothership::view;
use crate::output::Style;
use crate::output::table::{Cell, Table};
use crate::print::{self, PrintArgs};
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron versions\n\
    \x20 kubectl k0smotron versions demo\n\
    \x20 kubectl k0smotron versions --all")]
pub struct VersionsArgs {
    /// Name of a cluster: which of them can it go to?
    #[arg(value_parser = flags::object_name)]
    pub name: Option<String>,
    /// Every release, not only the newest of each minor version
    #[arg(long)]
    pub all: bool,
    /// How it is printed.
    #[command(flatten)]
    pub print: PrintArgs,
}

/// Lists the releases of k0s that this program knows. One that came out later is no less good.
pub async fn run(session: &Session, args: &VersionsArgs) -> Result<(), Error> {
    let running = match &args.name {
        None => None,
        Some(name) => {
            let connection = session.connect().await?;
            let cluster = connection.cluster(name).await?;
            let text = view::text(&cluster, "/status/version")
                .or_else(|| view::text(&cluster, "/spec/version"))
                .unwrap_or_else(|| DEFAULT_VERSION.to_owned());
            let read = text.parse::<K0sVersion>();
            Some(read.map_err(|error| Error::Usage {
                message: format!(
                    "cluster {}/{name} runs \"{text}\": {error}",
                    connection.namespace
                ),
                hint: "correct spec.version".to_owned(),
            })?)
        }
    };
    let items = rows(args.all, running.as_ref());
    print::list(session, &args.print, &items, |items| {
        table(items, running.is_some())
    })
}

fn rows(all: bool, running: Option<&K0sVersion>) -> Vec<Value> {
    let default = DEFAULT_VERSION.parse::<K0sVersion>().ok();
    upgrade::known()
        .iter()
        .rev()
        .filter(|version| {
            all || Some(*version) == running || upgrade::newest(version.minor()) == Some(*version)
        })
        .map(|version| {
            let mut row = json!({
                "version": version.to_string(),
                "image": version.image_tag(),
                "isDefault": default.as_ref() == Some(version),
            });
            if let (Some(running), Some(fields)) = (running, row.as_object_mut()) {
                let forbidden = upgrade::step(running, version);
                fields.insert("isRunning".to_owned(), json!(version == running));
                fields.insert("isReachable".to_owned(), json!(forbidden.is_none()));
                if let Some(error) = forbidden {
                    fields.insert("why".to_owned(), json!(error.message));
                }
            }
            row
        })
        .collect()
}

fn table(items: &[Value], of_cluster: bool) -> Table {
    let titles = ["VERSION", "DEFAULT"].into_iter();
    let mut table = Table::new(
        titles.chain(
            of_cluster
                .then_some(["UPGRADE", "WHY NOT"])
                .into_iter()
                .flatten(),
        ),
    );
    for item in items {
        let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
        let is = |key: &str| item.get(key).and_then(Value::as_bool).unwrap_or_default();
        let default = if is("isDefault") { "default" } else { "" };
        let mut cells: Vec<Cell> = vec![text("version").into(), default.into()];
        if of_cluster {
            cells.push(match (is("isRunning"), is("isReachable")) {
                (true, _) => Cell::styled("runs", Style::Good),
                (_, true) => Cell::styled("yes", Style::Good),
                _ => Cell::styled("no", Style::Dim),
            });
            cells.push(text("why").into());
        }
        table.push(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_goes_one_minor_version_at_a_time() {
        let running = "v1.34.2+k0s.0".parse().unwrap();
        let rows = rows(false, Some(&running));
        let find = |start: &str| {
            let of = |row: &&Value| row["version"].as_str().unwrap().starts_with(start);
            rows.iter().find(of).unwrap()
        };
        assert_eq!(find("v1.35.")["isReachable"], true);
        assert_eq!(find("v1.36.")["isReachable"], false);
        assert!(find("v1.36.")["why"].as_str().unwrap().contains("skips"));
        assert_eq!(find("v1.34.2+")["isRunning"], true);
        assert_eq!(find("v1.33.")["isReachable"], false);
    }

    #[test]
    fn only_the_newest_of_each_minor_version_is_shown() {
        let rows = rows(false, None);
        let minors: Vec<&str> = rows
            .iter()
            .map(|row| row["version"].as_str().unwrap().split('.').nth(1).unwrap())
            .collect();
        let mut unique = minors.clone();
        unique.dedup();
        assert_eq!(minors, unique);
        assert_eq!(
            rows.iter().filter(|row| row["isDefault"] == true).count(),
            1
        );
    }
}
