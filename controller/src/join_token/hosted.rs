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
use crate::hosted::{Endpoint, connect, tokens};

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
    let client = client(&valid.reach, context).await?;
    let recorded = status::recorded_id(request).map(|_| status::expires_at(request));
    if let Some(token) = tokens::read(&client, id).await? {
        let made_for = match token.role {
            Role::Worker => JoinTokenRole::Worker,
            Role::Controller => JoinTokenRole::Controller,
        };
        unchanged(request, &request.spec.cluster_name, made_for)?;
        let expiration = recorded.unwrap_or(token.expiration);
        return Ok(BootstrapToken {
            expiration,
            ..token
        });
    }
    let token = BootstrapToken {
        id: id.clone(),
        secret: TokenSecret::random()?,
        role: valid.role,
        expiration: recorded.unwrap_or_else(|| ends_after(valid.lifetime)),
    };
    tokens::ensure(&client, &token).await?;
    Ok(token)
}

/// In whole seconds, as it is written down.
fn ends_after(lifetime: Option<SignedDuration>) -> Option<Timestamp> {
    let at = Timestamp::now().checked_add(lifetime?).ok()?;
    Timestamp::from_second(at.as_second()).ok()
}

/// Makes the token with this id worthless.
pub async fn revoke(id: &TokenId, reach: &Reach, context: &Context) -> Result<(), Error> {
    let client = client(reach, context).await?;
    tokens::revoke(&client, id).await?;
    Ok(())
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
    use super::*;

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
