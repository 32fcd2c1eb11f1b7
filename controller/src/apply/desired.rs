//! What a builder wants to be there, and what has to be done for it.
//!
//! The renewal of a hosted cluster's certificate is decided here: [`Desired::step`] says when the data of its Secret
//! is made anew. That is when what it was made from has changed (its names, its CA) or somebody has
//! edited it; by time no child is renewed yet, and would be from here. `secrets` makes the data.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crds::names::{self, NOT_AFTER};
use pki::leaf::LeafRequest;
use serde::Serialize;
use serde_json::{Value, json};

use crate::apply::diff::difference;
use crate::kubernetes::store::{Kind, Live, ObjectKey, digest};

/// Annotation with the digest of what was last applied: a field that is no longer wanted changes
/// it, and the next apply prunes the field.
pub const APPLIED_HASH: &str = crds::names::APPLIED_HASH_ANNOTATION;
/// Annotation with the digest of a made Secret's data, which tells an edit by hand.
pub const DATA_DIGEST: &str = "k0smotron.io/data-digest";
/// Annotation with the digest of what a made Secret was made from.
pub const INPUTS_DIGEST: &str = "k0smotron.io/inputs-digest";
/// What is appended to a Secret's name for the copy that outlives its repair.
pub const COPY_SUFFIX: &str = "-restore";

/// How the data of a Secret is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// A new certificate authority.
    Authority {
        /// Its common name.
        common_name: String,
    },
    /// A new key pair that signs ServiceAccount tokens.
    ServiceAccount,
    /// A certificate signed by an authority.
    Leaf {
        /// The Secret with the authority.
        authority: String,
        /// Digest of the authority's certificate: a new authority makes a new leaf.
        authority_digest: String,
        /// What it certifies.
        request: LeafRequest,
    },
    /// An administrator's kubeconfig.
    Kubeconfig {
        /// The Secret with the authority.
        authority: String,
        /// Digest of the authority's certificate.
        authority_digest: String,
        /// Name of the Cluster.
        cluster: String,
        /// `https://host:port`.
        server: String,
    },
}

/// What made data follows from, but for the randomness.
pub trait Inputs {
    /// Digest of all of it: another digest asks for other data.
    fn digest(&self) -> String;

    /// The keys that are made. Others in the same Secret are somebody else's.
    fn keys(&self) -> &'static [&'static str];
}

impl Inputs for Recipe {
    fn digest(&self) -> String {
        let inputs = match self {
            Self::Authority { common_name } => json!([common_name]),
            Self::ServiceAccount => json!([]),
            Self::Leaf {
                authority,
                authority_digest,
                request,
            } => json!([
                authority,
                authority_digest,
                request.common_name,
                request.organization,
                request.sans,
                request.server,
                request.client,
                request.lifetime.as_secs(),
            ]),
            Self::Kubeconfig {
                authority,
                authority_digest,
                cluster,
                server,
            } => {
                json!([authority, authority_digest, cluster, server])
            }
        };
        digest(inputs.to_string().as_bytes())
    }

    fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Kubeconfig { .. } => &[names::KUBECONFIG_KEY],
            Self::Authority { .. } | Self::ServiceAccount | Self::Leaf { .. } => {
                &[names::TLS_CERT_KEY, names::TLS_KEY_KEY]
            }
        }
    }
}

/// Where an object's data comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<R = Recipe> {
    /// All of it is in the body.
    Declared,
    /// The data is made anew when its inputs changed or somebody edited it.
    Made(R),
    /// The data is made once and never again.
    Kept(R),
}

/// One object that has to be there.
#[derive(Clone, Debug)]
pub struct Desired<R = Recipe> {
    /// Its key.
    pub key: ObjectKey,
    /// The object without made data, sealed with the digest of itself.
    pub body: Value,
    /// Where its data comes from.
    pub content: Content<R>,
}

/// What has to be done for one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as wanted.
    Nothing,
    /// Apply the body, and leave data that is made.
    Apply,
    /// Make the data and apply both.
    Make,
    /// Create the object, with its data; never over another.
    Create,
    /// Somebody deletes an object whose data is kept: bring it back with the same data.
    Restore,
}

impl Desired {
    /// An object that is all said.
    pub fn declared(kind: Kind, object: impl Serialize) -> Self {
        Self::new(kind, object, Content::Declared)
    }
}

