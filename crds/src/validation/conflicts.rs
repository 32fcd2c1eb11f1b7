//! What the mothership has given to somebody else already, or does not have.

use std::ops::RangeInclusive;

use super::{Errors, Findings, is_served, namesakes, quota};
use crate::lookup::{Holder, Mothership};
use crate::v1beta2::{Cluster, PersistenceType, Ports, ServiceType, StorageType};
use crate::volumes::host_path;

/// The range is a setting of the API server, which few outside know.
const USUAL_NODE_PORTS: RangeInclusive<i32> = 30000..=32767;

/// What keeps a Cluster from getting what it asks for. Of a Cluster that is there already (`old`)
/// only what changes is looked at: what it has, it has.
pub fn conflicts(old: Option<&Cluster>, new: &Cluster, known: &dyn Mothership) -> Findings {
    let mut search = Search {
        old,
        new,
        known,
        errors: Errors::default(),
        warnings: Errors::default(),
    };
    search.node_ports();
    search.hosts();
    search.address();
    search.host_path();
    search.storage_classes();
    search
        .errors
        .0
        .extend(namesakes::of_cluster(old, new, known));
    quota::warn(&mut search.warnings, old, new, known);
    Findings::new(search.errors, search.warnings)
}

type Port = fn(&Cluster) -> i32;
type Of = fn(Ports) -> Option<i32>;

struct Search<'a> {
    old: Option<&'a Cluster>,
    new: &'a Cluster,
    known: &'a dyn Mothership,
    errors: Errors,
    warnings: Errors,
}

