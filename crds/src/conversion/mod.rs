//! From v1beta1 to v1beta2 and back, without loss.
//!
//! What both versions say is renamed or moved. What one side alone can say goes along in an
//! annotation: [`ONLY_IN_V1BETA2_ANNOTATION`] on v1beta1 objects, [`ONLY_IN_V1BETA1_ANNOTATION`] on
//! v1beta2 objects. It lists fields with the value they have there and the one that the way back
//! would give them by itself: a field that has another value by then was changed meanwhile, and the
//! change wins. Which fields one version lacks is read off the two schemas, so a new field needs
//! nothing here.
//!
//! A status holds the same in both versions and never goes into an annotation: whoever writes an
//! object without its annotations would change its status by that.
//!
//! Objects are values, not types: fields that are unknown here pass through untouched.

mod carried;
mod cluster;
mod differences;
mod join_token_request;
mod tree;

use std::sync::LazyLock;

use serde_json::Value;

use self::carried::Carried;
#[cfg(test)]
pub(crate) use self::carried::without_nulls;
use self::differences::Differences;
use crate::names::{
    CONVERSION_ERROR_ANNOTATION, EXTERNAL_TRAFFIC_POLICY_ANNOTATION,
    LOAD_BALANCER_CLASS_ANNOTATION, ONLY_IN_V1BETA1_ANNOTATION, ONLY_IN_V1BETA2_ANNOTATION,
    READ_ONLY_LABEL, SERVICE_ANNOTATIONS_ANNOTATION, SERVICE_LABELS_ANNOTATION,
};
use crate::{v1beta1, v1beta2};

/// What Kubernetes allows an object's annotations to be together: 256 KiB.
pub const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Why an object cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// No such version.
    #[error(
        "{field}: Unsupported value: {version:?}: supported values: \"k0smotron.io/v1beta1\", \"k0smotron.io/v1beta2\""
    )]
    Version {
        /// `apiVersion`, or `desiredAPIVersion` of the request.
        field: &'static str,
        /// What it says.
        version: String,
    },
    /// No such kind.
    #[error("kind: Unsupported value: {0:?}: supported values: \"Cluster\", \"JoinTokenRequest\"")]
    Kind(String),
    /// A field of the wrong type.
    #[error("{path}: must be {expected}, not {found}")]
    Type {
        /// Path of the field, such as `spec.service`.
        path: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// The annotation of a v1beta1 object was tampered with.
    #[error(
        "metadata.annotations[{ONLY_IN_V1BETA2_ANNOTATION}]: {0}; keep it as it was read, or remove it with what it holds: fields that only v1beta2 has"
    )]
    Annotation(String),
    /// A v1beta1 object says more than a v1beta2 object's annotations can hold.
    #[error(
        "metadata.annotations: must be no more than {MAX_ANNOTATIONS} bytes, not {0}, with what v1beta2 keeps there of this v1beta1 object"
    )]
    TooLarge(usize),
    /// A v1beta1 object that lacks what did not fit into its annotations is written.
    #[error(
        "metadata.labels[{READ_ONLY_LABEL}]: fields that only v1beta2 has are too large to be shown here, and writing this would remove them; write k0smotron.io/v1beta2"
    )]
    ReadOnly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1Beta1,
    V1Beta2,
}

impl Version {
    fn parse(field: &'static str, text: &str) -> Result<Self, ConversionError> {
        match text {
            "k0smotron.io/v1beta1" => Ok(Self::V1Beta1),
            "k0smotron.io/v1beta2" => Ok(Self::V1Beta2),
            _ => Err(ConversionError::Version {
                field,
                version: text.to_owned(),
            }),
        }
    }

    const fn api_version(self) -> &'static str {
        match self {
            Self::V1Beta1 => "k0smotron.io/v1beta1",
            Self::V1Beta2 => "k0smotron.io/v1beta2",
        }
    }

    /// The annotation, on objects of the other version, with what only this one can say.
    const fn annotation(self) -> &'static str {
        match self {
            Self::V1Beta1 => ONLY_IN_V1BETA1_ANNOTATION,
            Self::V1Beta2 => ONLY_IN_V1BETA2_ANNOTATION,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cluster,
    JoinTokenRequest,
}

impl Kind {
    fn parse(text: &str) -> Result<Self, ConversionError> {
        match text {
            "Cluster" => Ok(Self::Cluster),
            "JoinTokenRequest" => Ok(Self::JoinTokenRequest),
            _ => Err(ConversionError::Kind(text.to_owned())),
        }
    }

    /// The object in the other version, without what that cannot say.
    fn mapped(self, object: &Value, to: Version) -> Result<Value, ConversionError> {
        let mut object = object.clone();
        for key in [
            ONLY_IN_V1BETA1_ANNOTATION,
            ONLY_IN_V1BETA2_ANNOTATION,
            CONVERSION_ERROR_ANNOTATION,
        ] {
            tree::remove_annotation(&mut object, key);
        }
        match (self, to) {
            (Self::Cluster, Version::V1Beta1) => cluster::to_v1beta1(&mut object),
            (Self::Cluster, Version::V1Beta2) => cluster::to_v1beta2(&mut object),
            (Self::JoinTokenRequest, Version::V1Beta1) => {
                join_token_request::to_v1beta1(&mut object)
            }
            (Self::JoinTokenRequest, Version::V1Beta2) => {
                join_token_request::to_v1beta2(&mut object)
            }
        }?;
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), to.api_version().into());
        }
        Ok(object)
    }

    /// Whether everybody who knows the types can read the object.
    fn readable(self, object: &Value, version: Version) -> Result<(), serde_json::Error> {
        use serde::Deserialize as _;
        match (self, version) {
            (Self::Cluster, Version::V1Beta1) => v1beta1::Cluster::deserialize(object).map(|_| ()),
            (Self::Cluster, Version::V1Beta2) => v1beta2::Cluster::deserialize(object).map(|_| ()),
            (Self::JoinTokenRequest, Version::V1Beta1) => {
                v1beta1::JoinTokenRequest::deserialize(object).map(|_| ())
            }
            (Self::JoinTokenRequest, Version::V1Beta2) => {
                v1beta2::JoinTokenRequest::deserialize(object).map(|_| ())
            }
        }
    }
}

