//! Decides about JoinTokenRequests: defaults, rules and policies.

use crds::admission::{self, Decision, Request};
use crds::v1beta2::PolicyKind;
use serde_json::Value;

use super::{Kind, World};

/// The rules for JoinTokenRequests.
pub struct JoinTokenRequest;

impl Kind for JoinTokenRequest {
    fn name(&self) -> &'static str {
        "JoinTokenRequest"
    }

    fn resource(&self) -> &'static str {
        "jointokenrequests"
    }

    fn default(&self, request: &Request<'_>, world: World<'_>) -> Option<Value> {
        world.defaulted(PolicyKind::JoinTokenRequest, request, |request| {
            admission::default(admission::Kind::JoinTokenRequest, request)
        })
    }

    fn decide(&self, request: &Request<'_>, world: World<'_>) -> Decision {
        let decision =
            admission::validate(admission::Kind::JoinTokenRequest, request, world.mothership);
        world.judged(PolicyKind::JoinTokenRequest, request, decision)
    }

    fn decide_new(&self, request: &Request<'_>, text: &str, world: World<'_>) -> Option<Decision> {
        // Policies look at the tree.
        if !world.policies.is_empty() {
            return None;
        }
        admission::validate_new(
            admission::Kind::JoinTokenRequest,
            request,
            text,
            world.mothership,
        )
    }
}
