//! Watches of the product's own kinds: the store first, then the trigger.

use futures::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::object::{HasSpec, HasStatus};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef, Store as Reader};
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource};
use runtime::events::Events;
use runtime::{Presence, Read, Unreadable, guarded, last_known};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::untold::Untold;
use super::pulse::Pulse;
use super::requeue::Triggers;

mod untold;

/// Reason of the event about one that cannot be read.
const UNREADABLE: &str = "Unreadable";

/// What their watches need.
pub struct Primaries {
    /// Asks for them.
    pub client: Client,
    /// Only those in it; all unless given.
    pub namespace: Option<String>,
    /// Notes how the watches are.
    pub pulse: Pulse,
    /// Whether this replica has a say.
    pub triggers: Triggers,
    /// Tells of what cannot be read.
    pub events: Events,
    /// Ends them.
    pub stop: CancellationToken,
    /// What cannot be read and could not be told of yet.
    pub untold: Untold,
}

impl Primaries {
    /// From now on this replica has a say, of what it has seen before as well.
    pub fn open(&self) {
        self.triggers.open();
        for (about, note) in self.untold.open() {
            self.events.warning(&about, UNREADABLE, &note);
        }
    }

    /// Watches a kind from now on: what there is of it, and whether all has been listed.
    pub fn follow<K>(
        &self,
        trigger: impl Fn(&K) + Send + 'static,
    ) -> (Reader<K>, watch::Receiver<bool>)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + HasSpec<Spec: DeserializeOwned>
            + HasStatus<Status: DeserializeOwned>
            + Clone
            + Default
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + Sync
            + 'static,
    {
        let api: Api<Read<K>> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let (reader, writer) = reflector::store();
        let (ready, is_ready) = watch::channel(false);
        let known = reader.clone();
        let (events, untold) = (self.events.clone(), self.untold.clone());
        let stand_in = move |unreadable: Unreadable, presence| {
            let known = known.get(&reference(&unreadable.metadata));
            let last = last_known(known.as_deref(), &unreadable);
            let (about, note) = warning::<K>(&unreadable, last.is_some());
            match presence {
                Presence::There => {
                    if let Some((about, note)) = untold.tell(&unreadable.metadata, about, note) {
                        events.warning(&about, UNREADABLE, &note);
                    }
                }
                Presence::Gone => untold.forget(&unreadable.metadata),
            }
            last.or_else(|| ending(unreadable))
        };
        let config = runtime::watch_config().page_size(100);
        let events = guarded(api, config, stand_in).reflect(writer);
        let listed = reader.clone();
        let (pulse, stop) = (self.pulse.clone(), self.stop.clone());
        let untold = self.untold.clone();
        tokio::spawn(async move {
            let events = events.take_until(stop.cancelled_owned());
            tokio::pin!(events);
            let mut before = Vec::new();
            let kind = K::kind(&());
            while let Some(event) = events.next().await {
                if event.is_ok() {
                    pulse.beats(&kind);
                }
                match event {
                    Ok(Event::Apply(object) | Event::Delete(object)) => {
                        untold.is_now(object.meta());
                        trigger(&object);
                    }
                    Ok(Event::Init) => {
                        untold.forget_all(&kind);
                        before = listed.state();
                    }
                    // What a list brings is in the store only when it is whole.
                    Ok(Event::InitApply(_)) => {}
                    Ok(Event::InitDone) => {
                        let found = listed.state();
                        let gone = std::mem::take(&mut before);
                        found
                            .iter()
                            .chain(gone.iter().filter(|old| {
                                listed.get(&ObjectRef::from_obj(old.as_ref())).is_none()
                            }))
                            .for_each(|object| trigger(object));
                        ready.send_replace(true);
                    }
                    Err(error) => {
                        pulse.fails(&kind);
                        tracing::warn!(%kind, %error, "watch failed, restarting");
                    }
                }
            }
        });
        (reader, is_ready)
    }
}

fn reference<K: Resource<DynamicType = ()>>(metadata: &ObjectMeta) -> ObjectRef<K> {
    ObjectRef::new(metadata.name.as_deref().unwrap_or_default())
        .within(metadata.namespace.as_deref().unwrap_or_default())
}

fn warning<K: Resource<DynamicType = ()> + Default>(
    of: &Unreadable,
    is_known: bool,
) -> (ObjectReference, String) {
    let mut named = K::default();
    *named.meta_mut() = of.metadata.clone();
    let until = if is_known {
        "what it said before holds in place of what cannot be read, until it does"
    } else if of.metadata.deletion_timestamp.is_some() {
        "it is deleted all the same"
    } else {
        "it is left alone until it does"
    };
    let note = format!("it cannot be read by this version: {}; {until}", of.error);
    (named.object_ref(&()), note)
}