impl Search<'_> {
    /// Whether the Cluster asks from now on: as long as it is not served, others can have what it
    /// asks for.
    fn begins(&self) -> bool {
        self.old
            .is_none_or(|old| !is_served(old) && is_served(self.new))
    }

    /// What is recorded stays the Cluster's own while it is not served.
    fn has(&self, port: i32, of: Of) -> bool {
        let recorded = self.old.map(Cluster::recorded_ports);
        recorded.and_then(of) == Some(port)
    }

    fn is_new<T: PartialEq>(&self, of: impl Fn(&Cluster) -> T) -> bool {
        self.old.is_none_or(|old| of(old) != of(self.new))
    }

    /// Who has it other than this Cluster. What other namespaces hold is nobody's business here:
    /// neither its name nor its kind is told.
    fn other(&self, holders: Vec<Holder>) -> Option<String> {
        let metadata = &self.new.metadata;
        let near = |holder: &Holder| metadata.namespace.as_ref() == Some(&holder.namespace);
        let itself = |holder: &Holder| {
            holder.kind == "Cluster" && near(holder) && metadata.name.as_ref() == Some(&holder.name)
        };
        let mut others = holders.into_iter().filter(|holder| !itself(holder));
        let first = others.next()?;
        let named = std::iter::once(first).chain(others).find(near);
        Some(named.map_or_else(
            || "another namespace of this mothership".to_owned(),
            |Holder {
                 kind,
                 namespace,
                 name,
             }| format!("the {kind} {namespace}/{name}"),
        ))
    }

    fn node_ports(&mut self) {
        let service = &self.new.spec.service;
        if service.type_ != ServiceType::NodePort {
            return;
        }
        let fields: [(_, _, Port, Of); 2] = [
            (
                "spec.service.apiPort",
                service.api_port,
                |cluster| cluster.spec.service.api_port,
                |ports| ports.api,
            ),
            (
                "spec.service.konnectivityPort",
                service.konnectivity_port,
                |cluster| cluster.spec.service.konnectivity_port,
                |ports| ports.konnectivity,
            ),
        ];
        for (path, port, of, recorded) in fields {
            let asked = |cluster: &Cluster| (cluster.spec.service.type_, of(cluster));
            let asks = || self.is_new(asked) || (!self.has(port, recorded) && self.begins());
            if port == 0 || !asks() {
                continue;
            }
            let range = self.known.node_port_range();
            if range.is_none() && !USUAL_NODE_PORTS.contains(&port) {
                self.warnings
                    .warning(
                        path,
                        port,
                        "is outside the usual range of node ports",
                    )
                    .hint("30000 to 32767, unless the API server runs with another --service-node-port-range");
            }
            if let Some(range) = range.filter(|range| !range.contains(&port)) {
                self.errors
                    .invalid(path, port, format!("must be between {} and {}, inclusive, the mothership's range of node ports", range.start(), range.end()))
                    .hint("0 allocates one");
            } else if let Some(holder) = self.other(self.known.node_port(port)) {
                self.errors
                    .duplicate(path, port, format!("already used by {holder}"))
                    .hint("another one; 0 allocates a free one");
            }
        }
    }

    fn hosts(&mut self) {
        let Some(ingress) = &self.new.spec.ingress else {
            return;
        };
        let hosts = |cluster: &Cluster| {
            let ingress = cluster.spec.ingress.as_ref();
            ingress.map(|ingress| (ingress.api_host.clone(), ingress.konnectivity_host.clone()))
        };
        if !(self.is_new(hosts) || self.begins()) {
            return;
        }
        for (path, host) in [
            ("spec.ingress.apiHost", &ingress.api_host),
            ("spec.ingress.konnectivityHost", &ingress.konnectivity_host),
        ] {
            if let Some(holder) = self.other(self.known.host(host)) {
                self.errors
                    .duplicate(path, host, format!("already used by {holder}"))
                    .hint("another name that leads to the ingress controller");
            }
        }
    }

    /// Behind an ingress it is the host that tells clusters apart.
    fn address(&mut self) {
        let spec = &self.new.spec;
        let Some(address) = spec.asked_host() else {
            return;
        };
        let place = |cluster: &Cluster| {
            let service = &cluster.spec.service;
            (
                cluster.spec.external_address.clone(),
                cluster.spec.ingress.is_some(),
                service.api_port,
                service.konnectivity_port,
            )
        };
        if spec.ingress.is_some() || !(self.is_new(place) || self.begins()) {
            return;
        }
        for (path, port) in [
            ("spec.service.apiPort", spec.service.api_port),
            (
                "spec.service.konnectivityPort",
                spec.service.konnectivity_port,
            ),
        ] {
            if port == 0 || self.errors.0.iter().any(|error| error.path == path) {
                continue;
            }
            if let Some(holder) = self.other(self.known.address(address, port)) {
                self.errors
                    .duplicate(path, port, format!("already used at {address} by {holder}"))
                    .hint("another port, or another spec.externalAddress");
            }
        }
    }

    /// Control planes on one node would overwrite each other's keys.
    fn host_path(&mut self) {
        let Some(path) = host_path(&self.new.spec) else {
            return;
        };
        let place = |cluster: &Cluster| host_path(&cluster.spec);
        if !(self.is_new(place) || self.begins()) {
            return;
        }
        if let Some(holder) = self.other(self.known.host_path(&path)) {
            self.errors
                .duplicate(
                    "spec.persistence.hostPath",
                    path,
                    format!("already used by {holder}"),
                )
                .hint("a folder of its own for each cluster");
        }
    }

    fn storage_classes(&mut self) {
        const CLAIM: &str = "spec.persistence.persistentVolumeClaim.spec.storageClassName";
        let etcd = |cluster: &Cluster| {
            let storage = &cluster.spec.storage;
            (storage.type_ == StorageType::Etcd)
                .then(|| storage.etcd.persistence.storage_class.clone())
        };
        let claim = |cluster: &Cluster| {
            let persistence = cluster.spec.persistence.as_ref()?;
            let claim = persistence.persistent_volume_claim.as_ref()?;
            // One that exists already, or none at all: an empty name is a name here.
            (persistence.type_ == PersistenceType::Pvc)
                .then(|| claim.spec.as_ref()?.storage_class_name.clone())
        };
        if self.is_new(etcd)
            && let Some(class) = etcd(self.new)
        {
            let class = class.filter(|class| !class.is_empty());
            self.storage_class(
                "spec.storage.etcd.persistence.storageClass",
                class.as_deref(),
            );
        }
        if self.is_new(claim)
            && let Some(class) = claim(self.new)
            && class.as_deref() != Some("")
        {
            self.storage_class(CLAIM, class.as_deref());
        }
    }

    fn storage_class(&mut self, path: &str, class: Option<&str>) {
        if self.known.storage_class(class) != Some(false) {
            return;
        }
        let message = if class.is_some() {
            "does not exist in this mothership: pods are pending until it does"
        } else {
            "is not set, and there is no default storage class: pods are pending until there is one"
        };
        self.warnings
            .warning(path, class.unwrap_or_default(), message)
            .hint("kubectl get storageclasses lists them");
    }
}
