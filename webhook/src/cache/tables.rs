//! The objects that were seen, and the node ports, hosts and addresses that each Cluster holds.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crds::lookup::{Holder, Namespace, Quota};
use crds::policy::Policies;
use crds::v1beta2::{Cluster, ClusterPolicy, JoinTokenRequest, ServiceType, canonical_host};
use crds::validation::is_served;
use crds::volumes::host_path;

use crate::cache::reservations::Reservations;

/// Namespace and name; the namespace is empty for kinds without.
pub(super) type Key = (String, String);

#[derive(Default)]
pub(super) struct Tables {
    pub(super) clusters: BTreeMap<Key, Stored>,
    pub(super) services: BTreeMap<Key, Ports>,
    pub(super) namespaces: BTreeMap<String, Namespace>,
    /// Whether each is the default.
    pub(super) storage_classes: BTreeMap<String, bool>,
    pub(super) storage_classes_listed: bool,
    pub(super) quotas: BTreeMap<Key, Vec<Quota>>,
    /// For the audit only.
    pub(super) requests: BTreeMap<Key, Arc<JoinTokenRequest>>,
    policies: BTreeMap<String, Arc<ClusterPolicy>>,
    pub(super) policies_listed: bool,
    /// Counts changes of specs, labels and the like: not of a status.
    pub(super) changes: u64,
    /// The policies, ready to be asked.
    pub(super) compiled: Arc<Policies>,
    pub(super) node_ports: Reservations<i32>,
    pub(super) hosts: Reservations<String>,
    pub(super) addresses: Reservations<(String, i32)>,
    pub(super) host_paths: Reservations<String>,
}

/// A Cluster and what it holds alone.
pub(super) struct Stored {
    pub(super) object: Arc<Cluster>,
    node_ports: Vec<i32>,
    hosts: Vec<String>,
    addresses: Vec<(String, i32)>,
    host_path: Option<String>,
}

/// The node ports of a Service, and who is said to hold them.
pub(super) struct Ports {
    pub(super) holder: Holder,
    pub(super) ports: Vec<i32>,
}

impl Tables {
    /// Whether a policy says something new. The status that the audit writes says nothing that
    /// decisions depend on.
    pub(super) fn is_news(&self, name: &str, policy: &ClusterPolicy) -> bool {
        let known = self.policies.get(name);
        known.is_none_or(|known| known.spec != policy.spec)
    }

    /// Takes a policy in, with what all say then, if that is something new.
    pub(super) fn put_policy(
        &mut self,
        name: String,
        policy: Arc<ClusterPolicy>,
        compiled: Option<Policies>,
    ) {
        self.changes += u64::from(self.is_news(&name, &policy));
        self.policies.insert(name, policy);
        if let Some(compiled) = compiled {
            self.compiled = Arc::new(compiled);
        }
    }

    pub(super) fn remove_policy(&mut self, name: &str) {
        if self.policies.remove(name).is_some() {
            self.changes += 1;
            self.compiled = Arc::new(self.compiled.without(name));
        }
    }

    /// While the first list comes in, once at its end is enough.
    pub(super) fn policies_are_listed(&mut self) {
        if !std::mem::replace(&mut self.policies_listed, true) {
            let policies = self.policies.values();
            self.compiled = Arc::new(Policies::new(policies.map(|policy| &**policy)));
        }
    }

    pub(super) fn policies(&self) -> &BTreeMap<String, Arc<ClusterPolicy>> {
        &self.policies
    }

    pub(super) fn put_cluster(&mut self, key: Key, object: Cluster) {
        let known = self.clusters.get(&key);
        let is_news = known.is_none_or(|known| {
            let (known, object) = (&known.object, &object);
            known.spec != object.spec
                || known.metadata.labels != object.metadata.labels
                || known.metadata.annotations != object.metadata.annotations
        });
        self.changes += u64::from(is_news);
        self.unclaim(&key);
        let holder = holder(&key);
        let stored = Stored::new(object);
        for port in &stored.node_ports {
            self.node_ports.add(port, &holder);
        }
        for host in &stored.hosts {
            self.hosts.add(host, &holder);
        }
        for address in &stored.addresses {
            self.addresses.add(address, &holder);
        }
        if let Some(path) = &stored.host_path {
            self.host_paths.add(path, &holder);
        }
        self.clusters.insert(key, stored);
    }

