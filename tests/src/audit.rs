//! What the API server was asked, by whom: its audit log, read and counted.
//!
//! The log is written in blocking mode, a line per finished request. A line can appear some
//! milliseconds after the client has its answer.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Deserialize;

/// The policy: everything but the kubelets, names and verbs but no bodies.
pub(crate) const POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ["system:nodes"]
- level: Metadata
"#;

/// One finished request, or one started watch.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `ResponseStarted` for a watch that runs, `ResponseComplete` for all that ended.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who asked.
    pub user: User,
    /// What for; nothing for paths such as `/version`.
    #[serde(default)]
    pub object_ref: Option<ObjectRef>,
    /// How it was answered.
    #[serde(default)]
    pub response_status: Option<ResponseStatus>,
    /// When the request came in.
    pub request_received_timestamp: Timestamp,
    /// When this stage was reached.
    pub stage_timestamp: Timestamp,
    /// The client's own name for itself.
    #[serde(default)]
    pub user_agent: String,
}

/// Who asked.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// The certificate's common name, or `system:serviceaccount:NAMESPACE:NAME`.
    #[serde(default)]
    pub username: String,
}

/// What a request was for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// Empty for the oldest one.
    pub api_group: String,
    /// Plural, lower case.
    pub resource: String,
    /// `status`, `scale`, `log`; empty for the object itself.
    pub subresource: String,
    /// Empty for what has no namespace.
    pub namespace: String,
    /// Empty for lists and for creates with `generateName`.
    pub name: String,
}

/// How a request was answered.
#[derive(Clone, Debug, Deserialize)]
pub struct ResponseStatus {
    /// HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl Entry {
    /// Whether it asked not to be carried out.
    pub fn is_dry_run(&self) -> bool {
        self.request_uri.contains("dryRun=All")
    }

    /// Whether it can change something.
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        ) && !self.is_dry_run()
    }

    /// Lists and watches, which every controller needs to keep its cache.
    pub fn is_list_or_watch(&self) -> bool {
        matches!(self.verb.as_str(), "list" | "watch")
    }

    /// Leases and events, which are counted apart.
    pub fn is_lease_or_event(&self) -> bool {
        self.object_ref
            .as_ref()
            .is_some_and(|object| matches!(object.resource.as_str(), "leases" | "events"))
    }

    /// Whether it was sent by this user.
    pub fn is_by(&self, user: &str) -> bool {
        self.user.username == user
    }

    fn key(&self) -> Key {
        let object = self.object_ref.clone().unwrap_or_default();
        let resource = if object.resource.is_empty() {
            self.request_uri
                .split('?')
                .next()
                .unwrap_or_default()
                .to_owned()
        } else {
            object.resource
        };
        let name = match (object.namespace.as_str(), object.name.as_str()) {
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        Key {
            verb: self.verb.clone(),
            resource,
            subresource: object.subresource,
            name,
            dry_run: self.is_dry_run(),
            code: self
                .response_status
                .as_ref()
                .map_or(0, |status| status.code),
        }
    }
}

/// What requests are grouped by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// As in [`Entry::verb`].
    pub verb: String,
    /// Plural, or the path of a request that is not for an object.
    pub resource: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// `NAMESPACE/NAME`, or the name alone.
    pub name: String,
    /// Asked not to be carried out.
    pub dry_run: bool,
    /// HTTP status, 0 when unknown.
    pub code: u16,
}

/// Requests by group.
#[derive(Clone, Debug, Default)]
pub struct Counts(pub BTreeMap<Key, usize>);

impl Counts {
    /// Counts what `keep` lets through. A watch counts once, when it starts.
    pub fn of<'a>(
        entries: impl IntoIterator<Item = &'a Entry>,
        keep: impl Fn(&Entry) -> bool,
    ) -> Self {
        let mut counts = BTreeMap::new();
        for entry in entries {
            let ended_watch = entry.verb == "watch" && entry.stage == "ResponseComplete";
            if !ended_watch && keep(entry) {
                *counts.entry(entry.key()).or_insert(0) += 1;
            }
        }
        Self(counts)
    }

    /// All requests.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Counts {
    /// A line per group, for a failed test's message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, count) in &self.0 {
            let slash = if key.subresource.is_empty() { "" } else { "/" };
            let dry = if key.dry_run { " (dry run)" } else { "" };
            writeln!(
                f,
                "{count:5} {} {}{slash}{} {} {}{dry}",
                key.verb, key.resource, key.subresource, key.name, key.code
            )?;
        }
        write!(f, "{:5} in all", self.total())
    }
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Mark(u64);

