use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Errors, FieldError, Findings, ingress, metadata, patches, persistence, quantity, volumes,
};
use crate::names;
use crate::v1beta2::{Cluster, ClusterSpec, ServiceType, StorageType};
use crate::validation::storage;
use crate::version::K0sVersion;

const CONFIG_VERSION: &str = "k0s.k0sproject.io/v1beta1";
const CONFIG_KIND: &str = "ClusterConfig";

pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";

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
    persistence::validate(&mut errors, spec);
    storage::validate(&mut errors, spec);
    ingress::validate(&mut errors, spec);
    patches::validate(&mut errors, spec);
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

/// What would reach out of the Cluster's namespace with the controller's rights, or into what the
/// product puts into the pods. Objects that were stored before these rules keep working, so only the
/// door knows them; what breaks them stays as it is or goes.
pub fn cluster_boundaries(old: Option<&Cluster>, new: &Cluster) -> Findings {
    let mut findings = foreign_reference(old, new);
    findings.extend(volumes::hiding(old, new));
    findings
}

fn foreign_reference(old: Option<&Cluster>, new: &Cluster) -> Findings {
    let mut findings = Errors::default();
    let reference = |cluster: &Cluster| cluster.spec.remote_host_cluster.clone()?.kubeconfig_ref;
    let own = new.metadata.namespace.as_deref();
    let wanted = reference(new);
    if let Some(reference) = &wanted
        && own.is_some_and(|own| own != reference.namespace)
    {
        findings.add(
            "spec.remoteHostCluster.kubeconfigRef.namespace",
            &reference.namespace,
            "is not the Cluster's own namespace: whoever may create a Cluster would use a Secret that they may not read",
            format!("copy the Secret into {}", own.unwrap_or_default()),
        );
    }
    if old.is_some_and(|old| reference(old) == wanted) {
        Findings::of(Errors::default(), findings)
    } else {
        Findings::of(findings, Errors::default())
    }
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

fn k0s_config(errors: &mut Errors, spec: &ClusterSpec) {
    let Some(config) = &spec.k0s_config else {
        return;
    };
    let Some(config) = config.as_object() else {
        errors.add("spec.k0sConfig", config, "must be an object", "");
        return;
    };
    if let Some(found) = config.get("apiVersion")
        && found.as_str() != Some(CONFIG_VERSION)
    {
        errors.add(
            "spec.k0sConfig.apiVersion",
            text(found),
            format!("must be {CONFIG_VERSION}"),
            "",
        );
    }
    if let Some(inner) = config.get("spec")
        && !matches!(inner, Value::Object(_) | Value::Null)
    {
        errors.add("spec.k0sConfig.spec", inner, "must be an object", "");
    }
}

/// k0s never looks at the kind, and gets the right one anyway.
pub(super) fn warn(warnings: &mut Errors, spec: &ClusterSpec) {
    let config = spec.k0s_config.as_ref();
    if let Some(kind) = config.and_then(|config| config.get("kind"))
        && !["", CONFIG_KIND].contains(&text(kind).as_str())
    {
        warnings.add(
            "spec.k0sConfig.kind",
            text(kind),
            format!("is taken as {CONFIG_KIND}"),
            "",
        );
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
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
