//! Join tokens, as a machine gets and uses them.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::v1beta2::JoinTokenRequest;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client, Config, ResourceExt as _};

use super::world::World;
use super::{hosted, until};
use crate::tokens;

/// The requests in a cluster's namespace.
pub fn requests(world: &World, cluster: &str) -> Api<JoinTokenRequest> {
    Api::namespaced(world.client.clone(), cluster)
}

/// The Secrets in a cluster's namespace.
pub fn secrets(world: &World, cluster: &str) -> Api<Secret> {
    Api::namespaced(world.client.clone(), cluster)
}

/// Asks for a worker's token.
pub async fn request(world: &World, cluster: &str, name: &str, expiry: &str) -> Result<()> {
    tokens::request(&requests(world, cluster), name, cluster, expiry).await
}

/// Waits for the Secret of a request, other than the one of this uid; its uid and the token.
pub async fn token(
    world: &World,
    cluster: &str,
    name: &str,
    not: Option<&str>,
) -> Result<(String, String)> {
    until(
        &format!("the token {name}"),
        Duration::from_secs(30),
        async || {
            let secret = secrets(world, cluster).get_opt(name).await;
            let secret = secret.map_err(|error| error.to_string())?;
            let secret = secret.ok_or("there is no Secret")?;
            let uid = secret.uid().unwrap_or_default();
            if Some(uid.as_str()) == not {
                return Err("it is still the old Secret".to_owned());
            }
            let id = recorded_id(world, cluster, name).await;
            id.map_err(|error| error.to_string())?
                .ok_or("no id is recorded")?;
            let token = hosted::text(secret.data.as_ref(), "token");
            Ok((uid, token.map_err(|error| error.to_string())?))
        },
    )
    .await
}

/// The id that a request's status records.
pub async fn recorded_id(world: &World, cluster: &str, name: &str) -> Result<Option<String>> {
    let request = requests(world, cluster).get(name).await?;
    Ok(request.status.and_then(|status| status.token_id))
}

/// The kubeconfig inside a token.
pub fn unpack(token: &str) -> Result<String> {
    let packed = STANDARD.decode(token).context("the token is no base64")?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_string(&mut text)
        .context("the token is not packed with gzip")?;
    Ok(text)
}

/// Who the bearer of a token is to the hosted API, at the address that the token names; nobody
/// when it answers 401.
pub async fn bearer(token: &str) -> Result<Option<String>> {
    user(hosted::parse(&unpack(token)?).await?).await
}

/// Who somebody with this configuration is to the API; nobody when it answers 401.
pub async fn user(config: Config) -> Result<Option<String>> {
    let reviews: Api<SelfSubjectReview> = Api::all(Client::try_from(config)?);
    let (parameters, review) = (PostParams::default(), SelfSubjectReview::default());
    let asked = reviews.create(&parameters, &review);
    match tokio::time::timeout(Duration::from_secs(5), asked).await {
        Ok(Ok(review)) => {
            let user = review.status.and_then(|status| status.user_info);
            Ok(Some(
                user.and_then(|user| user.username).unwrap_or_default(),
            ))
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 401 => Ok(None),
        Ok(Err(error)) => Err(error).context("asking the hosted API who that is"),
        Err(_) => bail!("the hosted API does not answer"),
    }
}

/// Waits until a token is worth nothing.
pub async fn refused(token: &str, within: Duration) -> Result<()> {
    until("a token's end", within, async || {
        match bearer(token).await {
            Ok(None) => Ok(()),
            Ok(Some(user)) => Err(format!("it still makes its bearer {user}")),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await
}
