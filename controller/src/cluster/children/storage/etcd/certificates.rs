//! The certificates of etcd's members and of their clients.

use crds::names;
use crds::v1beta2::CertificateType;
use pki::leaf::LeafRequest;

use crate::apply::desired::Recipe;
use crate::cluster::validate::ValidCluster;

/// Members whose names the peer certificate spells out. Wildcards cover any number, but a peer
/// checks them by a reverse look-up, which not every mothership answers.
const SPELLED_MEMBERS: i32 = 9;

const LEAVES: [CertificateType; 3] = [
    CertificateType::ApiserverEtcdClient,
    CertificateType::EtcdServer,
    CertificateType::EtcdPeer,
];

/// What each is made from; none while their CA is not there.
pub fn leaves(cluster: &ValidCluster) -> Vec<(CertificateType, Recipe)> {
    let made = LEAVES.map(|type_| Some((type_, leaf(cluster, type_)?)));
    made.into_iter().flatten().collect()
}

fn leaf(cluster: &ValidCluster, type_: CertificateType) -> Option<Recipe> {
    let ca = cluster.certificate_secret(CertificateType::Etcd)?;
    let purpose = type_.to_string();
    Some(Recipe::Leaf {
        authority: ca.secret.clone(),
        authority_digest: ca.digest.clone()?,
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
