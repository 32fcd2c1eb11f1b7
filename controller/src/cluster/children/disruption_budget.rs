//! Budgets of disruption: a drain takes one member at a time.

use crds::labels::{self, Component};
use crds::names;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::apply::desired::Desired;
use crate::cluster::children::common::metadata;
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// From this many pods on. With fewer a budget would keep a node from ever being drained.
const FROM: i32 = 3;

/// One for the control plane and one for etcd, where there are enough pods.
pub fn all(cluster: &ValidCluster) -> Vec<Desired> {
    let budget = |name: String, component, selector| {
        Desired::declared(
            Kind::PodDisruptionBudget,
            PodDisruptionBudget {
                metadata: metadata(cluster, name, component),
                spec: Some(PodDisruptionBudgetSpec {
                    max_unavailable: Some(IntOrString::Int(1)),
                    selector: Some(LabelSelector {
                        match_labels: Some(selector),
                        ..LabelSelector::default()
                    }),
                    ..PodDisruptionBudgetSpec::default()
                }),
                status: None,
            },
        )
    };
    let control_plane = (cluster.replicas() >= FROM).then(|| {
        budget(
            names::control_plane(&cluster.name),
            Component::ControlPlane,
            labels::control_plane_selector(&cluster.name),
        )
    });
    let etcd = (cluster.etcd_members >= FROM).then(|| {
        budget(
            names::etcd(&cluster.name),
            Component::Etcd,
            labels::etcd_selector(&cluster.name),
        )
    });
    control_plane.into_iter().chain(etcd).collect()
}
