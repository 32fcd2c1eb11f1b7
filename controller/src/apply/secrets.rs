//! Makes what is in Secrets: keys, certificates and kubeconfigs. Whether and when it is made anew,
//! which is the renewal of a certificate, is decided in `desired`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crds::names;
use parking_lot::Mutex;
use pki::kubeconfig::{self, KubeconfigNames, KubeconfigRequest};
use pki::leaf::{self, LeafRequest};
use pki::{PemPair, ca, inspect};
use serde_json::Value;

use crate::apply::desired::{Desired, Recipe};
use crate::apply::{ApplyError, Round};
use crate::kubernetes::store::{Kind, ObjectKey, digest};
use crate::kubernetes::writer::Writer;

/// The CAs' keys that this reconcile has made or read: signing needs no second request.
#[derive(Clone, Default)]
pub struct SigningKeys(Arc<Mutex<HashMap<ObjectKey, PemPair>>>);

impl SigningKeys {
    /// Keeps a pair that has been written. One that has not may be another than the one that is there.
    pub(super) fn put(&self, key: &ObjectKey, pair: PemPair) {
        self.0.lock().insert(key.clone(), pair);
    }

    /// Forgets a pair that is not the one in the Secret after all.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }

    /// The key pair in a Secret, asked for once.
    pub async fn read(&self, writer: &Writer, key: &ObjectKey) -> Result<PemPair, ApplyError> {
        if let Some(pair) = self.0.lock().get(key) {
            return Ok(pair.clone());
        }
        let secret = writer.get(key).await?;
        let pair = secret
            .and_then(|secret| pair(secret.data.get("data")?))
            .ok_or_else(|| ApplyError::NoAuthority { key: key.clone() })?;
        self.0.lock().insert(key.clone(), pair.clone());
        Ok(pair)
    }
}

impl Round<'_> {
    /// The object with its data, and the pair in it, if all of it is one.
    pub(super) async fn with_data(
        &self,
        wanted: &Desired,
        recipe: &Recipe,
    ) -> Result<(Value, Option<PemPair>), ApplyError> {
        let with = |data, certificate: &str| {
            // A key for signing tokens has none, and no end.
            let facts = inspect(certificate).ok();
            wanted.with_data(data, facts.map(|facts| facts.not_after))
        };
        let pki = |source| ApplyError::Pki {
            key: wanted.key.clone(),
            source,
        };
        let pair = match recipe {
            Recipe::Authority { common_name } => {
                ca::new(common_name, self.now, ca::LIFETIME).map_err(pki)?
            }
            Recipe::ServiceAccount => pki::service_account().map_err(pki)?,
            Recipe::Leaf {
                authority,
                authority_digest,
                request,
            } => {
                let ca = self.authority(wanted, authority, authority_digest).await?;
                leaf::issue(&ca, request, self.now).map_err(pki)?
            }
            Recipe::Kubeconfig {
                authority,
                authority_digest,
                cluster,
                server,
            } => {
                let ca = self.authority(wanted, authority, authority_digest).await?;
                let admin = administrator("admin", self.leaf_lifetime);
                let client = leaf::issue(&ca, &admin, self.now).map_err(pki)?;
                let text = kubeconfig::render(&KubeconfigRequest {
                    names: KubeconfigNames::admin(cluster),
                    server,
                    ca_certificate: &ca.certificate,
                    client: &client,
                })
                .map_err(pki)?;
                let data = BTreeMap::from([("value".to_owned(), text.expose().to_owned())]);
                return Ok((with(&data, &client.certificate), None));
            }
        };
        let data = BTreeMap::from([
            (names::TLS_CERT_KEY.to_owned(), pair.certificate.clone()),
            (names::TLS_KEY_KEY.to_owned(), pair.key.expose().to_owned()),
        ]);
        Ok((with(&data, &pair.certificate), Some(pair)))
    }

    /// The authority that the recipe was made for, and no other.
    async fn authority(
        &self,
        wanted: &Desired,
        name: &str,
        certificate: &str,
    ) -> Result<PemPair, ApplyError> {
        let key = ObjectKey::new(Kind::Secret, &wanted.key.namespace, name);
        let pair = self.keys.read(self.writer, &key).await?;
        if digest(pair.certificate.as_bytes()) == certificate {
            return Ok(pair);
        }
        self.keys.forget(&key);
        Err(ApplyError::AuthorityChanged { key })
    }
}

/// A client certificate with every right in the hosted cluster.
pub fn administrator(user: &str, lifetime: jiff::SignedDuration) -> LeafRequest {
    LeafRequest {
        common_name: user.to_owned(),
        organization: Some("system:masters".to_owned()),
        sans: Vec::new(),
        server: false,
        client: true,
        lifetime,
    }
}

fn pair(data: &Value) -> Option<PemPair> {
    let text = |key: &str| {
        let bytes = BASE64_STANDARD.decode(data.get(key)?.as_str()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    Some(PemPair {
        certificate: text(names::TLS_CERT_KEY)?,
        key: pki::PrivateKey::new(text(names::TLS_KEY_KEY)?),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::Response;
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::apply::desired::Content;
    use crate::apply::fixtures::Rig;

    /// A CA is made where none is known, beside the one that is there, while leaves are signed.
    #[tokio::test]
    async fn nothing_is_signed_with_another_authority_than_the_one_that_is_there() {
        let there = ca::new("kubernetes", jiff::Timestamp::now(), ca::LIFETIME).unwrap();
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "ca", "namespace": "n"},
            "data": {"tls.crt": encoded(&there.certificate), "tls.key": encoded(there.key.expose())}});
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = reads.clone();
        let rig = Rig::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            let body = Body::from(secret.to_string().into_bytes());
            async move { Response::new(body) }
        });
        let round = rig.round();
        let metadata = json!({"metadata": {"name": "ca", "namespace": "n"}});
        let recipe = Recipe::Authority {
            common_name: "kubernetes".to_owned(),
        };
        let wanted = Desired::new(Kind::Secret, metadata, Content::Kept(recipe.clone()));
        let (_, made) = round.with_data(&wanted, &recipe).await.unwrap();
        let seen = digest(there.certificate.as_bytes());
        for _ in 0..2 {
            let signs = round.authority(&wanted, "ca", &seen).await.unwrap();
            assert_eq!(signs.certificate, there.certificate);
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        // Whatever is at hand, and written or not.
        round.keys.put(&wanted.key, made.unwrap());
        let error = round.authority(&wanted, "ca", &seen).await.unwrap_err();
        assert!(
            matches!(error, ApplyError::AuthorityChanged { .. }),
            "{error}"
        );
        round.authority(&wanted, "ca", &seen).await.unwrap();
    }
}
