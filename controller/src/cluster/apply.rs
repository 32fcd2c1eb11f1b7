//! Makes what differs, and removes what is no longer wanted.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures::future::try_join_all;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    kubernetes::{
        store::{Key, Kind, Live, Store},
        writer::{WriteError, Writer},
    },
    pki::PkiError,
};

use super::{
    restore,
    wanted::{APPLIED_HASH, COPY_SUFFIX, Content, DATA_DIGEST, Inputs, Step, Wanted},
};

mod make;

pub use self::make::{Keys, administrator};

/// Why a round of writes did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A certificate could not be made.
    #[error("could not make {key}: {source}")]
    Pki {
        /// The Secret.
        key: Key,
        /// The cause.
        #[source]
        source: PkiError,
    },
    /// The Secret with the authority is missing or not whole.
    #[error("{key} holds no usable authority")]
    NoAuthority {
        /// The Secret.
        key: Key,
    },
}

impl ApplyError {
    /// Whether trying again may help while nothing else changes.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Write(error) => error.is_retryable(),
            Self::Pki { .. } | Self::NoAuthority { .. } => false,
        }
    }
}

/// A child that could not be made; the others were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The child.
    pub key: Key,
    /// What the API server, or the check before it, said.
    pub message: String,
}

/// What came of a round.
#[derive(Debug, Default)]
pub struct Applied {
    /// Something was written, so another round may find more to do.
    pub changed: bool,
    /// What could not be written.
    pub problems: Vec<Problem>,
}

/// Applies that left the resourceVersion alone (the API server writes a field otherwise than we
/// do): not repeated until the object or what is wanted changes.
#[derive(Clone, Default)]
pub struct Futile(Arc<Mutex<HashMap<Key, (String, String)>>>);

impl Futile {
    fn knows(&self, wanted: &Wanted, live: &Live) -> bool {
        self.0
            .lock()
            .get(&wanted.key)
            .is_some_and(|(hash, version)| {
                hash == wanted.hash() && *version == live.resource_version
            })
    }

    fn learn(&self, wanted: &Wanted, version: String) {
        self.0
            .lock()
            .insert(wanted.key.clone(), (wanted.hash().to_owned(), version));
    }

    /// Forgets the objects of a Cluster that is gone.
    pub fn forget(&self, keys: impl IntoIterator<Item = Key>) {
        let mut known = self.0.lock();
        for key in keys {
            known.remove(&key);
        }
    }
}

