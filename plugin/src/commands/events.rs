//! `events`: those of a Cluster and of what belongs to it, in one list.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;

use crate::error::Error;
use crate::mothership::event::{self, Event};
use crate::mothership::{fetch, view};
use crate::print::{self, PrintArgs};
use crate::session::Session;
use crate::{duration, flags};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron events demo\n\
    \x20 kubectl k0smotron events demo --types Warning --since 1h\n\
    \x20 kubectl k0smotron events demo --watch")]
pub struct EventsArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// Only events of this type
    #[arg(long = "types", value_enum, value_name = "TYPE")]
    pub types: Option<Type>,
    /// Only what was seen so long ago at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub since: Option<Duration>,
    /// Stay, and print what happens; Ctrl-C ends it
    #[arg(short, long)]
    pub watch: bool,
    /// How it is printed.
    #[command(flatten)]
    pub print: PrintArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Type {
    /// What is as it should be.
    #[value(name = "Normal", alias = "normal")]
    Normal,
    /// What a person should look at.
    #[value(name = "Warning", alias = "warning")]
    Warning,
}

/// Shows the events of a cluster and of what belongs to it.
pub async fn run(session: &Session, args: &EventsArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let cluster = connection.cluster(&args.name).await?;
    let place = connection.namespace.clone();
    let mut seen: Vec<Value> = Vec::new();
    let mut changes = fetch::changes(&connection, &args.name);
    loop {
        // Pods come and go: what belongs to the cluster is looked up each time.
        let observed = fetch::observe(&connection, &cluster).await?;
        let found = fetch::events(&connection, &cluster, &observed).await?;
        let now = Timestamp::now();
        let fresh: Vec<Value> = found
            .into_iter()
            .filter(|event| is_wanted(args, &Event::from_object(event), now))
            .map(view::without_managed_fields)
            .filter_map(|event| serde_json::to_value(event).ok())
            .filter(|event| !seen.contains(event))
            .collect();
        let first = seen.is_empty();
        if first && fresh.is_empty() && args.print.is_table() {
            session.out.note(&format!(
                "No events found for cluster {place}/{}.",
                args.name
            ));
        }
        if !fresh.is_empty() || first && !args.print.is_table() {
            let mut print = args.print.clone();
            print.no_headers |= !first;
            self::print::list(session, &print, &fresh, |items| {
                let events: Vec<Event> = items
                    .iter()
                    .filter_map(|item| serde_json::from_value(item.clone()).ok())
                    .map(|object| Event::from_object(&object))
                    .collect();
                event::table(&events, now)
            })?;
        }
        if !args.watch || session.out.is_unread() {
            return Ok(());
        }
        seen.extend(fresh);
        fetch::change(&mut changes).await;
    }
}

fn is_wanted(args: &EventsArgs, event: &Event, now: Timestamp) -> bool {
    let kind = args.types.is_none_or(|wanted| match wanted {
        Type::Normal => event.kind == "Normal",
        Type::Warning => event.kind == "Warning",
    });
    let recent = args.since.is_none_or(|since| {
        let last = event.last.parse::<Timestamp>();
        last.is_ok_and(|last| now.duration_since(last).unsigned_abs() <= since)
    });
    kind && recent
}
