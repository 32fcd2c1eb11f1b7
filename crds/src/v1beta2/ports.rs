//! Which ports a Cluster's API and konnectivity have: what `spec.service` asks for, what the status
//! has recorded, and which of the two goes before the other for which question.
//!
//! In both places 0 stands for a number that is not known. While a change is under way the two
//! differ: the spec says what is to be, the status what the Service has already.

use super::{Cluster, ServiceSpec, StatusPorts};

/// Ports as far as they are known; none is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Port of the hosted API.
    pub api: Option<i32>,
    /// Port of konnectivity.
    pub konnectivity: Option<i32>,
}

impl Ports {
    /// Ports as the API writes them, where 0 stands for none.
    pub fn new(api: i32, konnectivity: i32) -> Self {
        let known = |port: i32| (port != 0).then_some(port);
        Self {
            api: known(api),
            konnectivity: known(konnectivity),
        }
    }

    /// These, and for each that is not known the other's.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            api: self.api.or(other.api),
            konnectivity: self.konnectivity.or(other.konnectivity),
        }
    }

    /// Both, once both are known.
    pub fn both(self) -> Option<StatusPorts> {
        Some(StatusPorts {
            api: self.api?,
            konnectivity: self.konnectivity?,
        })
    }

    /// Those that are known.
    pub fn known(self) -> impl Iterator<Item = i32> {
        [self.api, self.konnectivity].into_iter().flatten()
    }
}

impl ServiceSpec {
    /// What is asked for. What is not is left to the API server.
    pub fn asked_ports(&self) -> Ports {
        Ports::new(self.api_port, self.konnectivity_port)
    }
}

impl Cluster {
    /// What the Service is known to have had last: the proof that a port was free, and the
    /// Cluster's own even while nothing is done for it.
    pub fn recorded_ports(&self) -> Ports {
        let recorded = self.status.as_ref().and_then(|status| status.ports);
        recorded.map_or_else(Ports::default, |ports| {
            Ports::new(ports.api, ports.konnectivity)
        })
    }

    /// What its Service and its pods are to have: what is asked for, else what is recorded. What is
    /// neither is yet to be allocated by the API server.
    pub fn wanted_ports(&self) -> Ports {
        self.spec.service.asked_ports().or(self.recorded_ports())
    }

    /// What workers and users reach it at now: what is recorded, else what is asked for. A change
    /// that is under way shows here only once the Service has it.
    pub fn served_ports(&self) -> Ports {
        self.recorded_ports().or(self.spec.service.asked_ports())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const NONE: Value = Value::Null;

    fn ports(api: i32, konnectivity: i32) -> Value {
        json!({"api": api, "konnectivity": konnectivity})
    }

    #[rstest]
    #[case::fresh((30443, 30132), NONE, (30443, 30132), (30443, 30132))]
    #[case::nothing_asked_nothing_recorded((0, 0), NONE, (0, 0), (0, 0))]
    #[case::recorded_only((0, 0), ports(31000, 31001), (31000, 31001), (31000, 31001))]
    #[case::asked_only((31443, 31132), NONE, (31443, 31132), (31443, 31132))]
    #[case::half_asked((31443, 0), NONE, (31443, 0), (31443, 0))]
    #[case::a_change_under_way((31443, 31132), ports(31000, 31001), (31443, 31132), (31000, 31001))]
    #[case::half_a_change((31443, 0), ports(31000, 31001), (31443, 31001), (31000, 31001))]
    #[case::zeros_recorded((31443, 31132), ports(0, 0), (31443, 31132), (31443, 31132))]
    #[case::zeros_everywhere((0, 0), ports(0, 0), (0, 0), (0, 0))]
    #[case::half_recorded((31443, 31132), ports(0, 31001), (31443, 31132), (31443, 31001))]
    #[case::half_recorded_and_none_asked((0, 0), ports(31000, 0), (31000, 0), (31000, 0))]
    fn what_is_wanted_is_asked_first_and_what_is_served_recorded_first(
        #[case] asked: (i32, i32),
        #[case] recorded: Value,
        #[case] wanted: (i32, i32),
        #[case] served: (i32, i32),
    ) {
        let cluster: Cluster = serde_json::from_value(json!({
            "metadata": {"name": "c"},
            "spec": {"service": {"apiPort": asked.0, "konnectivityPort": asked.1}},
            "status": {"ports": recorded},
        }))
        .unwrap();
        assert_eq!(cluster.wanted_ports(), Ports::new(wanted.0, wanted.1));
        assert_eq!(cluster.served_ports(), Ports::new(served.0, served.1));
    }

    #[test]
    fn a_cluster_that_leaves_the_ports_out_asks_for_the_usual_ones() {
        let fresh: Cluster =
            serde_json::from_value(json!({"metadata": {"name": "c"}, "spec": {}})).unwrap();
        assert_eq!(fresh.recorded_ports(), Ports::default());
        assert_eq!(fresh.wanted_ports(), Ports::new(30443, 30132));
        assert_eq!(fresh.served_ports(), Ports::new(30443, 30132));
    }

    #[test]
    fn both_are_there_only_together() {
        let both = StatusPorts {
            api: 1,
            konnectivity: 2,
        };
        assert_eq!(Ports::new(1, 2).both(), Some(both));
        for half in [Ports::new(1, 0), Ports::new(0, 2), Ports::default()] {
            assert_eq!(half.both(), None);
        }
        assert_eq!(Ports::new(0, 2).known().collect::<Vec<_>>(), [2]);
    }
}
