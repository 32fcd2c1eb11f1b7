//! `-o` of everything that lists or shows objects, with kubectl's names and meanings.

mod path;
mod template;

use std::cmp::Ordering;
use std::str::FromStr;

use clap::Args;
use serde_json::{Value, json};

pub use self::path::Path;
pub use self::template::{Template, shown};
use crate::error::Error;
use crate::output::Structured;
use crate::output::table::{Cell, Table};
use crate::session::Session;

/// Flags of what prints objects.
#[derive(Debug, Clone, Default, Args)]
pub struct PrintArgs {
    /// Output format: json, yaml, name, wide, jsonpath=TEMPLATE or custom-columns=TITLE:PATH,...;
    /// a table unless given
    #[arg(short, long, value_name = "FORMAT", value_parser = Format::from_str)]
    pub output: Option<Format>,
    /// Sort by what a path finds in each object, such as .metadata.creationTimestamp
    #[arg(long, value_name = "JSONPATH", value_parser = Path::parse)]
    pub sort_by: Option<Path>,
    /// Leave the titles out
    #[arg(long)]
    pub no_headers: bool,
}

impl PrintArgs {
    /// Whether the table has its further columns.
    pub fn is_wide(&self) -> bool {
        matches!(self.output, Some(Format::Wide))
    }

    /// Whether it is a person who reads this.
    pub fn is_table(&self) -> bool {
        matches!(self.output, None | Some(Format::Wide))
    }
}

/// How objects are printed.
#[derive(Debug, Clone)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Only the names, with their kind.
    Name,
    /// A table with more columns.
    Wide,
    /// A template.
    JsonPath(Template),
    /// A table of the user's own.
    CustomColumns(Vec<(String, Path)>),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once('=').unwrap_or((text, ""));
        match (kind, rest) {
            ("json", "") => Ok(Self::Json),
            ("yaml", "") => Ok(Self::Yaml),
            ("name", "") => Ok(Self::Name),
            ("wide", "") => Ok(Self::Wide),
            ("jsonpath" | "custom-columns", "") => Err(format!("{kind} needs a value: {kind}=...")),
            ("jsonpath", template) => Template::parse(template).map(Self::JsonPath),
            ("custom-columns", columns) => columns
                .split(',')
                .map(column)
                .collect::<Result<_, _>>()
                .map(Self::CustomColumns),
            _ => Err(
                "known are json, yaml, name, wide, jsonpath=TEMPLATE and custom-columns=TITLE:PATH"
                    .to_owned(),
            ),
        }
    }
}

fn column(text: &str) -> Result<(String, Path), String> {
    let (title, path) = text
        .split_once(':')
        .ok_or_else(|| format!("\"{text}\" is no column; write TITLE:PATH"))?;
    Ok((title.to_owned(), Path::parse(path)?))
}

/// Prints a list of objects; `table` makes the table for people of it.
///
/// # Errors
/// As [`crate::output::Output::data`].
pub fn list(
    session: &Session,
    args: &PrintArgs,
    mut items: Vec<Value>,
    table: impl FnOnce(&[Value]) -> Table,
) -> Result<(), Error> {
    if let Some(path) = &args.sort_by {
        items.sort_by(|one, other| compare(key(path, one), key(path, other)));
    }
    let out = &session.out;
    match &args.output {
        Some(Format::Json) => out.structured(Structured::Json, &as_list(&items)),
        Some(Format::Yaml) => out.structured(Structured::Yaml, &as_list(&items)),
        Some(Format::JsonPath(template)) => out.text(&template.render(&as_list(&items))),
        Some(Format::Name) => {
            let names: Vec<String> = items.iter().map(|item| qualified(item) + "\n").collect();
            out.text(&names.concat())
        }
        Some(Format::CustomColumns(columns)) => self::table(session, args, &own(columns, &items)),
        Some(Format::Wide) | None => self::table(session, args, &table(&items)),
    }
}

/// Prints one object.
///
/// # Errors
/// As [`crate::output::Output::data`].
pub fn object(
    session: &Session,
    args: &PrintArgs,
    item: Value,
    table: impl FnOnce(&Value) -> Table,
) -> Result<(), Error> {
    let out = &session.out;
    match &args.output {
        Some(Format::Json) => out.structured(Structured::Json, &item),
        Some(Format::Yaml) => out.structured(Structured::Yaml, &item),
        Some(Format::JsonPath(template)) => out.text(&template.render(&item)),
        Some(Format::Name) => out.text(&(qualified(&item) + "\n")),
        Some(Format::CustomColumns(columns)) => self::table(session, args, &own(columns, &[item])),
        Some(Format::Wide) | None => self::table(session, args, &table(&item)),
    }
}

