//! What a request says about itself.

use crds::conditions::{self, Said, steady};
use crds::names::JOIN_TOKEN_REQUEST_FINALIZER;
use crds::v1beta2::{
    JoinTokenDeprecatedStatus, JoinTokenRequest, JoinTokenRequestStatus, JoinTokenV1Beta1Status,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use pki::token::TokenId;

use super::{Error, Issued};
use crate::kubernetes::store::digest;

/// The Secret with the token is there.
pub const SECRET_CREATED: &str = "JoinTokenSecretCreated";
/// The request is on its way out; written only when that takes a while.
pub const DELETING: &str = "Deleting";

/// The recorded id: that of a token that was handed out.
pub fn recorded_id(request: &JoinTokenRequest) -> Option<TokenId> {
    request.status.as_ref()?.token_id.as_ref()?.parse().ok()
}

/// The id of the token that there may be. Before it is recorded it follows from the uid, so that no
/// crash leaves a token that nobody knows of; from the finalizer on there may be one.
pub fn token_id(request: &JoinTokenRequest) -> Option<TokenId> {
    let finalizers = request.metadata.finalizers.iter().flatten();
    let mut ours = finalizers.filter(|name| *name == JOIN_TOKEN_REQUEST_FINALIZER);
    recorded_id(request).or_else(|| {
        ours.next()?;
        id_of(request.metadata.uid.as_deref()?)
    })
}

fn id_of(uid: &str) -> Option<TokenId> {
    let digest = u64::from_str_radix(digest(uid.as_bytes()).get(..16)?, 16).ok()?;
    let letters = (0..6).scan(digest, |rest, _| {
        let letter = char::from_digit(u32::try_from(*rest % 36).ok()?, 36);
        *rest /= 36;
        letter
    });
    letters.collect::<String>().parse().ok()
}

/// When the token ends.
pub fn expires_at(request: &JoinTokenRequest) -> Option<Timestamp> {
    request.status.as_ref()?.expires_at.as_ref().map(|at| at.0)
}

/// The uid of the Cluster that has the token, recorded with its id.
pub fn cluster_uid(request: &JoinTokenRequest) -> Option<&str> {
    let deprecated = request.status.as_ref()?.deprecated.as_ref()?;
    let uid = deprecated.v1beta1.as_ref()?.cluster_uid.as_deref()?;
    Some(uid).filter(|uid| !uid.is_empty())
}

/// All that is recorded of the token that was handed out.
pub fn recorded(request: &JoinTokenRequest) -> (Option<&str>, Option<Timestamp>, Option<&str>) {
    let status = request.status.as_ref();
    let id = status.and_then(|status| status.token_id.as_deref());
    (id, expires_at(request), cluster_uid(request))
}

/// Whether anything is said of it.
pub fn is_told(request: &JoinTokenRequest, type_: &str) -> bool {
    let mut all = request.status.iter().flat_map(|status| &status.conditions);
    all.any(|condition| condition.type_ == type_)
}

/// There is no token, or not the right one, for this reason.
pub fn refused(request: &JoinTokenRequest, error: &Error) -> JoinTokenRequestStatus {
    with(request, "False", error.reason(), &steady(&error.message()))
}

/// There is one.
pub fn created(request: &JoinTokenRequest, issued: &Issued) -> JoinTokenRequestStatus {
    let mut status = JoinTokenRequestStatus {
        token_id: Some(issued.id.as_str().to_owned()),
        expires_at: issued.expires_at.map(Time),
        ..with(request, "True", "Created", "")
    };
    let deprecated = status.deprecated.get_or_insert_default();
    let v1beta1 = deprecated.v1beta1.get_or_insert_default();
    if issued.cluster_uid.is_some() {
        v1beta1.cluster_uid.clone_from(&issued.cluster_uid);
    }
    status
}

/// Conditions of others stay theirs: they are no news, and nobody writes them who does not look after
/// them.
pub fn is_ours(condition: &Condition) -> bool {
    [SECRET_CREATED, DELETING].contains(&condition.type_.as_str())
}

/// It is deleted, and this keeps it.
pub fn ending(request: &JoinTokenRequest, reason: &str, message: &str) -> JoinTokenRequestStatus {
    let mut status = request.status.clone().unwrap_or_default();
    let ending = condition(request, DELETING, "True", reason, &steady(message));
    status
        .conditions
        .retain(|other| is_ours(other) && other.type_ != DELETING);
    status.conditions.push(ending);
    status.observed_generation = request.metadata.generation;
    status
}

/// The condition of a type, if it is True.
pub fn is_true<'a>(request: &'a JoinTokenRequest, type_: &str) -> Option<&'a Condition> {
    let all = request.status.iter().flat_map(|status| &status.conditions);
    all.into_iter()
        .find(|condition| condition.type_ == type_ && condition.status == "True")
}

fn with(
    request: &JoinTokenRequest,
    status: &str,
    reason: &str,
    message: &str,
) -> JoinTokenRequestStatus {
    let old = request.status.clone().unwrap_or_default();
    let summary = if message.is_empty() {
        "Reconciliation successful".to_owned()
    } else {
        message.to_owned()
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
    message: &str,
) -> Condition {
    let old = request.status.as_ref();
    let old = old.map_or(&[][..], |status| &status.conditions);
    let said = Said {
        type_,
        status,
        reason,
        message,
        generation: request.metadata.generation,
    };
    conditions::since(old, &said, Timestamp::now())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_follows_from_the_uid_until_it_is_recorded() {
        let request = |finalizers: &[&str], id: Option<&str>| -> JoinTokenRequest {
            serde_json::from_value(json!({
                "metadata": {"uid": "0b6a2f5e", "finalizers": finalizers},
                "spec": {"clusterName": "demo"}, "status": {"tokenID": id},
            }))
            .unwrap()
        };
        let ours = [JOIN_TOKEN_REQUEST_FINALIZER];
        let first = token_id(&request(&ours, None)).unwrap();
        assert_eq!(
            token_id(&request(&ours, None)),
            Some(first.clone()),
            "the same again"
        );
        assert_ne!(id_of("0b6a2f5f"), Some(first), "another one's is another");
        assert_eq!(
            token_id(&request(&["other"], None)),
            None,
            "nothing was made"
        );
        let recorded = token_id(&request(&ours, Some("abc123"))).unwrap();
        assert_eq!(recorded.as_str(), "abc123");
        assert_eq!(recorded_id(&request(&ours, None)), None);
    }

    /// Who writes what somebody else says takes it from them.
    #[test]
    fn conditions_of_others_are_not_written_when_a_request_ends() {
        let condition = |type_: &str| {
            json!({"type": type_, "status": "True", "reason": "Seen", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let request: JoinTokenRequest = serde_json::from_value(json!({
            "metadata": {"name": "a"}, "spec": {"clusterName": "b"},
            "status": {"conditions": [condition("Audited"), condition(SECRET_CREATED)]},
        }))
        .unwrap();
        let status = ending(&request, "HostedUnreachable", "");
        let types: Vec<_> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(types, [SECRET_CREATED, DELETING]);
    }
}
