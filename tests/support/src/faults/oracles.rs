//! What has to hold in every run, whatever was done to its requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mothership::proxy::{Fault, LASTS, Record, Verb};
use serde_json::Value;

use super::history::{Change, What};
use super::plan::Reference;
use super::stage::{Stage, is_lease, is_work, is_write};
use super::state;
use crate::light::children::{at, text};

/// The label of what somebody else has made.
pub const FOREIGN: &str = "example.org/whose";

/// How soon a failure that lasts is in a condition, and how soon after its cause that is over.
const SAID_WITHIN: Duration = Duration::from_secs(10);

/// What did not hold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// It does not come to what it comes to without a fault, or hangs.
    EndState,
    /// An object was made anew that should have stayed.
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
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndState => "end state",
            Self::Recreated => "made anew",
            Self::Foreign => "not its own",
            Self::Key => "key lost",
            Self::Leak => "leak",
            Self::Noise => "not quiet",
            Self::Silent => "not said",
            Self::Untrue => "untrue",
            Self::Crash => "crash",
            Self::Rights => "rights",
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
    reference: &Reference,
    fault: Option<Fault>,
) -> Vec<Finding> {
    let changes = stage.history.changes(&stage.scene.namespace);
    let records = stage.proxy.records();
    let log = stage.operator.log();
    let mut all = Vec::new();
    all.extend(keys(&changes));
    all.extend(keys_deleted(&changes, &records));
    all.extend(keys_let_go(&changes));
    let misfits = super::keys::misfits(&stage.objects());
    all.extend(
        misfits
            .into_iter()
            .map(|what| Finding::new(Kind::Key, what)),
    );
    all.extend(ends_in_order(&changes));
    all.extend(elsewhere(&stage.scene.namespace, &records));
    all.extend(foreign(&changes, &records));
    all.extend(recreated(&changes, &reference.lives));
    all.extend(leaks(&changes, &log));
    all.extend(untrue(&changes));
    all.extend(rights(workload, &records));
    if let Some(Fault::Lasting(_)) = fault {
        all.extend(silent(&changes, &records));
    }
    // Without its lease it has to end: somebody else may be writing already.
    let lost_lease = records
        .iter()
        .any(|record| is_lease(record) && (record.fault.is_some() || record.upstream == 0));
    for ended in stage.operator.ended().into_iter().filter(|_| !lost_lease) {
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

/// How often each object was made.
pub fn lives(changes: &[Change]) -> BTreeMap<String, usize> {
    let mut uids: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.kind != "Event") {
        // A copy that is needed for a moment is there or not as it happens.
        if change.name.ends_with("-restore") {
            continue;
        }
        let key = format!("{}/{}", change.kind, change.name);
        uids.entry(key)
            .or_default()
            .insert(text(&change.object, "/metadata/uid"));
    }
    uids.into_iter()
        .map(|(key, uids)| (key, uids.len()))
        .collect()
}

fn recreated(changes: &[Change], expected: &BTreeMap<String, usize>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (key, times) in lives(changes) {
        let expected = expected.get(&key).copied().unwrap_or(0);
        if times != expected {
            let what = format!("{key} was made {times} times, {expected} without a fault");
            all.push(Finding::new(Kind::Recreated, what));
        }
    }
    all
}

/// The finalizer that keeps a key.
const KEY_FINALIZER: &str = crds::names::KEY_FINALIZER;

/// How often the same may be read while nothing happens: once for a start, and once more for what has
/// failed in it.
const FEW: usize = 3;

/// The keys that nothing can replace.
fn is_key(name: &str) -> bool {
    ["-ca", "-sa", "-proxy", "-etcd"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn owner(object: &Value) -> &str {
    text(object, "/metadata/ownerReferences/0/uid")
}

fn keys(changes: &[Change]) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut found: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for change in changes {
        if change.kind != "Secret" || !is_key(&change.name) || change.what == What::Deleted {
            continue;
        }
        let key = text(&change.object, "/data/tls.key");
        let owner = owner(&change.object);
        if key.is_empty() || owner.is_empty() {
            continue;
        }
        let before = *found.entry((&change.name, owner)).or_insert(key);
        if before != key {
            all.push(Finding::new(
                Kind::Key,
                format!("Secret {} has another key", change.name),
            ));
            found.insert((&change.name, owner), key);
        }
    }
    all
}

/// The version at which an object became what it is, or went.
fn version(change: &Change) -> u64 {
    text(&change.object, "/metadata/resourceVersion")
        .parse()
        .unwrap_or_default()
}

/// Whether the owner of an object was there, and not on its way out, when that became what it is:
/// by versions, since each watch shows its kind in its own time.
fn owner_lived(changes: &[Change], of: &Change) -> bool {
    let owner = owner(&of.object);
    let its = changes.iter().filter(|change| {
        change.kind == "Cluster"
            && text(&change.object, "/metadata/uid") == owner
            && version(change) <= version(of)
    });
    its.max_by_key(|change| version(change))
        .is_some_and(|last| {
            last.what != What::Deleted && at(&last.object, "/metadata/deletionTimestamp").is_null()
        })
}

fn keys_deleted(changes: &[Change], records: &[Record]) -> Vec<Finding> {
    let mut all = Vec::new();
    let gone = changes.iter().filter(|change| {
        change.kind == "Secret" && change.what == What::Deleted && is_key(&change.name)
    });
    for change in gone {
        let by_it = records.iter().any(|record| {
            record.call.verb == Verb::Delete
                && record.upstream / 100 == 2
                && record.call.resource == "secrets"
                && record.call.name == change.name
        });
        if by_it && owner_lived(changes, change) {
            let what = format!("Secret {} was deleted while its Cluster lived", change.name);
            all.push(Finding::new(Kind::Key, what));
        }
    }
    all
}

/// The finalizer of a key goes only when its Cluster does.
fn keys_let_go(changes: &[Change]) -> Vec<Finding> {
    let holds = |change: &Change| {
        let finalizers = at(&change.object, "/metadata/finalizers").as_array();
        finalizers
            .into_iter()
            .flatten()
            .any(|name| name == KEY_FINALIZER)
    };
    let mut all = Vec::new();
    let mut held: BTreeSet<(&str, &str)> = BTreeSet::new();
    for change in changes
        .iter()
        .filter(|change| change.kind == "Secret" && is_key(&change.name))
    {
        let uid = text(&change.object, "/metadata/uid");
        let was_held = held.contains(&(&change.name, uid));
        // Somebody who deletes a key gets it back under a new uid: its copy is there before it goes.
        let goes = !at(&change.object, "/metadata/deletionTimestamp").is_null();
        if holds(change) {
            held.insert((&change.name, uid));
        } else if was_held && !goes && owner_lived(changes, change) {
            let what = format!("Secret {} was let go while its Cluster lived", change.name);
            all.push(Finding::new(Kind::Key, what));
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
fn elsewhere(namespace: &str, records: &[Record]) -> Vec<Finding> {
    let outside: BTreeSet<String> = records
        .iter()
        .filter(|record| is_write(record) && record.call.namespace != namespace)
        .map(|record| format!("{} in {:?}", record.call, record.call.namespace))
        .collect();
    outside
        .into_iter()
        .map(|what| Finding::new(Kind::Foreign, what))
        .collect()
}

fn foreign(changes: &[Change], records: &[Record]) -> Vec<Finding> {
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
            if change.what == What::Modified {
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

/// What must be nowhere but in its Secret.
fn needles(changes: &[Change]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for change in changes.iter().filter(|change| change.kind == "Secret") {
        let data = at(&change.object, "/data").as_object();
        for (key, value) in data.into_iter().flatten() {
            let encoded = value.as_str().unwrap_or_default();
            let decoded = STANDARD.decode(encoded).unwrap_or_default();
            let decoded = String::from_utf8_lossy(&decoded);
            let whose = format!("{} of Secret {}", key, change.name);
            let secret = decoded.contains("PRIVATE KEY")
                || decoded.contains("client-key-data")
                || key == "token";
            if !secret {
                continue;
            }
            // A line out of the middle, for what is written in lines; a piece of it encoded.
            let lines: Vec<_> = decoded.lines().filter(|line| line.len() >= 40).collect();
            let middle = if decoded.contains("client-key-data") {
                lines
                    .iter()
                    .find_map(|line| line.split_once("client-key-data:"))
                    .map(|(_, key)| key.trim())
            } else {
                lines.get(lines.len() / 2).copied()
            };
            let piece = |text: &str| text.get(8..40).map(str::to_owned);
            let pieces = [
                middle.and_then(piece),
                encoded.get(120..160).map(str::to_owned),
            ];
            for needle in pieces.into_iter().flatten() {
                all.insert(needle, whose.clone());
            }
        }
    }
    all
}

fn leaks(changes: &[Change], log: &str) -> Vec<Finding> {
    let needles = needles(changes);
    let mut all: BTreeSet<(String, String)> = BTreeSet::new();
    let mut look = |place: &str, text: &str| {
        for (needle, whose) in &needles {
            if text.contains(needle.as_str()) {
                all.insert((whose.clone(), place.to_owned()));
            }
        }
    };
    look("the log", log);
    for change in changes.iter().filter(|change| change.kind != "Secret") {
        look(
            &format!("{} {}", change.kind, change.name),
            &change.object.to_string(),
        );
    }
    all.into_iter()
        .map(|(whose, place)| Finding::new(Kind::Leak, format!("{whose} is in {place}")))
        .collect()
}

/// Nothing serves here, and a deletion is not over before it is.
fn untrue(changes: &[Change]) -> Vec<Finding> {
    let says = |change: &Change| {
        let conditions = at(&change.object, "/status/conditions").as_array();
        conditions.into_iter().flatten().any(|condition| {
            text(condition, "/type") == "Available" && text(condition, "/status") == "True"
        })
    };
    let found = changes
        .iter()
        .find(|change| change.kind == "Cluster" && says(change));
    found
        .map(|change| {
            let what = format!("{} says Available, and nothing serves", change.name);
            Finding::new(Kind::Untrue, what)
        })
        .into_iter()
        .collect()
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

/// What fails for longer than [`SAID_WITHIN`] has to be said by the object.
fn silent(changes: &[Change], records: &[Record]) -> Vec<Finding> {
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
    let said = changes.iter().any(|change| {
        let conditions = at(&change.object, "/status/conditions").as_array();
        matches!(change.kind, "Cluster" | "JoinTokenRequest")
            && change.at >= first.at
            && change.at <= first.at + SAID_WITHIN
            && conditions.into_iter().flatten().any(|condition| {
                text(condition, "/status") != "True"
                    && text(condition, "/message").contains("injected")
            })
    });
    let gone_before = changes
        .iter()
        .any(|change| change.kind == "Cluster" && change.what == What::Deleted && change.at < over);
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
    let late = records
        .iter()
        .filter(|record| record.at >= since && is_write(record));
    let mut all: Vec<String> = late.map(|record| record.call.to_string()).collect();
    let reads = records
        .iter()
        .filter(|record| record.at >= since && !is_write(record) && !is_lease(record));
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for read in reads {
        *asked.entry(read.call.to_string()).or_default() += 1;
    }
    asked.retain(|_, times| *times > FEW);
    if all.is_empty() {
        let (call, times) = asked.into_iter().next()?;
        let what = format!("{when}: {call} {times} times");
        return Some(Finding::new(Kind::Noise, what));
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
