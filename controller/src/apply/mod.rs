//! Makes objects as they are desired, and removes what is no longer wanted: where reconciles write.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crds::names;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use crate::apply::desired::{Content, DATA_DIGEST, Desired, Inputs, Step};
use crate::kubernetes::store::{Kind, Live, ObjectKey, Store};
use crate::kubernetes::writer::{WriteError, Writer};

mod damping;
pub mod desired;
pub mod diff;
mod foreign;
pub mod key_recovery;
mod no_op;
mod obsolete;
mod problem;
mod secrets;

pub use self::damping::{Damping, Held};
use self::foreign::{foreign, is_orphan, is_ours};
pub use self::no_op::NoOpApplies;
use self::obsolete::going;
pub use self::obsolete::is_rolling;
pub use self::problem::{ApplyError, Problem};
pub use crate::apply::secrets::{SigningKeys, administrator};

/// What came of a round.
#[derive(Debug, Default)]
pub struct Applied {
    /// Something was written, so another round may find more to do.
    pub changed: bool,
    /// What could not be written.
    pub problems: Vec<Problem>,
    /// What was left as it is for a moment, of which nothing is said: it is not yet as it is wanted.
    pub left: BTreeSet<ObjectKey>,
    /// When to go on with what is left for now.
    pub again: Option<Duration>,
    /// When to look again all the same, because nothing would tell of what may have changed by then.
    pub look: Option<Duration>,
}

impl Applied {
    fn add(&mut self, key: &ObjectKey, outcome: Outcome) {
        match outcome {
            Outcome::Same => {}
            Outcome::SameFor(rest) => soonest(&mut self.look, rest),
            Outcome::Changed => self.changed = true,
            Outcome::Problem(problem) => self.problems.push(problem),
            Outcome::Held(Held { problem, wait }) => {
                if problem.passing {
                    soonest(&mut self.again, wait);
                }
                self.problems.push(problem);
            }
            Outcome::Later(wait) => {
                self.left.insert(key.clone());
                soonest(&mut self.again, wait);
            }
        }
    }
}

fn soonest(known: &mut Option<Duration>, wait: Duration) {
    *known = Some(known.map_or(wait, |other| other.min(wait)));
}

/// One round of writes for one Cluster.
pub struct Round<'a> {
    /// Writes.
    pub writer: &'a Writer,
    /// Knows what is there.
    pub store: &'a Store,
    /// Applies that are known to change nothing.
    pub no_op_applies: &'a NoOpApplies,
    /// Writes that are held back.
    pub damping: &'a Damping,
    /// Keys in hand.
    pub keys: &'a SigningKeys,
    /// The Cluster's uid.
    pub uid: &'a str,
    /// The keys of this Cluster were made before: none is made anew.
    pub keys_made: bool,
    /// Now.
    pub now: Timestamp,
    /// How long leaf certificates last.
    pub leaf_lifetime: jiff::SignedDuration,
}

