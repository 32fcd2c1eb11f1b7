use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Volume;
use serde_json::Value;

use super::Errors;
use crate::names;
use crate::v1beta2::ClusterSpec;

/// Manifests and mounts end up as volumes of one pod: names and places are shared.
pub(super) fn validate(errors: &mut Errors, cluster: &str, spec: &ClusterSpec) {
    let mut volumes = BTreeMap::from([
        (
            names::control_plane(cluster),
            "the data directory".to_owned(),
        ),
        (
            names::telemetry_config(cluster),
            "the telemetry manifest".to_owned(),
        ),
    ]);
    let mut places = BTreeMap::from([
        (names::DATA_DIR.to_owned(), "the data directory".to_owned()),
        (
            format!("{}/k0s-telemetry", names::MANIFESTS_DIR),
            "the telemetry manifest".to_owned(),
        ),
    ]);

    for (index, manifest) in spec.manifests.iter().enumerate() {
        let path = format!("spec.manifests[{index}]");
        if names::is_label(&manifest.name) {
            let place = format!("{}/{}", names::MANIFESTS_DIR, manifest.name);
            let owner = volumes
                .insert(manifest.name.clone(), path.clone())
                .or_else(|| places.insert(place, path.clone()));
            if let Some(owner) = owner {
                errors.add(
                    format!("{path}.name"),
                    &manifest.name,
                    format!("is taken by {owner}"),
                    "",
                );
            }
        } else {
            errors.add(
                format!("{path}.name"),
                &manifest.name,
                "is no name of a volume",
                "at most 63 lower-case letters, digits and dashes",
            );
        }
        source(errors, &path, manifest);
    }

    for (index, mount) in spec.mounts.iter().enumerate() {
        let path = format!("spec.mounts[{index}]");
        let place = mount.path.trim_end_matches('/');
        if place.is_empty() {
            errors.add(
                format!("{path}.path"),
                &mount.path,
                "must name a place below /",
                "",
            );
        } else if place.contains(':') {
            errors.add(
                format!("{path}.path"),
                &mount.path,
                "must not contain a colon",
                "",
            );
        } else {
            let owner = places
                .insert(place.to_owned(), path.clone())
                .or_else(|| volumes.insert(names::mount_volume(&mount.path), path.clone()));
            if let Some(owner) = owner {
                errors.add(
                    format!("{path}.path"),
                    &mount.path,
                    format!("is taken by {owner}"),
                    "",
                );
            }
        }
        source(errors, &path, &mount.volume);
    }
}

fn source(errors: &mut Errors, path: &str, volume: &Volume) {
    let sources: Vec<String> = match serde_json::to_value(volume) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .map(|(key, _)| key)
            .filter(|key| key != "name")
            .collect(),
        _ => Vec::new(),
    };
    match sources.len() {
        0 => errors.add(
            path,
            "",
            "has no volume source",
            "such as configMap, secret or persistentVolumeClaim",
        ),
        1 => {}
        _ => errors.add(
            path,
            sources.join(", "),
            "has more than one volume source",
            "keep one",
        ),
    }
}
