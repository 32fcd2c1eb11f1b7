//! Events of the mothership, as far as they concern a Cluster. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::api::DynamicObject;

use crate::duration;
use crate::mothership::view;
use crate::output::Style;
use crate::output::table::{Cell, Table};

/// What an event tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was seen last, RFC 3339.
    pub last: String,
    pub kind: String,
    pub reason: String,
    pub object: String,
    pub message: String,
    pub count: i64,
}

impl Event {
    /// Reads an Event of v1, whichever of its times and counts is set.
    pub fn from_object(event: &DynamicObject) -> Self {
        let text = |pointer: &str| view::text(event, pointer).unwrap_or_default();
        let last = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"]
            .into_iter()
            .find_map(|pointer| view::text(event, pointer))
            .or_else(|| view::created(event));
        Self {
            last: last.unwrap_or_default(),
            kind: text("/type"),
            reason: text("/reason"),
            object: format!(
                "{}/{}",
                text("/involvedObject/kind"),
                text("/involvedObject/name")
            ),
            message: text("/message")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            count: view::number(event, "/series/count")
                .or_else(|| view::number(event, "/count"))
                .unwrap_or(1),
        }
    }
}

/// The events about objects of these uids, or about the Cluster of this name: what is gone already
/// is told of by its name alone.
pub fn concerning(
    events: Vec<DynamicObject>,
    cluster: &str,
    uids: &BTreeSet<String>,
) -> Vec<DynamicObject> {
    let mut found: Vec<(String, DynamicObject)> = events
        .into_iter()
        .filter(|event| {
            let about = |field: &str| view::text(event, &format!("/involvedObject/{field}"));
            let itself = about("kind").as_deref() == Some("Cluster")
                && about("name").as_deref() == Some(cluster);
            itself || about("uid").is_some_and(|uid| uids.contains(&uid))
        })
        .map(|event| (Event::from_object(&event).last, event))
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found.into_iter().map(|(_, event)| event).collect()
}

/// The events as kubectl shows them.
pub fn table(events: &[Event], now: Timestamp) -> Table {
    let mut table = Table::new(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    for event in events {
        let age = duration::age_since(Some(&event.last), now);
        let style = if event.kind == "Warning" {
            Style::Bad
        } else {
            Style::Plain
        };
        table.push(vec![
            match event.count {
                ..=1 => age.into(),
                count => format!("{age} (x{count})").into(),
            },
            Cell::styled(event.kind.as_str(), style),
            event.reason.as_str().into(),
            event.object.as_str().into(),
            event.message.as_str().into(),
        ]);
    }
    table
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mothership::view::tests::object;
    use crate::output::Paint;

    pub(crate) fn event(name: &str, uid: &str, more: &Value) -> DynamicObject {
        let mut value = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{name}.1")},
            "involvedObject": {"kind": "Pod", "name": name, "uid": uid},
            "type": "Normal", "reason": "Started", "message": "Started container",
            "lastTimestamp": "2026-11-22T10:00:00Z",
        });
        for (key, part) in more.as_object().unwrap() {
            value[key] = part.clone();
        }
        object(value)
    }

    #[test]
    fn events_of_others_are_left_out_and_the_newest_comes_last() {
        let mine = event(
            "kmc-demo-0",
            "u-2",
            &json!({"lastTimestamp": "2026-11-22T10:03:00Z"}),
        );
        let old = event("kmc-demo-0", "u-2", &json!({}));
        let other = event("kmc-demo-10", "u-9", &json!({}));
        let itself = event(
            "demo",
            "gone",
            &json!({
                "involvedObject": {"kind": "Cluster", "name": "demo", "uid": "gone"},
                "type": "Warning", "reason": "Upgrading", "count": 4, "message": "in\n two",
                "lastTimestamp": null, "series": {"count": 4, "lastObservedTime": "2026-11-22T10:01:00Z"},
            }),
        );
        let found = concerning(
            vec![mine, old, other, itself],
            "demo",
            &["u-2".to_owned()].into(),
        );
        let events: Vec<Event> = found.iter().map(Event::from_object).collect();
        let now = "2026-11-22T10:05:00Z".parse().unwrap();
        insta::assert_snapshot!(table(&events, now).render(Paint::Never), @"
        LAST SEEN   TYPE      REASON      OBJECT           MESSAGE
        5m          Normal    Started     Pod/kmc-demo-0   Started container
        4m (x4)     Warning   Upgrading   Cluster/demo     in two
        2m          Normal    Started     Pod/kmc-demo-0   Started container
        ");
    }
}
