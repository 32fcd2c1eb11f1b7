//! What is gathered of one Cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use crds::labels;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;

use super::{Gathering, list, value};
use crate::error::Error;
use crate::hosted::{Hosted, ViaArgs};
use crate::mothership::client::Connection;
use crate::mothership::event::{self, Event};
use crate::mothership::tree::{self, Observed};
use crate::mothership::{fetch, resources, view};
use crate::output::Paint;
use crate::session::Session;

/// How long the hosted cluster may take to be found and to tell its nodes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gathers a Cluster, what belongs to it, its logs, and what its own API tells.
///
/// # Errors
/// [`Error::Io`] when the archive cannot be written.
pub(super) async fn gather(
    gathering: &mut Gathering<'_>,
    cluster: &DynamicObject,
    now: Timestamp,
) -> Result<(), Error> {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    gathering
        .progress
        .update(&format!("cluster {namespace}/{name}"));
    gathering.connection.namespace.clone_from(&namespace);
    let folder = format!("clusters/{namespace}/{name}");
    let place = |file: &str| format!("{folder}/{file}");
    let archive = &mut gathering.archive;
    archive.objects(
        &place("cluster.yaml"),
        "The Cluster: what was asked for, and its status",
        [value(cluster)],
    )?;

    let connection = &gathering.connection;
    let children = children(&name);
    let (requests, events) = (resources::join_token_requests(), resources::events());
    let here = Some(namespace.as_str());
    let (lists, requests, events, nodes) = futures::join!(
        join_all(
            children
                .iter()
                .map(|(kind, selector)| list(connection, kind, here, selector))
        ),
        list(connection, &requests, here, ""),
        list(connection, &events, here, ""),
        nodes(gathering.session, connection, cluster),
    );
    let mut observed = Observed::default();
    for found in lists {
        observed.children.extend(archive.found(found));
    }
    // A Secret has the labels of several kinds where the Cluster's own labels are among them.
    let mut seen = BTreeSet::new();
    observed
        .children
        .retain(|child| seen.insert(child.metadata.uid.clone()));
    observed.ends = fetch::annotated_ends(&observed.children);
    observed.requests = archive.found(requests);
    observed
        .requests
        .retain(|request| view::text(request, "/spec/clusterName").as_ref() == Some(&name));
    let about = observed.children.iter().chain(&observed.requests);
    let uids = about
        .chain([cluster])
        .filter_map(|object| object.metadata.uid.clone())
        .collect();
    observed.events = event::concerning(archive.found(events), &name, &uids);

    let tree = tree::build(cluster, &observed, now);
    archive.text(
        &place("status.txt"),
        "What kubectl k0smotron status shows",
        &tree::table(&tree, now).render(Paint::Never),
    )?;
    let mut kinds: Vec<&ApiResource> = children.iter().map(|(kind, _)| kind).collect();
    kinds.dedup_by_key(|kind| &kind.plural);
    for kind in kinds {
        let what = if kind.kind == "Secret" {
            "The cluster's Secrets: their keys, and how many bytes each has".to_owned()
        } else {
            format!("The cluster's {}s", kind.kind)
        };
        let of_kind = observed.children.iter();
        let of_kind = of_kind.filter(|child| is(child, &kind.kind));
        let file = place(&format!("{}.yaml", kind.plural));
        archive.objects(&file, &what, of_kind.map(value))?;
    }
    archive.objects(
        &place("jointokenrequests.yaml"),
        "Tokens that were asked for",
        observed.requests.iter().map(value),
    )?;
    let recent = observed.events.iter();
    let recent = recent.filter(|event| is_recent(event, gathering.since));
    archive.objects(
        &place("events.yaml"),
        "Events about the cluster and what belongs to it, the newest last",
        recent.map(value),
    )?;
    let nodes = archive.found(nodes);
    archive.objects(
        &place("nodes.yaml"),
        "Nodes that have joined the cluster, as its own API tells",
        nodes.iter().map(|node| told(value(node))),
    )?;
    let pods: Vec<DynamicObject> = observed
        .children
        .into_iter()
        .filter(|child| is(child, "Pod"))
        .collect();
    gathering.logs(&folder, &namespace, &pods).await
}

fn is(object: &DynamicObject, kind: &str) -> bool {
    object
        .types
        .as_ref()
        .is_some_and(|types| types.kind == kind)
}

/// The kinds that a Cluster's children have, each with the labels by which they are found.
fn children(name: &str) -> Vec<(ApiResource, String)> {
    let [own, certificates] = fetch::selectors(name);
    let kinds = resources::children().into_iter();
    let mut all: Vec<_> = kinds.map(|kind| (kind, own.clone())).collect();
    let tokens = format!("{}={name}", labels::TOKEN_CLUSTER);
    for selector in [own, certificates, tokens] {
        all.push((resources::secrets(), selector));
    }
    all
}

/// The nodes that the hosted API knows.
async fn nodes(
    session: &Session,
    connection: &Connection<'_>,
    cluster: &DynamicObject,
) -> Result<Vec<DynamicObject>, Error> {
    let ask = async {
        let hosted = Hosted::open(session, connection, cluster, &ViaArgs::default()).await?;
        let client = hosted.client(session).await?;
        let own = connection.to(client, hosted.server.clone());
        list(&own, &resources::nodes(), None, "").await
    };
    let place = format!("{}/{}", connection.namespace, cluster.name_any());
    let late = |_| {
        Err(Error::Unreachable {
            server: format!("cluster {place}"),
            cause: format!("no answer within {PATIENCE:?}"),
        })
    };
    tokio::time::timeout(PATIENCE, ask)
        .await
        .unwrap_or_else(late)
}

/// A node: what it runs, how it is, and what it has; not its images, nor its volumes.
fn told(mut node: Value) -> Value {
    if let Some(status) = node.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|field, _| {
            matches!(
                field.as_str(),
                "conditions" | "nodeInfo" | "capacity" | "allocatable" | "addresses"
            )
        });
    }
    node
}

/// Whether an event was seen no longer ago than `since`; true of everything else.
pub(super) fn is_recent(object: &DynamicObject, since: Option<Duration>) -> bool {
    let (Some(since), true) = (since, is(object, "Event")) else {
        return true;
    };
    let seen: Option<Timestamp> = Event::from_object(object).last.parse().ok();
    let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
    seen.is_none_or(|seen| Timestamp::now().duration_since(seen) <= since)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::object;

    #[test]
    fn a_node_is_told_without_its_images() {
        let told = told(json!({"metadata": {"name": "a"}, "status": {
            "images": [{"names": ["x"]}], "nodeInfo": {"kubeletVersion": "v1"},
            "conditions": [{"type": "Ready"}]}}));
        assert_eq!(
            told,
            json!({"metadata": {"name": "a"}, "status": {
                "nodeInfo": {"kubeletVersion": "v1"}, "conditions": [{"type": "Ready"}]}})
        );
    }

    #[test]
    fn old_events_are_left_out_and_nothing_else() {
        let of = |kind: &str, seen: &str| {
            object(
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"},
                "lastTimestamp": seen}),
            )
        };
        let (old, new) = ("2020-01-01T00:00:00Z", Timestamp::now().to_string());
        let hour = Some(Duration::from_secs(3600));
        assert!(!is_recent(&of("Event", old), hour));
        assert!(is_recent(&of("Event", &new), hour));
        assert!(is_recent(&of("Event", old), None));
        assert!(is_recent(&of("Pod", old), hour));
    }
}
