//! What is known of the mothership: from watches, so that deciding takes no request.

mod reservations;
mod tables;
mod watched;
mod watches;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crds::lookup::{Holder, Mothership, Namespace, Quota, Usage};
use crds::policy::Policies;
use crds::v1beta2::{Cluster, ClusterPolicy, JoinTokenRequest, canonical_host};
use parking_lot::RwLock;

use self::tables::{Key, Tables};
pub use self::watches::Watches;

/// What is known; clones share it.
#[derive(Clone, Default)]
pub struct Cache(Arc<RwLock<Tables>>);

impl Cache {
    /// How many objects of each kind are kept.
    pub fn counts(&self) -> [(&'static str, usize); 7] {
        let tables = self.0.read();
        [
            ("Cluster", tables.clusters.len()),
            ("Service", tables.services.len()),
            ("Namespace", tables.namespaces.len()),
            ("StorageClass", tables.storage_classes.len()),
            ("ResourceQuota", tables.quotas.len()),
            ("ClusterPolicy", tables.policies().len()),
            ("JoinTokenRequest", tables.requests.len()),
        ]
    }

    /// Another number after every change of what an audit looks at.
    pub fn changes(&self) -> u64 {
        self.0.read().changes
    }

    /// The policies, ready to be asked.
    pub fn policies(&self) -> Arc<Policies> {
        self.0.read().compiled.clone()
    }

    /// The policies as they are stored.
    pub fn stored_policies(&self) -> Vec<Arc<ClusterPolicy>> {
        self.0.read().policies().values().cloned().collect()
    }

    /// Takes a policy in. To read it takes a while, in which no decision has to wait; there is one
    /// watch of policies, so that nobody else changes them meanwhile.
    fn put_policy(&self, name: String, policy: ClusterPolicy) {
        let (is_news, compiled) = {
            let tables = self.0.read();
            let is_news = tables.is_news(&name, &policy) && tables.policies_listed;
            (is_news, tables.compiled.clone())
        };
        let policy = Arc::new(policy);
        let compiled = is_news.then(|| {
            let more = compiled.with(&policy);
            if !more.is_sparse() {
                return more;
            }
            let others = self.stored_policies();
            let others = others
                .iter()
                .filter(|other| other.metadata.name != policy.metadata.name);
            Policies::new(others.chain([&policy]).map(|policy| &**policy))
        });
        self.0.write().put_policy(name, policy, compiled);
    }

    /// Every Cluster.
    pub fn clusters(&self) -> Vec<Arc<Cluster>> {
        let tables = self.0.read();
        tables
            .clusters
            .values()
            .map(|stored| stored.object.clone())
            .collect()
    }

    /// Every JoinTokenRequest.
    pub fn requests(&self) -> Vec<Arc<JoinTokenRequest>> {
        self.0.read().requests.values().cloned().collect()
    }
}

impl Mothership for Cache {
    fn namespace(&self, name: &str) -> Option<Namespace> {
        self.0.read().namespaces.get(name).cloned()
    }

    fn cluster(&self, namespace: &str, name: &str) -> Option<Arc<Cluster>> {
        let key = (namespace.to_owned(), name.to_owned());
        Some(self.0.read().clusters.get(&key)?.object.clone())
    }

    fn node_port(&self, port: i32) -> Vec<Holder> {
        self.0.read().node_ports.holders(&port)
    }

    fn host(&self, host: &str) -> Vec<Holder> {
        self.0.read().hosts.holders(&canonical_host(host))
    }

    fn address(&self, address: &str, port: i32) -> Vec<Holder> {
        self.0
            .read()
            .addresses
            .holders(&(canonical_host(address), port))
    }

    fn host_path(&self, path: &str) -> Vec<Holder> {
        self.0.read().host_paths.holders(&path.to_owned())
    }

    fn has_request(&self, namespace: &str, name: &str) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        self.0.read().requests.contains_key(&key)
    }

    fn storage_class(&self, name: Option<&str>) -> Option<bool> {
        let tables = self.0.read();
        if !tables.storage_classes_listed {
            return None;
        }
        Some(match name {
            Some(name) => tables.storage_classes.contains_key(name),
            None => tables
                .storage_classes
                .values()
                .any(|is_default| *is_default),
        })
    }

    fn usage(&self, namespace: &str, but: &str) -> Usage {
        let tables = self.0.read();
        let mut usage = Usage::default();
        let clusters = of(&tables.clusters, namespace).filter(|((_, name), _)| name != but);
        for (_, cluster) in clusters {
            usage.clusters += 1;
            usage.replicas += i64::from(cluster.object.spec.replicas);
        }
        usage
    }

    fn quotas(&self, namespace: &str) -> Vec<Quota> {
        let tables = self.0.read();
        let quotas = of(&tables.quotas, namespace);
        quotas.flat_map(|(_, quotas)| quotas).cloned().collect()
    }
}

/// What lies in a namespace.
fn of<'a, T>(
    table: &'a BTreeMap<Key, T>,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a Key, &'a T)> {
    let first = (namespace.to_owned(), String::new());
    table
        .range((Bound::Included(first), Bound::Unbounded))
        .take_while(move |((of, _), _)| of == namespace)
}

#[cfg(test)]
mod tests;
