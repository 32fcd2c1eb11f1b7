//! The token's half in the hosted cluster.

use crds::v1beta2::{JoinTokenRequest, JoinTokenRole};
use jiff::Timestamp;
use pki::leaf;
use pki::token::{BootstrapToken, Role, TokenId, TokenSecret};

use super::dereference::Reach;
use super::validate::{ValidRequest, unchanged};
use super::{Context, Error, status};
use crate::apply::{SigningKeys, administrator};
use crate::hosted::{Endpoint, connect, tokens};

/// How long the controller's own certificate for a hosted API lasts.
const OWN_LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// The secret half of the token with this id: the one that the hosted cluster has, else a new
/// one, which the hosted cluster has when this returns.
pub async fn secret_half(
    request: &JoinTokenRequest,
    valid: &ValidRequest,
    id: &TokenId,
    context: &Context,
) -> Result<TokenSecret, Error> {
    let client = client(&valid.reach, context).await?;
    if let Some(token) = tokens::read(&client, id).await? {
        let made_for = match token.role {
            Role::Worker => JoinTokenRole::Worker,
            Role::Controller => JoinTokenRole::Controller,
        };
        unchanged(request, &request.spec.cluster_name, made_for)?;
        return Ok(token.secret);
    }
    let secret = TokenSecret::random()?;
    let token = BootstrapToken {
        id: id.clone(),
        secret: secret.clone(),
        role: valid.role,
        expiration: status::expires_at(request),
    };
    tokens::ensure(&client, &token).await?;
    Ok(secret)
}

/// Makes the token with this id worthless.
pub async fn revoke(id: &TokenId, reach: &Reach, context: &Context) -> Result<(), Error> {
    let client = client(reach, context).await?;
    tokens::revoke(&client, id).await?;
    Ok(())
}

/// A client of its own each time: tokens are made and revoked once each.
async fn client(reach: &Reach, context: &Context) -> Result<kube::Client, Error> {
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
