//! What is installed: the objects of `deploy/install.yaml`, in the order in which they are needed.

use std::io::Read as _;

use crds::names;
use flate2::read::GzDecoder;
use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::Value;

use crate::error::Error;

/// The file of the release that this program belongs to, packed by the build script.
const MANIFEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/install.yaml.gz"));
/// What the file has in place of a registry.
const REGISTRY: &str = "localhost/k0smotron";

/// The objects, with images from `registry` where one is given.
///
/// # Errors
/// [`Error::Io`] when the file inside this program is none.
pub fn objects(registry: Option<&str>) -> Result<Vec<DynamicObject>, Error> {
    let failed = |error: String| Error::io("read what is installed", std::io::Error::other(error));
    let mut text = String::new();
    let unpacked = GzDecoder::new(MANIFEST).read_to_string(&mut text);
    unpacked.map_err(|error| failed(error.to_string()))?;
    let values: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| failed(error.to_string()))?;
    let mut objects = Vec::with_capacity(values.len());
    for mut value in values {
        if let Some(registry) = registry {
            place_images(&mut value, registry.trim_end_matches('/'));
        }
        objects.push(serde_json::from_value(value).map_err(|error| failed(error.to_string()))?);
    }
    objects.sort_by_key(stage);
    Ok(objects)
}

/// Images come from another registry under the same names.
fn place_images(value: &mut Value, registry: &str) {
    let containers = value.pointer_mut("/spec/template/spec/containers");
    for container in containers
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let Some(Value::String(image)) = container.get_mut("image") else {
            continue;
        };
        let moved = image
            .strip_prefix(REGISTRY)
            .map(|rest| format!("{registry}{rest}"));
        if let Some(moved) = moved {
            *image = moved;
        }
    }
}

/// The definitions come first, what calls the webhook last: until it runs, nobody is to wait for it.
fn stage(object: &DynamicObject) -> u8 {
    match kind(object) {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "Deployment" => 3,
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => 4,
        _ => 2,
    }
}

/// The kind of an object.
pub fn kind(object: &DynamicObject) -> &str {
    object
        .types
        .as_ref()
        .map_or("", |types| types.kind.as_str())
}

/// Whether it defines a kind.
pub fn is_definition(object: &DynamicObject) -> bool {
    kind(object) == "CustomResourceDefinition"
}

/// `customresourcedefinition/clusters.k0smotron.io`, as messages name it.
pub fn title(object: &DynamicObject) -> String {
    format!("{}/{}", kind(object).to_lowercase(), object.name_any())
}

/// Where objects of this kind are found.
pub fn resource(object: &DynamicObject) -> ApiResource {
    let (version, kind) = object.types.as_ref().map_or(("", ""), |types| {
        (types.api_version.as_str(), types.kind.as_str())
    });
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Whether the Deployment that has the controller's name belongs to another product: upstream
/// k0smotron gives its own the same name.
pub fn is_foreign(deployment: &DynamicObject) -> bool {
    let containers = deployment.data.pointer("/spec/template/spec/containers");
    let ours = containers
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|container| {
            let command = container.pointer("/command/0").and_then(Value::as_str);
            command == Some("/k0smotron-controller")
        });
    !ours
}

/// Whether it is the controller's Deployment.
pub fn is_controller(object: &DynamicObject) -> bool {
    kind(object) == "Deployment"
        && object.name_any() == "k0smotron-controller-manager"
        && object.namespace().as_deref() == Some(names::SYSTEM_NAMESPACE)
}

