//! What a builder wants to be there, and what has to be done for it.

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

    /// The path of the first field that the live object says otherwise.
    pub fn difference(&self, live: &Value) -> Option<String> {
        if live["metadata"]["annotations"].get(APPLIED_HASH) != Some(&Value::from(self.hash())) {
            return Some(format!(".metadata.annotations.{APPLIED_HASH}"));
        }
        // A selector with one label more selects something else.
        if self.key.kind == Kind::Service
            && live["spec"].get("selector") != self.body["spec"].get("selector")
        {
            return Some(".spec.selector".to_owned());
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
mod tests {
    use rstest::rstest;

    use super::*;

    /// A Secret of this content as somebody sees it, with these changes.
    fn seen(desired: &Desired, change: impl FnOnce(&mut Value)) -> Live {
        let data = BTreeMap::from([
            (names::TLS_CERT_KEY.to_owned(), "certificate".to_owned()),
            (names::TLS_KEY_KEY.to_owned(), "key".to_owned()),
        ]);
        let mut object = match desired.content {
            Content::Declared => desired.body.clone(),
            Content::Made(_) | Content::Kept(_) => desired.with_data(&data, None),
        };
        object["metadata"]["uid"] = json!("u");
        change(&mut object);
        Live::new(Kind::Secret, serde_json::from_value(object).unwrap())
    }

    fn desired(content: Content) -> Desired {
        let secret = json!({
            "metadata": {"name": "a", "namespace": "n", "labels": {"ours": "x"}},
            "type": "Opaque",
        });
        Desired::new(Kind::Secret, secret, content)
    }

    fn declared() -> Desired {
        desired(Content::Declared)
    }

    fn made() -> Desired {
        desired(Content::Made(Recipe::ServiceAccount))
    }

    fn kept() -> Desired {
        desired(Content::Kept(Recipe::ServiceAccount))
    }

    type Change = fn(&mut Value);

    const NOTHING: Change = |_| ();
    const DYING: Change = |o| o["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    const LABEL_GONE: Change = |o| {
        drop(
            o["metadata"]["labels"]
                .as_object_mut()
                .unwrap()
                .remove("ours"),
        );
    };
    const LABEL_MORE: Change = |o| o["metadata"]["labels"]["theirs"] = json!("y");
    const SEAL_GONE: Change = |o| o["metadata"]["annotations"] = json!({});
    const FINALIZER_MORE: Change = |o| o["metadata"]["finalizers"] = json!(["theirs"]);
    const DATA_EDITED: Change = |o| o["data"]["tls.key"] = json!("eA==");
    const DATA_MORE: Change = |o| o["data"]["note"] = json!("eA==");
    const DATA_GONE: Change = |o| o["data"] = json!({});
    const INPUTS_OTHER: Change = |o| o["metadata"]["annotations"][INPUTS_DIGEST] = json!("x");

    #[rstest]
    #[case::all_is_well(declared(), NOTHING, Step::Nothing)]
    #[case::all_is_well_made(made(), NOTHING, Step::Nothing)]
    #[case::all_is_well_kept(kept(), NOTHING, Step::Nothing)]
    #[case::it_is_being_deleted(declared(), DYING, Step::Nothing)]
    #[case::made_data_is_being_deleted(made(), DYING, Step::Nothing)]
    #[case::a_key_is_being_deleted(kept(), DYING, Step::Restore)]
    #[case::a_label_of_ours_is_gone(declared(), LABEL_GONE, Step::Apply)]
    #[case::a_label_of_a_key_is_gone(kept(), LABEL_GONE, Step::Apply)]
    #[case::somebody_else_has_a_label(declared(), LABEL_MORE, Step::Nothing)]
    #[case::somebody_else_has_a_finalizer(made(), FINALIZER_MORE, Step::Nothing)]
    #[case::nobody_knows_what_was_applied(declared(), SEAL_GONE, Step::Apply)]
    #[case::nobody_knows_what_it_was_made_from(made(), SEAL_GONE, Step::Make)]
    #[case::nobody_knows_of_which_key(kept(), SEAL_GONE, Step::Apply)]
    #[case::made_data_was_edited(made(), DATA_EDITED, Step::Make)]
    #[case::made_data_is_gone(made(), DATA_GONE, Step::Make)]
    #[case::a_key_was_edited(kept(), DATA_EDITED, Step::Nothing)]
    #[case::somebody_else_keeps_data_there(made(), DATA_MORE, Step::Nothing)]
    #[case::it_was_made_from_something_else(made(), INPUTS_OTHER, Step::Make)]
    fn a_step_follows_from_what_is_seen(
        #[case] desired: Desired,
        #[case] change: Change,
        #[case] step: Step,
    ) {
        assert_eq!(desired.step(Some(&seen(&desired, change))), step);
    }

    #[test]
    fn what_is_not_there_is_created() {
        for desired in [declared(), made(), kept()] {
            assert_eq!(desired.step(None), Step::Create);
        }
    }

    #[test]
    fn a_difference_is_named_by_its_path() {
        let desired = declared();
        let of = |change: Change| desired.difference(&seen(&desired, change).value());
        assert_eq!(of(NOTHING), None);
        assert_eq!(of(LABEL_GONE).as_deref(), Some(".metadata.labels.ours"));
        let seal = format!(".metadata.annotations.{APPLIED_HASH}");
        assert_eq!(of(SEAL_GONE), Some(seal));
    }

    #[test]
    fn other_inputs_have_another_digest() {
        let leaf = |lifetime: i64, digest: &str| Recipe::Leaf {
            authority: "ca".to_owned(),
            authority_digest: digest.to_owned(),
            request: LeafRequest {
                common_name: "a".to_owned(),
                organization: None,
                sans: vec!["b".to_owned()],
                server: true,
                client: false,
                lifetime: jiff::SignedDuration::from_hours(lifetime),
            },
        };
        let all = [
            leaf(1, "x"),
            leaf(2, "x"),
            leaf(1, "y"),
            Recipe::ServiceAccount,
        ];
        let digests: std::collections::BTreeSet<_> = all.iter().map(Inputs::digest).collect();
        assert_eq!(digests.len(), all.len());
        assert_eq!(leaf(1, "x").digest(), leaf(1, "x").digest());
    }

    #[test]
    fn the_digest_is_of_our_keys_only() {
        let data = BTreeMap::from([("value".to_owned(), "a".to_owned())]);
        let ours = data_digest_of(&data);
        let live = |digests: Value| json!({"digests": digests});
        let said = digest(b"a");
        let plain = live(json!({"value": said}));
        let more = live(json!({"note": "x", "value": said, "zzz": "y"}));
        assert_eq!(data_digest(&plain, &["value"]), ours);
        assert_eq!(data_digest(&more, &["value"]), ours);
        for edited in [json!({"value": "x"}), json!({"note": "x"}), Value::Null] {
            assert_ne!(data_digest(&live(edited), &["value"]), ours);
        }
    }
}
