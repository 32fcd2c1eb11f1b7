//! What several children are made of.

use std::collections::BTreeMap;

use crds::labels::{self, Component};
use crds::names;
use crds::v1beta2::{CertificateType, ServiceType};
use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::validate::ValidCluster;

/// Metadata of a child: the user's labels and its component's, never the user's annotations.
pub fn metadata(cluster: &ValidCluster, name: String, component: Component) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(labels::metadata(
            &cluster.name,
            component,
            Some(&cluster.labels),
        )),
        owner_references: Some(vec![cluster.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Whether everything that a pod mounts is there: a pod that starts before waits for minutes.
pub fn all_exist<'a>(cluster: &ValidCluster, mut names: impl Iterator<Item = &'a str>) -> bool {
    names.all(|name| cluster.existing.contains_key(name))
}

/// Name of the Secret with a leaf certificate: the user's where `certificateRefs` names one.
pub fn certificate_secret(cluster: &ValidCluster, type_: CertificateType) -> String {
    cluster.certificate_secret(type_).map_or_else(
        || names::certificate(&cluster.name, type_),
        |named| named.secret.clone(),
    )
}

/// The Secret of this type is there.
pub fn certificate_exists(cluster: &ValidCluster, type_: CertificateType) -> bool {
    cluster.certificate_secret(type_).map_or_else(
        || {
            cluster
                .existing
                .contains_key(&names::certificate(&cluster.name, type_))
        },
        |named| named.digest.is_some(),
    )
}

/// What a StatefulSet says of the keys that its pods are made with. They read them from Secrets that
/// others may replace; what was signed before fits only these.
pub fn public_keys(cluster: &ValidCluster) -> Option<BTreeMap<String, String>> {
    let secrets = cluster.certificate_secrets.iter();
    let roots = secrets.filter(|(type_, _)| CertificateType::ROOTS.contains(type_));
    let keys: BTreeMap<_, _> = roots
        .filter_map(|(type_, secret)| Some((type_, secret.public_key.as_ref()?)))
        .collect();
    let noted = serde_json::to_string(&keys).ok()?;
    Some(map([(names::PUBLIC_KEYS_ANNOTATION, &noted)]))
}

/// Whether the cluster is exposed by node ports.
pub fn is_node_port(cluster: &ValidCluster) -> bool {
    cluster.spec.service.type_ == ServiceType::NodePort
}

/// A map of strings from pairs.
pub fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A port whose number is the pods' too.
pub fn service_port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::Int(number)),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
