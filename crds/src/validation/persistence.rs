//! Rules for `spec.persistence`: the volume of the control-plane pods' data directory.

use super::{Errors, metadata, quantity, texts};
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
                errors
                    .required(
                        "spec.persistence.hostPath",
                        "must be specified when spec.persistence.type is hostPath",
                    )
                    .hint("a directory of the node");
            }
        }
        PersistenceType::Pvc => claim(errors, persistence),
        PersistenceType::Other(other) => {
            errors.not_supported(
                "spec.persistence.type",
                other,
                ["emptyDir", "hostPath", "pvc"],
            );
        }
    }
}

fn claim(errors: &mut Errors, persistence: &PersistenceSpec) {
    const PATH: &str = "spec.persistence.persistentVolumeClaim";
    let Some(claim) = &persistence.persistent_volume_claim else {
        errors
            .required(PATH, "must be specified when spec.persistence.type is pvc")
            .hint("with spec.accessModes and spec.resources.requests.storage");
        return;
    };
    if let Some(metadata) = &claim.metadata {
        if let Some(name) = metadata.name.as_deref().filter(|name| !name.is_empty())
            && !names::is_label(name)
        {
            errors.invalid(format!("{PATH}.metadata.name"), name, texts::LABEL);
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
        errors
            .required(
                format!("{PATH}.spec.accessModes"),
                "at least 1 access mode is required",
            )
            .hint("usually [ReadWriteOnce]");
    }
    let size = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    match size {
        None => {
            errors
                .required(
                    format!("{PATH}.spec.resources.requests.storage"),
                    "must be specified",
                )
                .hint("such as 1Gi");
        }
        Some(size) => quantity::volume_size(
            errors,
            &format!("{PATH}.spec.resources.requests.storage"),
            size,
        ),
    }
}
