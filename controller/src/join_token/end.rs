//! The end of a request: its token is revoked first.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt, runtime::controller::Action};

use crds::v1beta2::JoinTokenRequest;

use super::{Context, Error, dereference::Found, hosted, status, write};

/// A hosted API that does not answer holds up a request for so long and no longer: a namespace
/// has to be able to go.
const REVOKED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Revokes the token where there still is a cluster that honours it, then lets go.
pub async fn run(
    request: &Arc<JoinTokenRequest>,
    found: &Found,
    context: &Context,
) -> Result<Action, Error> {
    let now = Timestamp::now();
    let expired = status::expires_at(request).is_some_and(|at| at <= now);
    if let (Some(cluster), false) = (&found.cluster, expired)
        && cluster.metadata.deletion_timestamp.is_none()
        && let Some(id) = status::token_id(request)
        && let Some(reach) = found.reach()
        && let Err(error) = hosted::revoke(&id, &reach, context).await
    {
        let why = format!("the token {} could not be revoked: {error}", id.as_str());
        if time_left(request, now).is_some() {
            let message = format!(
                "{why}; it is tried again until the token ends, and for {} min at most",
                REVOKED_WITHIN.as_mins()
            );
            write::status(request, status::ending(request, message), context).await?;
            return Err(error);
        }
        let note = format!(
            "{why}; when the API of {} answers again, delete the Secret bootstrap-token-{} from \
             its namespace kube-system",
            request.spec.cluster_name,
            id.as_str()
        );
        let about = request.object_ref(&());
        let events = &context.shared.events;
        events.warning(&about, "TokenLeftBehind", &note);
    }
    write::let_go(request, context).await?;
    let uid = request.uid().unwrap_or_default();
    context.own.forget(&uid);
    context.failures.clear(&uid);
    Ok(Action::await_change())
}

/// How long the end of a deleted request may still wait for its token to be revoked.
pub fn time_left(request: &JoinTokenRequest, now: Timestamp) -> Option<Duration> {
    let deleted = request.metadata.deletion_timestamp.as_ref()?.0;
    let given_up = deleted.checked_add(REVOKED_WITHIN).ok()?;
    let end = status::expires_at(request).map_or(given_up, |expires| expires.min(given_up));
    Duration::try_from(end.duration_since(now))
        .ok()
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(metadata: &serde_json::Value, expires: Option<&str>) -> JoinTokenRequest {
        serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {"clusterName": "demo"},
            "status": {"expiresAt": expires},
        }))
        .unwrap()
    }

    fn at(second: u64) -> Timestamp {
        "2027-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(second)
    }

    #[test]
    fn a_token_that_cannot_be_revoked_holds_up_its_request_for_five_minutes() {
        let deleted = request(&json!({"deletionTimestamp": "2027-01-01T00:00:00Z"}), None);
        assert_eq!(time_left(&deleted, at(1)), Some(Duration::from_secs(299)));
        assert_eq!(time_left(&deleted, at(300)), None);
        assert_eq!(time_left(&request(&json!({}), None), at(1)), None);
    }

    #[test]
    fn a_token_that_has_ended_holds_up_nothing() {
        let deleted = json!({"deletionTimestamp": "2027-01-01T00:00:00Z"});
        let ends = request(&deleted, Some("2027-01-01T00:00:20Z"));
        assert_eq!(time_left(&ends, at(1)), Some(Duration::from_secs(19)));
        assert_eq!(time_left(&ends, at(20)), None);
    }
}
