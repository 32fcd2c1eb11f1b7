//! Secrets with CAs, with the key pair of service accounts, and with the certificates that they sign.

use std::collections::BTreeMap;

use crds::names;
use crds::v1beta2::CertificateType;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::apply::desired::{Content, Desired, Recipe};
use crate::cluster::children::storage;
use crate::cluster::dereference::CertificateSecret;
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
    let leaves = storage::leaves(cluster)
        .into_iter()
        .filter(|(type_, _)| made(type_))
        .map(|(type_, recipe)| {
            secret(
                &cluster.owner,
                &cluster.namespace,
                type_,
                Content::Made(recipe),
            )
        });
    let kept = keys(
        &cluster.owner,
        &cluster.namespace,
        &cluster.certificate_secrets,
    );
    kept.into_iter().chain(leaves).collect()
}

/// The Secrets with the keys that the Cluster does not get from its user. Nothing of its spec but
/// their names is in them.
pub fn keys(
    owner: &OwnerReference,
    namespace: &str,
    secrets: &BTreeMap<CertificateType, CertificateSecret>,
) -> Vec<Desired> {
    let made = |type_: &&CertificateType| !secrets.get(type_).is_some_and(|secret| secret.users);
    let roots = CertificateType::ROOTS.iter().filter(made).map(|type_| {
        let recipe = match type_ {
            CertificateType::Sa => Recipe::ServiceAccount,
            _ => Recipe::Authority {
                common_name: COMMON_NAME.to_owned(),
            },
        };
        secret(owner, namespace, *type_, Content::Kept(recipe))
    });
    roots.collect()
}

fn secret(
    owner: &OwnerReference,
    namespace: &str,
    type_: CertificateType,
    content: Content,
) -> Desired {
    let kept = matches!(content, Content::Kept(_));
    Desired::new(
        Kind::Secret,
        Secret {
            metadata: ObjectMeta {
                name: Some(names::certificate(&owner.name, type_)),
                namespace: Some(namespace.to_owned()),
                labels: Some(crds::labels::certificate(&owner.name)),
                owner_references: Some(vec![owner.clone()]),
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
