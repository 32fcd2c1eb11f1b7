use super::cluster::HOSTNAME;
use super::{Errors, metadata, quantity};
use crate::names;
use crate::v1beta2::{ClusterSpec, PersistenceSpec, PersistenceType};

pub(super) fn validate(errors: &mut Errors, spec: &ClusterSpec) {
    let Some(persistence) = &spec.persistence else {
        return;
    };
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