/// The audit log of a mothership.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

impl Audit {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The file, one JSON object per line.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The end of the log as it is now.
    pub fn mark(&self) -> Mark {
        Mark(self.path.metadata().map_or(0, |meta| meta.len()))
    }

    /// Everything.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        self.since(Mark::default())
    }

    /// Everything after a mark. A last line that is still being written is left out, and so is one that
    /// was being written when the mark was set.
    pub fn since(&self, mark: Mark) -> Result<Vec<Entry>> {
        let mut file = std::fs::File::open(&self.path)
            .with_context(|| format!("opening {}", self.path.display()))?;
        // From the byte before it on, which ends a line unless one was being written.
        file.seek(SeekFrom::Start(mark.0.saturating_sub(1)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if mark != Mark::default() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            bytes.drain(..end.map_or(bytes.len(), |end| end + 1));
        }
        let text = String::from_utf8(bytes).context("the audit log is UTF-8")?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("audit line {line}")))
            .collect()
    }

    /// One user's requests after a mark, leases and events left out.
    pub fn count(&self, user: &str, mark: Mark) -> Result<Counts> {
        let entries = self.since(mark)?;
        Ok(Counts::of(&entries, |entry| {
            entry.is_by(user) && !entry.is_lease_or_event()
        }))
    }

    /// One user's requests after a mark, leases, events, lists and watches left out.
    pub fn count_beyond_caches(&self, user: &str, mark: Mark) -> Result<Counts> {
        let entries = self.since(mark)?;
        Ok(Counts::of(&entries, |entry| {
            entry.is_by(user) && !entry.is_lease_or_event() && !entry.is_list_or_watch()
        }))
    }

    /// One user's writes after a mark, leases and events left out.
    pub fn count_writes(&self, user: &str, mark: Mark) -> Result<Counts> {
        let entries = self.since(mark)?;
        Ok(Counts::of(&entries, |entry| {
            entry.is_by(user) && !entry.is_lease_or_event() && entry.is_write()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/a/statefulsets/b?dryRun=All","verb":"patch","user":{"username":"op"},"objectRef":{"resource":"statefulsets","namespace":"a","name":"b"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-01-01T00:00:00.000001Z","stageTimestamp":"2026-01-01T00:00:00.000002Z"}"#;

    #[test]
    fn a_dry_run_is_counted_but_is_no_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        std::fs::write(&path, format!("{LINE}\n{LINE}\n{{\"half")).unwrap();
        let audit = Audit::new(&path);
        assert_eq!(audit.count("op", Mark::default()).unwrap().total(), 2);
        assert_eq!(audit.count("other", Mark::default()).unwrap().total(), 0);
        assert_eq!(
            audit.count_writes("op", Mark::default()).unwrap().total(),
            0
        );
        assert_eq!(
            audit.count("op", Mark::default()).unwrap().to_string(),
            "    2 patch statefulsets a/b 200 (dry run)\n    2 in all"
        );
    }

    #[test]
    fn a_line_that_was_being_written_at_the_mark_is_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let audit = Audit::new(&path);
        let (begun, rest) = LINE.split_at(20);
        std::fs::write(&path, format!("{LINE}\n{begun}")).unwrap();
        let torn = audit.mark();
        std::fs::write(&path, format!("{LINE}\n{begun}{rest}\n")).unwrap();
        let whole = audit.mark();
        std::fs::write(&path, format!("{LINE}\n{LINE}\n{LINE}\n")).unwrap();
        assert_eq!(audit.count("op", torn).unwrap().total(), 1);
        assert_eq!(audit.count("op", whole).unwrap().total(), 1);
    }
}
