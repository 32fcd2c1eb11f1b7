//! The token's half in the hosted cluster.

use crds::v1beta2::{JoinTokenRequest, JoinTokenRole};
use jiff::{SignedDuration, Timestamp};
use pki::leaf;
use pki::token::{BootstrapToken, Role, TokenId, TokenSecret};

use super::dereference::Reach;
use super::validate::{ValidRequest, unchanged};
use super::{Context, Error, status};
use crate::apply::{SigningKeys, administrator};
use crate::hosted::health::Health;
use crate::hosted::turns::{self, Call};
use crate::hosted::{Endpoint, HostedError, connect, tokens};

/// How long the controller's own certificate for a hosted API lasts.
const OWN_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// The token with this id: the one that the hosted cluster has, else a new one, which the hosted
/// cluster has when this returns.
pub async fn token(
    request: &JoinTokenRequest,
    valid: &ValidRequest,
    id: &TokenId,
    context: &Context,
) -> Result<BootstrapToken, Error> {
    let reach = &valid.reach;
    call(reach, Call::Make, context, async |client| {
        make(request, valid, id, &client).await
    })
    .await
}

async fn make(
    request: &JoinTokenRequest,
    valid: &ValidRequest,
    id: &TokenId,
    client: &kube::Client,
) -> Result<BootstrapToken, Error> {
    let end = end(request, valid);
    if let Some(token) = tokens::read(client, id).await? {
        let made_for = match token.role {
            Role::Worker => JoinTokenRole::Worker,
            Role::Controller => JoinTokenRole::Controller,
        };
        unchanged(request, &request.spec.cluster_name, made_for)?;
        return Ok(tokens::end_by(client, token, end).await?);
    }
    let token = BootstrapToken {
        id: id.clone(),
        secret: TokenSecret::random()?,
        role: valid.role,
        expiration: end,
    };
    tokens::ensure(client, &token).await?;
    Ok(token)
}

/// When the token ends, as recorded; while nothing is, as the spec now asks for: nobody holds it to
/// what an earlier attempt was asked for.
pub fn end(request: &JoinTokenRequest, valid: &ValidRequest) -> Option<Timestamp> {
    status::recorded_id(request).map_or_else(
        || ends_after(valid.lifetime),
        |_| status::expires_at(request),
    )
}

/// In whole seconds, as it is written down.
fn ends_after(lifetime: Option<SignedDuration>) -> Option<Timestamp> {
    let at = Timestamp::now().checked_add(lifetime?).ok()?;
    Timestamp::from_second(at.as_second()).ok()
}

/// Makes the token with this id worthless.
pub async fn revoke(id: &TokenId, reach: &Reach, context: &Context) -> Result<(), Error> {
    call(reach, Call::Revoke, context, async |client| {
        Ok(tokens::revoke(&client, id).await?)
    })
    .await
}

/// Calls a hosted API when it is its turn.
async fn call<T>(
    reach: &Reach,
    what: Call,
    context: &Context,
    call: impl AsyncFnOnce(kube::Client) -> Result<T, Error>,
) -> Result<T, Error> {
    let turn = context.shared.turns.take(&reach.cluster_uid, what).await?;
    let turn = turn.ok_or(Error::NoTurn(turns::WAIT))?;
    let outcome = call(client(reach, context).await?).await;
    turn.end(matches!(outcome, Err(Error::Hosted(HostedError::Timeout))));
    outcome
}

/// What is known to answer nobody is not asked: a reconcile that waits for it keeps others waiting.
fn is_down(health: &Health) -> bool {
    !health.ready && matches!(health.reason, "Unreachable" | "Timeout")
}

/// A client of its own each time: tokens are made and revoked once each.
async fn client(reach: &Reach, context: &Context) -> Result<kube::Client, Error> {
    let health = context.shared.prober.last(&reach.cluster_uid);
    if let Some(health) = health.filter(is_down) {
        return Err(Error::Down(health.message));
    }
    let ca = SigningKeys::default()
        .read(&context.shared.mothership.writer, &reach.ca_secret)
        .await?;
    let request = administrator("k0smotron-controller", OWN_LIFETIME);
    let pair = leaf::issue(&ca, &request, Timestamp::now()).map_err(|source| Error::Signing {
        key: reach.ca_secret.clone(),
        source,
    })?;
    let endpoint = Endpoint::new(&reach.service_ip, reach.port, &reach.certificate);
    Ok(connect(&endpoint, Some(&pair))?)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;
    use crate::kubernetes::store::{Kind, ObjectKey};

    #[test]
    fn a_token_ends_when_the_spec_says_until_its_end_is_recorded() {
        let recorded = "2027-01-01T00:00:00Z";
        let end = |status: serde_json::Value, lifetime| {
            let request = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "token", "namespace": "ns", "uid": "1"},
                "spec": {"clusterName": "demo"}, "status": status,
            }));
            let valid = ValidRequest {
                role: Role::Worker,
                lifetime,
                server: String::new(),
                reach: Reach {
                    cluster_uid: String::new(),
                    service_ip: String::new(),
                    port: 0,
                    ca_secret: ObjectKey::new(Kind::Secret, "ns", "demo-ca"),
                    certificate: String::new(),
                },
                owner: OwnerReference::default(),
            };
            super::end(&request.unwrap(), &valid)
        };
        let hour = Some(SignedDuration::from_hours(1));
        let noted = serde_json::json!({"tokenID": "abc123", "expiresAt": recorded});
        assert_eq!(end(noted, hour), recorded.parse().ok());
        let ever = serde_json::json!({"tokenID": "abc123"});
        assert_eq!(end(ever, hour), None);
        let nothing = || serde_json::json!({});
        assert_eq!(end(nothing(), None), None);
        let left = end(nothing(), hour)
            .unwrap()
            .duration_since(Timestamp::now());
        assert!((3590..=3600).contains(&left.as_secs()), "{left}");
    }

    #[test]
    fn only_what_answers_nobody_is_not_asked() {
        let health = |ready: bool, reason: &'static str| Health {
            ready,
            reason,
            message: String::new(),
            at: Timestamp::UNIX_EPOCH,
        };
        for reason in ["Unreachable", "Timeout"] {
            assert!(is_down(&health(false, reason)), "{reason}");
            assert!(!is_down(&health(true, reason)), "{reason}");
        }
        for reason in ["NotReady", "Unauthorized", "Tls", "Invalid", "Ready"] {
            assert!(!is_down(&health(false, reason)), "{reason}");
        }
    }
}
