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

    fn is_open(&self) -> bool {
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

    /// Look at the owners of what was touched. Tokens are made and revoked through the Service of
    /// a Cluster and with what is in its Secrets.
    pub fn touched(&self, of: Kind, touched: &Touched) {
        if of == Kind::Node && self.is_open() {
            for cluster in std::mem::take(&mut *self.for_nodes.lock()) {
                let _ = self.clusters.send(cluster);
            }
        }
        for (namespace, Owner { kind, name, .. }) in touched {
            match kind.as_str() {
                "Cluster" => {
                    self.cluster(namespace, name);
                    if matches!(of, Kind::Service | Kind::Secret) {
                        self.requests_of(namespace, name);
                    }
                }
                "JoinTokenRequest" => self.request(namespace, name),
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
