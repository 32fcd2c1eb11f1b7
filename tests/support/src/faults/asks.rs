//! What a user asks for at a door, and what is answered: let through, refused, or nobody decides.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::history;
use super::oracles::REFUSED;
use super::stage::{RECOVERS, Stage};
use crate::light::children;

/// How soon after the cause is gone decisions are made again, and by what is so by now.
const SOON: Duration = Duration::from_secs(10);

/// What somebody wants.
#[derive(Clone, Debug)]
pub enum Wish {
    /// An object, by kind and name.
    Create(&'static str, &'static str, Value),
    /// A JSON merge patch of one.
    Change(&'static str, Value),
    /// That one goes.
    Delete(&'static str),
}

/// What comes of it.
#[derive(Debug)]
pub enum Answer {
    /// It is so now.
    Done,
    /// The webhook does not let it be so.
    Refused(String),
    /// Nobody has decided.
    Undecided(String),
}

impl Wish {
    /// With a mark by which it is known if it is ever stored.
    fn marked(&self) -> Self {
        let mark = json!({"metadata": {"labels": {REFUSED: "yes"}}});
        let mut marked = self.clone();
        if let Self::Create(_, _, body) | Self::Change(_, body) = &mut marked {
            json_patch::merge(body, &mark);
        }
        marked
    }
}

impl Stage {
    /// Where the object of a key is, and its name.
    pub(super) fn found(&self, key: &str) -> Result<(Api<DynamicObject>, String)> {
        let (kind, name) = key.split_once('/').unwrap_or_default();
        Ok((self.api(kind)?, self.name_of(kind, name)))
    }

    /// What has no namespace has the name of the run's.
    pub(super) fn name_of(&self, kind: &str, name: &str) -> String {
        match kind {
            "ClusterPolicy" => self.namespace.clone(),
            _ => name.to_owned(),
        }
    }

    pub(super) fn api(&self, kind: &str) -> Result<Api<DynamicObject>> {
        let resource = history::resource(kind)?;
        if kind == "ClusterPolicy" {
            return Ok(Api::all_with(self.admin.clone(), &resource));
        }
        Ok(Api::namespaced_with(
            self.admin.clone(),
            &self.namespace,
            &resource,
        ))
    }

    async fn asks(&self, wish: &Wish, dry_run: bool) -> Result<Answer> {
        let patching = PatchParams {
            dry_run,
            ..PatchParams::default()
        };
        let posting = PostParams {
            dry_run,
            ..PostParams::default()
        };
        let answer = match wish {
            Wish::Create(kind, name, body) => {
                let (api, _) = self.found(&format!("{kind}/{name}"))?;
                let resource = history::resource(kind)?;
                let mut body = body.clone();
                let own = self.name_of(kind, name);
                let head = json!({"apiVersion": resource.api_version, "kind": kind,
                    "metadata": {"name": own}});
                json_patch::merge(&mut body, &head);
                let body: DynamicObject = serde_json::from_value(body)?;
                api.create(&posting, &body).await.map(drop)
            }
            Wish::Change(key, patch) => {
                let (api, name) = self.found(key)?;
                let patch = Patch::Merge(patch);
                api.patch(&name, &patching, &patch).await.map(drop)
            }
            Wish::Delete(key) => {
                let (api, name) = self.found(key)?;
                let mut deleting = DeleteParams::background();
                deleting.dry_run = dry_run;
                api.delete(&name, &deleting).await.map(drop)
            }
        };
        Ok(match answer {
            Ok(()) => Answer::Done,
            Err(kube::Error::Api(status)) if status.message.contains("denied the request") => {
                Answer::Refused(status.message.clone())
            }
            Err(kube::Error::Api(status)) => Answer::Undecided(status.message.clone()),
            Err(error) => Answer::Undecided(error.to_string()),
        })
    }

    /// Whether it is time that something was so that has been waited for since then.
    fn is_overdue(&self, since: Instant) -> bool {
        let waited = since.elapsed();
        let waited = self.done_since().map_or(waited, |ago| ago.min(waited));
        waited > SOON + self.lasts() + self.gives_up
    }

    /// Asks until somebody decides, and gives how.
    async fn decided(&self, wish: &Wish) -> Result<Option<String>> {
        let started = Instant::now();
        loop {
            self.operator.look_after()?;
            match self.asks(wish, false).await? {
                Answer::Done => return Ok(None),
                Answer::Refused(why) => return Ok(Some(why)),
                Answer::Undecided(why) if self.is_overdue(started) => {
                    bail!("nobody decides about {wish:?}: {why}")
                }
                Answer::Undecided(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Somebody may have this, whatever happens.
    pub async fn may(&self, wish: Wish) -> Result<()> {
        if let Some(why) = self.decided(&wish).await? {
            bail!("{wish:?} was refused: {why}");
        }
        Ok(())
    }

    /// Nobody may have this, whatever happens; the refusal names what is wrong.
    pub async fn may_not(&self, wish: Wish, naming: &[&str]) -> Result<()> {
        let Some(why) = self.decided(&wish.marked()).await? else {
            bail!("{wish:?} was let through");
        };
        for part in naming {
            ensure!(why.contains(part), "{part:?} is not named: {why}");
        }
        Ok(())
    }

    /// Waits until something is decided like this, without having it done.
    pub async fn comes_to(&self, wish: Wish, may: bool) -> Result<()> {
        let started = Instant::now();
        loop {
            self.operator.look_after()?;
            let answer = self.asks(&wish, true).await?;
            match &answer {
                Answer::Done if may => return Ok(()),
                Answer::Refused(_) if !may => return Ok(()),
                _ if self.is_overdue(started) => bail!("{wish:?}: {answer:?}"),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Waits until the webhook is ready, and the API server asks it and trusts it.
    pub async fn opens(&self) -> Result<()> {
        let Some(door) = &self.door else {
            bail!("this workload has no door");
        };
        let started = Instant::now();
        loop {
            self.operator.look_after()?;
            match door.is_open(&self.history).await {
                Ok(()) => return Ok(()),
                Err(why) if self.is_overdue(started) => bail!("the door is not open: {why}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Waits until the run's policy says so many violations.
    pub async fn counts(&self, violations: i64) -> Result<()> {
        let started = Instant::now();
        loop {
            self.operator.look_after()?;
            let key = format!("ClusterPolicy/{}", history::OWN);
            let policy = self.history.object(&self.scene.namespace, &key);
            let status = policy.map(|policy| children::at(&policy, "/status").clone());
            let status = status.unwrap_or_default();
            if children::at(&status, "/violations") == violations {
                return Ok(());
            }
            if started.elapsed() > RECOVERS + self.lasts() {
                bail!("the policy does not count {violations}: {status}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