/// One round of writes for one Cluster.
pub struct Round<'a> {
    /// Writes.
    pub writer: &'a Writer,
    /// Knows what is there.
    pub store: &'a Store,
    /// Applies known to be futile.
    pub futile: &'a Futile,
    /// Keys in hand.
    pub keys: &'a Keys,
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
    /// Writes what differs and deletes what is owned but neither wanted nor in `keep`.
    pub async fn run(
        &self,
        wanted: &[Wanted],
        keep: &BTreeSet<Key>,
    ) -> Result<Applied, ApplyError> {
        let owned = self.store.owned_by(self.uid);
        let writes: Vec<_> = wanted.iter().map(|wanted| self.one(wanted)).collect();
        let outcomes = try_join_all(writes).await?;
        let mut applied = Applied::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Same => {}
                Outcome::Changed => applied.changed = true,
                Outcome::Problem(problem) => applied.problems.push(problem),
            }
        }
        applied.problems.sort_by(|a, b| a.key.cmp(&b.key));
        for (key, live) in self.unwanted(&owned, wanted, keep) {
            self.writer
                .delete(key, &live.uid, &live.resource_version)
                .await?;
        }
        Ok(applied)
    }

    fn unwanted<'o>(
        &self,
        owned: &'o BTreeMap<Key, Arc<Live>>,
        wanted: &[Wanted],
        keep: &BTreeSet<Key>,
    ) -> Vec<(&'o Key, &'o Arc<Live>)> {
        let wanted: BTreeSet<&Key> = wanted.iter().map(|wanted| &wanted.key).collect();
        owned
            .iter()
            .filter(|(key, live)| {
                !live.deleting && !wanted.contains(key) && !keep.contains(key) && !is_kept(live)
            })
            // A copy is needed until the Secret that it stands for is there again.
            .filter(|(key, _)| match key.name.strip_suffix(COPY_SUFFIX) {
                Some(original) if key.kind == Kind::Secret => {
                    let original = Key::new(Kind::Secret, &key.namespace, original);
                    self.store.get(&original).is_some_and(|live| !live.deleting)
                }
                _ => true,
            })
            .collect()
    }

    async fn one(&self, wanted: &Wanted) -> Result<Outcome, ApplyError> {
        let seen = self.store.get(&wanted.key);
        if let Some(live) = &seen
            && live
                .owner
                .as_ref()
                .is_none_or(|owner| owner.uid != self.uid)
            && !is_orphan(wanted, live)
        {
            return Ok(foreign(wanted, live));
        }
        let step = wanted.step(seen.as_deref());
        if let (Step::Apply, Some(live)) = (step, &seen)
            && self.futile.knows(wanted, live)
        {
            return Ok(Outcome::Same);
        }
        if let (Step::Apply, Some(live)) = (step, &seen) {
            let differs = wanted.difference(&live.value());
            tracing::debug!(key = %wanted.key, differs, "applying what differs");
        }
        match self.act(wanted, step, seen.is_some()).await {
            Ok(outcome) => {
                if let (Step::Apply, Some(before)) = (step, &seen)
                    && let Some(after) = self.store.get(&wanted.key)
                    && after.resource_version == before.resource_version
                {
                    self.futile.learn(wanted, after.resource_version.clone());
                }
                Ok(outcome)
            }
            Err(ApplyError::Write(
                WriteError::Refused { key, message } | WriteError::Conflict { key, message },
            )) if !seen.as_ref().is_some_and(|live| live.deleting) => {
                Ok(Outcome::Problem(Problem { key, message }))
            }
            Err(error @ ApplyError::Pki { .. }) => Ok(Outcome::Problem(Problem {
                key: wanted.key.clone(),
                message: error.to_string(),
            })),
            Err(error) => Err(error),
        }
    }

    async fn act(&self, wanted: &Wanted, step: Step, seen: bool) -> Result<Outcome, ApplyError> {
        match step {
            Step::Nothing => return Ok(Outcome::Same),
            Step::Apply if matches!(wanted.content, Content::Made(_)) => {
                relabel(self.writer, wanted).await?;
            }
            // What was not seen may be somebody else's: only an owned object is forced.
            Step::Apply => self.apply(wanted, &wanted.body, seen).await?,
            Step::Make => {
                let (Content::Made(recipe) | Content::Kept(recipe)) = &wanted.content else {
                    return Ok(Outcome::Same);
                };
                let body = self.with_data(wanted, recipe).await?;
                self.apply(wanted, &body, seen).await?;
            }
            Step::Create => return self.create(wanted).await,
            Step::Restore => restore::undo_deletion(self.writer, wanted).await?,
        }
        Ok(Outcome::Changed)
    }

    async fn apply(&self, wanted: &Wanted, body: &Value, seen: bool) -> Result<(), WriteError> {
        let key = &wanted.key;
        match self.writer.apply(key, body, seen).await {
            // A label changed by hand hides a child from the watches.
            Err(WriteError::Conflict { .. })
                if !seen && self.writer.owner(key).await?.as_deref() == Some(self.uid) =>
            {
                self.writer.apply(key, body, true).await
            }
            // Entries are matched by number: a port renumbered by hand stays beside ours, and two
            // of one name are refused. A merge patch replaces the list.
            Err(WriteError::Refused { .. }) if seen && key.kind == Kind::Service => {
                let ports = json!({"spec": {"ports": body["spec"]["ports"]}});
                self.writer.merge(key, &ports).await?;
                self.writer.apply(key, body, true).await
            }
            other => other,
        }
    }

    async fn create(&self, wanted: &Wanted) -> Result<Outcome, ApplyError> {
        let copy = Key {
            name: format!("{}{COPY_SUFFIX}", wanted.key.name),
            ..wanted.key.clone()
        };
        if self.store.get_owned(&copy, self.uid).is_some() {
            restore::from_copy(self.writer, wanted, &copy).await?;
            return Ok(Outcome::Changed);
        }
        let (Content::Made(recipe) | Content::Kept(recipe)) = &wanted.content else {
            return Ok(Outcome::Same);
        };
        if self.keys_made {
            // Ask before saying so: the watch may only be late.
            if self.writer.get(&wanted.key).await?.is_some() {
                return Ok(Outcome::Changed);
            }
            return Ok(Outcome::Problem(Problem {
                key: wanted.key.clone(),
                message: format!(
                    "the key in {} is lost; a new one would cut off every machine and pod of the \
                     cluster, so none is made: restore the Secret from a backup, or delete the \
                     Cluster",
                    wanted.key
                ),
            }));
        }
        let body = self.with_data(wanted, recipe).await?;
        match self.writer.create(&wanted.key, &body).await {
            Ok(()) => {}
            Err(WriteError::Exists { .. }) => {
                self.keys.forget(&wanted.key);
                self.writer.get(&wanted.key).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Outcome::Changed)
    }
}

/// Whether somebody took the owner reference off a child: what was applied last names the uid of
/// the owner, so nobody else's object has that hash.
fn is_orphan(wanted: &Wanted, live: &Live) -> bool {
    live.owner.is_none() && live.annotation(APPLIED_HASH).as_deref() == Some(wanted.hash())
}

/// Somebody else's object has the name of a child. A Secret of certificates that a user made
/// beforehand is used as it is; anything else is left alone and said.
fn foreign(wanted: &Wanted, live: &Live) -> Outcome {
    let users = live.owner.is_none();
    if users && matches!(wanted.content, Content::Kept(_)) && !live.deleting {
        return Outcome::Same;
    }
    Outcome::Problem(Problem {
        key: wanted.key.clone(),
        message: format!(
            "{} exists and does not belong to this Cluster: rename or delete it, or give the \
             Cluster another name",
            wanted.key
        ),
    })
}

/// Applies what a Secret says about itself and leaves its data: an apply without the data would
/// take it away.
pub async fn relabel<R: Inputs>(writer: &Writer, wanted: &Wanted<R>) -> Result<(), WriteError> {
    let Some(secret) = writer.get(&wanted.key).await? else {
        return Ok(());
    };
    let mut body = wanted.body.clone();
    body["data"] = secret.data.get("data").cloned().unwrap_or_default();
    let annotations = secret.metadata.annotations.unwrap_or_default();
    for said in [DATA_DIGEST, crds::names::NOT_AFTER] {
        if let Some(value) = annotations.get(said) {
            body["metadata"]["annotations"][said] = json!(value);
        }
    }
    writer.apply(&wanted.key, &body, true).await
}

fn is_kept(live: &Live) -> bool {
    live.value()["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|all| all.contains(&json!(crds::names::KEY_FINALIZER)))
}

enum Outcome {
    Same,
    Changed,
    Problem(Problem),
}