/// Reads off the schemas how the versions differ, as the first [`convert`] of each kind does
/// otherwise.
pub fn prepare() {
    LazyLock::force(&differences::CLUSTER);
    LazyLock::force(&differences::JOIN_TOKEN_REQUEST);
}

/// `object` in the version `desired_api_version`, such as `k0smotron.io/v1beta2`. In its own version
/// it comes back as it is.
///
/// It never fails for what an annotation holds: one object that cannot be converted takes the list
/// of all with it, and what is stored as v1beta1 is read on the way on which v1beta1 is written. What
/// is left out of an object is said in [`CONVERSION_ERROR_ANNOTATION`], with which it is refused when
/// it is written ([`crate::admission`]). Only what carries its own uid in [`READ_ONLY_LABEL`] fails:
/// nothing but a conversion writes that, into an object that is stored as v1beta2.
///
/// # Errors
/// Unknown kinds and versions, fields of the wrong type, and what can be read only, each with the
/// field's path.
pub fn convert(object: Value, desired_api_version: &str) -> Result<Value, ConversionError> {
    let text = |field: &str| {
        object
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let kind = Kind::parse(text("kind"))?;
    let from = Version::parse("apiVersion", text("apiVersion"))?;
    let to = Version::parse("desiredAPIVersion", desired_api_version)?;
    if from == to {
        return Ok(object);
    }
    tree::check_metadata(&object)?;
    let uid = tree::uid(&object);
    if from == Version::V1Beta1 && uid.is_some() && tree::label(&object, READ_ONLY_LABEL) == uid {
        return Err(ConversionError::ReadOnly);
    }

    let mut source = object;
    let mut result = kind.mapped(&source, to)?;
    let mut left_out = None;
    let carried = Carried::from_object(&source, to)
        .map(|carried| carried.and_then(|carried| restored(kind, &result, &carried, to)));
    match carried {
        Some(Ok(restored)) => {
            tree::remove_annotation(&mut source, to.annotation());
            result = restored;
        }
        // What is wrong stays in the source, and so is among what is carried back.
        Some(Err(reason)) => left_out = Some(ConversionError::Annotation(reason)),
        None => {}
    }

    let back = kind.mapped(&result, from)?;
    let lost = Carried::between(&source, &back);
    if !lost.is_empty() {
        tree::set_annotation(&mut result, from.annotation(), lost.to_text())?;
    }
    if to == Version::V1Beta2 {
        let too_large = fitting(&mut result);
        if let Some(left_out) = left_out.or(too_large) {
            tree::set_annotation(
                &mut result,
                CONVERSION_ERROR_ANNOTATION,
                left_out.to_string(),
            )?;
        }
    } else if tree::annotations_size(&result) > MAX_ANNOTATIONS {
        tree::remove_annotation(&mut result, ONLY_IN_V1BETA2_ANNOTATION);
        let uid = uid.unwrap_or_else(|| "true".to_owned());
        tree::set_label(&mut result, READ_ONLY_LABEL, &uid)?;
    }
    Ok(result)
}

/// `result` with what was carried along.
fn restored(
    kind: Kind,
    result: &Value,
    carried: &Carried,
    version: Version,
) -> Result<Value, String> {
    let mut restored = result.clone();
    carried.apply(&mut restored)?;
    // The API server takes the result as it is, without a look at the schema.
    match kind.readable(&restored, version) {
        Err(error) if kind.readable(result, version).is_ok() => Err(error.to_string()),
        _ => Ok(restored),
    }
}

/// Leaves out what does not fit into the annotations of a v1beta2 object.
fn fitting(result: &mut Value) -> Option<ConversionError> {
    let size = tree::annotations_size(result);
    if size <= MAX_ANNOTATIONS {
        return None;
    }
    for key in [
        ONLY_IN_V1BETA1_ANNOTATION,
        SERVICE_ANNOTATIONS_ANNOTATION,
        SERVICE_LABELS_ANNOTATION,
        EXTERNAL_TRAFFIC_POLICY_ANNOTATION,
        LOAD_BALANCER_CLASS_ANNOTATION,
    ] {
        tree::remove_annotation(result, key);
    }
    Some(ConversionError::TooLarge(size))
}

/// Moves fields, and removes what only one version has of the rest.
fn relocate(
    object: &mut Value,
    moves: impl Iterator<Item = (&'static str, &'static str)>,
    differences: &Differences,
) -> Result<(), ConversionError> {
    let mut moved = Vec::new();
    for (from, to) in moves {
        if let Some(value) = tree::take(object, from)? {
            moved.push((to, value));
        }
    }
    differences.remove_from(object);
    for (to, value) in moved {
        tree::put(object, to, value)?;
    }
    Ok(())
}
