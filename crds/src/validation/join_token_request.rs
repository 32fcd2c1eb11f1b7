use super::{Errors, FieldError, parse_go_duration};
use crate::names;
use crate::v1beta2::JoinTokenRequest;

/// Everything that keeps a JoinTokenRequest from working and that shows without looking at
/// anything else.
pub fn validate_join_token_request(request: &JoinTokenRequest) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let name = request.metadata.name.as_deref().unwrap_or_default();
    if name.len() > 63 {
        errors.add(
            "metadata.name",
            name,
            "is longer than the 63 characters of the label that is made from it",
            "create the request under a shorter name",
        );
    }
    let cluster = request.spec.cluster_name.as_str();
    if cluster.is_empty() {
        errors.add(
            "spec.clusterName",
            "",
            "is required",
            "the name of a Cluster in this namespace",
        );
    } else if !names::is_label(cluster) {
        errors.add(
            "spec.clusterName",
            cluster,
            "cannot be the name of a Cluster",
            "",
        );
    }
    let expiry = request.spec.expiry.as_str();
    if parse_go_duration(expiry).is_err() {
        errors.add(
            "spec.expiry",
            expiry,
            "is no duration",
            "such as 24h or 1h30m; 0s means for ever",
        );
    }
    errors.0
}
