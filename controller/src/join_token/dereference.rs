//! Everything known about one request, from the stores.

use std::sync::Arc;

use kube::{
    ResourceExt,
    runtime::reflector::{ObjectRef, Store as Reader},
};

use crds::{
    names,
    v1beta2::{CertificateType, Cluster, JoinTokenRequest},
};

use crate::{
    cluster::{
        dereference::authority,
        status::{FUNCTIONAL, is_true},
    },
    kubernetes::store::{Key, Kind, Store},
};

use k8s_openapi::api::core::v1::Service;

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The Cluster that the request names.
    pub cluster: Option<Arc<Cluster>>,
    /// Its API has answered.
    pub serves: bool,
    /// The host that machines join at.
    pub host: Option<String>,
    /// The API's port.
    pub port: Option<u16>,
    /// The Service's address inside the mothership.
    pub service_ip: Option<String>,
    /// The Secret with the authority.
    pub authority: Option<Key>,
    /// The authority's certificate.
    pub certificate: Option<String>,
}

/// How the controller reaches a hosted API.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Address inside the mothership.
    pub service_ip: String,
    /// The API's port.
    pub port: u16,
    /// The Secret with the authority.
    pub authority: Key,
    /// The authority's certificate.
    pub certificate: String,
}

impl Found {
    /// The way to the hosted API, once all of it is known.
    pub fn reach(&self) -> Option<Reach> {
        Some(Reach {
            service_ip: self.service_ip.clone()?,
            port: self.port?,
            authority: self.authority.clone()?,
            certificate: self.certificate.clone()?,
        })
    }
}

/// Reads the stores.
pub fn dereference(request: &JoinTokenRequest, clusters: &Reader<Cluster>, store: &Store) -> Found {
    let namespace = request.namespace().unwrap_or_default();
    let name = request.spec.cluster_name.as_str();
    let Some(cluster) = clusters.get(&ObjectRef::new(name).within(&namespace)) else {
        return Found::default();
    };
    let uid = cluster.uid().unwrap_or_default();
    let authority = authority(&cluster, CertificateType::Ca, store);
    let service_name = names::service(name, cluster.spec.service.type_);
    let service: Option<Service> = store
        .get_owned(&Key::new(Kind::Service, &namespace, &service_name), &uid)
        .and_then(|live| live.read());
    let status = cluster.status.as_ref();
    Found {
        serves: is_true(status, FUNCTIONAL),
        host: status
            .and_then(|status| status.external_address.clone())
            .or_else(|| Some(format!("{service_name}.{namespace}.svc"))),
        port: status.and_then(|status| u16::try_from(status.ports?.api).ok()),
        service_ip: service.and_then(|service| service.spec?.cluster_ip),
        authority: Some(Key::new(Kind::Secret, &namespace, authority.secret)),
        certificate: authority.certificate,
        cluster: Some(cluster),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use kube::runtime::{reflector, watcher::Event};
    use serde_json::json;

    use super::*;
    use crate::pki::fixtures;

    /// The Secret with the authority of a Cluster with this uid, in a store of its own.
    fn store(owner: &str) -> Store {
        let certificate = BASE64_STANDARD.encode(fixtures::pair("ec-sec1").certificate);
        let secret = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "demo-ca", "namespace": "ns", "uid": "s", "resourceVersion": "1",
                "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                    "name": "demo", "uid": owner, "controller": true}]},
            "data": {"tls.crt": certificate},
        }));
        let store = Store::default();
        store.put(Kind::Secret, secret.unwrap(), 0);
        store
    }

    #[test]
    fn the_authority_of_a_namesake_is_not_taken_for_the_clusters() {
        let (clusters, mut writer) = reflector::store();
        let cluster: Cluster = serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "uid": "new"}, "spec": {},
        }))
        .unwrap();
        writer.apply_watcher_event(&Event::Apply(cluster));
        let request: JoinTokenRequest = serde_json::from_value(json!({
            "metadata": {"name": "token", "namespace": "ns"}, "spec": {"clusterName": "demo"},
        }))
        .unwrap();

        let found = |owner| dereference(&request, &clusters, &store(owner)).certificate;
        assert!(found("new").is_some());
        assert_eq!(found("old"), None);
    }
}
