//! Secrets with authorities and with the certificates that they sign.

use crds::names;
use crds::v1beta2::CertificateType;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pki::leaf::LeafRequest;

use super::super::dereference::AUTHORITIES;
use super::super::validate::ValidCluster;
use crate::apply::desired::{Content, Recipe, Wanted};
use crate::kubernetes::store::Kind;

/// The common name that k0s expects of an authority that it did not make itself.
const COMMON_NAME: &str = "kubernetes";
/// Members whose names the peer certificate spells out. Wildcards cover any number, but a peer
/// checks them by a reverse look-up, which not every mothership answers.
const SPELLED_MEMBERS: i32 = 9;

/// Every certificate Secret that the Cluster does not get from its user and whose authority is
/// there.
pub fn all(cluster: &ValidCluster) -> Vec<Wanted> {
    let made = |type_: &CertificateType| !cluster.authority(*type_).is_some_and(|a| a.users);
    let kept = AUTHORITIES.iter().filter(|type_| made(type_)).map(|type_| {
        let recipe = match type_ {
            CertificateType::Sa => Recipe::ServiceAccount,
            _ => Recipe::Authority {
                common_name: COMMON_NAME.to_owned(),
            },
        };
        secret(cluster, *type_, Content::Kept(recipe))
    });
    let leaves = [
        CertificateType::ApiserverEtcdClient,
        CertificateType::EtcdServer,
        CertificateType::EtcdPeer,
    ];
    let leaves = leaves
        .iter()
        .filter(|type_| made(type_))
        .filter_map(|type_| {
            let recipe = leaf(cluster, *type_)?;
            Some(secret(cluster, *type_, Content::Made(recipe)))
        });
    kept.chain(leaves).collect()
}

fn leaf(cluster: &ValidCluster, type_: CertificateType) -> Option<Recipe> {
    let authority = cluster.authority(CertificateType::Etcd)?;
    let purpose = type_.to_string();
    Some(Recipe::Leaf {
        authority: authority.secret.clone(),
        authority_digest: authority.digest.clone()?,
        request: LeafRequest {
            common_name: purpose.clone(),
            organization: Some(purpose),
            sans: sans(cluster, type_),
            // Members are clients of each other, and etcd's own gateway is one of the server.
            server: type_ != CertificateType::ApiserverEtcdClient,
            client: true,
            lifetime: cluster.leaf_lifetime,
        },
    })
}

fn sans(cluster: &ValidCluster, type_: CertificateType) -> Vec<String> {
    let mut sans = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let members = names::etcd(&cluster.name);
    let namespace = &cluster.namespace;
    let forms = |service: &str| {
        [
            service.to_owned(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]
    };
    for form in forms(&members) {
        sans.push(format!("*.{form}"));
        sans.push(form);
    }
    match type_ {
        CertificateType::EtcdServer => {
            sans.extend(forms(&names::etcd_client_service(&cluster.name)));
        }
        CertificateType::EtcdPeer => {
            let spelled = cluster.etcd_members.max(SPELLED_MEMBERS);
            sans.extend((0..spelled).map(|i| format!("{members}-{i}.{members}")));
        }
        _ => {}
    }
    sans
}

fn secret(cluster: &ValidCluster, type_: CertificateType, content: Content) -> Wanted {
    let kept = matches!(content, Content::Kept(_));
    let labels = crds::labels::certificate(&cluster.name);
    Wanted::new(
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
