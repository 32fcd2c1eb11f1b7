//! What no control plane is known to start with. A Cluster that was stored before these rules may get
//! along with it in a way that nobody has thought of, so only the door knows them: the controller
//! builds what it has built.

use super::{Errors, Findings, ports, stacks};
use crate::k0s_config;
use crate::v1beta2::Cluster;

/// What a new Cluster's control plane would not start with, and what of it would not do what it says.
pub fn cluster_start(cluster: &Cluster) -> Findings {
    let (mut errors, mut warnings) = (Errors::default(), Errors::default());
    ports::check(&mut errors, &mut warnings, &cluster.spec);
    stacks::check(&mut errors, &mut warnings, cluster);
    let mut findings = Findings::new(errors, warnings);
    findings.extend(k0s_config::start(cluster));
    findings
}
