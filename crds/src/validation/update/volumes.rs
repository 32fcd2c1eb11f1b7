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
            self.errors.add(
                "spec.storage.type",
                new.type_,
                format!(
                    "cannot change any more: the cluster's state is in {} and is not moved",
                    old.type_
                ),
                "create another cluster and move what runs in this one",
            );
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
                    self.warnings.add(
                        "spec.storage.kine",
                        "",
                        "changes the database: nothing is copied, and the cluster has the state that it finds there",
                        "",
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
            self.errors.add(
                path,
                &new.0,
                format!("is less than {}, and volumes never shrink", old.0),
                format!("{} or more", old.0),
            );
        } else if quantity::is_less(old, new) {
            self.warnings.add(
                path,
                &new.0,
                "is for volumes that are yet to be made: those that exist are not grown",
                "grow the PersistentVolumeClaims too, if their storage class lets you",
            );
        }
    }

    fn class(&mut self, path: &str, old: Option<&str>, new: Option<&str>) {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        if old != new {
            self.errors.add(
                path,
                new,
                if old.is_empty() {
                    "cannot change any more: the volumes are of the default class".to_owned()
                } else {
                    format!("cannot change any more: the volumes are of the class {old}")
                },
                "create another cluster and move what runs in this one",
            );
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
            self.errors.add(
                "spec.persistence.type",
                &now,
                format!("cannot change any more: it is {before}, and Kubernetes lets nobody add claims to a StatefulSet or take them away"),
                "create another cluster and move what runs in this one",
            );
        } else {
            self.warnings.add(
                "spec.persistence.type",
                &now,
                format!("is another place than {before}: every control-plane pod starts anew with an empty data directory"),
                "",
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
            self.errors.add(
                format!("{PATH}.metadata.name"),
                now,
                format!("cannot change any more: the claims were made from {before:?}"),
                format!("leave it at {before}"),
            );
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
