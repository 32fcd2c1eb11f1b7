//! What the API server is asked for about pods, and how much of its answers is taken.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, ListParams, ObjectList};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::trouble::{self, Trouble, trouble};
use super::{LONGEST, Lacking, Target};
use crate::kubernetes::writer::DEADLINE;

/// Events of one answer, each of which others can make as large as an object may be.
const PAGE: u32 = 4;
/// Answers about one set. One that is refused all day has a dozen events; of more than all these
/// somebody else has made most.
const PAGES: usize = 25;

/// What it took too long for.
pub fn late() -> String {
    format!("not all answers within {} s", LONGEST.as_secs())
}

/// What is wrong with the pods of these sets.
pub async fn look(client: &Client, target: &Target) -> Result<Option<Trouble>, String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let events: Api<Event> = Api::namespaced(client.clone(), &target.namespace);
    let (mut own, mut refusals) = (Vec::new(), Vec::new());
    for set in &target.sets {
        for name in set.pods() {
            let found = named(&pods, &name).await?.into_iter();
            let found = found.filter(|pod| trouble::is_of(pod, &set.uid));
            own.extend(found.map(what_counts));
        }
        if set.misses_pods() {
            refusals.extend(last_refusal(&events, set).await?);
        }
    }
    Ok(trouble(&target.sets, &own, &refusals, Timestamp::now()))
}

/// The pod of this name.
pub async fn named(pods: &Api<Pod>, name: &str) -> Result<Option<Pod>, String> {
    let those = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = list(pods, &those.limit(1)).await?.items;
    Ok(found.into_iter().next())
}

/// A pod without what only makes it large.
fn what_counts(pod: Pod) -> Pod {
    let metadata = ObjectMeta {
        name: pod.metadata.name,
        owner_references: pod.metadata.owner_references,
        creation_timestamp: pod.metadata.creation_timestamp,
        deletion_timestamp: pod.metadata.deletion_timestamp,
        ..ObjectMeta::default()
    };
    Pod {
        metadata,
        status: pod.status,
        spec: None,
    }
}

/// The newest of a set's refusals; only one at a time is kept.
async fn last_refusal(events: &Api<Event>, set: &Lacking) -> Result<Option<Event>, String> {
    let fields = format!("regarding.uid={},reason={}", set.uid, trouble::REFUSED);
    let mut those = ListParams::default().fields(&fields).limit(PAGE);
    let mut newest = None;
    for _ in 0..PAGES {
        let page = list(events, &those).await?;
        let all = newest.into_iter().chain(page.items);
        newest = all.max_by_key(trouble::last_seen);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => those = those.continue_token(&token),
            None => break,
        }
    }
    Ok(newest)
}

async fn list<K>(api: &Api<K>, those: &ListParams) -> Result<ObjectList<K>, String>
where
    K: Clone + fmt::Debug + DeserializeOwned,
{
    match timeout(DEADLINE, api.list(those)).await {
        Ok(Err(kube::Error::Api(status))) => Err(status.message.clone()),
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}
