use std::collections::BTreeSet;

use serde_json::Value;

use super::{Errors, FieldError, metadata, quantity, volumes};
use crate::names;
use crate::v1beta2::{
    Cluster, ClusterSpec, PersistenceSpec, PersistenceType, ServiceType, StorageType,
};
use crate::version::K0sVersion;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// Everything that keeps a Cluster from working and that shows without looking at anything else.
///
/// An empty list means that the Cluster can be accepted, apart from
/// [`not_implemented`](super::not_implemented).
pub fn validate_cluster(cluster: &Cluster) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let spec = &cluster.spec;
    self::name(&mut errors, name, spec);
    if spec.replicas < 0 {
        errors.add("spec.replicas", spec.replicas, "must not be negative", "");
    }
    image(&mut errors, spec);
    address(&mut errors, spec);
    service(&mut errors, spec);
    if let Some(persistence) = &spec.persistence {
        self::persistence(&mut errors, spec, persistence);
    }
    storage(&mut errors, spec);
    k0s_config(&mut errors, spec);
    flags(&mut errors, spec);
    certificates(&mut errors, spec);
    volumes::validate(&mut errors, name, spec);
    if let Some(resources) = &spec.resources {
        quantity::resources(&mut errors, "spec.resources", resources);
    }
    spread(&mut errors, spec);
    if let Some(account) = spec
        .service_account
        .as_deref()
        .filter(|account| !account.is_empty())
        && !names::is_object_name(account)
    {
        errors.add(
            "spec.serviceAccount",
            account,
            "is no name of a service account",
            "lower-case letters, digits, dashes and dots",
        );
    }
    if let Some(extra) = &spec.kubeconfig_secret_metadata {
        metadata::labels(
            &mut errors,
            "spec.kubeconfigSecretMetadata.labels",
            &extra.labels,
        );
        metadata::annotations(
            &mut errors,
            "spec.kubeconfigSecretMetadata.annotations",
            &extra.annotations,
        );
    }
    errors.0
}

/// Pods carry `<StatefulSet>-<revision>` as a label: 63 characters at most, 11 of them the
/// revision's.
fn name(errors: &mut Errors, name: &str, spec: &ClusterSpec) {
    let longest = match spec.storage.type_ {
        StorageType::Etcd => 43,
        StorageType::Kine | StorageType::Nats => 48,
    };
    if name.len() > longest {
        errors.add(
            "metadata.name",
            name,
            format!("is longer than the {longest} characters that pod labels leave room for"),
            "create the cluster under a shorter name",
        );
    } else if !name.is_empty() && !names::is_label(name) {
        errors.add(
            "metadata.name",
            name,
            "cannot be the name of a Service",
            "create the cluster under a name of lower-case letters, digits and dashes",
        );
    }
}

fn image(errors: &mut Errors, spec: &ClusterSpec) {
    if let Some(version) = spec
        .version
        .as_deref()
        .filter(|version| !version.is_empty())
        && let Err(error) = version.parse::<K0sVersion>()
    {
        errors.add("spec.version", version, "is no k0s version", {
            let text = error.to_string();
            text.split_once("; ")
                .map(|(_, hint)| hint.to_owned())
                .unwrap_or_default()
        });
    }
    let last = spec.image.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        errors.add(
            "spec.image",
            &spec.image,
            "must not carry a tag or digest",
            "the tag is made from spec.version",
        );
    } else if spec.image.contains(char::is_whitespace) {
        errors.add("spec.image", &spec.image, "is no image repository", "");
    }
}

fn address(errors: &mut Errors, spec: &ClusterSpec) {
    let Some(address) = spec
        .external_address
        .as_deref()
        .filter(|address| !address.is_empty())
    else {
        return;
    };
    let in_host = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let valid = address.len() <= 253 && address.chars().all(in_host);
    if !valid && address.parse::<std::net::IpAddr>().is_err() {
        errors.add(
            "spec.externalAddress",
            address,
            "is neither an IP nor a host name",
            "leave out scheme and port: the port is spec.service.apiPort",
        );
    }
}

