//! The Secret with an administrator's kubeconfig.

use crds::labels::{self, Component};
use crds::names;
use crds::v1beta2::CertificateType;
use k8s_openapi::api::core::v1::Secret;

use crate::apply::desired::{Content, Desired, Recipe};
use crate::cluster::children::common::metadata;
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// `None` while the address or the CA is not known. A change of either makes it anew.
pub fn secret(cluster: &ValidCluster) -> Option<Desired> {
    let ca = cluster.certificate_secret(CertificateType::Ca)?;
    let recipe = Recipe::Kubeconfig {
        authority: ca.secret.clone(),
        authority_digest: ca.digest.clone()?,
        cluster: cluster.name.clone(),
        server: cluster.endpoint()?,
    };
    let mut metadata = metadata(
        cluster,
        names::kubeconfig(&cluster.name),
        Component::Kubeconfig,
    );
    if let Some(extra) = &cluster.spec.kubeconfig_secret_metadata {
        let own = metadata.labels.get_or_insert_default();
        own.extend(labels::inherited(Some(&extra.labels)));
        metadata.annotations = (!extra.annotations.is_empty()).then(|| extra.annotations.clone());
    }
    Some(Desired::new(
        Kind::Secret,
        Secret {
            metadata,
            type_: Some(names::CLUSTER_SECRET_TYPE.to_owned()),
            ..Secret::default()
        },
        Content::Made(recipe),
    ))
}
