//! Watches of the product's own kinds: the store first, then the trigger.

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::object::HasStatus;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef, Store as Reader};
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource};
use runtime::events::Events;
use runtime::{Read, Unreadable, guarded, last_known};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pulse::Pulse;
use super::requeue::Triggers;

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
}

impl Primaries {
    /// Watches a kind from now on: what there is of it, and whether all has been listed.
    pub fn follow<K>(
        &self,
        trigger: impl Fn(&K) + Send + 'static,
    ) -> (Reader<K>, watch::Receiver<bool>)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
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
        let (events, triggers) = (self.events.clone(), self.triggers.clone());
        let stand_in = move |unreadable: Unreadable| {
            let known = known.get(&reference(&unreadable.metadata));
            if triggers.is_open() {
                warn::<K>(&events, &unreadable, known.is_some());
            }
            match known {
                Some(known) => Some(last_known(&*known, unreadable)),
                None => ending(unreadable),
            }
        };
        let config = runtime::watch_config().page_size(100);
        let events = guarded(api, config, stand_in).reflect(writer);
        let listed = reader.clone();
        let (pulse, stop) = (self.pulse.clone(), self.stop.clone());
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
                    Ok(Event::Apply(object) | Event::Delete(object)) => trigger(&object),
                    Ok(Event::Init) => before = listed.state(),
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

fn warn<K: Resource<DynamicType = ()> + Default>(events: &Events, of: &Unreadable, is_known: bool) {
    let mut named = K::default();
    *named.meta_mut() = of.metadata.clone();
    let until = if is_known {
        "what it said before holds until it does"
    } else if of.metadata.deletion_timestamp.is_some() {
        "it is deleted all the same"
    } else {
        "it is left alone until it does"
    };
    let note = format!("it cannot be read by this version: {}; {until}", of.error);
    events.warning(&named.object_ref(&()), "Unreadable", &note);
}

/// One that is being deleted ends by its metadata and its status: what its spec asks for is of no
/// interest any more.
fn ending<K>(unreadable: Unreadable) -> Option<K>
where
    K: Resource + HasStatus<Status: DeserializeOwned> + Default,
{
    unreadable.metadata.deletion_timestamp.as_ref()?;
    let mut object = K::default();
    *object.meta_mut() = unreadable.metadata;
    let mut status = unreadable.object.get("status").cloned().unwrap_or_default();
    let read = |status: &Value| Option::<K::Status>::deserialize(status).ok();
    // What it records (a token) may have to be looked after, so only what it says of itself may be
    // left out.
    *object.status_mut() = read(&status).or_else(|| {
        status.as_object_mut()?.remove("conditions");
        read(&status)
    })?;
    Some(object)
}

#[cfg(test)]
mod tests {
    use crds::v1beta2::{Cluster, JoinTokenRequest};
    use serde_json::json;

    use super::*;

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
}
