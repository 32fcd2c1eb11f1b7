use super::{Change, given};
use crate::v1beta2::{ClusterSpec, ServiceType, StatusPorts};

type Recorded = fn(StatusPorts) -> i32;

impl Change<'_> {
    pub(super) fn service(&mut self) {
        let nobody = self
            .status
            .and_then(|status| status.nodes.as_ref())
            .is_some_and(|nodes| nodes.joined == 0);
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
        let own = given(self.new.external_address.as_deref());
        let same_address = own.is_some() && own == given(self.old.external_address.as_deref());
        if harmless || same_address {
            self.warnings.add(
                "spec.service.type",
                new,
                format!("gives the control plane another Service than that of type {old}"),
                if same_address {
                    "see that spec.externalAddress leads to the new one"
                } else {
                    ""
                },
            );
        } else {
            self.errors.add(
                "spec.service.type",
                new,
                format!("cannot change any more: it is {old}, and workers that have joined would look for the control plane at its old address"),
                "first set spec.externalAddress to the address that they know and lead it to the new Service, or create another cluster",
            );
        }
    }

    fn ports(&mut self, harmless: bool) {
        let recorded = self.status.and_then(|status| status.ports);
        let pairs: [(_, _, _, Recorded); 2] = [
            (
                "spec.service.apiPort",
                self.old.service.api_port,
                self.new.service.api_port,
                |ports| ports.api,
            ),
            (
                "spec.service.konnectivityPort",
                self.old.service.konnectivity_port,
                self.new.service.konnectivity_port,
                |ports| ports.konnectivity,
            ),
        ];
        for (path, old, new, of) in pairs {
            // 0 stands for the number that is recorded.
            let before = recorded.map_or(old, of);
            if new == 0 || new == before || new == old {
                continue;
            }
            if harmless {
                self.warnings.add(
                    path,
                    new,
                    format!("is another port than {before}: every control-plane pod starts anew"),
                    "",
                );
            } else {
                self.errors.add(
                    path,
                    new,
                    format!("cannot change any more: workers that have joined look for the control plane at port {before}"),
                    format!("leave it at {before}, or create another cluster"),
                );
            }
        }
    }

    /// The address is what a move goes by, so it can change.
    fn address(&mut self, harmless: bool) {
        let (old, new) = (
            given(self.old.external_address.as_deref()),
            given(self.new.external_address.as_deref()),
        );
        let known = old.or_else(|| {
            let status = self
                .status
                .filter(|_| self.old.service.type_ != ServiceType::ClusterIP);
            status.and_then(|status| status.external_address.as_deref())
        });
        if !harmless && old != new && known.is_some() && known != new {
            self.warnings.add(
                "spec.externalAddress",
                new.unwrap_or_default(),
                format!(
                    "is not the address that workers have joined at: they keep {}",
                    known.unwrap_or_default()
                ),
                "see that the old address leads here as well, until they have joined anew",
            );
        }
    }
}
