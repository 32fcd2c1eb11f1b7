//! `describe`.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::error::Error;
use crate::mothership::event::{self, Event};
use crate::mothership::{fetch, view};
use crate::output::Paint;
use crate::output::table::Table;
use crate::session::Session;
use crate::{duration, escape, flags, print};

/// Flags of `describe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron describe demo\n\
    \x20 kubectl k0smotron describe demo --show-events=false")]
pub struct DescribeArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// With the events about it
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub show_events: bool,
}

/// Describes a cluster: what was asked for, what is known of it, its conditions and events.
///
/// # Errors
/// Whatever the API server answers.
pub async fn run(session: &Session, args: &DescribeArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let cluster = connection.cluster(&args.name).await?;
    let events = if args.show_events {
        let observed = fetch::observe(&connection, &cluster).await?;
        match fetch::events(&connection, &cluster, &observed).await {
            Ok(events) => Some(events.iter().map(Event::of).collect::<Vec<_>>()),
            Err(error @ Error::Forbidden { .. }) => {
                session.out.note(&format!("warning: {error}"));
                None
            }
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    let paint = session.out.paint();
    session.out.data(&render(
        &cluster,
        events.as_deref(),
        Timestamp::now(),
        paint,
    ))
}

fn render(
    cluster: &DynamicObject,
    events: Option<&[Event]>,
    now: Timestamp,
    paint: Paint,
) -> String {
    let created = view::created(cluster);
    let mut out = String::new();
    let head = [
        ("Name", cluster.name_any()),
        ("Namespace", cluster.namespace().unwrap_or_default()),
        ("Labels", pairs(cluster.labels())),
        ("Annotations", pairs(cluster.annotations())),
        (
            "Created",
            format!(
                "{} ({} ago)",
                created.as_deref().unwrap_or("<unknown>"),
                duration::age_since(created.as_deref(), now)
            ),
        ),
    ];
    for (title, text) in head {
        line(&mut out, 0, title, &text);
    }
    for part in ["spec", "status"] {
        let Some(Value::Object(fields)) = cluster.data.get(part) else {
            continue;
        };
        out.push_str(if part == "spec" {
            "Spec:\n"
        } else {
            "Status:\n"
        });
        for (name, value) in fields {
            // Conditions have a table of their own; the rest of this is for older clients.
            if !matches!(name.as_str(), "conditions" | "deprecated") {
                tree(&mut out, 2, &title(name), value);
            }
        }
    }
    out.push_str("Conditions:\n");
    let mut table = Table::new(["  TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for condition in view::conditions(cluster) {
        let since = condition.since.as_deref();
        table.push(vec![
            format!("  {}", condition.kind).into(),
            condition.status.as_str().into(),
            condition.reason.as_str().into(),
            since
                .map(|since| duration::age_since(Some(since), now))
                .unwrap_or_default()
                .into(),
            condition.message.as_str().into(),
        ]);
    }
    out.push_str(&table.render(paint));
    match events {
        None => {}
        Some([]) => out.push_str("Events: <none>\n"),
        Some(events) => {
            out.push_str("Events:\n");
            for row in event::table(events, now).render(paint).lines() {
                out.push_str("  ");
                out.push_str(row);
                out.push('\n');
            }
        }
    }
    out
}

fn pairs(map: &std::collections::BTreeMap<String, String>) -> String {
    if map.is_empty() {
        return "<none>".to_owned();
    }
    let pairs: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(", ")
}

fn line(out: &mut String, indent: usize, title: &str, text: &str) {
    let head = format!("{:indent$}{title}:", "");
    out.push_str(
        &escape::text(&format!("{head:<22} {text}"))
            .trim_end()
            .replace('\n', "\n    "),
    );
    out.push('\n');
}

fn tree(out: &mut String, indent: usize, name: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            line(out, indent, name, "");
            for (name, value) in fields {
                tree(out, indent + 2, &title(name), value);
            }
        }
        Value::Array(items) => {
            line(out, indent, name, "");
            for item in items {
                match item {
                    Value::Object(fields) => {
                        for (index, (name, value)) in fields.iter().enumerate() {
                            let mark = if index == 0 { "- " } else { "  " };
                            tree(out, indent + 2, &format!("{mark}{}", title(name)), value);
                        }
                    }
                    other => {
                        let shown = print::shown(other);
                        let text = escape::text(&shown);
                        // Writing to a String cannot fail.
                        let _ = writeln!(out, "{:width$}- {text}", "", width = indent + 2);
                    }
                }
            }
        }
        other => line(out, indent, name, &print::shown(other)),
    }
}

/// `externalAddress` as kubectl describes it: `External Address`.
fn title(name: &str) -> String {
    let mut out = String::new();
    let mut before_is_lower = false;
    for (index, next) in name.chars().enumerate() {
        if index == 0 {
            out.extend(next.to_uppercase());
        } else {
            if next.is_uppercase() && before_is_lower {
                out.push(' ');
            }
            out.push(next);
        }
        before_is_lower = next.is_lowercase() || next.is_ascii_digit();
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::cluster;

    #[test]
    fn a_cluster_is_described_with_conditions_and_events() {
        let mut object = cluster(json!({
            "endpoint": "https://10.0.0.7:31443",
            "conditions": [{"type": "Available", "status": "True", "reason": "Available",
                "message": "", "lastTransitionTime": "2026-11-22T10:04:00Z"}],
        }));
        object.metadata.labels = Some([("team".to_owned(), "web".to_owned())].into());
        object.data["spec"]["mounts"] = json!([{"path": "/etc/x", "type": "configMap"}, 3]);
        let event = Event {
            last: "2026-11-22T10:01:00Z".into(),
            kind: "Normal".into(),
            reason: "Available".into(),
            object: "Cluster/demo".into(),
            message: "the hosted API answers".into(),
            count: 1,
        };
        let now = "2026-11-22T10:05:00Z".parse().unwrap();
        insta::assert_snapshot!(render(&object, Some(&[event]), now, Paint::Never));
    }

    #[test]
    fn titles_are_words() {
        assert_eq!(title("externalAddress"), "External Address");
        assert_eq!(title("apiPort"), "Api Port");
        assert_eq!(title("type"), "Type");
        assert_eq!(title("v1beta1"), "V1beta1");
    }
}
