//! Schemas of what Kubernetes itself defines, fitted into ours.

pub(crate) mod cel;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, ResourceRequirements,
    TopologySpreadConstraint, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// What Kubernetes accepts as a quantity.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

pub fn k0s_config(_: &mut SchemaGenerator) -> Schema {
    let mut schema = schemars::json_schema!({
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
        },
        "x-kubernetes-preserve-unknown-fields": true,
    });
    cel::k0s_config(&mut schema);
    schema
}

pub fn preserved(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

pub fn quantity(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"x-kubernetes-int-or-string": true, "pattern": QUANTITY})
}

pub fn time(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "string", "format": "date-time"})
}

pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut condition = embedded::<Condition>(generator);
    if let Some(status) = at(&mut condition, &["properties", "status"]) {
        status.insert("enum".to_owned(), json!(["True", "False", "Unknown"]));
    }
    schemars::json_schema!({
        "type": "array",
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

pub fn resources(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = embedded::<ResourceRequirements>(generator);
    if let Some(claims) = at(&mut schema, &["properties", "claims"]) {
        claims.insert("x-kubernetes-list-type".to_owned(), json!("map"));
        claims.insert("x-kubernetes-list-map-keys".to_owned(), json!(["name"]));
    }
    into_schema(schema)
}

pub fn label_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = embedded::<LabelSelector>(generator);
    if let Some(operator) = at(
        &mut schema,
        &[
            "properties",
            "matchExpressions",
            "items",
            "properties",
            "operator",
        ],
    ) {
        operator.insert(
            "enum".to_owned(),
            json!(["In", "NotIn", "Exists", "DoesNotExist"]),
        );
    }
    into_schema(schema)
}

pub fn topology_spread_constraints(generator: &mut SchemaGenerator) -> Schema {
    array(&embedded::<TopologySpreadConstraint>(generator))
}

pub fn claim_spec(generator: &mut SchemaGenerator) -> Schema {
    into_schema(embedded::<PersistentVolumeClaimSpec>(generator))
}

pub fn claim_status(generator: &mut SchemaGenerator) -> Schema {
    into_schema(embedded::<PersistentVolumeClaimStatus>(generator))
}

pub fn manifests(generator: &mut SchemaGenerator) -> Schema {
    let mut volume = volume(generator);
    if let Some(name) = at(&mut volume, &["properties", "name"]) {
        describe(name, "Name of the volume and of the manifests' folder.");
        name.insert("maxLength".to_owned(), json!(63));
        name.insert(
            "pattern".to_owned(),
            json!("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
        );
    }
    array(&volume)
}

pub fn mount(generator: &mut SchemaGenerator) -> Schema {
    let mut volume = volume(generator);
    if let Some(properties) = at(&mut volume, &["properties"]) {
        properties.remove("name");
        properties.insert(
            "path".to_owned(),
            json!({
                "type": "string",
                "minLength": 1,
                "description": "Where it is mounted in the container.",
            }),
        );
        properties.insert(
            "readOnly".to_owned(),
            json!({
                "type": "boolean",
                "description": "Whether the container may not write to it. Those from a `configMap` or `secret` are read-only anyway.",
            }),
        );
    }
    if let Some(fields) = volume.as_object_mut() {
        describe(
            fields,
            "A volume and the place where the control-plane container sees it.",
        );
        fields.insert("required".to_owned(), json!(["path"]));
    }
    into_schema(volume)
}

fn volume(generator: &mut SchemaGenerator) -> Value {
    let mut volume = embedded::<Volume>(generator);
    // Newer than the oldest Kubernetes whose types we compile against; stored objects may carry it.
    if let Some(sources) = at(
        &mut volume,
        &[
            "properties",
            "projected",
            "properties",
            "sources",
            "items",
            "properties",
        ],
    ) {
        sources
            .entry("podCertificate")
            .or_insert_with(pod_certificate);
    }
    for (source, field, default) in SOURCE_DEFAULTS {
        if let Some(field) = at(&mut volume, &["properties", source, "properties", field]) {
            field.insert("default".to_owned(), default.into());
        }
    }
    if let Some(read_only) = at(
        &mut volume,
        &["properties", "azureDisk", "properties", "readOnly"],
    ) {
        read_only.insert("default".to_owned(), json!(false));
    }
    if let Some(sources) = at(&mut volume, &["properties"]) {
        sources.values_mut().for_each(name_may_be_left_out);
    }
    volume
}

/// Kubernetes' own defaults of volume sources, which upstream's schema carries.
const SOURCE_DEFAULTS: [(&str, &str, &str); 7] = [
    ("azureDisk", "fsType", "ext4"),
    ("iscsi", "iscsiInterface", "default"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("scaleIO", "fsType", "xfs"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
];

fn pod_certificate() -> Value {
    json!({
        "type": "object",
        "required": ["keyType", "signerName"],
        "properties": {
            "certificateChainPath": {"type": "string"},
            "credentialBundlePath": {"type": "string"},
            "keyPath": {"type": "string"},
            "keyType": {"type": "string"},
            "maxExpirationSeconds": {"type": "integer", "format": "int32"},
            "signerName": {"type": "string"},
        },
    })
}

/// A reference to a ConfigMap or Secret may lack its name as far as the schema goes.
fn name_may_be_left_out(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if fields.get("required") == Some(&json!(["name"])) {
        fields.remove("required");
    }
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(name_may_be_left_out);
    }
    if let Some(items) = fields.get_mut("items") {
        name_may_be_left_out(items);
    }
}

fn array(items: &Value) -> Schema {
    schemars::json_schema!({"type": "array", "items": items})
}

/// The schema of a Kubernetes type without its texts, which would be most of the definition.
fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    let mut value = generator.subschema_for::<T>().to_value();
    tidy(&mut value);
    value
}

fn tidy(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    fields.remove("description");
    if fields.contains_key("x-kubernetes-int-or-string") {
        fields.insert("pattern".to_owned(), json!(QUANTITY));
    }
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(tidy);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            tidy(inner);
        }
    }
}

fn at<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    path.iter()
        .try_fold(value, |value, key| value.get_mut(*key))?
        .as_object_mut()
}

fn describe(fields: &mut Map<String, Value>, text: &str) {
    fields.insert("description".to_owned(), json!(text));
}

fn into_schema(value: Value) -> Schema {
    Schema::try_from(value).unwrap_or_default()
}
