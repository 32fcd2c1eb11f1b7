//! Secrets with CAs, with the key pair of service accounts, and with the certificates that they sign.

use crds::names;
use crds::v1beta2::CertificateType;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::apply::desired::{Content, Desired, Recipe};
use crate::cluster::children::storage;
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// The common name that k0s expects of a CA that it did not make itself.
const COMMON_NAME: &str = "kubernetes";

/// Every certificate Secret that the Cluster does not get from its user and whose CA is there.
pub fn all(cluster: &ValidCluster) -> Vec<Desired> {
    let made = |type_: &CertificateType| {
        !cluster
            .certificate_secret(*type_)
            .is_some_and(|secret| secret.users)
    };
    let kept = CertificateType::ROOTS
        .iter()
        .filter(|type_| made(type_))
        .map(|type_| {
            let recipe = match type_ {
                CertificateType::Sa => Recipe::ServiceAccount,
                _ => Recipe::Authority {
                    common_name: COMMON_NAME.to_owned(),
                },
            };
            secret(cluster, *type_, Content::Kept(recipe))
        });
    let leaves = storage::leaves(cluster)
        .into_iter()
        .filter(|(type_, _)| made(type_))
        .map(|(type_, recipe)| secret(cluster, type_, Content::Made(recipe)));
    kept.chain(leaves).collect()
}

fn secret(cluster: &ValidCluster, type_: CertificateType, content: Content) -> Desired {
    let kept = matches!(content, Content::Kept(_));
    let labels = crds::labels::certificate(&cluster.name);
    Desired::new(
        Kind::Secret,
        Secret {
            metadata: ObjectMeta {
                name: Some(names::certificate(&cluster.name, type_)),
                namespace: Some(cluster.namespace.clone()),
                labels: Some(labels),
                owner_references: Some(vec![cluster.owner.clone()]),
                finalizers: kept.then(|| vec![names::KEY_FINALIZER.to_owned()]),
                ..ObjectMeta::default()
            },
            // A key that is made once cannot be edited either.
            immutable: kept.then_some(true),
            type_: Some(names::CLUSTER_SECRET_TYPE.to_owned()),
            ..Secret::default()
        },
        content,
    )
}
