//! One run of a workload: a namespace, the program behind its proxy, and its user.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use mothership::proxy::{Proxy, Record};
use serde_json::{Value, json};

use super::history::{History, Objects};
use super::operator::Operator;
use super::plan::Reference;
use super::state::{self, Leaves};
use crate::light::children;
use crate::light::scene::Scene;

/// In a run without faults nothing goes on any more after so long.
const SILENCE: Duration = Duration::from_millis(1500);

/// What a single fault may cost beyond the time that it lasts: its own end (a call of the controller
/// has ten seconds), the pause before the next try, and a busy machine.
pub const RECOVERS: Duration = Duration::from_secs(40);

/// What a run is compared with.
#[derive(Clone, Debug)]
pub enum Against {
    /// Nothing: its states are noted.
    Recording,
    /// A run without faults.
    Reference(Arc<Reference>),
}

/// One run.
pub struct Stage {
    /// What its user does things with.
    pub scene: Scene,
    /// All that has happened.
    pub history: Arc<History>,
    /// What stands before the API server.
    pub proxy: Arc<Proxy>,
    /// What is tested.
    pub operator: Operator,
    pub(super) against: Against,
    pub(super) states: Mutex<Vec<Leaves>>,
}

impl Deref for Stage {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Stage {
    /// The objects as they are.
    pub fn objects(&self) -> Objects {
        self.history.objects(&self.scene.namespace)
    }

    fn leaves(&self) -> Leaves {
        state::leaves(&self.objects(), &self.scene.namespace)
    }

    /// Waits until the program has done what there was to do: in a run without faults until it is
    /// silent, else until all is as it was then.
    pub async fn settles(&self) -> Result<()> {
        let number = self
            .states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        let reached = match &self.against {
            Against::Recording => self.silence().await?,
            Against::Reference(reference) => self.reaches(reference, number).await?,
        };
        self.states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reached);
        Ok(())
    }

    async fn silence(&self) -> Result<Leaves> {
        let started = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.operator.look_after()?;
            let objects = self.objects();
            let asked = self.proxy.last(is_work);
            let changed = self.history.last(&self.scene.namespace);
            let last = asked.into_iter().chain(changed).fold(started, Instant::max);
            let silent = last.elapsed() > SILENCE;
            if silent && state::is_at_rest(&objects) {
                return Ok(state::leaves(&objects, &self.scene.namespace));
            }
            if started.elapsed() > Duration::from_secs(60) {
                bail!("without any fault the program is not silent after a minute");
            }
        }
    }

    async fn reaches(&self, reference: &Reference, number: usize) -> Result<Leaves> {
        let Some(expected) = reference.states.get(number) else {
            bail!("the reference has no state {number}");
        };
        let started = Instant::now();
        loop {
            self.operator.look_after()?;
            let found = self.leaves();
            let left = state::differences(expected, &found, &reference.mask);
            if left.is_empty() {
                return Ok(found);
            }
            // What lasts does not count, nor what has not happened yet.
            let fault = self.proxy.lasts().unwrap_or_default();
            if started.elapsed() > RECOVERS + fault {
                let more = left.len().saturating_sub(4);
                let more = if more == 0 {
                    String::new()
                } else {
                    format!(" and {more} more")
                };
                let shown: Vec<_> = left.into_iter().take(4).collect();
                bail!("end state {number}: {}{more}", shown.join("; "));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A JSON merge patch of any object, by the user.
    pub async fn patch(&self, key: &str, patch: Value) -> Result<()> {
        let (kind, name) = key.split_once('/').unwrap_or_default();
        let patch = Patch::Merge(&patch);
        if kind == "Cluster" {
            self.raw()
                .patch(name, &PatchParams::default(), &patch)
                .await?;
        } else {
            let api = children::api(&self.admin, &self.namespace, kind)?;
            api.patch(name, &PatchParams::default(), &patch).await?;
        }
        Ok(())
    }

    /// Creates any object, by the user.
    pub async fn make(&self, kind: &str, name: &str, mut body: Value) -> Result<()> {
        let resource = children::resource(kind)?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
            fields.insert("kind".to_owned(), kind.into());
            let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("name".to_owned(), name.into());
            }
        }
        let body: DynamicObject = serde_json::from_value(body)?;
        let api = children::api(&self.admin, &self.namespace, kind)?;
        api.create(&PostParams::default(), &body).await?;
        Ok(())
    }

    /// Deletes any object, by the user.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let (kind, name) = key.split_once('/').unwrap_or_default();
        let background = DeleteParams::background();
        let api: Api<DynamicObject> = if kind == "Cluster" {
            self.raw()
        } else {
            children::api(&self.admin, &self.namespace, kind)?
        };
        api.delete(name, &background).await?;
        Ok(())
    }

    /// Waits until an object is gone, longer than that takes with any single fault.
    pub async fn gone(&self, key: &str) -> Result<()> {
        let started = Instant::now();
        while let Some(object) = self.history.object(&self.scene.namespace, key) {
            self.operator.look_after()?;
            let lasts = self.proxy.lasts().unwrap_or_default();
            if started.elapsed() > Duration::from_secs(60) + lasts {
                bail!(
                    "{key} is not gone a minute after it was deleted: finalizers {}, conditions {}",
                    children::at(&object, "/metadata/finalizers"),
                    children::at(&object, "/status/conditions"),
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Whether a request is more than keeping a cache, a lease or a diary.
pub fn is_work(record: &Record) -> bool {
    use mothership::proxy::Verb;
    !matches!(record.call.verb, Verb::List | Verb::Watch)
        && !record.call.resource.starts_with('/')
        && !matches!(record.call.resource.as_str(), "leases" | "events")
}

/// Whether a request has changed something, or could have.
pub fn is_write(record: &Record) -> bool {
    is_work(record) && record.call.verb.is_write() && !record.call.dry_run
}
