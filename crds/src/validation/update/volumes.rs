//! Volumes of a running Cluster: which changes Kubernetes would refuse, or would lose state.

use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Change;
use crate::v1beta2::{ClusterSpec, EtcdPersistence, PersistenceType, StorageType};
use crate::validation::quantity;
use crate::volumes;

impl Change<'_> {
    pub(super) fn storage(&mut self) {
        let (old, new) = (&self.old.storage, &self.new.storage);
        if old.type_ != new.type_ {
            self.errors
                .immutable(
                    "spec.storage.type",
                    new.type_,
                    format!("the cluster's data is in {} and is not moved", old.type_),
                )
                .hint("create another cluster and move the workloads");
            return;
        }
        match new.type_ {
            StorageType::Etcd => self.volume(
                "spec.storage.etcd.persistence",
                &old.etcd.persistence,
                &new.etcd.persistence,
            ),
            StorageType::Nats => {
                let volume = |spec: &ClusterSpec| {
                    let nats = spec.storage.nats.as_ref();
                    nats.and_then(|nats| nats.persistence.clone())
                        .unwrap_or_default()
                };
                let (old, new) = (volume(self.old), volume(self.new));
                self.volume("spec.storage.nats.persistence", &old, &new);
            }
            StorageType::Kine => {
                if old.kine != new.kine {
                    self.warnings.warning(
                        "spec.storage.kine",
                        "",
                        "changes the database: nothing is copied, and the cluster has the data that it finds there",
                    );
                }
            }
        }
    }

    fn volume(&mut self, path: &str, old: &EtcdPersistence, new: &EtcdPersistence) {
        self.size(&format!("{path}.size"), &old.size, &new.size);
        self.class(
            &format!("{path}.storageClass"),
            old.storage_class.as_deref(),
            new.storage_class.as_deref(),
        );
    }

    fn size(&mut self, path: &str, old: &Quantity, new: &Quantity) {
        if quantity::is_less(new, old) {
            self.errors
                .invalid(
                    path,
                    &new.0,
                    format!("must not be less than {}: volumes cannot shrink", old.0),
                )
                .hint(format!("{} or more", old.0));
        } else if quantity::is_less(old, new) {
            self.warnings
                .warning(
                    path,
                    &new.0,
                    "applies to new volumes only: existing ones are not expanded",
                )
                .hint("expand the PersistentVolumeClaims too, if their storage class allows it");
        }
    }

    fn class(&mut self, path: &str, old: Option<&str>, new: Option<&str>) {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        if old != new {
            self.errors
                .immutable(
                    path,
                    new,
                    if old.is_empty() {
                        "the volumes have the default class".to_owned()
                    } else {
                        format!("the volumes have the class {old}")
                    },
                )
                .hint("create another cluster and move the workloads");
        }
    }

    pub(super) fn persistence(&mut self) {
        let type_ = |spec: &ClusterSpec| match spec.persistence.as_ref().map(|p| &p.type_) {
            // What is none of the known types has always been treated as this one.
            None | Some(PersistenceType::Other(_)) => PersistenceType::EmptyDir,
            Some(type_) => type_.clone(),
        };
        let (before, now) = (type_(self.old), type_(self.new));
        if before == now {
            if now == PersistenceType::Pvc {
                self.claim();
            }
            return;
        }
        if before == PersistenceType::Pvc || now == PersistenceType::Pvc {
            self.errors
                .immutable(
                    "spec.persistence.type",
                    &now,
                    format!("it was {before}, and the volumeClaimTemplates of a StatefulSet cannot change"),
                )
                .hint("create another cluster and move the workloads");
        } else {
            self.warnings.warning(
                "spec.persistence.type",
                &now,
                format!("replaces {before}: every control-plane pod is restarted with an empty data directory"),
            );
        }
    }

    fn claim(&mut self) {
        const PATH: &str = "spec.persistence.persistentVolumeClaim";
        let (before, now) = (
            volumes::data(self.name, self.old),
            volumes::data(self.name, self.new),
        );
        if before != now {
            self.errors
                .immutable(
                    format!("{PATH}.metadata.name"),
                    now,
                    format!("the claims were created from {before:?}"),
                )
                .hint(format!("keep {before}"));
        }
        let claim = |spec: &ClusterSpec| -> PersistentVolumeClaimSpec {
            let persistence = spec.persistence.as_ref();
            persistence
                .and_then(|persistence| persistence.persistent_volume_claim.as_ref()?.spec.clone())
                .unwrap_or_default()
        };
        let (old, new) = (claim(self.old), claim(self.new));
        let size = |claim: &PersistentVolumeClaimSpec| {
            let requests = claim.resources.as_ref()?.requests.as_ref()?;
            requests.get("storage").cloned()
        };
        if let (Some(old), Some(new)) = (size(&old), size(&new)) {
            self.size(
                &format!("{PATH}.spec.resources.requests.storage"),
                &old,
                &new,
            );
        }
        self.class(
            &format!("{PATH}.spec.storageClassName"),
            old.storage_class_name.as_deref(),
            new.storage_class_name.as_deref(),
        );
    }
}
