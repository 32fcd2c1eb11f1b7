//! How a running Cluster is reached: which changes of the Service, the ports and the address would
//! cut workers off.

use super::Change;
use crate::v1beta2::ClusterSpec;

impl Change<'_> {
    pub(super) fn service(&mut self) {
        let nobody = self.status.is_some_and(|status| {
            let nodes = status.nodes.as_ref();
            nodes.is_some_and(|nodes| nodes.joined == 0) || status.has_never_served()
        });
        // Behind an ingress workers know neither ports nor type.
        let behind = |spec: &ClusterSpec| {
            let ingress = spec.ingress.as_ref();
            ingress.map(|ingress| (ingress.api_host.clone(), ingress.konnectivity_host.clone()))
        };
        let harmless =
            nobody || (behind(self.old).is_some() && behind(self.old) == behind(self.new));
        self.service_type(harmless);
        self.ports(harmless);
        self.address(harmless);
    }

    fn service_type(&mut self, harmless: bool) {
        let (old, new) = (self.old.service.type_, self.new.service.type_);
        if old == new {
            return;
        }
        let own = self.new.asked_host();
        let same_address = own.is_some() && own == self.old.asked_host();
        if harmless || same_address {
            self.warnings
                .warning(
                    "spec.service.type",
                    new,
                    format!("replaces the Service of type {old}"),
                )
                .hint(if same_address {
                    "point spec.externalAddress to the new one"
                } else {
                    ""
                });
        } else {
            self.errors
                .immutable(
                    "spec.service.type",
                    new,
                    format!("workers that have joined connect to the address of the Service of type {old}"),
                )
                .hint("first set spec.externalAddress to the address that they use and point it to the new Service, or create another cluster");
        }
    }

    fn ports(&mut self, harmless: bool) {
        let served = self.stored.served_ports();
        let (old, new) = (&self.old.service, &self.new.service);
        for (path, before, old, new) in [
            (
                "spec.service.apiPort",
                served.api,
                old.api_port,
                new.api_port,
            ),
            (
                "spec.service.konnectivityPort",
                served.konnectivity,
                old.konnectivity_port,
                new.konnectivity_port,
            ),
        ] {
            // 0 stands for the number that there is, or that the API server has yet to allocate.
            let before = before.unwrap_or(0);
            if new == 0 || new == before || new == old {
                continue;
            }
            if harmless {
                self.warnings.warning(
                    path,
                    new,
                    format!("replaces {before}: every control-plane pod is restarted"),
                );
            } else {
                self.errors
                    .immutable(
                        path,
                        new,
                        format!("workers that have joined connect to port {before}"),
                    )
                    .hint(format!("keep {before}, or create another cluster"));
            }
        }
    }

    /// The address is what a move goes by, so it can change.
    fn address(&mut self, harmless: bool) {
        let (old, new) = (self.old.asked_host(), self.new.asked_host());
        let known = self.stored.served_host();
        if !harmless && old != new && known.is_some() && known != new {
            self.warnings
                .warning(
                    "spec.externalAddress",
                    new.unwrap_or_default(),
                    format!(
                        "differs from the address that workers have joined with: they keep {}",
                        known.unwrap_or_default()
                    ),
                )
                .hint("keep the old address working until they have joined again");
        }
    }
}
