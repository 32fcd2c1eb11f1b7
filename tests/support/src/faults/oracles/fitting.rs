//! Whether keys, certificates and kubeconfigs of a Cluster fit each other: what is compared between
//! runs is only what they are, since each run has keys of its own.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use serde_json::Value;

use crate::faults::history::Objects;
use crate::light::children::{at, text};

/// Leaves, and the CA that each is signed by.
const LEAVES: [(&str, &str); 3] = [
    ("etcd-server", "etcd"),
    ("etcd-peer", "etcd"),
    ("apiserver-etcd-client", "etcd"),
];

/// What does not fit.
pub fn misfits(objects: &Objects) -> Vec<String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut all = Vec::new();
    let clusters = objects.iter().filter_map(|(key, cluster)| {
        key.strip_prefix("Cluster/")
            .map(|name| (name, cluster.as_ref()))
    });
    for (name, cluster) in clusters {
        let secret = |type_: &str| {
            let key = format!("Secret/{}", secret_name(cluster, name, type_));
            objects.get(&key).map(AsRef::as_ref)
        };
        for (type_, ca) in LEAVES {
            let (Some(leaf), Some(ca)) = (secret(type_), secret(ca)) else {
                continue;
            };
            let (certificate, key) = (data(leaf, "tls.crt"), data(leaf, "tls.key"));
            let found = fits(&provider, &certificate, &key, &data(ca, "tls.crt"));
            all.extend(found.err().map(|why| format!("{name}-{type_}: {why}")));
        }
        if let (Some(kubeconfig), Some(ca)) = (secret("kubeconfig"), secret("ca")) {
            let found = is_of(&provider, &data(kubeconfig, "value"), &data(ca, "tls.crt"));
            all.extend(found.err().map(|why| format!("{name}-kubeconfig: {why}")));
        }
    }
    all
}

/// The user's, if the spec names one.
fn secret_name(cluster: &Value, name: &str, type_: &str) -> String {
    let refs = at(cluster, "/spec/certificateRefs").as_array();
    let named = refs
        .into_iter()
        .flatten()
        .find(|named| text(named, "/type") == type_);
    named.map_or_else(
        || format!("{name}-{type_}"),
        |named| text(named, "/name").to_owned(),
    )
}

fn data(secret: &Value, key: &str) -> Vec<u8> {
    let encoded = at(secret, "/data")
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default();
    STANDARD.decode(encoded).unwrap_or_default()
}

/// A kubeconfig trusts this CA and no other, and its user is signed by it.
fn is_of(provider: &Arc<CryptoProvider>, kubeconfig: &[u8], ca: &[u8]) -> Result<(), String> {
    let kubeconfig = String::from_utf8_lossy(kubeconfig);
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig).map_err(|error| error.to_string())?;
    let cluster = kubeconfig
        .clusters
        .first()
        .and_then(|named| named.cluster.as_ref());
    let trusted = cluster.and_then(|cluster| cluster.certificate_authority_data.as_deref());
    let trusted = STANDARD
        .decode(trusted.unwrap_or_default())
        .unwrap_or_default();
    if trusted.trim_ascii() != ca.trim_ascii() {
        return Err("it trusts another CA".to_owned());
    }
    let user = kubeconfig
        .auth_infos
        .first()
        .and_then(|named| named.auth_info.as_ref());
    let user = user.ok_or("it has no user")?;
    let certificate = user.client_certificate_data.as_deref().unwrap_or_default();
    let certificate = STANDARD.decode(certificate).unwrap_or_default();
    let key = serde_json::to_value(user).unwrap_or_default();
    let key = STANDARD
        .decode(text(&key, "/client-key-data"))
        .unwrap_or_default();
    fits(provider, &certificate, &key, ca)
}

/// A certificate is of its key and signed by its CA.
fn fits(
    provider: &Arc<CryptoProvider>,
    certificate: &[u8],
    key: &[u8],
    ca: &[u8],
) -> Result<(), String> {
    let read = |pem: &[u8]| CertificateDer::from_pem_slice(pem).map_err(|error| error.to_string());
    let (leaf, ca) = (read(certificate)?, read(ca)?);
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    CertifiedKey::from_der(vec![leaf.clone()], key, provider).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(|error| error.to_string())?;
    let (roots, now) = (Arc::new(roots), UnixTime::now());
    // It is for servers, for clients, or for both.
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider))
            .build()
            .map_err(|error| error.to_string())?;
    let as_client = clients.verify_client_cert(&leaf, &[], now).map(drop);
    let as_server = || {
        let servers =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        let servers = servers.map_err(|error| error.to_string())?;
        match servers.verify_server_cert(&leaf, &[], &name, &[], now) {
            // Whose it is was looked at before whom it is for.
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. },
            )) => Ok(()),
            other => other.map(drop).map_err(|error| error.to_string()),
        }
    };
    as_client
        .map_err(|error| error.to_string())
        .or_else(|_| as_server())
}

#[cfg(test)]
mod tests {
    use mothership::pki::{Authority, Leaf};
    use serde_json::json;

    use super::*;

    fn objects(leaf: (&str, &str), ca: &str) -> Objects {
        let secret = |certificate: &str, key: &str| {
            let (certificate, key) = (STANDARD.encode(certificate), STANDARD.encode(key));
            Arc::new(json!({"data": {"tls.crt": certificate, "tls.key": key}}))
        };
        [
            ("Cluster/one".to_owned(), Arc::new(json!({}))),
            ("Secret/one-etcd".to_owned(), secret(ca, "")),
            ("Secret/one-etcd-server".to_owned(), secret(leaf.0, leaf.1)),
        ]
        .into()
    }

    #[test]
    fn another_key_and_another_ca_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mine = Authority::create(folder.path(), "mine").unwrap();
        let other = Authority::create(folder.path(), "other").unwrap();
        let leaf = Leaf {
            common_name: "etcd",
            names: &["etcd"],
            ..Leaf::default()
        };
        let (one, two) = (mine.issue(&leaf).unwrap(), mine.issue(&leaf).unwrap());
        assert_eq!(
            misfits(&objects((&one.cert, &one.key), mine.cert())),
            Vec::<String>::new()
        );
        assert_eq!(
            misfits(&objects((&one.cert, &two.key), mine.cert())).len(),
            1
        );
        assert_eq!(
            misfits(&objects((&one.cert, &one.key), other.cert())).len(),
            1
        );
    }
}
