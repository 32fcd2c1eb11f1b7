//! What one case works in: a namespace, a user for its controllers, and what it asks of both.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use crds::v1beta2::Cluster;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use mothership::audit::{Counts, Entry, Mark};
use mothership::failure::tail;
use mothership::{Access, Audit};
use serde_json::{Value, json};

use super::children::{self, Children, KINDS};
use super::process::Process;
use super::until;
use super::webhook::Place;
use crate::runner;

/// Long enough for a busy machine; a case that works never waits for it.
const LIMIT: Duration = Duration::from_secs(30);
/// Nothing is going on any more when the controller has asked nothing for so long.
const SILENCE: Duration = Duration::from_millis(1200);

/// The scene of one case.
pub struct Scene {
    /// The API server.
    pub access: Access,
    /// An administrator's client.
    pub admin: Client,
    /// The case's namespace.
    pub namespace: String,
    /// The user that its controllers are.
    pub user: String,
    /// Where webhooks of this mothership listen.
    pub place: Place,
    pub(super) program: PathBuf,
    pub(super) kubectl: PathBuf,
    pub(super) case: String,
    pub(super) told: Mutex<Vec<String>>,
}

impl Scene {
    /// Every user that has the shipped rights: the scene's own, and three candidates.
    pub fn users(&self) -> Vec<String> {
        let candidates = ["a", "b", "c"].map(|letter| format!("{}-{letter}", self.user));
        std::iter::once(self.user.clone())
            .chain(candidates)
            .collect()
    }

