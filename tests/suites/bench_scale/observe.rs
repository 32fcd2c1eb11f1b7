//! What the operator has done: how many children there are, and what it has asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use mothership::audit::Entry;

use super::place::{self, Place};

/// Kinds of children, by the names that their requests have.
pub const KINDS: [&str; 5] = [
    "services",
    "configmaps",
    "secrets",
    "statefulsets",
    "poddisruptionbudgets",
];

pub fn resource(kind: &str) -> ApiResource {
    match kind {
        "services" => ApiResource::erase::<Service>(&()),
        "configmaps" => ApiResource::erase::<ConfigMap>(&()),
        "secrets" => ApiResource::erase::<Secret>(&()),
        "poddisruptionbudgets" => ApiResource::erase::<PodDisruptionBudget>(&()),
        _ => ApiResource::erase::<StatefulSet>(&()),
    }
}

pub fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

/// How many objects there are: one is read, and the rest is a number.
pub async fn count(client: &Client, kind: &str, namespace: &str) -> Result<usize> {
    let list = api(client, kind, namespace)
        .list_metadata(&ListParams::default().limit(1))
        .await?;
    let rest = list.metadata.remaining_item_count.unwrap_or(0);
    Ok(list.items.len() + usize::try_from(rest)?)
}

/// What has been read of the log of the operator's requests.
pub struct Trail {
    path: PathBuf,
    offset: u64,
    seen: HashSet<(String, String)>,
    /// When each Cluster got its last child so far, and the children that it has by kind.
    pub of_clusters: HashMap<usize, (Timestamp, BTreeMap<&'static str, Vec<String>>)>,
    pub tally: Tally,
}

/// Requests since the last look.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By verb and resource, leases left out.
    pub requests: BTreeMap<String, usize>,
    /// All of them.
    pub all: usize,
    /// Leases and events left out.
    pub writes: usize,
    /// Of 400 and more.
    pub refused: BTreeMap<u16, usize>,
    pub last_write: Option<Timestamp>,
}

impl Trail {
    pub fn new(place: &Place) -> Self {
        Self {
            path: place.light.audit().path().to_owned(),
            offset: 0,
            seen: HashSet::new(),
            of_clusters: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// Reads on.
    pub fn read(&mut self) -> Result<()> {
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        loop {
            line.clear();
            let length = lines.read_line(&mut line)?;
            // One that is still being written is read the next time.
            if !line.ends_with('\n') {
                return Ok(());
            }
            self.offset += u64::try_from(length)?;
            self.take(&serde_json::from_str(&line)?);
        }
    }

    fn take(&mut self, entry: &Entry) {
        if entry.verb == "watch" && entry.stage == "ResponseComplete" {
            return;
        }
        let tally = &mut self.tally;
        tally.all += 1;
        let object = entry.object_ref.clone().unwrap_or_default();
        if object.resource == "leases" {
            return;
        }
        let slash = if object.subresource.is_empty() {
            ""
        } else {
            "/"
        };
        let what = format!(
            "{} {}{slash}{}",
            entry.verb, object.resource, object.subresource
        );
        *tally.requests.entry(what).or_default() += 1;
        let code = entry.response_status.as_ref().map_or(0, |s| s.code);
        if code >= 400 {
            *tally.refused.entry(code).or_default() += 1;
        }
        if !entry.is_write() || entry.is_lease_or_event() {
            return;
        }
        tally.writes += 1;
        tally.last_write = tally.last_write.max(Some(entry.stage_timestamp));
        let kind = KINDS.into_iter().find(|kind| *kind == object.resource);
        // A conflict as well: it is there, though nobody heard the answer that said so.
        if let (Some(kind), "create" | "patch", 200 | 201 | 409, Some(number)) =
            (kind, entry.verb.as_str(), code, place::number(&object.name))
            && object.subresource.is_empty()
            && self.seen.insert((object.resource, object.name.clone()))
        {
            let of = self.of_clusters.entry(number).or_default();
            of.0 = of.0.max(entry.stage_timestamp);
            of.1.entry(kind).or_default().push(object.name);
        }
    }

    /// What was counted, which begins anew.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Reads on until nothing has been written for `quiet`; whether that came.
    pub async fn rest(&mut self, quiet: Duration, within: Duration) -> Result<bool> {
        let started = Instant::now();
        let (mut writes, mut since) = (self.tally.writes, Instant::now());
        while since.elapsed() < quiet {
            if started.elapsed() > within {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            self.read()?;
            if self.tally.writes != writes {
                (writes, since) = (self.tally.writes, Instant::now());
            }
        }
        Ok(true)
    }
}
