//! A Cluster and everything that belongs to it as one tree. Pure: objects in, tree out.

use std::collections::BTreeMap;

use crds::labels;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::Serialize;

mod node;

use self::node::{of_condition, of_end, of_event, of_nodes, of_object, of_request};
use crate::duration;
use crate::mothership::view;
use crate::output::Style;
use crate::output::table::{Cell, Table};

/// How many events the tree shows; `events` shows all of them.
const EVENTS: usize = 5;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Health {
    #[serde(rename = "True")]
    Good,
    /// Not yet, or not any more.
    #[serde(rename = "False")]
    Bad,
    Unknown,
    /// Something is under way: a condition that is True for as long as work lasts.
    #[serde(rename = "True")]
    Busy,
    #[serde(rename = "False")]
    Idle,
    /// There is nothing to say: it only has to be there.
    #[serde(rename = "")]
    Present,
}

impl Health {
    const fn text(self) -> &'static str {
        match self {
            Self::Good | Self::Busy => "True",
            Self::Bad | Self::Idle => "False",
            Self::Unknown => "Unknown",
            Self::Present => "",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Good => Style::Good,
            Self::Bad => Style::Bad,
            Self::Unknown | Self::Busy => Style::Waiting,
            Self::Present | Self::Idle => Style::Plain,
        }
    }

    fn from_status(status: &str) -> Self {
        match status {
            "True" => Self::Good,
            "False" => Self::Bad,
            _ => Self::Unknown,
        }
    }
}

/// One line of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// `Kind/name`, a condition's type, or the title of a group.
    pub name: String,
    pub ready: Health,
    /// Why, in one word or a count.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
}

impl Node {
    fn group(name: &str, children: Vec<Self>) -> Option<Self> {
        (!children.is_empty()).then(|| Self {
            name: name.to_owned(),
            ready: Health::Present,
            reason: String::new(),
            message: String::new(),
            since: None,
            children,
        })
    }
}

/// What was fetched for a tree.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Everything that carries the Cluster's labels or is owned by it, certificates among them.
    pub children: Vec<DynamicObject>,
    pub requests: Vec<DynamicObject>,
    /// Events about any of them, the newest last.
    pub events: Vec<DynamicObject>,
    /// When the certificates of Secrets end, by the Secret's name; empty unless asked for.
    pub ends: BTreeMap<String, Timestamp>,
    /// What could not be fetched, and why.
    pub gaps: Vec<String>,
}

/// The tree of a Cluster.
pub fn build(cluster: &DynamicObject, observed: &Observed, now: Timestamp) -> Node {
    let mut parts = Parts::default();
    for child in unique(&observed.children) {
        parts.add(child);
    }
    let conditions = view::conditions(cluster)
        .into_iter()
        .map(|c| of_condition(cluster, c));
    let gaps = observed.gaps.iter().map(|gap| Node {
        name: "not shown".to_owned(),
        ready: Health::Unknown,
        reason: String::new(),
        message: gap.clone(),
        since: None,
        children: Vec::new(),
    });
    let tokens = observed.requests.iter().map(of_request).collect();
    let events = observed.events.iter().rev().take(EVENTS).rev();
    let mut groups = [
        Node::group("Conditions", conditions.collect()),
        Node::group("etcd", parts.workload("etcd")),
        Node::group("Control plane", parts.workload("cluster")),
        Node::group(
            "Exposure",
            parts.take(|kind, _| matches!(kind, "Service" | "Ingress")),
        ),
        Node::group(
            "Kubeconfig",
            parts.take(|_, component| component == "kubeconfig"),
        ),
        Node::group("Certificates", parts.take(|kind, _| kind == "Secret")),
        Node::group("Configuration", parts.take(|_, _| true)),
        Node::group("Join tokens", tokens),
        Node::group("Nodes", of_nodes(cluster).into_iter().collect()),
        Node::group("Last events", events.map(of_event).collect()),
    ];
    for node in groups
        .iter_mut()
        .flatten()
        .flat_map(|group| &mut group.children)
    {
        let secret = node.name.strip_prefix("Secret/");
        if let Some(end) = secret.and_then(|name| observed.ends.get(name)) {
            (node.ready, node.message) = of_end(*end, now);
        }
    }
    let available = view::condition(cluster, "Available");
    let deleting = cluster.metadata.deletion_timestamp.is_some();
    let (ready, reason, message) = match &available {
        _ if deleting => (Health::Bad, "Deleting".to_owned(), String::new()),
        Some(found) => (
            Health::from_status(&found.status),
            found.reason.clone(),
            found.message.clone(),
        ),
        None => (
            Health::Unknown,
            "<pending>".to_owned(),
            "the controller has not answered yet".to_owned(),
        ),
    };
    Node {
        name: format!("Cluster/{}", cluster.name_any()),
        ready,
        reason,
        message,
        since: available
            .and_then(|found| found.since)
            .or_else(|| view::created(cluster)),
        children: groups.into_iter().flatten().chain(gaps).collect(),
    }
}

