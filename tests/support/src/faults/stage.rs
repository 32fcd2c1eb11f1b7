//! One run of a workload: a namespace, the program behind its proxy, and its user.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use mothership::proxy::{Proxy, Record};
use serde_json::{Value, json};

use super::door::Door;
use super::history::{self, History, Objects};
use super::hosted::{self, Hosted};
use super::operator::{Operator, Program};
use super::reference::Reference;
use super::requests::is_work;
use super::state::{self, Leaves};
use crate::light::children;
use crate::light::scene::Scene;

/// In a run without faults nothing goes on any more after so long.
const SILENCE: Duration = Duration::from_millis(1500);

/// What a single fault may cost beyond the time that it lasts: its own end (a list that hangs is given
/// up after 45 s), the pause before the next try, and a busy machine.
pub(super) const RECOVERS: Duration = Duration::from_secs(70);

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
    /// What would run in its pods, where that is needed.
    pub hosted: Option<Hosted>,
    /// Where it is asked, where it is a webhook.
    pub door: Option<Door>,
    /// What is tested.
    pub operator: Operator,
    pub(super) program: Program,
    pub(super) against: Against,
    pub(super) states: Mutex<Vec<Leaves>>,
    /// When the first of them was reached.
    pub(super) begun: OnceLock<Instant>,
    /// Of tokens.
    pub(super) secrets: Mutex<Vec<String>>,
    /// The versions that the user's own changes have led to.
    pub(super) changed: Mutex<BTreeSet<String>>,
    /// How long it takes until the program gives up what is not answered.
    pub(super) gives_up: Duration,
    /// It is shown what was and is no more.
    pub may_be_old: bool,
    /// It is ended, and with it what it alone knew.
    pub may_lose_keys: bool,
}

/// A second program.
pub struct Another {
    /// What stands before its API server.
    pub proxy: Proxy,
    #[expect(dead_code, reason = "it ends with this")]
    operator: Operator,
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

    /// Everything that was asked until now, of the API server and of hosted ones.
    pub fn records(&self) -> Vec<Record> {
        if let Some(asked) = self.door.as_ref().and_then(|door| door.proxy.as_ref()) {
            return asked.records();
        }
        let mut all = self.proxy.records();
        if let Some(hosted) = &self.hosted {
            all.extend(hosted.proxy.records());
        }
        all
    }

    fn proxies(&self) -> Vec<&Proxy> {
        let hosted = self.hosted.as_ref().map(|hosted| &*hosted.proxy);
        let door = self.door.as_ref().and_then(|door| door.proxy.as_deref());
        std::iter::once(&*self.proxy)
            .chain(hosted)
            .chain(door)
            .collect()
    }

    /// How long what is done to requests lasts by itself.
    pub fn lasts(&self) -> Duration {
        let all = self.proxies().into_iter().filter_map(Proxy::lasts);
        all.max().unwrap_or_default()
    }

    /// How long ago the last fault was done, if all that were asked for were.
    pub fn done_since(&self) -> Option<Duration> {
        let all = self.proxies().into_iter().flat_map(Proxy::since);
        let times: Option<Vec<Instant>> = all.collect();
        Some(times?.into_iter().max()?.elapsed())
    }

    /// What a request shows as its token is valid where it was made. Its secret is remembered.
    pub async fn has_tokens(&self) -> Result<()> {
        let hosted = self.hosted.as_ref().context("nothing is hosted here")?;
        let valid = hosted.tokens().await?;
        for (key, request) in self.objects() {
            let id = children::text(&request, "/status/tokenID");
            if key.starts_with("JoinTokenRequest/") && !valid.contains_key(&hosted::secret_name(id))
            {
                bail!("{key} shows the token {id:?}, and there is none");
            }
        }
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.extend(valid.values().filter_map(hosted::secret_half));
        Ok(())
    }

    /// The secrets of tokens that were valid.
    pub(super) fn secrets(&self) -> Vec<String> {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.clone()
    }

