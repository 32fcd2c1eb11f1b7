//! What is likely a mistake in an object, and yet can be right.

use super::{Errors, FieldError, ingress, parse_go_duration, patches};
use crate::k0s_config;
use crate::v1beta2::{Cluster, JoinTokenRequest};
use crate::validation::storage;

/// What is likely a mistake in a Cluster and yet can be right.
pub fn cluster_warnings(cluster: &Cluster) -> Vec<FieldError> {
    let mut warnings = Errors::default();
    let replicas = cluster.spec.replicas;
    if replicas == 0 {
        warnings.warning(
            "spec.replicas",
            replicas,
            "leaves the cluster without a control plane",
        );
    } else if replicas == 2 {
        warnings
            .warning("spec.replicas", replicas, "etcd is created with 3 members")
            .hint("usually 1 or 3");
    }
    warnings.0.extend(k0s_config::findings(cluster).warnings);
    storage::warn(&mut warnings, &cluster.spec);
    ingress::warn(&mut warnings, &cluster.spec);
    patches::warn(&mut warnings, &cluster.spec);
    warnings.0
}

/// What is likely a mistake in a JoinTokenRequest and yet can be right.
pub fn join_token_request_warnings(request: &JoinTokenRequest) -> Vec<FieldError> {
    let mut warnings = Errors::default();
    let expiry = request.spec.expiry.as_str();
    if parse_go_duration(expiry).is_ok_and(|expiry| expiry.is_zero()) {
        warnings
            .warning("spec.expiry", expiry, "the token never expires")
            .hint("set a time, such as 24h; delete the request to revoke the token");
    }
    warnings.0
}
