//! What a request says about itself.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crds::v1beta2::{
    JoinTokenDeprecatedStatus, JoinTokenRequest, JoinTokenRequestStatus, JoinTokenV1Beta1Status,
};

use crate::pki::token::TokenId;

use super::validate::Refusal;

/// The Secret with the token is there.
pub const SECRET_CREATED: &str = "JoinTokenSecretCreated";
/// The request is on its way out; written only when that takes a while.
pub const DELETING: &str = "Deleting";

/// The recorded id.
pub fn token_id(request: &JoinTokenRequest) -> Option<TokenId> {
    request.status.as_ref()?.token_id.as_ref()?.parse().ok()
}

/// When the token ends.
pub fn expires_at(request: &JoinTokenRequest) -> Option<Timestamp> {
    request.status.as_ref()?.expires_at.as_ref().map(|at| at.0)
}

/// There is no token, for this reason.
pub fn refused(request: &JoinTokenRequest, refusal: &Refusal) -> JoinTokenRequestStatus {
    with(request, "False", refusal.reason(), refusal.message())
}

/// There is one.
pub fn created(request: &JoinTokenRequest) -> JoinTokenRequestStatus {
    with(request, "True", "Created", String::new())
}

/// It is deleted, and its token cannot be revoked for the reason in the message.
pub fn ending(request: &JoinTokenRequest, message: String) -> JoinTokenRequestStatus {
    let mut status = request.status.clone().unwrap_or_default();
    let ending = condition(request, DELETING, "True", "HostedUnreachable", message);
    status.conditions.retain(|other| other.type_ != DELETING);
    status.conditions.push(ending);
    status.observed_generation = request.metadata.generation;
    status
}

fn with(
    request: &JoinTokenRequest,
    status: &str,
    reason: &str,
    message: String,
) -> JoinTokenRequestStatus {
    let old = request.status.clone().unwrap_or_default();
    let summary = if message.is_empty() {
        "Reconciliation successful".to_owned()
    } else {
        message.clone()
    };
    JoinTokenRequestStatus {
        conditions: vec![condition(request, SECRET_CREATED, status, reason, message)],
        observed_generation: request.metadata.generation,
        deprecated: Some(JoinTokenDeprecatedStatus {
            v1beta1: Some(JoinTokenV1Beta1Status {
                reconciliation_status: Some(summary),
                ..old.deprecated.and_then(|d| d.v1beta1).unwrap_or_default()
            }),
        }),
        token_id: old.token_id,
        expires_at: old.expires_at,
    }
}

fn condition(
    request: &JoinTokenRequest,
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
) -> Condition {
    let all = request.status.iter().flat_map(|status| &status.conditions);
    let before = all
        .into_iter()
        .find(|before| before.type_ == type_ && before.status == status);
    let since = before.map_or_else(
        || Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()),
        |before| before.last_transition_time.clone(),
    );
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: since,
        observed_generation: request.metadata.generation,
    }
}
