//! What has to hold in every run, whatever was done to its requests.

mod doors;
mod fitting;
mod keys;
mod leaks;
mod quiet;
mod served;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mothership::proxy::{Fault, Record, Verb};

pub use self::doors::closed;
pub use self::quiet::noise;
pub use self::served::tokens;
use super::door;
use super::history::{self, Change, What, owner, version};
use super::requests::{is_lease, is_write};
use super::stage::Stage;
use crate::light::children::{at, text};

/// The label of what somebody else has made.
pub const FOREIGN: &str = "example.org/whose";

/// The label of what nobody may have.
pub const REFUSED: &str = "example.org/refused";

/// What did not hold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// It does not come to what it comes to without a fault, or hangs.
    EndState,
    /// An object was recreated that should have stayed, or the other way round.
    Recreated,
    /// Something of somebody else's was changed or deleted.
    Foreign,
    /// A key was replaced or deleted while its Cluster lived.
    Key,
    /// Something secret is where it must not be.
    Leak,
    /// It writes although there is nothing to do.
    Noise,
    /// A failure that lasts is in no condition.
    Silent,
    /// A condition says what is not so.
    Untrue,
    /// The program ended by itself, or a part of it did.
    Crash,
    /// It asked for what it has no right to.
    Rights,
    /// A token is valid that should not be.
    Token,
    /// What must be refused was let through, or the door does not open any more.
    Door,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndState => "end state",
            Self::Recreated => "recreated",
            Self::Foreign => "not its own",
            Self::Key => "key lost",
            Self::Leak => "leak",
            Self::Noise => "not quiet",
            Self::Silent => "not said",
            Self::Untrue => "untrue",
            Self::Crash => "crash",
            Self::Rights => "rights",
            Self::Token => "token",
            Self::Door => "door",
        })
    }
}

/// One thing that did not hold.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Of which kind.
    pub kind: Kind,
    /// What was seen.
    pub what: String,
}

impl Finding {
    /// One of a kind.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
        }
    }
}

/// Everything that can be told after a run.
pub fn check(
    stage: &Stage,
    workload: &str,
    lives: &BTreeMap<String, usize>,
    fault: Option<Fault>,
) -> Vec<Finding> {
    let changes = stage.history.changes(&stage.scene.namespace);
    let records = stage.asked();
    let log = stage.log();
    let mut all = Vec::new();
    all.extend(keys::replaced(&changes));
    all.extend(keys::deleted(&changes, &records));
    all.extend(keys::let_go(&changes));
    let misfits = fitting::misfits(&stage.objects());
    all.extend(
        misfits
            .into_iter()
            .map(|what| Finding::new(Kind::Key, what)),
    );
    all.extend(ends_in_order(&changes));
    all.extend(elsewhere(stage, &records));
    all.extend(doors::let_through(&changes));
    all.extend(foreign(stage, &changes, &records));
    all.extend(recreated(&changes, lives));
    all.extend(leaks::leaks(&changes, &log, &stage.secrets()));
    all.extend(served::untrue(stage, &changes));
    all.extend(rights(workload, &records));
    if let Some(Fault::Lasting(_)) = fault {
        all.extend(match &stage.door {
            None => quiet::silent(&changes, &stage.records()),
            Some(_) => doors::silent(&records, &log).into_iter().collect(),
        });
    }
    // Without its lease it has to end: somebody else may be writing already. One failure is tried again.
    let lost_lease = records
        .iter()
        .filter(|record| is_lease(record))
        .any(|record| match record.fault {
            Some(fault) => matches!(fault, Fault::Lasting(_)),
            None => record.upstream == 0,
        });
    let ended = stage.operators().into_iter().flat_map(|one| one.ended());
    for ended in ended.filter(|_| !lost_lease) {
        all.push(Finding::new(
            Kind::Crash,
            format!("it ended by itself: {ended}"),
        ));
    }
    if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
        all.push(Finding::new(Kind::Crash, line));
    }
    all
}

fn recreated(changes: &[Change], expected: &BTreeMap<String, usize>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (key, times) in history::lives(changes) {
        let expected = expected.get(&key).copied().unwrap_or(0);
        if times != expected {
            let what = format!("{key} was made {times} times, {expected} without a fault");
            all.push(Finding::new(Kind::Recreated, what));
        }
    }
    all
}