/// Prints a table as the flags want it; on a terminal its last column is cut to fit, unless it is
/// the wide one.
///
/// # Errors
/// As [`crate::output::Output::data`].
pub fn table(session: &Session, args: &PrintArgs, table: &Table) -> Result<(), Error> {
    let out = &session.out;
    let columns = out.columns().filter(|_| !args.is_wide());
    let text = table.render_within(out.paint(), columns);
    let skip = usize::from(args.no_headers);
    out.data(&text.split_inclusive('\n').skip(skip).collect::<String>())
}

fn as_list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}

/// `cluster.k0smotron.io/demo`, as kubectl names things.
fn qualified(item: &Value) -> String {
    let text = |pointer| {
        item.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let kind = text("/kind").to_lowercase();
    let name = text("/metadata/name");
    match text("/apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

fn own(columns: &[(String, Path)], items: &[Value]) -> Table {
    let mut table = Table::titled(columns.iter().map(|(title, _)| title.clone()));
    for item in items {
        let cells = columns.iter().map(|(_, path)| {
            let found: Vec<String> = path.find(item).into_iter().map(shown).collect();
            Cell::from(if found.is_empty() {
                "<none>".to_owned()
            } else {
                found.join(",")
            })
        });
        table.push(cells.collect());
    }
    table
}

fn key<'a>(path: &Path, item: &'a Value) -> Option<&'a Value> {
    path.find(item).first().copied()
}

/// What is missing comes first; numbers by their size, everything else by its text.
fn compare(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other))) => one
            .as_f64()
            .partial_cmp(&other.as_f64())
            .unwrap_or(Ordering::Equal),
        (Some(one), Some(other)) => shown(one).cmp(&shown(other)),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::GlobalArgs;
    use crate::output::Output;

    fn printed(args: &PrintArgs) -> String {
        let (out, captured) = Output::captured();
        let session = Session::new(GlobalArgs::default(), out);
        let item = |name: &str, replicas: u8| {
            json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "metadata": {"name": name}, "spec": {"replicas": replicas}})
        };
        let items = vec![item("b", 10), item("a", 9)];
        list(&session, args, items, |items| {
            let mut table = Table::new(["NAME"]);
            for item in items {
                table.push(vec![qualified(item).into()]);
            }
            table
        })
        .unwrap();
        captured.stdout()
    }

    fn args(output: &str, sort_by: Option<&str>) -> PrintArgs {
        PrintArgs {
            output: (!output.is_empty()).then(|| output.parse().unwrap()),
            sort_by: sort_by.map(|path| Path::parse(path).unwrap()),
            no_headers: false,
        }
    }

    #[test]
    fn every_format_prints_what_kubectl_prints() {
        assert_eq!(
            printed(&args("name", None)),
            "cluster.k0smotron.io/b\ncluster.k0smotron.io/a\n"
        );
        assert_eq!(
            printed(&args("jsonpath={.items[*].metadata.name}", None)),
            "b a"
        );
        assert_eq!(
            printed(&args(
                "custom-columns=WHO:.metadata.name,SANS:.spec.sans",
                None
            )),
            "WHO   SANS\nb     <none>\na     <none>\n"
        );
        assert!(printed(&args("json", None)).contains("\"kind\": \"List\""));
    }

    #[test]
    fn sorting_knows_numbers_from_words() {
        let by = |path| printed(&args("jsonpath={.items[*].metadata.name}", Some(path)));
        assert_eq!(by(".spec.replicas"), "a b");
        assert_eq!(by(".metadata.name"), "a b");
        assert_eq!(by(".nothing"), "b a");
    }

    #[test]
    fn an_unknown_format_is_refused_with_the_known_ones() {
        for (text, told) in [
            ("xml", "known are json"),
            ("jsonpath", "jsonpath needs a value"),
            ("custom-columns=NAME", "write TITLE:PATH"),
            ("jsonpath={.a", "closing brace"),
        ] {
            assert!(text.parse::<Format>().unwrap_err().contains(told), "{text}");
        }
    }
}