fn unique(objects: &[DynamicObject]) -> Vec<&DynamicObject> {
    let mut seen: BTreeMap<(String, String), &DynamicObject> = BTreeMap::new();
    for object in objects {
        seen.entry((kind(object).to_owned(), object.name_any()))
            .or_insert(object);
    }
    seen.into_values().collect()
}

fn kind(object: &DynamicObject) -> &str {
    object
        .types
        .as_ref()
        .map(|types| types.kind.as_str())
        .unwrap_or_default()
}

fn label<'a>(object: &'a DynamicObject, key: &str) -> &'a str {
    object
        .labels()
        .get(key)
        .map(String::as_str)
        .unwrap_or_default()
}

/// Children that have no place in the tree yet.
#[derive(Default)]
struct Parts<'a> {
    rest: Vec<&'a DynamicObject>,
}

impl<'a> Parts<'a> {
    fn add(&mut self, object: &'a DynamicObject) {
        self.rest.push(object);
    }

    fn pull(&mut self, wanted: impl Fn(&DynamicObject) -> bool) -> Vec<&'a DynamicObject> {
        let (found, rest) = std::mem::take(&mut self.rest)
            .into_iter()
            .partition(|o| wanted(o));
        self.rest = rest;
        found
    }

    fn take(&mut self, wanted: impl Fn(&str, &str) -> bool) -> Vec<Node> {
        let found = self.pull(|object| wanted(kind(object), label(object, labels::APP_COMPONENT)));
        found
            .into_iter()
            .map(|object| of_object(object, Vec::new()))
            .collect()
    }

    /// The `StatefulSets` of a component with their pods and volumes, and what guards them.
    fn workload(&mut self, component: &str) -> Vec<Node> {
        let of_component = |object: &DynamicObject, kinds: &[&str]| {
            kinds.contains(&kind(object)) && label(object, labels::COMPONENT) == component
        };
        let sets = self.pull(|object| of_component(object, &["StatefulSet"]));
        let mut nodes = Vec::new();
        for set in sets {
            let pods = self.pull(|object| kind(object) == "Pod" && is_owned(object, set));
            let prefix = format!("-{}-", set.name_any());
            let claims = self.pull(|object| {
                kind(object) == "PersistentVolumeClaim" && is_claim_of(&object.name_any(), &prefix)
            });
            let below = pods.into_iter().chain(claims);
            nodes.push(of_object(
                set,
                below.map(|object| of_object(object, Vec::new())).collect(),
            ));
        }
        // What exposes the cluster has a group of its own; etcd's Services are etcd's.
        let guards: &[&str] = if component == "etcd" {
            &[
                "Pod",
                "PersistentVolumeClaim",
                "PodDisruptionBudget",
                "Service",
            ]
        } else {
            &["Pod", "PersistentVolumeClaim", "PodDisruptionBudget"]
        };
        let rest = self.pull(|object| of_component(object, guards));
        nodes.extend(rest.into_iter().map(|object| of_object(object, Vec::new())));
        nodes
    }
}

fn is_owned(object: &DynamicObject, owner: &DynamicObject) -> bool {
    let uid = owner.metadata.uid.as_deref();
    object
        .owner_references()
        .iter()
        .any(|reference| Some(reference.uid.as_str()) == uid)
}

/// Claims are called `<template>-<set>-<ordinal>`; the ordinal tells `demo` from `demo-etcd`.
fn is_claim_of(claim: &str, prefix: &str) -> bool {
    claim.rsplit_once(prefix).is_some_and(|(_, ordinal)| {
        !ordinal.is_empty() && ordinal.chars().all(|c| c.is_ascii_digit())
    })
}

/// The tree as a table, with the branches drawn before the names.
pub fn table(root: &Node, now: Timestamp) -> Table {
    let mut table = Table::new(["NAME", "READY", "REASON", "SINCE", "MESSAGE"]);
    push(&mut table, root, String::new(), "", now);
    table
}

fn push(table: &mut Table, node: &Node, branch: String, indent: &str, now: Timestamp) {
    let age = node
        .since
        .as_deref()
        .map(|since| duration::age_since(Some(since), now));
    table.push(vec![
        Cell::from(branch + &node.name),
        Cell::styled(node.ready.text(), node.ready.style()),
        Cell::from(node.reason.as_str()),
        Cell::styled(age.unwrap_or_default(), Style::Dim),
        Cell::from(
            node.message
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        ),
    ]);
    for (index, child) in node.children.iter().enumerate() {
        let last = index + 1 == node.children.len();
        let (corner, line) = if last {
            ("└─", "  ")
        } else {
            ("├─", "│ ")
        };
        push(
            table,
            child,
            format!("{indent}{corner}"),
            &format!("{indent}{line}"),
            now,
        );
    }
}

#[cfg(test)]
mod tests;
