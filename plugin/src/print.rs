//! `-o` of everything that lists or shows objects, with kubectl's names and meanings.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::error::Error;
use crate::output::Structured;
use crate::output::table::Table;
use crate::session::Session;

#[derive(Debug, Clone, Default, Args)]
pub struct PrintArgs {
    /// Output format; a table unless given
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Leave the titles out
    #[arg(long)]
    pub no_headers: bool,
}

impl PrintArgs {
    /// Whether the table has its further columns.
    pub fn is_wide(&self) -> bool {
        self.output == Some(Format::Wide)
    }

    /// Whether it is a person who reads this.
    pub fn is_table(&self) -> bool {
        matches!(self.output, None | Some(Format::Wide))
    }
}

/// How objects are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// Only the names, with their kind
    Name,
    /// A table with more columns
    Wide,
}

/// Prints a list of objects; `table` makes the table for people of it.
pub fn list(
    session: &Session,
    args: &PrintArgs,
    items: &[Value],
    table: impl FnOnce(&[Value]) -> Table,
) -> Result<(), Error> {
    let out = &session.out;
    match args.output {
        Some(Format::Json) => out.structured(Structured::Json, &as_list(items)),
        Some(Format::Yaml) => out.structured(Structured::Yaml, &as_list(items)),
        Some(Format::Name) => {
            let names: Vec<String> = items.iter().map(|item| qualified(item) + "\n").collect();
            out.text(&names.concat())
        }
        Some(Format::Wide) | None => self::table(session, args, &table(items)),
    }
}

/// Prints a table as the flags want it; on a terminal its last column is cut to fit, unless it is
/// the wide one.
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
pub fn qualified(item: &Value) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::GlobalArgs;
    use crate::output::Output;

    fn printed(output: Option<Format>) -> String {
        let (out, captured) = Output::captured();
        let session = Session::new(GlobalArgs::default(), out);
        let item = |name: &str| {
            json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "metadata": {"name": name}})
        };
        let args = PrintArgs {
            output,
            no_headers: false,
        };
        list(&session, &args, &[item("b"), item("a")], |items| {
            let mut table = Table::new(["NAME"]);
            for item in items {
                table.push(vec![qualified(item).into()]);
            }
            table
        })
        .unwrap();
        captured.stdout()
    }

    #[test]
    fn every_format_prints_what_kubectl_prints() {
        let names = "cluster.k0smotron.io/b\ncluster.k0smotron.io/a\n";
        assert_eq!(printed(Some(Format::Name)), names);
        assert_eq!(printed(None), format!("NAME\n{names}"));
        assert!(printed(Some(Format::Json)).contains("\"kind\": \"List\""));
        assert!(printed(Some(Format::Yaml)).contains("kind: List"));
    }
}
