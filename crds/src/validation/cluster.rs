//! What is wrong with a Cluster by itself, whatever else there is: the rules of the parts that have
//! no file of their own, and the list of those that have.

use std::collections::BTreeSet;

use super::{
    Errors, FieldError, Findings, ingress, metadata, patches, persistence, quantity, texts, volumes,
};
use crate::v1beta2::{Cluster, ClusterSpec, ServiceType, StorageType};
use crate::validation::storage;
use crate::version::{self, K0sVersion};
use crate::{k0s_config, names};

const CONFIG_VERSION: &str = "k0s.k0sproject.io/v1beta1";
const WHEN_UNSATISFIABLE: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];

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
        errors.invalid("spec.replicas", spec.replicas, texts::NOT_NEGATIVE);
    }
    image(&mut errors, spec);
    address(&mut errors, spec);
    service(&mut errors, spec);
    persistence::validate(&mut errors, spec);
    storage::validate(&mut errors, spec);
    ingress::validate(&mut errors, spec);
    patches::validate(&mut errors, spec);
    self::k0s_config(&mut errors, cluster);
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
        errors.invalid("spec.serviceAccount", account, texts::SUBDOMAIN);
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
    findings.extend(storage::of_members(old, new));
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
        findings
            .invalid(
                "spec.remoteHostCluster.kubeconfigRef.namespace",
                &reference.namespace,
                "must be the Cluster's own namespace: whoever may create a Cluster could use a Secret that they may not read",
            )
            .hint(format!("copy the Secret into {}", own.unwrap_or_default()));
    }
    if old.is_some_and(|old| reference(old) == wanted) {
        Findings::new(Errors::default(), findings)
    } else {
        Findings::new(findings, Errors::default())
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
        errors
            .invalid(
                "metadata.name",
                name,
                format!("must be no more than {longest} characters: the names of its pods' revisions are label values"),
            )
            .hint("create the cluster under a shorter name");
    } else if !name.is_empty() && !names::is_label(name) {
        errors.invalid("metadata.name", name, texts::LABEL);
    }
}

fn image(errors: &mut Errors, spec: &ClusterSpec) {
    if let Some(version) = spec
        .version
        .as_deref()
        .filter(|version| !version.is_empty())
        && version.parse::<K0sVersion>().is_err()
    {
        errors.invalid("spec.version", version, version::FORM);
    }
    let last = spec.image.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        errors
            .invalid("spec.image", &spec.image, "must not have a tag or digest")
            .hint("spec.version determines the tag");
    } else if spec.image.contains(char::is_whitespace) {
        errors.invalid("spec.image", &spec.image, "must be an image repository");
    }
}

fn address(errors: &mut Errors, spec: &ClusterSpec) {
    let Some(address) = spec.asked_host() else {
        return;
    };
    let in_host = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let valid = address.len() <= 253 && address.chars().all(in_host);
    if !valid && address.parse::<std::net::IpAddr>().is_err() {
        errors
            .invalid(
                "spec.externalAddress",
                address,
                "must be an IP address or a host name",
            )
            .hint("without scheme and port; the port is spec.service.apiPort");
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
            errors.invalid(path, port, texts::PORT);
        } else if port == 0 && service.type_ != ServiceType::NodePort {
            errors
                .invalid(
                    path,
                    port,
                    format!(
                        "may be 0 only when spec.service.type is NodePort, not {}",
                        service.type_
                    ),
                )
                .hint("set a port, or leave the field out for the default");
        }
    }
    if service.api_port == service.konnectivity_port && service.api_port != 0 {
        errors.invalid(
            "spec.service.konnectivityPort",
            service.konnectivity_port,
            "must be different from spec.service.apiPort",
        );
    }
}

fn k0s_config(errors: &mut Errors, cluster: &Cluster) {
    let config = cluster.spec.k0s_config.as_ref();
    if let Some(found) = config.and_then(|config| config.get("apiVersion"))
        && found.as_str() != Some(CONFIG_VERSION)
    {
        let found = found
            .as_str()
            .map_or_else(|| found.to_string(), str::to_owned);
        errors.not_supported("spec.k0sConfig.apiVersion", found, [CONFIG_VERSION]);
    }
    errors.0.extend(k0s_config::findings(cluster).errors);
}

fn flags(errors: &mut Errors, spec: &ClusterSpec) {
    for (index, flag) in spec.control_plane_flags.iter().enumerate() {
        if shell_words::split(flag).is_err() {
            errors
                .invalid(
                    format!("spec.controlPlaneFlags[{index}]"),
                    flag,
                    "must not have an unterminated quote",
                )
                .hint("words are split as in a POSIX shell");
        }
    }
}

fn certificates(errors: &mut Errors, spec: &ClusterSpec) {
    let mut seen = BTreeSet::new();
    for (index, reference) in spec.certificate_refs.iter().enumerate() {
        if !seen.insert(reference.type_) {
            errors.duplicate(
                format!("spec.certificateRefs[{index}].type"),
                reference.type_,
                "one Secret per type",
            );
        }
        if let Some(name) = reference.name.as_deref().filter(|name| !name.is_empty())
            && !names::is_object_name(name)
        {
            errors.invalid(
                format!("spec.certificateRefs[{index}].name"),
                name,
                texts::SUBDOMAIN,
            );
        }
    }
}

fn spread(errors: &mut Errors, spec: &ClusterSpec) {
    for (index, constraint) in spec.topology_spread_constraints.iter().enumerate() {
        let path = format!("spec.topologySpreadConstraints[{index}]");
        if constraint.max_skew < 1 {
            errors.invalid(
                format!("{path}.maxSkew"),
                constraint.max_skew,
                "must be greater than 0",
            );
        }
        if !WHEN_UNSATISFIABLE.contains(&constraint.when_unsatisfiable.as_str()) {
            errors.not_supported(
                format!("{path}.whenUnsatisfiable"),
                &constraint.when_unsatisfiable,
                WHEN_UNSATISFIABLE,
            );
        }
        if !metadata::is_label_key(&constraint.topology_key) {
            errors
                .invalid(
                    format!("{path}.topologyKey"),
                    &constraint.topology_key,
                    texts::KEY,
                )
                .hint(format!("such as {HOSTNAME}"));
        }
    }
}
