//! `k0s token …`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, PostParams};

use super::{running_config, say};
use crate::cli::TokenCommand;
use crate::paths::Paths;
use crate::token::{Bootstrap, Role};
use crate::{api, duration, status};

/// Runs a `k0s token` command.
///
/// # Errors
/// When the role is none, the controller is not running, or the API server refuses.
pub async fn token(command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Create {
            expiry,
            role,
            wait,
            common,
        } => {
            let role = Role::parse(&role)?;
            let life = duration::parse(&expiry)?;
            let paths = common.paths();
            let mut left = if wait { 120 } else { 0 };
            let token = loop {
                match create(&paths, role, life).await {
                    Ok(token) => break token,
                    Err(error) if left == 0 => return Err(error),
                    Err(_) => left -= 1,
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
            say(&token);
        }
        TokenCommand::List { role, common } => {
            // Its help says that the role may be left out; k0s refuses that all the same.
            list(&common.paths(), Role::parse(&role)?).await?;
        }
        TokenCommand::Invalidate { ids, common } => {
            ensure!(
                !ids.is_empty(),
                "requires at least one token ID to invalidate"
            );
            let secrets = secrets(&common.paths()).await?;
            for id in ids {
                let name = format!("bootstrap-token-{id}");
                match secrets.delete(&name, &DeleteParams::default()).await {
                    Err(error) if !api::is_not_found(&error) => return Err(error.into()),
                    Ok(_) | Err(_) => say(&format!("token {id} deleted successfully")),
                }
            }
        }
    }
    Ok(())
}

async fn secrets(paths: &Paths) -> Result<Api<Secret>> {
    Ok(Api::namespaced(
        api::client(&paths.admin_conf()).await?,
        "kube-system",
    ))
}

async fn create(paths: &Paths, role: Role, life: Duration) -> Result<String> {
    status::ask(&paths.status_socket, "status").context("failed to get k0s status")?;
    let config = running_config(paths)?;
    let ca =
        std::fs::read_to_string(paths.pki("ca.crt")).context("failed to read the cluster's CA")?;
    let server = match role {
        Role::Worker => config.api_url(),
        Role::Controller => config.join_url(),
    };
    let token = Bootstrap::random();
    let secret: Secret = serde_json::from_value(token.to_secret(role, life))?;
    secrets(paths)
        .await?
        .create(&PostParams::default(), &secret)
        .await?;
    token.to_join_token(role, &server, &ca)
}

async fn list(paths: &Paths, wanted: Role) -> Result<()> {
    let params = ListParams::default().fields("type=bootstrap.kubernetes.io/token");
    let secrets = secrets(paths).await?.list(&params).await?;
    let rows: Vec<[String; 3]> = secrets.items.iter().filter_map(row).collect();
    if rows.is_empty() {
        say("No k0s join tokens found");
        return Ok(());
    }
    let rows = rows
        .into_iter()
        .filter(|[_, role, _]| role == wanted.name());
    let head = ["ID", "ROLE", "EXPIRES AT"].map(str::to_owned);
    let table: Vec<[String; 3]> = std::iter::once(head).chain(rows).collect();
    let width = |column: fn(&[String; 3]) -> &String| {
        table.iter().map(|row| column(row).len()).max().unwrap_or(0)
    };
    let (first, second) = (width(|[id, _, _]| id), width(|[_, role, _]| role));
    for [id, role, expiry] in &table {
        say(format!("{id:first$}   {role:second$}   {expiry}").trim_end());
    }
    Ok(())
}

/// Id, role and expiry of a token's Secret.
fn row(secret: &Secret) -> Option<[String; 3]> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| {
        data.get(key)
            .map(|value| String::from_utf8_lossy(&value.0).into_owned())
    };
    let yes = |key: &str| text(key).as_deref() == Some("true");
    let role = if yes("usage-bootstrap-controller-join") || yes("usage-controller-join") {
        Role::Controller.name()
    } else if yes("usage-bootstrap-authentication") {
        Role::Worker.name()
    } else {
        ""
    };
    Some([
        text("token-id")?,
        role.to_owned(),
        text("expiration").unwrap_or_default(),
    ])
}
