//! Rules for `spec.manifests` and `spec.mounts`, which share the names and places of one pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Volume;
use serde_json::Value;

use super::{Errors, Findings, texts};
use crate::quantity::amount;
use crate::v1beta2::{Cluster, ClusterSpec, Mount};
use crate::{names, volumes};

/// Manifests and mounts end up as volumes of one pod, whose places are shared; their names there are
/// made so that none meets another.
pub(super) fn validate(errors: &mut Errors, cluster: &str, spec: &ClusterSpec) {
    let mut places: BTreeMap<String, String> = volumes::own_places(cluster, spec)
        .into_iter()
        .map(|(place, owner)| (place, owner.to_owned()))
        .collect();
    // Other tools know the volume by this name.
    let known = [
        (names::control_plane(cluster), "the data directory"),
        (names::telemetry_config(cluster), "the telemetry manifest"),
    ];

    for (index, manifest) in volumes::manifests(cluster, spec) {
        let path = format!("spec.manifests[{index}]");
        if names::is_label(&manifest.name) {
            let known = known.iter().find(|(name, _)| *name == manifest.name);
            let owner = known
                .map(|(_, owner)| (*owner).to_owned())
                .or_else(|| places.insert(volumes::folder(&manifest.name), path.clone()));
            if let Some(owner) = owner {
                errors.duplicate(
                    format!("{path}.name"),
                    &manifest.name,
                    format!("already used by {owner}"),
                );
            }
        } else {
            errors.invalid(format!("{path}.name"), &manifest.name, texts::LABEL);
        }
        source(errors, &path, manifest);
    }

    for (index, mount) in spec.mounts.iter().enumerate() {
        let path = format!("spec.mounts[{index}]");
        let place = volumes::place(&mount.path);
        if place == "/" {
            errors.invalid(
                format!("{path}.path"),
                &mount.path,
                "must be a path below /",
            );
        } else if is_in_proc(&place) {
            errors
                .invalid(
                    format!("{path}.path"),
                    &mount.path,
                    "must not be /proc or below: no container starts with a mount there",
                )
                .hint("mount it elsewhere, such as /host/proc");
        } else if place.contains(':') {
            errors.invalid(format!("{path}.path"), &mount.path, "must not contain ':'");
        } else if let Some(owner) = places.insert(place, path.clone()) {
            errors.duplicate(
                format!("{path}.path"),
                &mount.path,
                format!("already used by {owner}"),
            );
        }
        source(errors, &path, &mount.volume);
    }
}

/// What container runtimes let programs such as lxcfs stand in for.
const EMULATED: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

fn is_in_proc(place: &str) -> bool {
    (place == "/proc" || place.starts_with("/proc/")) && !EMULATED.contains(&place)
}

/// Mounts over files of the product's own.
pub(super) fn hiding(old: Option<&Cluster>, new: &Cluster) -> Findings {
    let (mut errors, mut warnings) = (Errors::default(), Errors::default());
    let cluster = new.metadata.name.as_deref().unwrap_or_default();
    for (index, mount) in new.spec.mounts.iter().enumerate() {
        let place = volumes::place(&mount.path);
        let Some(what) = volumes::hidden_by(&place, cluster, &new.spec) else {
            continue;
        };
        // It may have hidden nothing before.
        let stored = old.is_some_and(|old| {
            let mut mounts = old.spec.mounts.iter();
            mounts.any(|before| is_same(before, mount))
                && volumes::hidden_by(&place, cluster, &old.spec).is_some()
        });
        let found = if stored { &mut warnings } else { &mut errors };
        found
            .invalid(
                format!("spec.mounts[{index}].path"),
                &mount.path,
                format!("must not hide a part of {what}"),
            )
            .hint("mount it elsewhere");
    }
    Findings::new(errors, warnings)
}

/// Whether both say the same: clients write a quantity in other units.
fn is_same(one: &Mount, other: &Mount) -> bool {
    let whole = |mount: &Mount| {
        let mut mount = mount.clone();
        let empty_dir = mount.volume.empty_dir.as_mut();
        let limit = empty_dir.and_then(|volume| volume.size_limit.take());
        (limit.map(|limit| amount(&limit.0).ok_or(limit.0)), mount)
    };
    whole(one) == whole(other)
}

fn source(errors: &mut Errors, path: &str, volume: &Volume) {
    let volume = serde_json::to_value(volume).unwrap_or_default();
    let fields = volume.as_object().into_iter().flatten();
    let sources: Vec<&str> = fields
        .map(|(key, _)| key.as_str())
        .filter(|key| *key != "name")
        .collect();
    match sources.len() {
        0 => errors
            .required(path, "must specify a volume source")
            .hint("such as configMap, secret or persistentVolumeClaim"),
        1 => incomplete(errors, path, &volume),
        _ => {
            let message = format!(
                "may not specify more than 1 volume source: {}",
                sources.join(", ")
            );
            errors.forbidden(path, message);
        }
    }
}

/// What Kubernetes takes no pod without.
const REQUIRED: [(&str, &str); 7] = [
    ("configMap", "name"),
    ("secret", "secretName"),
    ("persistentVolumeClaim", "claimName"),
    ("hostPath", "path"),
    ("csi", "driver"),
    ("nfs", "server"),
    ("nfs", "path"),
];

/// The kinds of things that a path of the node may lead to.
const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// A pod with less is refused, and so is every later change of it.
fn incomplete(errors: &mut Errors, path: &str, volume: &Value) {
    for (source, field) in REQUIRED {
        let Some(source_fields) = volume.get(source) else {
            continue;
        };
        let text = source_fields.get(field).and_then(Value::as_str);
        if text.is_none_or(str::is_empty) {
            errors.required(format!("{path}.{source}.{field}"), "must be specified");
        }
    }
    let type_ = volume.pointer("/hostPath/type").and_then(Value::as_str);
    if let Some(type_) = type_.filter(|type_| !HOST_PATH_TYPES.contains(type_)) {
        let known = HOST_PATH_TYPES
            .into_iter()
            .filter(|known| !known.is_empty());
        errors.not_supported(format!("{path}.hostPath.type"), type_, known);
    }
    let medium = volume.pointer("/emptyDir/medium").and_then(Value::as_str);
    if let Some(medium) = medium.filter(|medium| {
        !matches!(*medium, "" | "Memory" | "HugePages") && !medium.starts_with("HugePages-")
    }) {
        let known = ["Memory", "HugePages", "HugePages-SIZE"];
        errors.not_supported(format!("{path}.emptyDir.medium"), medium, known);
    }
}