impl Round<'_> {
    /// Writes what differs, and deletes what is owned and obsolete. What goes wrong with one
    /// object keeps no other from being written.
    pub async fn run(&self, wanted: &[Desired], obsolete: &BTreeSet<ObjectKey>) -> Applied {
        let owned = self.store.owned_by(self.uid);
        let writes = wanted.iter().map(async |wanted| {
            let outcome = self.one(wanted).await;
            outcome.unwrap_or_else(|error| self.failed(&wanted.key, wanted.hash(), &error))
        });
        let mut applied = Applied::default();
        for (wanted, outcome) in wanted.iter().zip(join_all(writes).await) {
            applied.add(&wanted.key, outcome);
        }
        for (key, live) in going(self.store, self.uid, wanted, &owned, obsolete, &applied) {
            let outcome = self.remove(key, live).await;
            applied.add(key, outcome);
        }
        applied.problems.sort();
        applied
    }

    /// Whether there is anything to write or to delete.
    pub fn has_work(&self, wanted: &[Desired], obsolete: &BTreeSet<ObjectKey>) -> bool {
        let is_work = |wanted: &Desired| {
            let Some(live) = self.store.get(&wanted.key) else {
                return true;
            };
            let now = Instant::now();
            is_ours(wanted, &live, self.uid)
                && wanted.step(Some(&live)) != Step::Nothing
                && self.no_op_applies.knows(wanted, &live, now).is_none()
        };
        if wanted.iter().any(is_work) {
            return true;
        }
        let owned = self.store.owned_by(self.uid);
        let nothing = Applied::default();
        !going(self.store, self.uid, wanted, &owned, obsolete, &nothing).is_empty()
    }

    async fn one(&self, wanted: &Desired) -> Result<Outcome, ApplyError> {
        match self.store.get(&wanted.key) {
            Some(live) => match self.existing(wanted, &live).await {
                // Made in the next round.
                Err(ApplyError::Write(error))
                    if self.writer.has_gone(&wanted.key, &live, &error).await? =>
                {
                    Ok(Outcome::Changed)
                }
                done => done,
            },
            None => self.missing(wanted).await,
        }
    }

    /// What is there is judged by its owner, whoever made it.
    async fn existing(&self, wanted: &Desired, live: &Live) -> Result<Outcome, ApplyError> {
        let is_kept = matches!(wanted.content, Content::Kept(_));
        if is_kept && key_recovery::is_awaited(&wanted.key, live, self.uid, self.store) {
            return Ok(Outcome::Same);
        }
        if !is_ours(wanted, live, self.uid) {
            return Ok(foreign(wanted, live));
        }
        let step = wanted.step(Some(live));
        if step == Step::Nothing {
            return Ok(Outcome::Same);
        }
        if step == Step::Apply
            && let Some(rest) = self.no_op_applies.knows(wanted, live, Instant::now())
        {
            return Ok(Outcome::SameFor(rest));
        }
        if let Err(said) = self.may_write(&wanted.key, wanted.hash()) {
            return Ok(said);
        }
        tracing::debug!(key = %wanted.key, ?step, differs = wanted.difference(&live.value()));
        match (step, &wanted.content) {
            (Step::Restore, _) => key_recovery::undo_deletion(self.writer, wanted).await?,
            (Step::Make, Content::Made(recipe)) => {
                let (body, _) = self.with_data(wanted, recipe).await?;
                self.writer.apply(&wanted.key, &body, &live.uid).await?;
            }
            (_, Content::Declared) => {
                self.take_out(wanted, live).await?;
                self.apply(wanted, &live.uid).await?;
            }
            (_, Content::Made(_) | Content::Kept(_)) => {
                if !relabel(self.writer, wanted, &live.uid).await? {
                    // Made in the next round.
                    return Ok(Outcome::Changed);
                }
            }
        }
        if step == Step::Apply
            && let Some(after) = self.store.get(&wanted.key)
            && after.resource_version == live.resource_version
        {
            // Nobody has changed it.
            let now = Instant::now();
            self.damping.tried(&wanted.key, wanted.hash(), now);
            let rest = self.no_op_applies.learn(wanted, &after, now);
            return Ok(Outcome::SameFor(rest));
        }
        self.wrote(wanted, live.rival.clone());
        Ok(Outcome::Changed)
    }

    fn may_write(&self, key: &ObjectKey, hash: &str) -> Result<(), Outcome> {
        let now = Instant::now();
        self.damping.allow(key, hash, now).map_err(Outcome::Held)?;
        self.in_time(key, now)
    }

    /// The same of a key that only its copy holds: that others have deleted it again and again has held
    /// up its deletion.
    fn may_restore(&self, key: &ObjectKey, hash: &str) -> Result<(), Outcome> {
        let now = Instant::now();
        self.damping.works(key, hash, now).map_err(Outcome::Held)?;
        self.in_time(key, now)
    }

    fn in_time(&self, key: &ObjectKey, now: Instant) -> Result<(), Outcome> {
        match self.damping.pace(key, now) {
            Some(wait) => Err(Outcome::Later(wait)),
            None => Ok(()),
        }
    }

    fn wrote(&self, wanted: &Desired, rival: Option<String>) {
        self.damping
            .wrote(&wanted.key, wanted.hash(), rival, Instant::now());
    }

    fn failed(&self, key: &ObjectKey, hash: &str, error: &ApplyError) -> Outcome {
        let problem = Problem::from_error(key, error);
        Outcome::Held(self.damping.failed(key, hash, problem, Instant::now()))
    }

    /// An apply leaves what another client has added.
    async fn take_out(&self, wanted: &Desired, live: &Live) -> Result<(), WriteError> {
        let tree = live.value();
        let mut patch = json!({});
        for (field, key) in wanted.foreign(&tree) {
            patch[field][key] = json!(null);
        }
        if patch == json!({}) {
            return Ok(());
        }
        patch["metadata"] = json!({"uid": live.uid});
        self.writer.merge(&wanted.key, &patch).await
    }

    async fn apply(&self, wanted: &Desired, uid: &str) -> Result<(), WriteError> {
        let (key, body) = (&wanted.key, &wanted.body);
        match self.writer.apply(key, body, uid).await {
            // Entries are matched by number: a port renumbered by hand stays beside ours, and two
            // of one name are refused. A merge patch replaces the list.
            Err(WriteError::Refused { .. }) if key.kind == Kind::Service => {
                let ports =
                    json!({"metadata": {"uid": uid}, "spec": {"ports": body["spec"]["ports"]}});
                self.writer.merge(key, &ports).await?;
                self.writer.apply(key, body, uid).await
            }
            other => other,
        }
    }

    /// What was not seen may be there all the same, without the labels of the watches: it is
    /// created and never applied over.
    async fn missing(&self, wanted: &Desired) -> Result<Outcome, ApplyError> {
        if matches!(wanted.content, Content::Kept(_))
            && let Some(copy) = self.copy(&wanted.key)
        {
            if let Err(said) = self.may_restore(&wanted.key, wanted.hash()) {
                return Ok(said);
            }
            key_recovery::from_copy(self.writer, wanted, &copy).await?;
            self.damping.succeeded(&wanted.key);
            return Ok(Outcome::Changed);
        }
        if let Err(said) = self.may_write(&wanted.key, wanted.hash()) {
            return Ok(said);
        }
        let (body, pair) = match &wanted.content {
            Content::Declared => (wanted.body.clone(), None),
            Content::Made(recipe) => self.with_data(wanted, recipe).await?,
            Content::Kept(recipe) => match self.kept(wanted).await? {
                Some(outcome) => return Ok(outcome),
                None => self.with_data(wanted, recipe).await?,
            },
        };
        match self.writer.create(&wanted.key, &body).await {
            Ok(()) => {
                if let Some(pair) = pair {
                    self.keys.put(&wanted.key, pair);
                }
                self.wrote(wanted, None);
                return Ok(Outcome::Changed);
            }
            Err(WriteError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(object) = self.writer.look(&wanted.key).await? else {
            // Gone again, or something else of the API server has answered that there is a conflict.
            let said = "the API server answers that it exists, but does not return it";
            return Ok(Outcome::Held(self.damping.failed(
                &wanted.key,
                wanted.hash(),
                Problem {
                    passing: true,
                    ..Problem::new(&wanted.key, said)
                },
                Instant::now(),
            )));
        };
        let live = Live::new(wanted.key.kind, object.clone());
        let is_kept = matches!(wanted.content, Content::Kept(_));
        if live.is_owned_by(self.uid)
            || is_orphan(wanted, &live)
            || (is_kept && live.owner.is_none())
        {
            // Ours, or a key that a user made beforehand and that is used: the next round builds on
            // what it is.
            self.store.put_read(wanted.key.kind, object);
            return Ok(Outcome::Changed);
        }
        Ok(foreign(wanted, &live))
    }

    fn copy(&self, key: &ObjectKey) -> Option<ObjectKey> {
        let copy = key_recovery::copy_of(key);
        let is_there = self.store.get_owned(&copy, self.uid).is_some();
        is_there.then_some(copy)
    }

    /// What there is to do for a key that is made once, other than making it.
    async fn kept(&self, wanted: &Desired) -> Result<Option<Outcome>, ApplyError> {
        if !self.keys_made {
            return Ok(None);
        }
        // Ask before saying so: the watch may only be late.
        if self.writer.get(&wanted.key).await?.is_some() {
            return Ok(Some(Outcome::Changed));
        }
        let lost = "its key is lost and is not recreated: a new one would cut off every machine and pod \
                    of the cluster. Restore the Secret from a backup, or delete the Cluster";
        Ok(Some(Outcome::Problem(Problem::new(&wanted.key, lost))))
    }
}

/// Applies what a Secret says about itself and leaves its data: an apply without the data would
/// take it away. Whether there was one.
pub async fn relabel<R: Inputs>(
    writer: &Writer,
    wanted: &Desired<R>,
    uid: &str,
) -> Result<bool, WriteError> {
    let Some(secret) = writer.get(&wanted.key).await? else {
        return Ok(false);
    };
    let mut body = wanted.body.clone();
    let mut data = secret.data.get("data").cloned().unwrap_or_default();
    if let (Content::Made(recipe), Some(data)) = (&wanted.content, data.as_object_mut()) {
        data.retain(|key, _| recipe.keys().contains(&key.as_str()));
    }
    body["data"] = data;
    let annotations = secret.metadata.annotations.unwrap_or_default();
    for said in [DATA_DIGEST, names::NOT_AFTER] {
        if let Some(value) = annotations.get(said) {
            body["metadata"]["annotations"][said] = json!(value);
        }
    }
    writer.apply(&wanted.key, &body, uid).await?;
    Ok(true)
}

enum Outcome {
    Same,
    /// As far as is known, and for so long.
    SameFor(Duration),
    Changed,
    Problem(Problem),
    Held(Held),
    Later(Duration),
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
