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
    cluster::status::{FUNCTIONAL, is_true},
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
    let named = cluster
        .spec
        .certificate_refs
        .iter()
        .find(|reference| reference.type_ == CertificateType::Ca)
        .and_then(|reference| reference.name.clone());
    let secret = named.unwrap_or_else(|| names::certificate(name, CertificateType::Ca));
    let authority = Key::new(Kind::Secret, &namespace, secret);
    let certificate = store.get(&authority).and_then(|live| {
        live.value()
            .get("certificate")?
            .get("pem")?
            .as_str()
            .map(str::to_owned)
    });
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
        authority: Some(authority),
        certificate,
        cluster: Some(cluster),
    }
}
