//! Bootstrap tokens in a hosted cluster.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use pki::token::{
    BootstrapToken, NAMESPACE, TokenError, TokenId, bootstrap_secret, bootstrap_secret_name,
};

use super::{HostedError, deadline};

/// What [`ensure`] had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// The Secret was not there.
    Created,
    /// The Secret was as it should be.
    Unchanged,
    /// The Secret was that token's, with another expiration or other uses.
    Repaired,
}

/// Makes a token valid in the hosted cluster. Any number of calls come out the same as one.
///
/// Fails with [`HostedError::TokenTaken`] if the id is there with another secret: that is somebody
/// else's token, and is left alone.
pub async fn ensure(client: &Client, token: &BootstrapToken) -> Result<Ensured, HostedError> {
    let api = api(client);
    let wanted = bootstrap_secret(token);
    // Created first and read only if it exists: nearly always it does not.
    match deadline(api.create(&PostParams::default(), &wanted)).await {
        Ok(_) => return Ok(Ensured::Created),
        Err(error) if error.is_status(409) => {}
        Err(error) => return Err(error),
    }
    let name = bootstrap_secret_name(&token.id);
    let mut found = deadline(api.get(&name)).await?;
    let secret = found
        .data
        .as_ref()
        .and_then(|data| data.get("token-secret"));
    if secret.is_none_or(|secret| secret.0 != token.secret.expose().as_bytes()) {
        return Err(HostedError::TokenTaken(token.id.clone()));
    }
    if found.data == wanted.data {
        return Ok(Ensured::Unchanged);
    }
    found.data = wanted.data;
    deadline(api.replace(&name, &PostParams::default(), &found)).await?;
    Ok(Ensured::Repaired)
}

/// Sees to it that a token of the hosted cluster ends at this moment at the latest; nothing is never.
pub async fn end_by(
    client: &Client,
    token: BootstrapToken,
    end: Option<Timestamp>,
) -> Result<BootstrapToken, HostedError> {
    let expiration = earlier(token.expiration, end);
    if expiration == token.expiration {
        return Ok(token);
    }
    let token = BootstrapToken {
        expiration,
        ..token
    };
    ensure(client, &token).await?;
    Ok(token)
}

/// The earlier of two ends; nothing is never.
pub fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// Reads a token, or nothing if there is none of this id.
pub async fn read(client: &Client, id: &TokenId) -> Result<Option<BootstrapToken>, HostedError> {
    let found = deadline(api(client).get_opt(&bootstrap_secret_name(id))).await?;
    let Some(secret) = found else {
        return Ok(None);
    };
    let token = BootstrapToken::try_from(&secret).map_err(HostedError::Token)?;
    if token.id == *id {
        Ok(Some(token))
    } else {
        Err(HostedError::Token(TokenError::BootstrapKey("token-id")))
    }
}

/// Ends a token. That there is none is fine.
pub async fn revoke(client: &Client, id: &TokenId) -> Result<(), HostedError> {
    let name = bootstrap_secret_name(id);
    match deadline(api(client).delete(&name, &DeleteParams::default())).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_status(404) => Ok(()),
        Err(error) => Err(error),
    }
}

fn api(client: &Client) -> Api<Secret> {
    Api::namespaced(client.clone(), NAMESPACE)
}

#[cfg(test)]
mod tests;