/// One that is being deleted ends by its metadata and its status: what its spec asks for is of no
/// interest any more.
fn ending<K>(unreadable: Unreadable) -> Option<K>
where
    K: Resource + HasStatus<Status: DeserializeOwned> + Default,
{
    unreadable.metadata.deletion_timestamp.as_ref()?;
    let mut object = K::default();
    // What it records (a token) may have to be looked after.
    *object.status_mut() = unreadable.status().ok()?;
    *object.meta_mut() = unreadable.metadata;
    Some(object)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use crds::v1beta2::{Cluster, JoinTokenRequest};
    use kube::ResourceExt as _;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::sync::{Notify, mpsc};

    use super::*;
    use crate::kubernetes::fixtures::{answer, client};
    use crate::kubernetes::requeue::channel;

    fn unreadable<K>(object: Value) -> Unreadable
    where
        K: DeserializeOwned,
    {
        match serde_json::from_value::<Read<K>>(object).unwrap() {
            Read::Not(unreadable) => *unreadable,
            Read::Whole(_) => panic!("it parses"),
        }
    }

    #[test]
    fn what_was_never_read_ends_by_its_metadata_and_is_built_by_nobody() {
        let object = |deleted: Value, status: Value| {
            json!({
                "metadata": {"name": "a", "namespace": "n", "deletionTimestamp": deleted},
                "spec": {"replicas": "three"}, "status": status,
            })
        };
        let now = || json!("2026-01-01T00:00:00Z");
        let cluster = |object| ending::<Cluster>(unreadable::<Cluster>(object));
        assert_eq!(cluster(object(Value::Null, json!({}))), None);
        let ended = cluster(object(now(), json!({"version": "v1.36.3"}))).unwrap();
        assert_eq!(ended.metadata.name.as_deref(), Some("a"));
        assert_eq!(ended.status.unwrap().version.as_deref(), Some("v1.36.3"));
        assert!(
            cluster(object(now(), Value::Null))
                .unwrap()
                .status
                .is_none()
        );

        // A token that is recorded is revoked; where that cannot be read, nobody lets it go.
        let request = |status: Value| {
            let object = json!({
                "metadata": {"name": "a", "namespace": "n", "deletionTimestamp": now()},
                "spec": {"clusterName": 5}, "status": status,
            });
            ending::<JoinTokenRequest>(unreadable::<JoinTokenRequest>(object))
        };
        let ended = request(json!({"tokenID": "abcdef"})).unwrap();
        let ended_status = ended.status;
        let token = ended_status
            .as_ref()
            .and_then(|status| status.token_id.as_deref());
        assert_eq!(token, Some("abcdef"));
        assert_eq!(request(json!({"tokenID": 5})), None);
        let odd = json!({"tokenID": "abcdef", "conditions": [{"type": 5}]});
        assert_eq!(request(odd).unwrap().status, ended_status);
    }

    /// What is told before the store has it is looked at as it was, and what has gone meanwhile is in
    /// no list.
    #[tokio::test(start_paused = true)]
    async fn what_a_watch_has_missed_is_told_once_the_store_has_it() {
        let (lists, missed) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let (listed, ends) = (Arc::clone(&lists), Arc::clone(&missed));
        let server = move |request: http::Request<Body>| {
            let (listed, ends) = (Arc::clone(&listed), Arc::clone(&ends));
            async move {
                if request.uri().query().unwrap_or_default().contains("watch=") {
                    ends.notified().await;
                    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                        "status": "Failure", "message": "x", "reason": "Expired", "code": 410});
                    return answer(&json!({"type": "ERROR", "object": status}));
                }
                let version = listed.fetch_add(1, Ordering::SeqCst) + 1;
                let cluster = |name: &str, replicas: u32| {
                    json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                        "metadata": {"name": name, "namespace": "ns", "uid": name,
                            "resourceVersion": version.to_string()},
                        "spec": {"replicas": replicas}})
                };
                let items = match version {
                    1 => vec![cluster("changed", 1), cluster("gone", 1)],
                    _ => vec![cluster("changed", 3)],
                };
                answer(
                    &json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterList",
                    "metadata": {"resourceVersion": version.to_string()}, "items": items}),
                )
            }
        };
        let client = client(server);
        let primaries = Primaries {
            events: Events::new(client.clone(), "test", "test"),
            client,
            namespace: None,
            pulse: Pulse::default(),
            triggers: channel().0,
            stop: CancellationToken::new(),
            untold: Untold::default(),
        };
        // Each with what the store has of it at that moment.
        let (tell, mut told) = mpsc::unbounded_channel();
        let store = Arc::new(OnceLock::<Reader<Cluster>>::new());
        let seen = Arc::clone(&store);
        let (reader, ready) = primaries.follow(move |cluster: &Cluster| {
            let stored = seen.get().unwrap().get(&ObjectRef::from_obj(cluster));
            let replicas = stored.map(|stored| stored.spec.replicas);
            tell.send((cluster.name_any(), replicas)).unwrap();
        });
        store.set(reader).unwrap();
        let mut two = async || {
            let wait = Duration::from_secs(60);
            let next = tokio::time::timeout(wait, told.recv()).await;
            let then = tokio::time::timeout(wait, told.recv()).await;
            let mut two = [next, then].map(|told| told.ok().flatten());
            two.sort();
            two.map(|told| told.map_or_else(|| "nothing".into(), |told| format!("{told:?}")))
        };
        runtime::synced(ready).await;
        assert_eq!(
            two().await,
            ["(\"changed\", Some(1))", "(\"gone\", Some(1))"]
        );
        missed.notify_one();
        assert_eq!(two().await, ["(\"changed\", Some(3))", "(\"gone\", None)"]);
        assert_eq!(lists.load(Ordering::SeqCst), 2);
    }
}
