//! Nobody gets in who may not, and whoever may does.

use std::collections::BTreeSet;

use mothership::proxy::Record;

use super::{Finding, Kind, REFUSED};
use crate::faults::history::Change;
use crate::faults::stage::Stage;
use crate::light::children::at;

/// What must be refused was stored, for however short a time.
pub fn let_through(changes: &[Change]) -> Vec<Finding> {
    let marked = changes.iter().filter(|change| {
        at(&change.object, "/metadata/labels")
            .get(REFUSED)
            .is_some()
    });
    let keys: BTreeSet<_> = marked
        .map(|change| format!("{} {} was stored", change.kind, change.name))
        .collect();
    keys.into_iter()
        .map(|what| Finding::new(Kind::Door, what))
        .collect()
}

/// The webhook is not ready at the end, or the API server does not trust it.
pub async fn closed(stage: &Stage) -> Option<Finding> {
    stage.door.as_ref()?;
    let error = stage.opens().await.err()?;
    Some(Finding::new(Kind::Door, format!("{error:#}")))
}

/// What is refused again and again is told: there is no object that could say it.
pub fn silent(records: &[Record], log: &str) -> Option<Finding> {
    let refused = records.iter().filter(|record| record.fault.is_some());
    let calls: Vec<_> = refused.map(|record| record.call.to_string()).collect();
    let first = calls.first()?;
    (calls.len() > 1 && !log.contains("injected")).then(|| {
        let what = format!(
            "{first} was refused {} times, and the log says nothing",
            calls.len()
        );
        Finding::new(Kind::Silent, what)
    })
}
