//! Which fields one version has and the other has not, read off the two schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use crate::definitions;

/// Differences of the two versions of Cluster.
pub static CLUSTER: LazyLock<Differences> =
    LazyLock::new(|| Differences::within(&definitions::cluster()));
/// Differences of the two versions of `JoinTokenRequest`.
pub static JOIN_TOKEN_REQUEST: LazyLock<Differences> =
    LazyLock::new(|| Differences::within(&definitions::join_token_request()));

/// Where two schemas differ in the fields that they know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    one_sided: BTreeSet<String>,
    fields: BTreeMap<String, Self>,
    /// In the items of a list, or in the values of a map.
    inner: Option<Box<Self>>,
}

impl Differences {
    fn within(definition: &CustomResourceDefinition) -> Self {
        let mut schemas = definition
            .spec
            .versions
            .iter()
            .filter_map(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
        match (schemas.next(), schemas.next()) {
            (Some(one), Some(other)) => Self::between(one, other),
            _ => Self::default(),
        }
    }

    fn between(one: &JSONSchemaProps, other: &JSONSchemaProps) -> Self {
        let mut differences = Self::default();
        let known = |schema: &JSONSchemaProps, name: &str| {
            let properties = schema.properties.as_ref();
            properties.is_some_and(|properties| properties.contains_key(name))
        };
        for (name, inner) in one.properties.iter().flatten() {
            match other.properties.as_ref().and_then(|all| all.get(name)) {
                None => {
                    differences.one_sided.insert(name.clone());
                }
                Some(other) => {
                    let inner = Self::between(inner, other);
                    if inner != Self::default() {
                        differences.fields.insert(name.clone(), inner);
                    }
                }
            }
        }
        let names = other.properties.iter().flatten().map(|(name, _)| name);
        differences
            .one_sided
            .extend(names.filter(|name| !known(one, name)).cloned());
        if let (Some(one), Some(other)) = (inner(one), inner(other)) {
            let inner = Self::between(one, other);
            differences.inner = (inner != Self::default()).then(|| Box::new(inner));
        }
        differences
    }

    /// Removes what only one of the versions knows. What neither knows stays.
    pub fn remove_from(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in &self.one_sided {
                    fields.remove(name);
                }
                for (name, value) in fields {
                    if let Some(differences) = self.fields.get(name).or(self.inner.as_deref()) {
                        differences.remove_from(value);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    if let Some(differences) = &self.inner {
                        differences.remove_from(item);
                    }
                }
            }
            _ => {}
        }
    }
}

fn inner(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match (&schema.items, &schema.additional_properties) {
        (Some(JSONSchemaPropsOrArray::Schema(items)), _) => Some(items),
        (_, Some(JSONSchemaPropsOrBool::Schema(values))) => Some(values),
        _ => None,
    }
}
