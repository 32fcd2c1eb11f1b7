//! Changes to generated objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change to the generated objects of one kind and component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchSpec {
    /// Which objects.
    pub target: PatchTarget,
    /// What to change.
    pub patch: Patch,
}

/// Which generated objects a patch is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchTarget {
    /// Kind of the object, such as `StatefulSet`.
    pub kind: String,
    /// The object's label `app.kubernetes.io/component`, such as `control-plane`.
    pub component: String,
}

/// The change itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// Form of the content.
    #[serde(rename = "type")]
    pub type_: PatchType,
    /// The patch, in YAML or JSON.
    pub content: String,
}

/// Forms of patches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PatchType {
    /// A list of operations (RFC 6902).
    Json,
    /// Kubernetes' strategic merge patch.
    Strategic,
    /// A merge patch (RFC 7386).
    #[default]
    Merge,
}
