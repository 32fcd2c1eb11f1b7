//! What lasts is said, and where there is nothing to do nothing is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mothership::proxy::{Fault, LASTS, Record};

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
    let tried = 1 + failing.count();
    // It was tried once and not again, since there was no need any more.
    if tried == 1 {
        return Vec::new();
    }
    let over = first.at + LASTS;
    // What a stranger's API says is not repeated; its code is.
    let code = match first.fault {
        Some(Fault::Answer(code) | Fault::Lasting(code)) => code,
        _ => 0,
    };
    let words = ["injected".to_owned(), format!("status {code}")];
    let said = changes.iter().any(|change| {
        let conditions = at(&change.object, "/status/conditions").as_array();
        matches!(change.kind, "Cluster" | "JoinTokenRequest")
            && change.at >= first.at
            && change.at <= first.at + SAID_WITHIN
            && conditions.into_iter().flatten().any(|condition| {
                (text(condition, "/status") != "True" || text(condition, "/type") == "Deleting")
                    && words
                        .iter()
                        .any(|word| text(condition, "/message").contains(word))
            })
    });
    let gone_before = changes.iter().any(|change| {
        change.kind == "Cluster"
            && change.what == What::Deleted
            && (first.at..over).contains(&change.at)
    });
    if said || gone_before {
        return Vec::new();
    }
    let what = format!(
        "{} was refused for {} s ({tried} tries) and no condition said so within {} s",
        first.call,
        LASTS.as_secs(),
        SAID_WITHIN.as_secs()
    );
    vec![Finding::new(Kind::Silent, what)]
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
    // Numbers of replicas are told a minute after a Cluster was created.
    let only_status = all
        .iter()
        .all(|call| call.starts_with("patch clusters/status"));
    let calls = all.len();
    let changes = stage.history.changes(namespace);
    for (index, change) in changes.iter().enumerate() {
        let mut earlier = changes.iter().take(index).rev();
        let same = |other: &&Change| other.kind == change.kind && other.name == change.name;
        if change.at < since || change.what != What::Modified {
            continue;
        }
        if let Some(before) = earlier.find(same) {
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
    if only_status && all.len() == calls {
        return None;
    }
    let what = format!("{when}: {}", all.join("; "));
    Some(Finding::new(Kind::Noise, what))
}
