//! Values that have a form of their own, and fields that need others beside them.

use serde_json::{Value, json};

/// Texts that have a form of their own.
pub fn known(name: &str) -> Option<Value> {
    Some(match name {
        "version" => json!("v1.36.3-k0s.2"),
        "versions" => json!([">=1.35.0"]),
        "images" => json!(["quay.io/k0sproject"]),
        "expiry" | "maxTokenLifetime" => json!("1h"),
        "path" | "hostPath" => json!("/opt/x"),
        "expression" => json!("object.spec.replicas > 0"),
        "messageExpression" => json!("'no'"),
        "fieldPath" => json!("spec.replicas"),
        "forbiddenFields" => json!(["spec.patches"]),
        // No patch of the type json is any other.
        "content" => json!("[]"),
        "operator" => json!("Exists"),
        "whenUnsatisfiable" => json!("DoNotSchedule"),
        "signerName" => json!("example.com/a"),
        "topologyKey" => json!("zone"),
        "accessModes" => json!(["ReadWriteOnce"]),
        "controlPlaneFlags" => json!(["--debug"]),
        "externalAddress" | "apiHost" => json!("api.example.org"),
        "konnectivityHost" => json!("konnectivity.example.org"),
        _ => return None,
    })
}

/// What makes a field count that needs others beside it: a rule of more than one field.
pub fn complete(spec: &mut Value, path: &str) {
    let mut default = |pointer: &str, value: Value| {
        let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
        let parent = if parent.is_empty() {
            Some(&mut *spec)
        } else {
            spec.pointer_mut(parent)
        };
        if let Some(fields) = parent.and_then(Value::as_object_mut) {
            fields.entry(name).or_insert(value);
        }
    };
    let is_below = |field: &str| {
        path.strip_prefix(field)
            .is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    if is_below("spec.persistence.persistentVolumeClaim") {
        default("/persistence/persistentVolumeClaim/spec", json!({}));
        default(
            "/persistence/persistentVolumeClaim/spec/accessModes",
            json!(["ReadWriteOnce"]),
        );
        default(
            "/persistence/persistentVolumeClaim/spec/resources",
            json!({}),
        );
        default(
            "/persistence/persistentVolumeClaim/spec/resources/requests",
            json!({"storage": "1Gi"}),
        );
    }
    for list in ["mounts", "manifests"] {
        let item = format!("spec.{list}[0]");
        let source = ["path", "name", "readOnly"].map(|field| format!("{item}.{field}"));
        if source.iter().any(|field| field == path) {
            default(&format!("/{list}/0/emptyDir"), json!({}));
        }
        // What says where a volume comes from.
        for (source, field, value) in [
            ("configMap", "name", "a"),
            ("secret", "secretName", "a"),
            ("persistentVolumeClaim", "claimName", "a"),
            ("hostPath", "path", "/opt/x"),
            ("csi", "driver", "example.com"),
            ("nfs", "server", "nfs.example.org"),
            ("nfs", "path", "/opt/x"),
        ] {
            if is_below(&format!("{item}.{source}")) {
                default(&format!("/{list}/0/{source}/{field}"), json!(value));
            }
        }
    }
    if is_below("spec.ingress") {
        default("/ingress/apiHost", json!("api.example.org"));
        default(
            "/ingress/konnectivityHost",
            json!("konnectivity.example.org"),
        );
    }
    if path.contains(".matchExpressions[0].values") {
        with_values(spec);
    }
    // Of a type: what it was before it had one.
    for (below, pointer, type_) in [
        (
            "spec.persistence.persistentVolumeClaim",
            "/persistence/type",
            "pvc",
        ),
        ("spec.persistence.hostPath", "/persistence/type", "hostPath"),
        ("spec.service.apiPort", "/service/type", "NodePort"),
        ("spec.service.konnectivityPort", "/service/type", "NodePort"),
    ] {
        if (path == below || is_below(below))
            && let Some(at) = spec.pointer_mut(pointer)
        {
            *at = json!(type_);
        }
    }
}

/// Values are for operators that take some.
fn with_values(at: &mut Value) {
    match at {
        Value::Object(fields) => {
            if fields.contains_key("values") && fields.contains_key("operator") {
                fields.insert("operator".to_owned(), json!("In"));
            }
            fields.values_mut().for_each(with_values);
        }
        Value::Array(items) => items.iter_mut().for_each(with_values),
        _ => {}
    }
}
