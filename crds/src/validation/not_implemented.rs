//! Fields of the API that this release does not honour yet, such as a remote host cluster.

use k8s_openapi::api::core::v1::{Volume, VolumeProjection};

use crate::names;
use crate::v1beta2::{ClusterSpec, JoinTokenRequest, KineSpec, StorageType};

/// Paths of the fields that are set and that this release does not honour yet.
///
/// A Cluster with any of them is not touched: doing the half of what was asked for would look
/// like all of it.
pub fn not_implemented(spec: &ClusterSpec) -> Vec<String> {
    let storage = &spec.storage;
    // Settings of a type that is not chosen mean nothing: Go clients write them all, as zeros.
    let is = |type_| storage.type_ == type_;
    let fields = [
        ("spec.ingress", spec.ingress.is_some()),
        (
            "spec.monitoring.enabled",
            spec.monitoring
                .as_ref()
                .is_some_and(|monitoring| monitoring.enabled),
        ),
        ("spec.patches", !spec.patches.is_empty()),
        (
            "spec.remoteHostCluster",
            spec.remote_host_cluster
                .as_ref()
                .is_some_and(|host| host.kubeconfig_ref.is_some()),
        ),
        ("spec.storage.type", storage.type_ != StorageType::Etcd),
        (
            "spec.storage.kine",
            is(StorageType::Kine)
                && storage
                    .kine
                    .as_ref()
                    .is_some_and(|kine| *kine != KineSpec::default()),
        ),
        (
            "spec.storage.nats",
            is(StorageType::Nats) && storage.nats.is_some(),
        ),
        (
            "spec.storage.etcd.defragJob.enabled",
            is(StorageType::Etcd)
                && storage
                    .etcd
                    .defrag_job
                    .as_ref()
                    .is_some_and(|job| job.enabled),
        ),
    ];
    let mut paths: Vec<String> = fields
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(path, _)| path.to_owned())
        .collect();
    for (index, manifest) in spec.manifests.iter().enumerate() {
        paths.extend(unknown_projections(
            &format!("spec.manifests[{index}]"),
            manifest,
        ));
    }
    for (index, mount) in spec.mounts.iter().enumerate() {
        paths.extend(unknown_projections(
            &format!("spec.mounts[{index}]"),
            &mount.volume,
        ));
    }
    paths
}

/// Paths (an annotation's among them) that are set and that this release does not honour yet.
pub fn not_implemented_join_token_request(request: &JoinTokenRequest) -> Vec<String> {
    let metadata = &request.metadata;
    let elsewhere = metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(names::CLUSTER_REF_NAMESPACE_ANNOTATION))
        .is_some_and(|namespace| Some(namespace) != metadata.namespace.as_ref());
    if elsewhere {
        vec![format!(
            "metadata.annotations[{}]",
            names::CLUSTER_REF_NAMESPACE_ANNOTATION
        )]
    } else {
        Vec::new()
    }
}

/// Kinds of projected sources newer than the Kubernetes types we know leave an empty source.
fn unknown_projections(path: &str, volume: &Volume) -> Vec<String> {
    let sources = volume
        .projected
        .as_ref()
        .and_then(|projected| projected.sources.as_ref());
    sources
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, source)| **source == VolumeProjection::default())
        .map(|(index, _)| format!("{path}.projected.sources[{index}]"))
        .collect()
}
