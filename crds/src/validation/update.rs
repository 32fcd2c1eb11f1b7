//! What of a running cluster cannot change, and what should not.
//!
//! A rule refuses only what cuts off workers, loses state, or what Kubernetes would refuse of the
//! generated objects: those are never recreated. As long as nothing was made for a Cluster,
//! everything about it can be corrected.

mod exposure;
mod volumes;

use std::net::Ipv6Addr;

use super::{Errors, Findings};
use crate::v1beta2::{CertificateType, Cluster, ClusterSpec, ClusterStatus, StorageType};
use crate::{k0s_config, k0s_flags, names};

/// What of a changed Cluster cannot be, and what its author should know.
pub fn cluster_update(old: &Cluster, new: &Cluster) -> Findings {
    let mut change = Change {
        stored: old,
        old: &old.spec,
        new: &new.spec,
        name: old.metadata.name.as_deref().unwrap_or_default(),
        status: old.status.as_ref(),
        errors: Errors::default(),
        warnings: Errors::default(),
    };
    change.members();
    if change.status.is_some_and(ClusterStatus::is_built) {
        change.nats_replicas();
        change.storage();
        change.persistence();
    }
    if change.status.is_some_and(ClusterStatus::has_served) {
        change.service();
        change.network();
        change.images();
    }
    if change.status.is_some_and(ClusterStatus::keys_were_made) {
        change.certificates();
    }
    Findings::new(change.errors, change.warnings)
}

struct Change<'a> {
    stored: &'a Cluster,
    old: &'a ClusterSpec,
    new: &'a ClusterSpec,
    name: &'a str,
    status: Option<&'a ClusterStatus>,
    errors: Errors,
    warnings: Errors,
}

impl Change<'_> {
    fn nats_replicas(&mut self) {
        let nats = |spec: &ClusterSpec| spec.storage.type_ == StorageType::Nats;
        if nats(self.old) && nats(self.new) && self.old.replicas != self.new.replicas {
            self.errors
                .immutable(
                    "spec.replicas",
                    self.new.replicas,
                    format!(
                        "the number of members of storage type nats is fixed at {}",
                        self.old.replicas
                    ),
                )
                .hint("create another cluster and move the workloads");
        }
    }

    fn members(&mut self) {
        let members = self.status.and_then(|status| status.etcd_members);
        if let Some(members) = members
            && self.new.storage.type_ == StorageType::Etcd
            && self.new.replicas > members
            && self.new.replicas > self.old.replicas
        {
            self.warnings.warning(
                "spec.replicas",
                self.new.replicas,
                format!("etcd was created with {members} members and keeps them: the API would survive more failures than its data"),
            );
        }
    }

    fn network(&mut self) {
        let dual = ["dualStack", "enabled"];
        let is_v6 = self
            .stored
            .served_host()
            .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
        let family = if is_v6 { "IPv6" } else { "IPv4" };
        for (path, default) in [
            (&["serviceCIDR"] as &[&str], "10.96.0.0/12"),
            (&["podCIDR"], "10.244.0.0/16"),
            (&["clusterDomain"], "cluster.local"),
            (&dual, "false"),
            (&["dualStack", "IPv6podCIDR"], ""),
            (&["dualStack", "IPv6serviceCIDR"], ""),
            (&["primaryAddressFamily"], family),
        ] {
            let (old, new) = (
                k0s_config::network(self.old, path, default),
                k0s_config::network(self.new, path, default),
            );
            // Without a second family nothing was made with what is said of it.
            let is_of_two = default.is_empty() || default == family;
            let are_two = [self.old, self.new]
                .iter()
                .all(|spec| k0s_config::network(spec, &dual, "false") == "true");
            if old != new && (are_two || !is_of_two) {
                let old = if old.is_empty() { "none" } else { &old };
                self.errors
                    .immutable(
                        format!("spec.k0sConfig.spec.network.{}", path.join(".")),
                        new,
                        format!(
                            "Services, pods and certificates of the cluster were created with {old}"
                        ),
                    )
                    .hint(format!("keep {old}, or create another cluster"));
            }
        }
        let provider = |spec| k0s_config::network(spec, &["provider"], "kuberouter");
        let (old, new) = (provider(self.old), provider(self.new));
        if old != new && k0s_config::is_provider(&old) {
            self.warnings
                .warning(
                    "spec.k0sConfig.spec.network.provider",
                    new,
                    format!("replaces {old}: what that has set up on the nodes stays there, and pods lose their connections"),
                )
                .hint("let every worker join again");
        }
    }

    /// At its start k0s fills in the other half; in the hosted cluster nobody does.
    fn images(&mut self) {
        if !k0s_flags::is_dynamic(self.new) {
            return;
        }
        let before = k0s_config::images(self.old);
        for (path, halves) in k0s_config::images(self.new) {
            let said = halves.iter().filter(|(_, is_said)| *is_said).count();
            if said != 1 || before.get(&path) == Some(&halves) {
                continue;
            }
            for (half, _) in halves.into_iter().filter(|(_, is_said)| !is_said) {
                self.errors.required(
                    format!("{path}.{half}"),
                    "must be specified once the cluster has served: its ClusterConfig takes an image as a whole",
                );
            }
        }
    }

    fn certificates(&mut self) {
        let secret = |spec: &ClusterSpec, type_| {
            let references = spec.certificate_refs.iter();
            references
                .filter(|reference| reference.type_ == type_)
                .find_map(|reference| reference.name.clone().filter(|name| !name.is_empty()))
                .unwrap_or_else(|| names::certificate(self.name, type_))
        };
        for type_ in CertificateType::ROOTS {
            let (before, now) = (secret(self.old, type_), secret(self.new, type_));
            if before != now {
                let mut references = self.new.certificate_refs.iter();
                let place = references.position(|reference| reference.type_ == type_);
                let path = place.map_or_else(
                    || "spec.certificateRefs".to_owned(),
                    |index| format!("spec.certificateRefs[{index}].name"),
                );
                self.errors
                    .immutable(
                        path,
                        now,
                        format!("machines, pods and tokens of the cluster trust the keys of type {type_} in {before}"),
                    )
                    .hint(format!("keep {before}, or create another cluster"));
            }
        }
    }
}
