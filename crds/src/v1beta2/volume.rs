//! Volumes that the user adds to the control-plane pods.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::Volume;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};

use crate::schema;

/// A volume with manifests for the hosted cluster: a name and a volume source of Kubernetes.
pub type Manifest = Volume;

/// A volume for the control-plane container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where it is mounted in the container.
    pub path: String,
    /// Whether the container may not write to it. Those from a `configMap` or `secret` are read-only anyway.
    #[serde(default)]
    pub read_only: bool,
    /// The volume's source. Its name is empty: see [`crate::names::mount_volume`].
    #[serde(flatten, serialize_with = "without_name")]
    pub volume: Volume,
}

fn without_name<S: Serializer>(volume: &Volume, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(volume).map_err(S::Error::custom)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("name");
    }
    value.serialize(serializer)
}

impl JsonSchema for Mount {
    fn schema_name() -> Cow<'static, str> {
        "Mount".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema::mount(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}