    /// Prints a line together with the outcome.
    pub fn say(&self, line: impl Into<String>) {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.into());
    }

    /// A controller for the scene's namespace.
    pub async fn controller(&self) -> Result<Process> {
        let namespace = format!("--namespace={}", self.namespace);
        self.controller_with(&[&namespace]).await
    }

    /// A controller with these arguments.
    pub async fn controller_with(&self, args: &[&str]) -> Result<Process> {
        self.controller_as(&self.user, args).await
    }

    /// A controller as another user, whose name has to begin with the scene's.
    pub async fn controller_as(&self, user: &str, args: &[&str]) -> Result<Process> {
        let kubeconfig = self.access.kubeconfig(user, &[])?;
        let log = ["--log=info,controller=debug,kube_runtime=warn"];
        let args = [&log, args].concat();
        Process::start(
            "the controller",
            &self.program,
            &kubeconfig,
            self.log(),
            &args,
        )
        .await
    }

    /// Where its controllers log.
    pub fn log(&self) -> PathBuf {
        self.access
            .dir()
            .join("log")
            .join(format!("{}.log", self.user))
    }

    /// What the API server was asked.
    pub fn audit(&self) -> Audit {
        self.access.audit()
    }

    /// The end of the audit log, once all that has happened is in it.
    pub async fn mark(&self) -> Mark {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.audit().mark()
    }

    /// The controller's requests since then, leases, events, lists and watches left out.
    pub async fn asked(&self, mark: Mark) -> Result<Counts> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.audit().count_beyond_caches(&self.user, mark)
    }

    /// Whether one of the scene's controllers asked it.
    fn is_by_ours(&self, entry: &Entry) -> bool {
        let user = entry.user.username.strip_prefix(&self.user);
        user.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// The namespace's Clusters.
    pub fn clusters(&self) -> Api<Cluster> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// The namespace's Clusters as they are stored.
    pub fn raw(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<Cluster>(&());
        Api::namespaced_with(self.admin.clone(), &self.namespace, &resource)
    }

    /// Creates a Cluster with exactly this spec.
    pub async fn create(&self, name: &str, spec: Value) -> Result<()> {
        let body: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "k0smotron.io/v1beta2",
            "kind": "Cluster",
            "metadata": {"name": name},
            "spec": spec,
        }))?;
        self.raw()
            .create(&PostParams::default(), &body)
            .await
            .with_context(|| format!("creating the Cluster {name}"))?;
        Ok(())
    }

    /// Creates a Cluster and waits until all its children are there and nothing goes on any more.
    pub async fn complete(&self, name: &str, spec: Value) -> Result<Cluster> {
        self.create(name, spec).await?;
        self.completed(name).await
    }

    /// Waits until all children of a Cluster are there and nothing goes on any more.
    pub async fn completed(&self, name: &str) -> Result<Cluster> {
        for (kind, child) in [
            ("StatefulSet", format!("kmc-{name}")),
            ("StatefulSet", format!("kmc-{name}-etcd")),
            ("Secret", format!("{name}-kubeconfig")),
        ] {
            self.appears(kind, &child).await?;
        }
        self.settled().await?;
        Ok(self.clusters().get(name).await?)
    }

    /// Waits until an object is there, and returns it.
    pub async fn appears(&self, kind: &str, name: &str) -> Result<Value> {
        let (object, _) = until(
            &format!("{kind} {name} appears"),
            LIMIT,
            async || match self.get(kind, name).await {
                Ok(Some(object)) => Ok(object),
                Ok(None) => Err("it is not there".to_owned()),
                Err(error) => Err(format!("{error:#}")),
            },
        )
        .await?;
        Ok(object)
    }

    /// Waits until every Cluster's status is about its spec and the controller asks nothing more.
    pub async fn settled(&self) -> Result<()> {
        until("the status is about the spec", LIMIT, async || {
            let clusters = self.clusters().list(&ListParams::default()).await;
            for cluster in clusters.map_err(|error| error.to_string())? {
                let seen = cluster
                    .status
                    .as_ref()
                    .and_then(|status| status.observed_generation);
                if seen != cluster.metadata.generation {
                    return Err(format!("{} was seen at {seen:?}", cluster.name_any()));
                }
            }
            Ok(())
        })
        .await?;
        let started = Instant::now();
        let mut mark = self.audit().mark();
        let mut silent_since = Instant::now();
        while silent_since.elapsed() < SILENCE {
            if started.elapsed() > LIMIT {
                bail!(
                    "the controller goes on asking:\n{}",
                    self.audit().count(&self.user, mark)?
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            let audit = self.audit();
            let next = audit.mark();
            let entries = audit.since(mark)?;
            let ours = |entry: &Entry| self.is_by_ours(entry) && !entry.is_lease_or_event();
            if Counts::of(&entries, ours).total() > 0 {
                silent_since = Instant::now();
                mark = next;
            }
        }
        Ok(())
    }

    /// An object as it is now.
    pub async fn get(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let object = children::api(&self.admin, &self.namespace, kind)?
            .get_opt(name)
            .await?;
        Ok(object.map(serde_json::to_value).transpose()?)
    }

    /// An object of one of the kinds, by `KIND/NAME`.
    pub async fn child(&self, key: &str) -> Result<Option<Value>> {
        let (kind, name) = key.split_once('/').context("KIND/NAME")?;
        self.get(kind, name).await
    }

    /// All children in the namespace.
    pub async fn children(&self) -> Result<Children> {
        children::all(&self.admin, &self.namespace, &KINDS).await
    }

    /// A JSON merge patch of a child, by the administrator.
    pub async fn edit(&self, key: &str, patch: &Value) -> Result<(), kube::Error> {
        let (kind, name) = key.split_once('/').unwrap_or_default();
        let api = children::api(&self.admin, &self.namespace, kind)
            .map_err(|error| kube::Error::Service(error.into()))?;
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// A JSON merge patch of a Cluster, by the administrator.
    pub async fn change(&self, name: &str, patch: Value) -> Result<()> {
        self.raw()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .with_context(|| format!("changing the Cluster {name}"))?;
        Ok(())
    }

    /// Waits until a condition has this status and reason; its message.
    pub async fn says(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let what = format!("{name} says {type_}={status} for {reason}");
        let (message, _) = until(&what, LIMIT, async || {
            let cluster = self
                .clusters()
                .get(name)
                .await
                .map_err(|error| error.to_string())?;
            let generation = cluster.metadata.generation;
            let found = cluster.status.unwrap_or_default();
            let condition = found
                .conditions
                .iter()
                .find(|condition| condition.type_ == type_);
            match condition {
                Some(condition)
                    if condition.status == status
                        && condition.reason == reason
                        && condition.observed_generation == generation =>
                {
                    Ok(condition.message.clone())
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        Ok(message)
    }
}

impl runner::Scene for Scene {
    /// Over all that the case made it do, the controller wrote of a Cluster its status, and
    /// itself (for the finalizer) no more than twice.
    fn check(&self) -> Result<()> {
        let mut patched: BTreeMap<String, usize> = BTreeMap::new();
        for entry in self.audit().entries()? {
            let Some(object) = &entry.object_ref else {
                continue;
            };
            let refused = entry
                .response_status
                .as_ref()
                .is_some_and(|status| status.code >= 400);
            if !self.is_by_ours(&entry)
                || object.resource != "clusters"
                || !entry.is_write()
                || refused
            {
                continue;
            }
            match (entry.verb.as_str(), object.subresource.as_str()) {
                ("patch", "status") => {}
                ("patch", "") => *patched.entry(object.name.clone()).or_default() += 1,
                (verb, below) => bail!("the controller did {verb} {} /{below}", object.name),
            }
        }
        for (name, times) in patched {
            ensure!(
                times <= 2,
                "the controller patched the Cluster {name} {times} times"
            );
        }
        Ok(())
    }

    fn told(&self) -> String {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().fold(String::new(), |mut all, line| {
            let _ = write!(all, "\n    {}", line.replace('\n', "\n    "));
            all
        })
    }

    async fn look_around(&self) -> String {
        let mut all = format!("--- {} in {}\n", self.case, self.namespace);
        if let Ok(clusters) = self.clusters().list(&ListParams::default()).await {
            for cluster in clusters {
                let _ = writeln!(all, "{}:", cluster.name_any());
                for condition in cluster.status.iter().flat_map(|status| &status.conditions) {
                    let _ = writeln!(
                        all,
                        "  {}={} {}: {}",
                        condition.type_, condition.status, condition.reason, condition.message
                    );
                }
            }
        }
        if let Ok(children) = self.children().await {
            let names: Vec<_> = children.into_keys().collect();
            let _ = writeln!(all, "children: {}", names.join(" "));
        }
        let _ = write!(all, "{}", tail(&self.log(), 40));
        all
    }
}

/// Requests by verb and resource, a line each.
pub fn by_resource(counts: &Counts) -> String {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for (key, count) in &counts.0 {
        let slash = if key.subresource.is_empty() { "" } else { "/" };
        let what = format!("{} {}{slash}{}", key.verb, key.resource, key.subresource);
        *all.entry(what).or_default() += count;
    }
    let lines: Vec<_> = all
        .iter()
        .map(|(what, count)| format!("{count:3} {what}"))
        .collect();
    lines.join("\n")
}

/// Whether a request wrote this object.
pub fn wrote(entry: &Entry, resource: &str, name: &str) -> bool {
    entry.is_write()
        && entry
            .object_ref
            .as_ref()
            .is_some_and(|object| object.resource == resource && object.name == name)
}