/// A Cluster goes after its pods' sets, and the control plane before its etcd.
fn ends_in_order(changes: &[Change]) -> Vec<Finding> {
    let mut all = Vec::new();
    let ends = changes
        .iter()
        .filter(|change| change.kind == "Cluster" && change.what == What::Deleted);
    for end in ends {
        let uid = text(&end.object, "/metadata/uid");
        let set_went = |name: &str| {
            let mut its = changes.iter().filter(|change| {
                change.kind == "StatefulSet" && change.name == name && owner(&change.object) == uid
            });
            let last = its.next_back()?;
            Some(if last.what == What::Deleted {
                version(last)
            } else {
                u64::MAX
            })
        };
        let control_plane = set_went(&format!("kmc-{}", end.name)).unwrap_or(0);
        let etcd = set_went(&format!("kmc-{}-etcd", end.name)).unwrap_or(0);
        if control_plane > version(end) || etcd > version(end) {
            let what = format!("Cluster {} was let go before its pods' sets", end.name);
            all.push(Finding::new(Kind::Untrue, what));
        } else if control_plane > etcd && etcd > 0 {
            let what = format!("etcd of {} went before its control plane", end.name);
            all.push(Finding::new(Kind::Untrue, what));
        }
    }
    all
}

/// Nothing is written outside the namespace that it was given.
fn elsewhere(stage: &Stage, records: &[Record]) -> Vec<Finding> {
    let namespace = &stage.scene.namespace;
    let is_own = |record: &Record| match &stage.door {
        Some(_) if record.call.namespace.is_empty() => door::is_its(record, namespace),
        _ => record.call.namespace == *namespace,
    };
    let outside: BTreeSet<String> = records
        .iter()
        .filter(|record| is_write(record) && !is_own(record))
        .map(|record| format!("{} in {:?}", record.call, record.call.namespace))
        .collect();
    outside
        .into_iter()
        .map(|what| Finding::new(Kind::Foreign, what))
        .collect()
}

fn foreign(stage: &Stage, changes: &[Change], records: &[Record]) -> Vec<Finding> {
    let theirs: BTreeSet<(&str, &str)> = changes
        .iter()
        .filter(|change| {
            at(&change.object, "/metadata/labels")
                .get(FOREIGN)
                .is_some()
        })
        .map(|change| (change.kind, change.name.as_str()))
        .collect();
    let mut all = Vec::new();
    for (kind, name) in theirs {
        let here: Vec<_> = changes
            .iter()
            .filter(|change| change.kind == kind && change.name == name)
            .collect();
        // The life of what is theirs ends with their own deletion; after it the name is free.
        for change in here
            .iter()
            .take_while(|change| change.what != What::Deleted)
        {
            let changed = text(&change.object, "/metadata/resourceVersion");
            if change.what == What::Modified && !stage.is_users(changed) {
                all.push(Finding::new(
                    Kind::Foreign,
                    format!("{kind} {name} was changed"),
                ));
                break;
            }
        }
        let end = here
            .iter()
            .find(|change| change.what == What::Deleted)
            .map(|change| change.at);
        let deleted = records.iter().find(|record| {
            record.call.verb == Verb::Delete
                && record.call.name == name
                && record.call.resource == format!("{}s", kind.to_lowercase())
                && record.upstream / 100 == 2
                && end.is_none_or(|end| record.at <= end)
        });
        if deleted.is_some() {
            all.push(Finding::new(
                Kind::Foreign,
                format!("{kind} {name} was deleted"),
            ));
        }
    }
    all
}

/// Nothing is asked for that the shipped roles do not allow.
fn rights(workload: &str, records: &[Record]) -> Vec<Finding> {
    let refused: BTreeSet<String> = records
        .iter()
        .filter(|record| record.upstream == 403)
        .map(|record| record.point.call.clone())
        .collect();
    // Nothing can be made in a namespace that ends.
    let ends = workload == "namespace";
    let shown = |call| Finding::new(Kind::Rights, format!("refused: {call}"));
    if ends {
        Vec::new()
    } else {
        refused.into_iter().map(shown).collect()
    }
}
