//! One run of a workload: a namespace, the program behind its proxy, and its user.

mod waits;

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
use super::state::Leaves;
use crate::light::children;
use crate::light::scene::Scene;

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
    pub(super) others: Mutex<Vec<Arc<Another>>>,
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
    /// It is tested as well.
    pub operator: Operator,
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

    /// The secrets of tokens must be nowhere, and some do not live until the end.
    pub async fn remember_tokens(&self) -> Result<()> {
        let Some(hosted) = &self.hosted else {
            return Ok(());
        };
        let valid = hosted.tokens().await?;
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.extend(valid.values().filter_map(hosted::secret_half));
        Ok(())
    }

    /// What all programs have asked the mothership, in order.
    pub(super) fn asked(&self) -> Vec<Record> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let others = others.iter().flat_map(|other| other.proxy.records());
        let mut all: Vec<_> = self.proxy.records().into_iter().chain(others).collect();
        all.sort_by_key(|record| record.at);
        all
    }

    /// What all programs have said.
    pub(super) fn log(&self) -> String {
        self.operators().iter().map(Operator::log).collect()
    }

    /// All programs that are tested.
    pub(super) fn operators(&self) -> Vec<Operator> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let others = others.iter().map(|other| other.operator.clone());
        std::iter::once(self.operator.clone())
            .chain(others)
            .collect()
    }

    /// What a request shows as its token is valid where it was made.
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

    /// What all had come to at each step until now.
    pub(super) fn states(&self) -> MutexGuard<'_, Vec<Leaves>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the history has what the user has done: until then all looks as it should be.
    async fn is_seen(&self, key: &str, uid: &str, version: Option<&str>) -> Result<()> {
        let namespace = &self.scene.namespace;
        crate::light::until(&format!("the history has {key}"), RECOVERS, async || {
            let has = self.history.has_seen(namespace, key, uid, version);
            has.then_some(()).ok_or_else(|| "it has not".to_owned())
        })
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

    /// One more program for the same namespace, behind a proxy of its own.
    pub async fn another(&self, identity: &str) -> Result<Arc<Another>> {
        let access = &self.scene.access;
        let proxy = Proxy::start(access, &self.scene.user, &[]).await?;
        let folder = access.dir().join("plans");
        let kubeconfig = proxy.kubeconfig(access, &folder)?;
        let log = folder.join(format!("{}-{identity}.log", self.scene.namespace));
        let mut program = self.program.clone();
        program.replace("--identity=a", &format!("--identity={identity}"));
        let operator = Operator::start(&program, &self.scene.namespace, kubeconfig, log)?;
        let another = Arc::new(Another { proxy, operator });
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.push(Arc::clone(&another));
        Ok(another)
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
}
