//! What lasts is said, and where there is nothing to do nothing is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mothership::proxy::{Fault, LASTS, Record};
use serde_json::{Value, json};

use super::{Finding, Kind};
use crate::faults::history::{Change, What};
use crate::faults::requests::{is_lease, is_work, is_write};
use crate::faults::stage::Stage;
use crate::faults::state;
use crate::light::children::{at, text};

/// How soon a failure that lasts is in a condition, and how soon after its cause that is over.
const SAID_WITHIN: Duration = Duration::from_secs(10);

/// How often the same may be read while nothing happens: once for a start, and once more for what has
/// failed in it.
const FEW: usize = 3;

/// What fails for longer than [`SAID_WITHIN`] has to be said by the object.
pub fn silent(changes: &[Change], records: &[Record]) -> Vec<Finding> {
    let mut failing = records.iter().filter(|record| record.fault.is_some());
    let Some(first) = failing.next() else {
        return Vec::new();
    };
    // The status is what would say it.
    if first.call.resource.ends_with("/status") || !is_work(first) {
        return Vec::new();
    }
    let failing: Vec<_> = failing.collect();
    let last = failing.last().map_or(first.at, |record| record.at);
    let tried = 1 + failing.len();
    let over = first.at + LASTS;
    // What a stranger's API says is not repeated; its code is.
    let code = match first.fault {
        Some(Fault::Answer(code) | Fault::Lasting(code)) => code,
        _ => 0,
    };
    let words = ["injected".to_owned(), format!("status {code}")];
    let says = |change: &Change| {
        let conditions = at(&change.object, "/status/conditions").as_array();
        conditions.into_iter().flatten().any(|condition| {
            (text(condition, "/status") != "True" || text(condition, "/type") == "Deleting")
                && words
                    .iter()
                    .any(|word| text(condition, "/message").contains(word))
        })
    };
    let said = changes.iter().any(|change| {
        matches!(change.kind, "Cluster" | "JoinTokenRequest")
            && change.at >= first.at
            && change.at <= first.at + SAID_WITHIN
            && says(change)
    });
    let gone_before = changes.iter().any(|change| {
        change.kind == "Cluster"
            && change.what == What::Deleted
            && (first.at..over).contains(&change.at)
    });
    let still = still_said(changes, last, over, says);
    // It was tried once and not again, since there was no need any more.
    if tried == 1 || said || gone_before {
        return still;
    }
    let what = format!(
        "{} was refused for {} s ({tried} tries) and no condition said so within {} s",
        first.call,
        LASTS.as_secs(),
        SAID_WITHIN.as_secs()
    );
    vec![Finding::new(Kind::Silent, what)]
}

/// What is said of a failure though its cause is gone.
fn still_said(
    changes: &[Change],
    last: Instant,
    over: Instant,
    says: impl Fn(&Change) -> bool,
) -> Vec<Finding> {
    // What failed at the very end is tried again after a pause.
    let gone = over.max(last) + SAID_WITHIN;
    if Instant::now() < gone {
        return Vec::new();
    }
    let mut then: BTreeMap<(&str, &str), &Change> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.at <= gone) {
        then.insert((change.kind, &change.name), change);
    }
    let still = then.values().filter(|change| {
        matches!(change.kind, "Cluster" | "JoinTokenRequest")
            && change.what != What::Deleted
            && says(change)
    });
    let what = still.map(|change| {
        format!(
            "{} {} says it still, {} s after its cause was gone",
            change.kind,
            change.name,
            SAID_WITHIN.as_secs()
        )
    });
    what.map(|what| Finding::new(Kind::Silent, what)).collect()
}

/// Writes within a time in which there was nothing to do, and what they have changed.
pub fn noise(stage: &Stage, since: Instant, when: &str) -> Option<Finding> {
    let namespace = &stage.scene.namespace;
    let records = stage.proxy.records();
    let late = records.iter().filter(|record| record.at >= since);
    let mut all = Vec::new();
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for record in late.filter(|record| !is_lease(record)) {
        let call = record.call.to_string();
        if is_write(record) {
            all.push(call.clone());
        }
        *asked.entry(call).or_default() += 1;
    }
    if let Some((call, times)) = asked.into_iter().find(|(_, times)| *times > FEW) {
        let what = format!("{when}: {call} {times} times");
        return Some(Finding::new(Kind::Noise, what));
    }
    if all.is_empty() {
        return None;
    }
    let calls = all.len();
    let mut told = 0;
    let changes = stage.history.changes(namespace);
    for (index, change) in changes.iter().enumerate() {
        let mut earlier = changes.iter().take(index).rev();
        let same = |other: &&Change| other.kind == change.kind && other.name == change.name;
        if change.at < since || change.what != What::Modified {
            continue;
        }
        if let Some(before) = earlier.find(same) {
            told += usize::from(only_numbers(before, change));
            let leaves = |change: &Change| {
                let key = format!("{}/{}", change.kind, change.name);
                state::leaves(&[(key, Arc::clone(&change.object))].into(), namespace)
            };
            all.extend(state::differences(
                &leaves(before),
                &leaves(change),
                &BTreeSet::new(),
            ));
        }
    }
    if all.len() == calls && told == calls {
        return None;
    }
    let what = format!("{when}: {}", all.join("; "));
    Some(Finding::new(Kind::Noise, what))
}

/// Whether a Cluster tells other numbers of replicas and nothing else, as it does a minute after it was
/// created.
fn only_numbers(before: &Change, after: &Change) -> bool {
    let without = |change: &Change| {
        let mut status = at(&change.object, "/status").clone();
        let mut numbers = Vec::new();
        if let Some(fields) = status.as_object_mut() {
            let moved = state::NUMBERS.map(|field| fields.remove(field));
            numbers.push(json!(moved));
        }
        let conditions = status.pointer_mut("/conditions");
        if let Some(conditions) = conditions.and_then(Value::as_array_mut) {
            let is_told = |condition: &Value| state::OF_NUMBERS.contains(&text(condition, "/type"));
            let of_numbers = conditions.extract_if(.., |condition| is_told(condition));
            // When it was said is no news.
            numbers.extend(of_numbers.map(|condition| {
                json!([
                    at(&condition, "/status"),
                    at(&condition, "/reason"),
                    at(&condition, "/message")
                ])
            }));
        }
        (status, numbers)
    };
    let ((status, numbers), (status_then, numbers_then)) = (without(before), without(after));
    after.kind == "Cluster" && status == status_then && numbers != numbers_then
}
