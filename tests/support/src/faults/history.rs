//! What has happened to the objects of each namespace: every version of every object, as watches of
//! an administrator show it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use crds::v1beta2::{Cluster, ClusterPolicy, JoinTokenRequest};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use crate::light::children::{self, at, text};

/// What is watched.
const KINDS: [&str; 11] = [
    "Cluster",
    "ClusterPolicy",
    "JoinTokenRequest",
    "ConfigMap",
    "Event",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "Secret",
    "Service",
    "StatefulSet",
];

/// What stands for the name of an object that has no namespace.
pub const OWN: &str = "own";

/// What happened to an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// It is there now.
    Added,
    /// It is another now.
    Modified,
    /// It is gone.
    Deleted,
}

/// One version of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// When the watch showed it.
    pub at: Instant,
    /// What happened.
    pub what: What,
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What it was then.
    pub object: Arc<Value>,
}

/// The objects of a namespace as they are, by `KIND/NAME`.
pub type Objects = BTreeMap<String, Arc<Value>>;

#[derive(Default)]
struct Namespace {
    changes: Vec<Change>,
    objects: Objects,
}

type Namespaces = Arc<Mutex<HashMap<String, Namespace>>>;

/// Watches that note everything.
pub struct History {
    namespaces: Namespaces,
    watches: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for History {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}

fn lock(namespaces: &Namespaces) -> MutexGuard<'_, HashMap<String, Namespace>> {
    namespaces.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a kind is served.
pub fn resource(kind: &str) -> Result<ApiResource> {
    Ok(match kind {
        "Cluster" => ApiResource::erase::<Cluster>(&()),
        "ClusterPolicy" => ApiResource::erase::<ClusterPolicy>(&()),
        "JoinTokenRequest" => ApiResource::erase::<JoinTokenRequest>(&()),
        "Event" => ApiResource::erase::<Event>(&()),
        kind => children::resource(kind)?,
    })
}

impl History {
    /// Begins with what is there.
    pub async fn start(client: &Client) -> Result<Self> {
        let namespaces = Namespaces::default();
        let mut watches = Vec::new();
        for kind in KINDS {
            let api = Api::<DynamicObject>::all_with(client.clone(), &resource(kind)?);
            let listed = api.list(&ListParams::default()).await;
            let listed = listed.with_context(|| format!("listing {kind}"))?;
            let version = listed.metadata.resource_version.unwrap_or_default();
            watches.push(tokio::spawn(follow(
                api,
                kind,
                version,
                Arc::clone(&namespaces),
            )));
        }
        Ok(Self {
            namespaces,
            watches,
        })
    }

    /// The objects of a namespace as they are.
    pub fn objects(&self, namespace: &str) -> Objects {
        let all = lock(&self.namespaces);
        all.get(namespace)
            .map(|found| found.objects.clone())
            .unwrap_or_default()
    }

    /// One of them.
    pub fn object(&self, namespace: &str, key: &str) -> Option<Arc<Value>> {
        lock(&self.namespaces)
            .get(namespace)?
            .objects
            .get(key)
            .cloned()
    }

    /// All that has happened in a namespace.
    pub fn changes(&self, namespace: &str) -> Vec<Change> {
        let all = lock(&self.namespaces);
        all.get(namespace)
            .map(|found| found.changes.clone())
            .unwrap_or_default()
    }

    /// Whether it has come to a version of an object, by its uid, or to its end.
    pub fn has_seen(&self, namespace: &str, key: &str, uid: &str, version: Option<&str>) -> bool {
        let all = lock(&self.namespaces);
        let Some(found) = all.get(namespace) else {
            return false;
        };
        let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
        found.changes.iter().rev().any(|change| {
            let is_it = text(&change.object, "/metadata/uid") == uid
                && key == format!("{}/{}", change.kind, change.name);
            let ends = change.what == What::Deleted
                || !at(&change.object, "/metadata/deletionTimestamp").is_null();
            is_it
                && match version {
                    Some(version) => {
                        number(text(&change.object, "/metadata/resourceVersion")) >= number(version)
                    }
                    None => ends,
                }
        })
    }

    /// When something has last changed in a namespace, its events left out.
    pub fn last(&self, namespace: &str) -> Option<Instant> {
        let all = lock(&self.namespaces);
        let changes = all.get(namespace)?.changes.iter().rev();
        changes
            .filter(|change| change.kind != "Event")
            .map(|change| change.at)
            .next()
    }

    /// Nobody asks for this namespace any more.
    pub fn forget(&self, namespace: &str) {
        lock(&self.namespaces).remove(namespace);
    }
}

async fn follow(api: Api<DynamicObject>, kind: &'static str, from: String, all: Namespaces) {
    let mut version = from;
    // A version that is too old cannot come about: every event moves it on.
    loop {
        let params = WatchParams::default().timeout(280);
        if let Ok(events) = api.watch(&params, &version).await {
            let mut events = events.boxed();
            while let Some(Ok(event)) = events.next().await {
                let (what, object) = match event {
                    WatchEvent::Added(object) => (What::Added, object),
                    WatchEvent::Modified(object) => (What::Modified, object),
                    WatchEvent::Deleted(object) => (What::Deleted, object),
                    WatchEvent::Bookmark(bookmark) => {
                        version = bookmark.metadata.resource_version;
                        continue;
                    }
                    WatchEvent::Error(_) => break,
                };
                version = object.resource_version().unwrap_or_default();
                note(&all, kind, what, &object);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn note(all: &Namespaces, kind: &'static str, what: What, object: &DynamicObject) {
    // What has no namespace belongs to the one whose name it has.
    let (namespace, name) = match object.namespace() {
        Some(namespace) => (namespace, object.name_any()),
        None => (object.name_any(), OWN.to_owned()),
    };
    if name == "kube-root-ca.crt" {
        return;
    }
    let object = Arc::new(serde_json::to_value(object).unwrap_or_default());
    let mut all = lock(all);
    let here = all.entry(namespace).or_default();
    let key = format!("{kind}/{name}");
    if what == What::Deleted {
        here.objects.remove(&key);
    } else {
        here.objects.insert(key, Arc::clone(&object));
    }
    here.changes.push(Change {
        at: Instant::now(),
        what,
        kind,
        name,
        object,
    });
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

/// The uid of the first owner; empty without one.
pub fn owner(object: &Value) -> &str {
    text(object, "/metadata/ownerReferences/0/uid")
}

/// The version at which an object became what it is, or went.
pub fn version(change: &Change) -> u64 {
    text(&change.object, "/metadata/resourceVersion")
        .parse()
        .unwrap_or_default()
}
