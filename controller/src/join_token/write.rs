//! What the controller writes of a request itself: status, finalizer and owner.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crds::{
    names::{FIELD_MANAGER, JOIN_TOKEN_REQUEST_FINALIZER},
    v1beta2::{JoinTokenRequest, JoinTokenRequestStatus},
};

use crate::pki::token::TokenId;

use super::{Context, Error, status, validate::ValidRequest};

/// The longest that one request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A write of the request failed.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// The API server said no, or nothing.
    #[error("could not write the {what}: {source}")]
    Failed {
        /// What was written.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("no answer within {} s while writing the {what}", DEADLINE.as_secs())]
    Timeout {
        /// What was written.
        what: &'static str,
    },
}

/// Carries the finalizer and the Cluster as owner, so that it ends with the Cluster.
pub async fn owned(
    request: &JoinTokenRequest,
    valid: &ValidRequest,
    context: &Context,
) -> Result<JoinTokenRequest, OwnError> {
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
        owners.retain(|owner| owner.kind != valid.owner.kind);
        owners.push(valid.owner.clone());
    }
    metadata(
        request,
        json!({"finalizers": finalizers, "ownerReferences": owners}),
        context,
    )
    .await
}

/// The recorded id; chosen and recorded where there is none.
pub async fn id(
    request: &JoinTokenRequest,
    valid: &ValidRequest,
    context: &Context,
) -> Result<(JoinTokenRequest, TokenId), Error> {
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
    request: &JoinTokenRequest,
    status: JoinTokenRequestStatus,
    context: &Context,
) -> Result<JoinTokenRequest, OwnError> {
    if request.status.as_ref() == Some(&status) {
        return Ok(request.clone());
    }
    let body = json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "JoinTokenRequest",
        // With the version of what was read, a stale reconcile cannot take back a recorded id.
        "metadata": {
            "name": request.name_any(),
            "uid": request.uid(),
            "resourceVersion": request.resource_version(),
        },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let (api, name) = (api(request, context), request.name_any());
    within(
        "status",
        api.patch_status(&name, &params, &Patch::Apply(&body)),
    )
    .await
}

/// Takes the finalizer off.
pub async fn let_go(request: &JoinTokenRequest, context: &Context) -> Result<(), OwnError> {
    let others: Vec<_> = request
        .finalizers()
        .iter()
        .filter(|name| *name != JOIN_TOKEN_REQUEST_FINALIZER)
        .collect();
    if others.len() == request.finalizers().len() {
        return Ok(());
    }
    match metadata(request, json!({"finalizers": others}), context).await {
        Err(OwnError::Failed { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.is_not_found()) => {
            Ok(())
        }
        other => other.map(drop),
    }
}

async fn metadata(
    request: &JoinTokenRequest,
    mut metadata: Value,
    context: &Context,
) -> Result<JoinTokenRequest, OwnError> {
    metadata["resourceVersion"] = json!(request.resource_version());
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let (api, name) = (api(request, context), request.name_any());
    let patch = Patch::Merge(json!({"metadata": metadata}));
    within("metadata", api.patch(&name, &params, &patch)).await
}

fn api(request: &JoinTokenRequest, context: &Context) -> Api<JoinTokenRequest> {
    Api::namespaced(
        context.shared.client.clone(),
        &request.namespace().unwrap_or_default(),
    )
}

async fn within<T>(
    what: &'static str,
    future: impl Future<Output = kube::Result<T>>,
) -> Result<T, OwnError> {
    match timeout(DEADLINE, future).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(OwnError::Failed {
            what,
            source: Box::new(source),
        }),
        Err(_) => Err(OwnError::Timeout { what }),
    }
}