    /// Whether the user has made it what it is at this version.
    pub(super) fn is_users(&self, version: &str) -> bool {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.contains(version)
    }

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

    /// What all had come to at each step until now.
    pub(super) fn states(&self) -> MutexGuard<'_, Vec<Leaves>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.begun.get_or_init(Instant::now);
        self.states().push(reached);
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

    /// Waits until the history has what the user has done: until then all looks as it should be.
    async fn is_seen(&self, key: &str, uid: &str, version: Option<&str>) -> Result<()> {
        let namespace = &self.scene.namespace;
        crate::light::until(
            &format!("the history has {key}"),
            Duration::from_secs(20),
            async || {
                let has = self.history.has_seen(namespace, key, uid, version);
                has.then_some(()).ok_or_else(|| "it has not".to_owned())
            },
        )
        .await?;
        Ok(())
    }

    async fn is_seen_as(&self, kind: &str, object: &DynamicObject) -> Result<()> {
        let key = format!("{kind}/{}", object.name_any());
        let uid = object.uid().unwrap_or_default();
        self.is_seen(&key, &uid, object.resource_version().as_deref())
            .await
    }

    /// Creates a Cluster, by the user.
    pub async fn create(&self, name: &str, spec: Value) -> Result<()> {
        self.scene.create(name, spec).await?;
        self.is_seen_as("Cluster", &self.raw().get(name).await?)
            .await
    }

    /// A JSON merge patch of any object, by the user.
    pub async fn patch(&self, key: &str, patch: Value) -> Result<()> {
        let (kind, _) = key.split_once('/').unwrap_or_default();
        let (api, name) = self.found(key)?;
        let patch = Patch::Merge(&patch);
        let patched = api.patch(&name, &PatchParams::default(), &patch).await?;
        self.changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(patched.resource_version());
        self.is_seen_as(kind, &patched).await
    }

    /// A JSON merge patch of a Cluster, by the user.
    pub async fn change(&self, name: &str, patch: Value) -> Result<()> {
        self.patch(&format!("Cluster/{name}"), patch).await
    }

    /// Creates any object, by the user.
    pub async fn make(&self, kind: &str, name: &str, mut body: Value) -> Result<()> {
        let resource = history::resource(kind)?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
            fields.insert("kind".to_owned(), kind.into());
            let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("name".to_owned(), name.into());
            }
        }
        let body: DynamicObject = serde_json::from_value(body)?;
        let made = self
            .api(kind)?
            .create(&PostParams::default(), &body)
            .await?;
        self.is_seen_as(kind, &made).await
    }

    /// Deletes any object, by the user.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let (api, name) = self.found(key)?;
        let uid = api.get(&name).await?.uid().unwrap_or_default();
        api.delete(&name, &DeleteParams::background()).await?;
        self.is_seen(key, &uid, None).await
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

    /// One more program for the same namespace, behind a proxy of its own.
    pub async fn another(&self, identity: &str) -> Result<Another> {
        let access = &self.scene.access;
        let proxy = Proxy::start(access, &self.scene.user, &[]).await?;
        let folder = access.dir().join("plans");
        let kubeconfig = proxy.kubeconfig(access, &folder)?;
        let log = folder.join(format!("{}-{identity}.log", self.scene.namespace));
        let mut program = self.program.clone();
        program.replace("--identity=a", &format!("--identity={identity}"));
        let operator = Operator::start(&program, &self.scene.namespace, kubeconfig, log)?;
        Ok(Another { proxy, operator })
    }

    /// Deletes all that the user has made, and waits for the end of it.
    pub async fn clear_away(&self) -> Result<()> {
        let objects = self.objects();
        let clusters = objects.keys().filter(|key| key.starts_with("Cluster/"));
        for key in clusters.clone() {
            self.delete(key).await?;
        }
        for key in clusters {
            self.gone(key).await?;
        }
        Ok(())
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
