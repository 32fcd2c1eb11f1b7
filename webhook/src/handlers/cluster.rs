//! Decides about Clusters: defaults, rules and policies.

use crds::admission::{self, Decision, Request};
use crds::v1beta2::PolicyKind;
use serde_json::Value;

use super::{Kind, World};

/// The rules for Clusters.
pub struct Cluster;

impl Kind for Cluster {
    fn name(&self) -> &'static str {
        "Cluster"
    }

    fn resource(&self) -> &'static str {
        "clusters"
    }

    fn default(&self, request: &Request<'_>, world: World<'_>) -> Option<Value> {
        world.defaulted(PolicyKind::Cluster, request, |request| {
            admission::default(admission::Kind::Cluster, request)
        })
    }

    fn decide(&self, request: &Request<'_>, world: World<'_>) -> Decision {
        let decision = admission::validate(admission::Kind::Cluster, request, world.mothership);
        world.judged(PolicyKind::Cluster, request, decision)
    }

    fn decide_new(&self, request: &Request<'_>, text: &str, world: World<'_>) -> Option<Decision> {
        // Policies look at the tree.
        if !world.policies.is_empty() {
            return None;
        }
        admission::validate_new(admission::Kind::Cluster, request, text, world.mothership)
    }
}
