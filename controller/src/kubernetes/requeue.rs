//! Which Clusters and requests have to be looked at again after a change of an object. When that is
//! to be without a change, their reconciles say.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crds::v1beta2::{Cluster, JoinTokenRequest};
use futures::Stream;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::kubernetes::store::{Kind, Owner, Touched};

/// Sends names of Clusters and JoinTokenRequests to their controllers. The channels are unbounded
/// because the schedulers behind them keep each name once: they cannot grow past the objects.
/// Until this replica leads nobody empties them, and nothing is sent.
#[derive(Clone)]
pub struct Triggers {
    open: Arc<AtomicBool>,
    clusters: mpsc::UnboundedSender<ObjectRef<Cluster>>,
    requests: mpsc::UnboundedSender<ObjectRef<JoinTokenRequest>>,
    requests_of: mpsc::UnboundedSender<ObjectRef<Cluster>>,
    /// Clusters that wait for a node.
    for_nodes: Arc<Mutex<HashSet<ObjectRef<Cluster>>>>,
}

/// The receiving ends.
pub struct Receivers {
    /// Clusters to look at.
    pub clusters: mpsc::UnboundedReceiver<ObjectRef<Cluster>>,
    /// JoinTokenRequests to look at.
    pub requests: mpsc::UnboundedReceiver<ObjectRef<JoinTokenRequest>>,
    /// Clusters whose JoinTokenRequests are to be looked at.
    pub requests_of: mpsc::UnboundedReceiver<ObjectRef<Cluster>>,
}

/// Both ends.
pub fn channel() -> (Triggers, Receivers) {
    let (clusters, clusters_rx) = mpsc::unbounded_channel();
    let (requests, requests_rx) = mpsc::unbounded_channel();
    let (requests_of, requests_of_rx) = mpsc::unbounded_channel();
    (
        Triggers {
            open: Arc::default(),
            clusters,
            requests,
            requests_of,
            for_nodes: Arc::default(),
        },
        Receivers {
            clusters: clusters_rx,
            requests: requests_rx,
            requests_of: requests_of_rx,
        },
    )
}

impl Triggers {
    /// From now on names are sent.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Whether names are sent.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Look at this Cluster.
    pub fn cluster(&self, namespace: &str, name: &str) {
        if !self.is_open() {
            return;
        }
        // A closed channel means that the process is ending.
        let _ = self.clusters.send(ObjectRef::new(name).within(namespace));
    }

    /// Look at this JoinTokenRequest.
    pub fn request(&self, namespace: &str, name: &str) {
        if !self.is_open() {
            return;
        }
        let _ = self.requests.send(ObjectRef::new(name).within(namespace));
    }

    /// Look at every JoinTokenRequest of this Cluster.
    pub fn requests_of(&self, namespace: &str, cluster: &str) {
        if !self.is_open() {
            return;
        }
        let _ = self
            .requests_of
            .send(ObjectRef::new(cluster).within(namespace));
    }

    /// Look at this Cluster once when a node changes.
    pub fn wake_with_nodes(&self, namespace: &str, name: &str) {
        let cluster = ObjectRef::new(name).within(namespace);
        self.for_nodes.lock().insert(cluster);
    }

    /// No other Clusters than these wait for a node, by namespace and name.
    pub fn retain_waiting(&self, is_there: impl Fn(&str, &str) -> bool) {
        let is_there = |cluster: &ObjectRef<Cluster>| {
            let namespace = cluster.namespace.as_deref().unwrap_or_default();
            is_there(namespace, &cluster.name)
        };
        self.for_nodes.lock().retain(is_there);
    }

    /// Look at the owners of what was touched, and at what waits for a node. Tokens are made and
    /// revoked through the Service of a Cluster and with what is in its Secrets.
    pub fn touched(&self, of: Kind, touched: &Touched) {
        for (namespace, owner) in touched {
            let Owner { kind, name, .. } = &**owner;
            match kind.as_str() {
                "Cluster" => {
                    self.cluster(namespace, name);
                    if matches!(of, Kind::Service | Kind::Secret) {
                        self.requests_of(namespace, name);
                    }
                }
                "JoinTokenRequest" => self.request(namespace, name),
                "Node" if self.is_open() => {
                    for cluster in std::mem::take(&mut *self.for_nodes.lock()) {
                        let _ = self.clusters.send(cluster);
                    }
                }
                _ => {}
            }
        }
    }
}

/// A receiver as the stream that kube's controller takes.
pub fn stream<T>(receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::store::{ObjectKey, Store};

    /// A kubelet writes its node every few minutes, and hundreds may wait for one.
    #[test]
    fn who_waits_for_a_node_is_woken_by_its_addresses_and_by_nothing_else() {
        let (store, (triggers, mut receivers)) = (Store::default(), channel());
        triggers.open();
        let mut wakes = |touched: &Touched| {
            triggers.wake_with_nodes("ns", "demo");
            triggers.touched(Kind::Node, touched);
            receivers.clusters.try_recv().is_ok()
        };
        let node = |version: &str, address: &str| {
            let node = json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": "a", "uid": "1", "resourceVersion": version,
                    "annotations": {"beat": version}},
                "status": {"addresses": [{"type": "InternalIP", "address": address}],
                    "conditions": [{"type": "Ready", "lastHeartbeatTime": version}]},
            });
            store.put(Kind::Node, serde_json::from_value(node).unwrap(), 1)
        };
        assert!(wakes(&node("1", "10.0.0.1")), "it came");
        assert!(!wakes(&node("2", "10.0.0.1")), "it lives");
        assert!(wakes(&node("3", "10.0.0.2")), "it moved");
        let key = ObjectKey::new(Kind::Node, "", "a");
        assert_eq!(store.get(&key).unwrap().resource_version, "3");
        assert!(wakes(&store.release(&key, None, 1)), "it went");
    }
    /// Addresses of nodes may never change, and Clusters come and go.
    #[test]
    fn who_is_gone_waits_for_no_node() {
        let (store, (triggers, mut receivers)) = (Store::default(), channel());
        triggers.open();
        for name in ["there", "gone"] {
            triggers.wake_with_nodes("ns", name);
        }
        triggers.retain_waiting(|namespace, name| (namespace, name) == ("ns", "there"));
        let node =
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "uid": "1"}});
        let touched = store.put(Kind::Node, serde_json::from_value(node).unwrap(), 1);
        triggers.touched(Kind::Node, &touched);
        assert_eq!(receivers.clusters.try_recv().unwrap().name, "there");
        assert!(receivers.clusters.try_recv().is_err());
    }
}
