//! What is wrong with a JoinTokenRequest, and what of it cannot change.

use super::{Errors, FieldError, Findings, parse_go_duration, texts};
use crate::names;
use crate::names::JOIN_TOKEN_REQUEST_FINALIZER;
use crate::v1beta2::JoinTokenRequest;

/// Everything that keeps a JoinTokenRequest from working and that shows without looking at
/// anything else.
pub fn validate_join_token_request(request: &JoinTokenRequest) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let name = request.metadata.name.as_deref().unwrap_or_default();
    if name.len() > 63 {
        errors
            .invalid(
                "metadata.name",
                name,
                "must be no more than 63 characters: it is the value of a label",
            )
            .hint("create the request under a shorter name");
    }
    let cluster = request.spec.cluster_name.as_str();
    if cluster.is_empty() {
        errors.required(
            "spec.clusterName",
            "must be the name of a Cluster in this namespace",
        );
    } else if !names::is_label(cluster) {
        errors.invalid("spec.clusterName", cluster, texts::LABEL);
    }
    let expiry = request.spec.expiry.as_str();
    if parse_go_duration(expiry).is_err() {
        errors
            .invalid("spec.expiry", expiry, texts::DURATION)
            .hint("with 0s, the token never expires");
    }
    errors.0
}

/// What of a changed JoinTokenRequest cannot be.
///
/// A token carries its role and end, and lives in one cluster: once its id is recorded, a change
/// would say something that is not so. From the controller's finalizer on there may be one, and where and
/// as what it was made is known from the spec. Before that there is nothing that a change could
/// contradict, and a misspelt cluster can be corrected.
pub fn join_token_request_update(old: &JoinTokenRequest, new: &JoinTokenRequest) -> Findings {
    let mut errors = Errors::default();
    let made = old
        .status
        .as_ref()
        .and_then(|status| status.token_id.as_deref())
        .is_some_and(|id| !id.is_empty());
    let finalizers = old.metadata.finalizers.iter().flatten();
    let begun = made
        || finalizers
            .into_iter()
            .any(|name| name == JOIN_TOKEN_REQUEST_FINALIZER);
    if begun {
        let same_time = match (
            parse_go_duration(&old.spec.expiry),
            parse_go_duration(&new.spec.expiry),
        ) {
            (Ok(old), Ok(new)) => old == new,
            _ => old.spec.expiry == new.spec.expiry,
        };
        let fields = [
            (
                "spec.clusterName",
                old.spec.cluster_name == new.spec.cluster_name,
                old.spec.cluster_name.as_str(),
                new.spec.cluster_name.as_str(),
            ),
            (
                "spec.expiry",
                same_time || !made,
                &old.spec.expiry,
                &new.spec.expiry,
            ),
            (
                "spec.role",
                old.spec.role == new.spec.role,
                old.spec.role.as_str(),
                new.spec.role.as_str(),
            ),
        ];
        for (path, same, before, now) in fields {
            if !same {
                errors
                    .immutable(path, now, format!("the token was created with {before:?}"))
                    .hint("delete the request, which revokes the token, and create another");
            }
        }
    }
    Findings::new(errors, Errors::default())
}
