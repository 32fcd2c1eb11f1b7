//! What a run waits for, and for how long.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Against, RECOVERS, Stage};
use crate::faults::reference::Reference;
use crate::faults::requests::is_work;
use crate::faults::state::{self, Leaves};
use crate::light::children;

/// In a run without faults nothing goes on any more after so long: what stands in the way of the program
/// it looks at again after 2.4 s at the latest.
const SILENCE: Duration = Duration::from_millis(2600);

impl Stage {
    /// Waits until a Cluster's condition says this, which is not before a while without any fault.
    pub async fn says(&self, cluster: &str, type_: &str, status: &str) -> Result<()> {
        let started = Instant::now();
        let key = format!("Cluster/{cluster}");
        loop {
            self.operator.look_after()?;
            let object = self.history.object(&self.scene.namespace, &key);
            let conditions = object
                .as_deref()
                .map(|object| children::at(object, "/status/conditions").clone());
            let conditions = conditions.unwrap_or_default();
            let mut all = conditions.as_array().into_iter().flatten();
            if all.any(|condition| {
                children::text(condition, "/type") == type_
                    && children::text(condition, "/status") == status
            }) {
                return Ok(());
            }
            if started.elapsed() > RECOVERS + self.lasts() {
                bail!("{type_} of {cluster} is not {status}: {conditions}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until all is as it last was, though something has been done to the program.
    pub async fn stays(&self) -> Result<()> {
        let states = self.states().len();
        if let (Against::Reference(reference), Some(last)) = (&self.against, states.checked_sub(1))
        {
            self.reaches(reference, last).await?;
        }
        Ok(())
    }

    /// Waits until the program has done what there was to do: in a run without faults until it is
    /// silent, else until all is as it was then.
    pub async fn settles(&self) -> Result<()> {
        let number = self.states().len();
        let reached = match &self.against {
            Against::Recording => self.silence().await?,
            Against::Reference(reference) => self.reaches(reference, number).await?,
        };
        self.begun.get_or_init(|| {
            self.proxy.begin();
            Instant::now()
        });
        self.states().push(reached);
        self.remember_tokens().await?;
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
            // Nobody else is at work where the webhook is tested.
            if silent && (self.door.is_some() || state::is_at_rest(&objects)) {
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
        let mask = reference.masks.get(number).cloned().unwrap_or_default();
        let started = Instant::now();
        loop {
            self.operator.look_after()?;
            let objects = self.objects();
            let found = state::leaves(&objects, &self.scene.namespace);
            let mut left = state::differences(expected, &found, &mask);
            if self.door.is_none() {
                left.extend(state::about_an_old_spec(&objects));
            }
            if left.is_empty() {
                return Ok(found);
            }
            // What lasts does not count, nor what has not happened yet.
            if started.elapsed() > RECOVERS + self.lasts() {
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

    /// Waits until a child is there that has an owner: nothing may tell the program that its name is
    /// free, and then it tries again after a while.
    pub async fn made(&self, key: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            self.operator.look_after()?;
            let object = self.history.object(&self.scene.namespace, key);
            if object.is_some_and(|it| !children::at(&it, "/metadata/ownerReferences").is_null()) {
                return Ok(());
            }
            if started.elapsed() > RECOVERS + self.lasts() {
                bail!("{key} is not made, though its name is free");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an object is gone, longer than that takes with any single fault.
    pub async fn gone(&self, key: &str) -> Result<()> {
        let started = Instant::now();
        while let Some(object) = self.history.object(&self.scene.namespace, key) {
            self.operator.look_after()?;
            if started.elapsed() > Duration::from_secs(60) + self.lasts() {
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
