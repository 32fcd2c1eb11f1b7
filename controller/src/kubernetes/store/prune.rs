//! What is kept of an object of the mothership: of a Secret digests, and never its data.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crds::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::kind::{Kept, Kind};

/// Annotation that kubectl writes with a copy of the whole object.
const LAST_APPLIED: &str = crds::names::LAST_APPLIED_ANNOTATION;

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

pub(super) fn prune(kind: Kind, object: DynamicObject) -> Map<String, Value> {
    let mut metadata = object.metadata;
    metadata.managed_fields = None;
    if kind.kept() == Kept::Addresses {
        metadata = ObjectMeta {
            name: metadata.name,
            ..ObjectMeta::default()
        };
    }
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    let mut tree = match object.data {
        Value::Object(tree) => tree,
        _ => Map::new(),
    };
    match kind.kept() {
        Kept::Digests => reduce_secret(&mut tree),
        Kept::Addresses => reduce_node(&mut tree),
        Kept::All => {}
        // Whose it is stands in its metadata.
        Kept::Metadata => tree.clear(),
        Kept::Said => {
            tree.remove("status");
        }
    }
    tree.insert(
        "metadata".to_owned(),
        serde_json::to_value(metadata).unwrap_or_default(),
    );
    tree
}

fn reduce_secret(tree: &mut Map<String, Value>) {
    let data = tree.remove("data");
    let mut digests = Map::new();
    for (key, value) in data
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let bytes = value
            .as_str()
            .and_then(|text| BASE64_STANDARD.decode(text).ok());
        let bytes = bytes.unwrap_or_default();
        digests.insert(key.clone(), Value::String(digest(&bytes)));
        if key == names::TLS_CERT_KEY
            && let Some(certificate) = certificate(&bytes)
        {
            tree.insert("certificate".to_owned(), certificate);
        }
    }
    tree.insert("digests".to_owned(), Value::Object(digests));
}

/// Life of a certificate, and the certificate itself when it is a CA's.
fn certificate(pem: &[u8]) -> Option<Value> {
    let pem = std::str::from_utf8(pem).ok()?;
    let found = pki::inspect(pem).ok()?;
    let mut facts = json!({
        "notBefore": found.not_before.as_second(),
        "notAfter": found.not_after.as_second(),
        "key": found.spki_digest,
    });
    if found.is_ca {
        facts["pem"] = Value::from(pem);
    }
    Some(facts)
}

/// A Node counts for its name and its addresses only.
fn reduce_node(tree: &mut Map<String, Value>) {
    let addresses = tree
        .get("status")
        .and_then(|status| status.get("addresses"))
        .cloned()
        .unwrap_or_default();
    tree.remove("spec");
    tree.insert("status".to_owned(), json!({ "addresses": addresses }));
}
