//! Statuses that say the same in other words.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

/// So long lies between two: an API server words what fails there otherwise at every other attempt.
const APART: Duration = Duration::from_secs(2);
/// So many in a row come like that: numbers that change while something happens.
const FREE: u32 = 10;
/// From then on there is one in so long.
const EACH: Duration = Duration::from_secs(30);

/// How often each object's status was put in other words, by uid.
#[derive(Clone, Default)]
pub(super) struct Rewordings(Arc<Mutex<HashMap<String, Row>>>);

struct Row {
    in_a_row: u32,
    last: Instant,
}

impl Row {
    fn in_a_row(&self, now: Instant) -> u32 {
        let paid = now.saturating_duration_since(self.last).as_secs() / EACH.as_secs();
        self.in_a_row
            .saturating_sub(u32::try_from(paid).unwrap_or(u32::MAX))
    }
}

impl Rewordings {
    /// How long a status that is about to be written has to wait. News is never held up.
    pub(super) fn too_soon(&self, uid: &str, is_reworded: bool, now: Instant) -> Option<Duration> {
        let rows = self.0.lock();
        let row = rows.get(uid).filter(|_| is_reworded)?;
        let since = now.saturating_duration_since(row.last);
        if row.in_a_row(now) >= FREE {
            return Some(EACH.saturating_sub(since).max(Duration::from_secs(1)));
        }
        APART.checked_sub(since).filter(|rest| !rest.is_zero())
    }

    /// One was written: what was only tried was said to nobody.
    pub(super) fn reworded(&self, uid: &str, now: Instant) {
        let mut rows = self.0.lock();
        let row = rows.entry(uid.to_owned()).or_insert(Row {
            in_a_row: 0,
            last: now,
        });
        row.in_a_row = row.in_a_row(now).saturating_add(1);
        row.last = now;
    }

    pub(super) fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }

    pub(super) fn retain(&self, uids: &HashSet<String>) {
        self.0.lock().retain(|uid, _| uids.contains(uid));
    }
}

/// Whether two statuses differ in the messages of their conditions only.
pub(super) fn is_the_same<S: Serialize>(old: &S, new: &S) -> bool {
    let plain = |status: &S| {
        let mut status = serde_json::to_value(status).unwrap_or_default();
        let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten() {
            take(condition, "message");
        }
        // The summary of upstream's first API version is one of the messages.
        if let Some(summary) = status.pointer_mut("/deprecated/v1beta1") {
            take(summary, "reconciliationStatus");
        }
        status
    };
    plain(old) == plain(new)
}

fn take(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_messages_are_words() {
        let status = |reason: &str, message: &str, summary: &str, ports: i32| {
            json!({
                "conditions": [{"type": "Applied", "status": "False", "reason": reason,
                    "message": message}],
                "deprecated": {"v1beta1": {"ready": false, "reconciliationStatus": summary}},
                "ports": {"api": ports},
            })
        };
        let old = status("A", "read tcp 1", "read tcp 1", 1);
        assert!(is_the_same(
            &old,
            &status("A", "read tcp 2", "read tcp 2", 1)
        ));
        assert!(!is_the_same(
            &old,
            &status("B", "read tcp 1", "read tcp 1", 1)
        ));
        assert!(!is_the_same(
            &old,
            &status("A", "read tcp 1", "read tcp 1", 2)
        ));
        assert!(is_the_same(&json!({}), &json!({})));
    }

    /// How many are written of those that are tried ten times a second.
    fn written(rows: &Rewordings, from: Instant, seconds: u32) -> usize {
        let times = (0..seconds * 10).map(|i| from + Duration::from_millis(100) * i);
        let due = times.filter(|now| rows.too_soon("a", true, *now).is_none());
        due.inspect(|now| rows.reworded("a", *now)).count()
    }

    #[test]
    fn words_that_change_all_the_time_are_written_now_and_then() {
        let (rows, start) = (Rewordings::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(written(&rows, start, 10), 5);
        let next = written(&rows, later(10), 300);
        assert!((13..=16).contains(&next), "{next}");
        // What is told meanwhile is no rewording, and another object another matter.
        assert_eq!(rows.too_soon("a", false, later(310)), None);
        assert_eq!(rows.too_soon("b", true, later(310)), None);
        let wait = rows.too_soon("a", true, later(310));
        assert!(wait.is_some_and(|wait| wait <= EACH), "{wait:?}");
        // After some quiet there is as much to be said as at first.
        assert_eq!(written(&rows, later(1000), 10), 5);
    }
}
