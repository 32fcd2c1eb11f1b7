//! Under which host name or IP address a Cluster is reached from outside: what `spec.externalAddress`
//! asks for, what the status has recorded, and which of the two goes before the other for which
//! question.
//!
//! An empty text is no host in either place. While a change is under way the two differ: the spec
//! says what is to be, the status what pods and kubeconfigs were made for.

use std::net::IpAddr;

use super::{Cluster, ClusterSpec, ServiceType};

/// The one way to write a host: an address can be written in many, and so can a name.
pub fn canonical_host(host: &str) -> String {
    host.parse::<IpAddr>().map_or_else(
        |_| host.strip_suffix('.').unwrap_or(host).to_lowercase(),
        |address| address.to_canonical().to_string(),
    )
}

impl ClusterSpec {
    /// The host that is asked for.
    pub fn asked_host(&self) -> Option<&str> {
        given(self.external_address.as_deref())
    }
}

impl Cluster {
    /// The host that pods and kubeconfigs were made for last; none for a Cluster that is reached
    /// from inside only, or that nothing was made for yet.
    pub fn recorded_host(&self) -> Option<&str> {
        let status = self.status.as_ref()?;
        given(status.external_address.as_deref())
    }

    /// The host that it is to have, as far as spec and status tell: the one that is asked for, else
    /// the one that is recorded. A Cluster of type `ClusterIP` has none that it does not ask for.
    pub fn wanted_host(&self) -> Option<&str> {
        let is_inside = self.spec.service.type_ == ServiceType::ClusterIP;
        let recorded = || self.recorded_host().filter(|_| !is_inside);
        self.spec.asked_host().or_else(recorded)
    }

    /// The host that workers have joined at: the one that is recorded, else the one that is asked
    /// for. A change that is under way does not show here.
    pub fn served_host(&self) -> Option<&str> {
        self.recorded_host().or_else(|| self.spec.asked_host())
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::v1beta2::ClusterStatus;

    const A: Option<&str> = Some("a.example.org");
    const B: Option<&str> = Some("192.0.2.1");
    const EMPTY: Option<&str> = Some("");

    #[rstest]
    #[case::fresh(ServiceType::NodePort, None, None, None, None)]
    #[case::asked_only(ServiceType::NodePort, A, None, A, A)]
    #[case::recorded_only(ServiceType::NodePort, None, B, B, B)]
    #[case::a_change_under_way(ServiceType::LoadBalancer, A, B, A, B)]
    #[case::settled(ServiceType::LoadBalancer, A, A, A, A)]
    #[case::empty(ServiceType::NodePort, EMPTY, EMPTY, None, None)]
    #[case::nothing_asked(ServiceType::NodePort, EMPTY, B, B, B)]
    #[case::nothing_recorded(ServiceType::NodePort, A, EMPTY, A, A)]
    #[case::inside(ServiceType::ClusterIP, None, None, None, None)]
    #[case::inside_and_asked(ServiceType::ClusterIP, A, None, A, A)]
    #[case::on_the_way_inside(ServiceType::ClusterIP, None, B, None, B)]
    fn what_is_wanted_is_asked_first_and_what_is_served_recorded_first(
        #[case] type_: ServiceType,
        #[case] asked: Option<&str>,
        #[case] recorded: Option<&str>,
        #[case] wanted: Option<&str>,
        #[case] served: Option<&str>,
    ) {
        let mut cluster = Cluster::default();
        cluster.spec.service.type_ = type_;
        cluster.spec.external_address = asked.map(str::to_owned);
        assert_eq!(cluster.recorded_host(), None);
        cluster.status = Some(ClusterStatus {
            external_address: recorded.map(str::to_owned),
            ..ClusterStatus::default()
        });
        assert_eq!(cluster.wanted_host(), wanted);
        assert_eq!(cluster.served_host(), served);
    }
}