impl<R: Inputs> Desired<R> {
    /// Seals a typed object.
    pub fn new(kind: Kind, object: impl Serialize, content: Content<R>) -> Self {
        let resource = kind.api_resource();
        let mut body = serde_json::to_value(object).unwrap_or_default();
        body["apiVersion"] = Value::String(resource.api_version);
        body["kind"] = Value::String(resource.kind);
        if let Content::Made(recipe) = &content {
            body["metadata"]["annotations"][INPUTS_DIGEST] = Value::String(recipe.digest());
        }
        let seal = digest(body.to_string().as_bytes());
        body["metadata"]["annotations"][APPLIED_HASH] = Value::String(seal);
        let text = |field: &str| {
            body["metadata"]
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let key = ObjectKey::new(kind, text("namespace"), text("name"));
        Self { key, body, content }
    }

    /// The body with its data, and with when the certificate in it ends.
    pub fn with_data(
        &self,
        data: &BTreeMap<String, String>,
        not_after: Option<jiff::Timestamp>,
    ) -> Value {
        let mut body = self.body.clone();
        if let Some(end) = not_after {
            body["metadata"]["annotations"][NOT_AFTER] = Value::String(end.to_string());
        }
        body["metadata"]["annotations"][DATA_DIGEST] = Value::String(data_digest_of(data));
        // `data`, not `stringData`: server-side apply does not prune keys written as the latter.
        body["data"] = data
            .iter()
            .map(|(key, value)| (key.clone(), Value::String(BASE64_STANDARD.encode(value))))
            .collect::<serde_json::Map<_, _>>()
            .into();
        body
    }

    /// The digest of the body.
    pub fn hash(&self) -> &str {
        self.body["metadata"]["annotations"][APPLIED_HASH]
            .as_str()
            .unwrap_or_default()
    }

    /// What has to be done, given the object as it was last seen.
    pub fn step(&self, live: Option<&Live>) -> Step {
        let Some(live) = live else {
            return Step::Create;
        };
        let tree = live.value();
        match &self.content {
            Content::Kept(_) if live.deleting => Step::Restore,
            // It comes back when the deletion has ended.
            _ if live.deleting => Step::Nothing,
            Content::Made(recipe) if !self.made_from_the_same(&tree, recipe) => Step::Make,
            _ if self.matches(&tree) => Step::Nothing,
            Content::Made(_) | Content::Declared | Content::Kept(_) => Step::Apply,
        }
    }

    /// What the made data says about itself has to be true, or it is made again.
    fn made_from_the_same(&self, live: &Value, recipe: &R) -> bool {
        let annotation = |tree: &Value, name: &str| {
            tree["metadata"]["annotations"]
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        annotation(live, INPUTS_DIGEST) == annotation(&self.body, INPUTS_DIGEST)
            && annotation(live, DATA_DIGEST)
                .is_some_and(|said| said == data_digest(live, recipe.keys()))
    }

    fn matches(&self, live: &Value) -> bool {
        self.difference(live).is_none()
    }

    /// What somebody has added to the files in a ConfigMap: pods read all of them, and k0s applies its
    /// manifests with every right. And to a NetworkPolicy, where more is another rule.
    pub fn foreign<'l>(&'l self, live: &'l Value) -> impl Iterator<Item = (&'static str, &'l str)> {
        let fields: &[&str] = match self.key.kind {
            Kind::ConfigMap => &["data", "binaryData"],
            Kind::NetworkPolicy => &["spec"],
            _ => &[],
        };
        fields.iter().flat_map(move |field| {
            let keys = live[*field].as_object().into_iter().flatten();
            keys.filter(move |(key, _)| self.body[*field].get(key).is_none())
                .map(move |(key, _)| (*field, key.as_str()))
        })
    }

    /// The path of the first field that the live object says otherwise.
    pub fn difference(&self, live: &Value) -> Option<String> {
        if live["metadata"]["annotations"].get(APPLIED_HASH) != Some(&Value::from(self.hash())) {
            return Some(format!(".metadata.annotations.{APPLIED_HASH}"));
        }
        if let Some((field, key)) = self.foreign(live).next() {
            return Some(format!(".{field}.{key}"));
        }
        // All of it is said, and what is added inside of a rule or a selector is another one.
        if self.key.kind == Kind::NetworkPolicy
            && let Some(below) = difference(&self.body["spec"], &live["spec"])
        {
            return Some(format!(".spec{below}"));
        }
        // The store keeps no `apiVersion` and `kind`: the key says them.
        let parts = self.body.as_object().into_iter().flatten();
        parts
            .filter(|(field, _)| !matches!(field.as_str(), "apiVersion" | "kind"))
            .find_map(|(field, part)| {
                difference(live.get(field).unwrap_or(&Value::Null), part)
                    .map(|below| format!(".{field}{below}"))
            })
    }
}

/// The digest of these keys of a pruned Secret.
pub fn data_digest(pruned: &Value, keys: &[&str]) -> String {
    let digests = keys
        .iter()
        .filter_map(|key| Some((*key, pruned.get("digests")?.get(key)?.as_str()?.to_owned())));
    digest_of(&digests.collect())
}

/// The same of data that is about to be written.
fn data_digest_of(data: &BTreeMap<String, String>) -> String {
    let digests = data
        .iter()
        .map(|(key, value)| (key.as_str(), digest(value.as_bytes())));
    digest_of(&digests.collect())
}

fn digest_of(digests: &BTreeMap<&str, String>) -> String {
    digest(json!(digests).to_string().as_bytes())
}

#[cfg(test)]
mod tests;