    pub(super) fn remove_cluster(&mut self, key: &Key) {
        if self.unclaim(key) {
            self.changes += 1;
        }
    }

    pub(super) fn put_request(&mut self, key: Key, request: JoinTokenRequest) {
        let known = self.requests.get(&key);
        let is_news = known.is_none_or(|known| {
            known.spec != request.spec
                || known.metadata.labels != request.metadata.labels
                || known.metadata.annotations != request.metadata.annotations
        });
        self.changes += u64::from(is_news);
        self.requests.insert(key, Arc::new(request));
    }

    pub(super) fn remove_request(&mut self, key: &Key) {
        if self.requests.remove(key).is_some() {
            self.changes += 1;
        }
    }

    pub(super) fn put_namespace(&mut self, namespace: Namespace) {
        let known = self.namespaces.get(&namespace.name);
        self.changes += u64::from(known != Some(&namespace));
        self.namespaces.insert(namespace.name.clone(), namespace);
    }

    /// Takes a Cluster out; whether it was there.
    fn unclaim(&mut self, key: &Key) -> bool {
        let Some(stored) = self.clusters.remove(key) else {
            return false;
        };
        let holder = holder(key);
        for port in &stored.node_ports {
            self.node_ports.remove(port, &holder);
        }
        for host in &stored.hosts {
            self.hosts.remove(host, &holder);
        }
        for address in &stored.addresses {
            self.addresses.remove(address, &holder);
        }
        if let Some(path) = &stored.host_path {
            self.host_paths.remove(path, &holder);
        }
        true
    }

    pub(super) fn put_service(&mut self, key: Key, ports: Ports) {
        self.remove_service(&key);
        for port in &ports.ports {
            self.node_ports.add(port, &ports.holder);
        }
        self.services.insert(key, ports);
    }

    pub(super) fn remove_service(&mut self, key: &Key) {
        let Some(service) = self.services.remove(key) else {
            return;
        };
        for port in &service.ports {
            self.node_ports.remove(port, &service.holder);
        }
    }
}

fn holder((namespace, name): &Key) -> Holder {
    Holder {
        kind: "Cluster",
        namespace: namespace.clone(),
        name: name.clone(),
    }
}

impl Stored {
    fn new(object: Cluster) -> Self {
        let spec = &object.spec;
        let is_served = is_served(&object);
        // Who is not served keeps nothing from others by asking for it: what it has got before is
        // recorded.
        let ports = if is_served {
            object.wanted_ports()
        } else {
            object.recorded_ports()
        };
        let ports: HashSet<i32> = ports.known().collect();
        let ports: Vec<i32> = ports.into_iter().collect();
        let hosts: HashSet<String> = spec
            .ingress
            .iter()
            .filter(|_| is_served)
            .flat_map(|ingress| [&ingress.api_host, &ingress.konnectivity_host])
            .map(|host| canonical_host(host))
            .collect();
        let address = if is_served {
            object.wanted_host()
        } else {
            object.recorded_host()
        };
        // Behind an ingress many share one address.
        let address = address.filter(|_| spec.ingress.is_none());
        let addresses = address
            .into_iter()
            .flat_map(|address| ports.iter().map(|port| (canonical_host(address), *port)))
            .collect();
        let on_nodes = spec.service.type_ == ServiceType::NodePort;
        Self {
            node_ports: if on_nodes { ports.clone() } else { Vec::new() },
            hosts: hosts.into_iter().collect(),
            addresses,
            host_path: host_path(&object.spec).filter(|_| is_served),
            object: Arc::new(object),
        }
    }
}