/// What a rollout still waits for; `None` when it is over.
pub fn rollout(deployment: &DynamicObject) -> Option<String> {
    let number = |pointer: &str| {
        let found = deployment.data.pointer(pointer).and_then(Value::as_i64);
        found.unwrap_or_default()
    };
    let wanted = number("/spec/replicas");
    let (updated, available) = (
        number("/status/updatedReplicas"),
        number("/status/availableReplicas"),
    );
    let observed = number("/status/observedGeneration");
    let seen = deployment
        .metadata
        .generation
        .is_none_or(|generation| observed >= generation);
    if !seen {
        return Some(format!("{}: not seen yet", title(deployment)));
    }
    let whole = updated >= wanted && available >= wanted && number("/status/replicas") <= wanted;
    (!whole).then(|| {
        format!(
            "{}: {updated} of {wanted} updated, {available} available",
            title(deployment)
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::object;

    #[test]
    fn definitions_come_first_and_the_webhooks_configurations_last() {
        let objects = objects(None).unwrap();
        let kinds: Vec<&str> = objects.iter().map(kind).collect();
        assert_eq!(kinds.first(), Some(&"CustomResourceDefinition"));
        assert_eq!(kinds.last(), Some(&"ValidatingWebhookConfiguration"));
        let place = |wanted: &str| kinds.iter().position(|kind| *kind == wanted).unwrap();
        assert!(place("Namespace") < place("ServiceAccount"));
        assert!(place("ClusterRoleBinding") < place("Deployment"));
    }

    #[test]
    fn both_images_come_from_the_registry_that_is_named() {
        let objects = objects(Some("registry.example.org/team/")).unwrap();
        let images: Vec<&str> = objects
            .iter()
            .filter_map(|object| {
                object
                    .data
                    .pointer("/spec/template/spec/containers/0/image")
            })
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(images.len(), 2);
        for image in images {
            assert!(image.starts_with("registry.example.org/team/"), "{image}");
            assert!(image.contains(':'), "{image}");
        }
    }

    /// A pod that has not started has an address all the same: nobody may be sent there.
    #[test]
    fn every_service_leads_to_ready_pods_only() {
        let objects = objects(None).unwrap();
        let services = objects.iter().filter(|object| kind(object) == "Service");
        let publishes = |object: &DynamicObject| {
            let spec = "/spec/publishNotReadyAddresses";
            object.data.pointer(spec).cloned()
        };
        let published: Vec<_> = services.map(publishes).collect();
        assert!(!published.is_empty());
        assert!(published.iter().all(Option::is_none), "{published:?}");
    }

    #[test]
    fn the_plural_of_every_kind_is_the_servers() {
        let objects = objects(None).unwrap();
        let mut plurals: Vec<String> = objects
            .iter()
            .map(|object| resource(object).plural)
            .collect();
        plurals.sort();
        plurals.dedup();
        for plural in [
            "customresourcedefinitions",
            "networkpolicies",
            "poddisruptionbudgets",
        ] {
            assert!(plurals.iter().any(|known| known == plural), "{plurals:?}");
        }
    }

    #[test]
    fn another_products_controller_is_told_from_this_ones() {
        let ours = objects(None)
            .unwrap()
            .into_iter()
            .find(is_controller)
            .unwrap();
        assert!(!is_foreign(&ours));
        let theirs = object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "k0smotron-controller-manager", "namespace": "k0smotron"},
            "spec": {"template": {"spec": {"containers": [{"command": ["/manager"]}]}}},
        }));
        assert!(is_foreign(&theirs));
    }

    #[test]
    fn a_rollout_ends_when_every_replica_is_new_and_available() {
        let deployment = |status: Value| {
            object(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "generation": 2}, "spec": {"replicas": 2}, "status": status,
            }))
        };
        let stale = deployment(json!({"observedGeneration": 1, "replicas": 2,
            "updatedReplicas": 2, "availableReplicas": 2}));
        assert_eq!(rollout(&stale).unwrap(), "deployment/web: not seen yet");
        let half = deployment(json!({"observedGeneration": 2, "replicas": 3,
            "updatedReplicas": 1, "availableReplicas": 2}));
        assert_eq!(
            rollout(&half).unwrap(),
            "deployment/web: 1 of 2 updated, 2 available"
        );
        let whole = deployment(json!({"observedGeneration": 2, "replicas": 2,
            "updatedReplicas": 2, "availableReplicas": 2}));
        assert_eq!(rollout(&whole), None);
    }
}
