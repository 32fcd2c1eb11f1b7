//! What the controller writes of a request itself: status, finalizer and owner.

use std::sync::Arc;

use crds::names::JOIN_TOKEN_REQUEST_FINALIZER;
use crds::v1beta2::{JoinTokenRequest, JoinTokenRequestStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use pki::token::TokenId;
use serde_json::json;

use super::dereference::is_cluster;
use super::validate::ValidRequest;
use super::{Context, Error, status};
use crate::kubernetes::primary::PrimaryError;

/// Carries the finalizer and the Cluster as owner, so that it ends with the Cluster.
pub async fn owned(
    request: &Arc<JoinTokenRequest>,
    valid: &ValidRequest,
    context: &Context,
) -> Result<Arc<JoinTokenRequest>, PrimaryError> {
    let has_finalizer = request
        .finalizers()
        .iter()
        .any(|name| name == JOIN_TOKEN_REQUEST_FINALIZER);
    let has_owner = request
        .owner_references()
        .iter()
        .any(|owner| owner.uid == valid.owner.uid);
    if has_finalizer && has_owner {
        return Ok(request.clone());
    }
    let mut finalizers = request.finalizers().to_vec();
    if !has_finalizer {
        finalizers.push(JOIN_TOKEN_REQUEST_FINALIZER.to_owned());
    }
    let mut owners = request.owner_references().to_vec();
    if !has_owner {
        // A request whose Cluster was made anew belongs to the new one.
        owners.retain(|owner| !is_cluster(owner));
        owners.push(valid.owner.clone());
    }
    let metadata = json!({"finalizers": finalizers, "ownerReferences": owners});
    context.primary.metadata(request, metadata).await
}

/// The recorded id; chosen and recorded where there is none.
pub async fn id(
    request: &Arc<JoinTokenRequest>,
    valid: &ValidRequest,
    context: &Context,
) -> Result<(Arc<JoinTokenRequest>, TokenId), Error> {
    if let Some(id) = status::token_id(request) {
        return Ok((request.clone(), id));
    }
    let id = TokenId::random()?;
    let expires_at = valid
        .lifetime
        .and_then(|lifetime| Timestamp::now().checked_add(lifetime).ok())
        .map(|at| Time(Timestamp::from_second(at.as_second()).unwrap_or(at)));
    let status = JoinTokenRequestStatus {
        token_id: Some(id.as_str().to_owned()),
        expires_at,
        ..request.status.clone().unwrap_or_default()
    };
    let request = self::status(request, status, context).await?;
    Ok((request, id))
}

/// Writes the status if it changed.
pub async fn status(
    request: &Arc<JoinTokenRequest>,
    status: JoinTokenRequestStatus,
    context: &Context,
) -> Result<Arc<JoinTokenRequest>, PrimaryError> {
    if request.status.as_ref() == Some(&status) {
        return Ok(request.clone());
    }
    // With the version of what was read, a stale reconcile cannot take back a recorded id.
    context
        .primary
        .status_unless_changed(request, &status)
        .await
}