fn service(errors: &mut Errors, spec: &ClusterSpec) {
    let service = &spec.service;
    let ports = [
        ("spec.service.apiPort", service.api_port),
        ("spec.service.konnectivityPort", service.konnectivity_port),
    ];
    for (path, port) in ports {
        if !(0..=65535).contains(&port) {
            errors.add(path, port, "is no port number", "1 to 65535");
        } else if port == 0 && service.type_ != ServiceType::NodePort {
            errors.add(
                path,
                port,
                format!(
                    "0 works with type NodePort only, and the type is {}",
                    service.type_
                ),
                "name a port, or leave the field out for the default",
            );
        }
    }
    if service.api_port == service.konnectivity_port && service.api_port != 0 {
        errors.add(
            "spec.service.konnectivityPort",
            service.konnectivity_port,
            "must differ from spec.service.apiPort",
            "",
        );
    }
}

fn persistence(errors: &mut Errors, spec: &ClusterSpec, persistence: &PersistenceSpec) {
    match &persistence.type_ {
        PersistenceType::EmptyDir => {}
        PersistenceType::HostPath => {
            if persistence
                .host_path
                .as_deref()
                .unwrap_or_default()
                .is_empty()
            {
                errors.add(
                    "spec.persistence.hostPath",
                    "",
                    "is required with type hostPath",
                    "name a directory of the node",
                );
            }
            if spec.replicas > 1 && !one_pod_a_node(spec) {
                errors.add(
                    "spec.persistence.type",
                    "hostPath",
                    format!(
                        "{} replicas would share one directory wherever two of them meet on a node",
                        spec.replicas
                    ),
                    format!("use type pvc, one replica, or a topologySpreadConstraint with topologyKey {HOSTNAME}, maxSkew 1 and DoNotSchedule"),
                );
            }
        }
        PersistenceType::Pvc => claim(errors, persistence),
        PersistenceType::Other(other) => {
            errors.add(
                "spec.persistence.type",
                other,
                "is no kind of persistence",
                "one of emptyDir, hostPath, pvc",
            );
        }
    }
}

fn one_pod_a_node(spec: &ClusterSpec) -> bool {
    spec.topology_spread_constraints.iter().any(|constraint| {
        constraint.topology_key == HOSTNAME
            && constraint.max_skew == 1
            && constraint.when_unsatisfiable == "DoNotSchedule"
    })
}

fn claim(errors: &mut Errors, persistence: &PersistenceSpec) {
    const PATH: &str = "spec.persistence.persistentVolumeClaim";
    let Some(claim) = &persistence.persistent_volume_claim else {
        errors.add(
            PATH,
            "",
            "is required with type pvc",
            "give it spec.accessModes and spec.resources.requests.storage",
        );
        return;
    };
    if let Some(metadata) = &claim.metadata {
        if let Some(name) = metadata.name.as_deref().filter(|name| !name.is_empty())
            && !names::is_label(name)
        {
            errors.add(
                format!("{PATH}.metadata.name"),
                name,
                "is no name of a volume",
                "at most 63 lower-case letters, digits and dashes",
            );
        }
        metadata::labels(errors, &format!("{PATH}.metadata.labels"), &metadata.labels);
        metadata::annotations(
            errors,
            &format!("{PATH}.metadata.annotations"),
            &metadata.annotations,
        );
    }
    let spec = claim.spec.as_ref();
    if spec
        .and_then(|spec| spec.access_modes.as_ref())
        .is_none_or(Vec::is_empty)
    {
        errors.add(
            format!("{PATH}.spec.accessModes"),
            "",
            "is required",
            "usually [ReadWriteOnce]",
        );
    }
    let size = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    match size {
        None => errors.add(
            format!("{PATH}.spec.resources.requests.storage"),
            "",
            "is required",
            "such as 1Gi",
        ),
        Some(size) => quantity::volume_size(
            errors,
            &format!("{PATH}.spec.resources.requests.storage"),
            size,
        ),
    }
}

fn storage(errors: &mut Errors, spec: &ClusterSpec) {
    if spec.storage.type_ != StorageType::Etcd {
        return;
    }
    let etcd = &spec.storage.etcd;
    if etcd.image.is_empty() || etcd.image.contains(char::is_whitespace) {
        errors.add(
            "spec.storage.etcd.image",
            &etcd.image,
            "is no image",
            "leave it out for the default",
        );
    }
    quantity::volume_size(
        errors,
        "spec.storage.etcd.persistence.size",
        &etcd.persistence.size,
    );
    if let Some(resources) = &etcd.resources {
        quantity::resources(errors, "spec.storage.etcd.resources", resources);
    }
}

fn k0s_config(errors: &mut Errors, spec: &ClusterSpec) {
    let Some(config) = &spec.k0s_config else {
        return;
    };
    let Some(config) = config.as_object() else {
        errors.add("spec.k0sConfig", config, "must be an object", "");
        return;
    };
    for (key, wanted) in [
        ("apiVersion", "k0s.k0sproject.io/v1beta1"),
        ("kind", "ClusterConfig"),
    ] {
        if let Some(found) = config.get(key)
            && found.as_str() != Some(wanted)
        {
            errors.add(
                format!("spec.k0sConfig.{key}"),
                found
                    .as_str()
                    .map_or_else(|| found.to_string(), ToOwned::to_owned),
                format!("must be {wanted}"),
                "",
            );
        }
    }
    if let Some(inner) = config.get("spec")
        && !matches!(inner, Value::Object(_) | Value::Null)
    {
        errors.add("spec.k0sConfig.spec", inner, "must be an object", "");
    }
}

fn flags(errors: &mut Errors, spec: &ClusterSpec) {
    for (index, flag) in spec.control_plane_flags.iter().enumerate() {
        if shell_words::split(flag).is_err() {
            errors.add(
                format!("spec.controlPlaneFlags[{index}]"),
                flag,
                "has a quote without an end",
                "words are split as a POSIX shell does it",
            );
        }
    }
}

fn certificates(errors: &mut Errors, spec: &ClusterSpec) {
    let mut seen = BTreeSet::new();
    for (index, reference) in spec.certificate_refs.iter().enumerate() {
        if !seen.insert(reference.type_) {
            errors.add(
                format!("spec.certificateRefs[{index}].type"),
                reference.type_,
                "is named twice",
                "one Secret a type",
            );
        }
        if let Some(name) = reference.name.as_deref().filter(|name| !name.is_empty())
            && !names::is_object_name(name)
        {
            errors.add(
                format!("spec.certificateRefs[{index}].name"),
                name,
                "is no name of a Secret",
                "lower-case letters, digits, dashes and dots",
            );
        }
    }
}

fn spread(errors: &mut Errors, spec: &ClusterSpec) {
    for (index, constraint) in spec.topology_spread_constraints.iter().enumerate() {
        let path = format!("spec.topologySpreadConstraints[{index}]");
        if constraint.max_skew < 1 {
            errors.add(
                format!("{path}.maxSkew"),
                constraint.max_skew,
                "must be 1 or more",
                "",
            );
        }
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&constraint.when_unsatisfiable.as_str()) {
            errors.add(
                format!("{path}.whenUnsatisfiable"),
                &constraint.when_unsatisfiable,
                "is no way to deal with it",
                "one of DoNotSchedule, ScheduleAnyway",
            );
        }
        if !metadata::is_key(&constraint.topology_key) {
            errors.add(
                format!("{path}.topologyKey"),
                &constraint.topology_key,
                "is no key of a node label",
                format!("such as {HOSTNAME}"),
            );
        }
    }
}
