//! `k0s etcd …`, through the JSON side of etcd's API.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

use super::{running_config, say};
use crate::cli::EtcdCommand;
use crate::config::HostPort;
use crate::controller::etcd_clients;
use crate::pki;

/// Runs a `k0s etcd` command.
///
/// # Errors
/// When etcd cannot be reached or refuses.
pub async fn etcd(command: EtcdCommand) -> Result<()> {
    let (EtcdCommand::MemberList { common } | EtcdCommand::Leave { common, .. }) = &command;
    let paths = common.paths();
    let config = running_config(&paths)?;
    let clients = etcd_clients(&paths, &config).await?;
    let client = clients.first().context("no etcd endpoints")?;
    let listed = ask(client, "member/list", &json!({})).await;
    let listed = listed.context("can't list etcd cluster members")?;
    let members = listed
        .get("members")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let url = |member: &Value| {
        member
            .pointer("/peerURLs/0")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match command {
        EtcdCommand::MemberList { .. } => {
            let name = |member: &Value| {
                member
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let members: BTreeMap<_, _> = members
                .iter()
                .map(|member| (name(member), url(member)))
                .collect();
            say(&json!({"members": members}).to_string());
        }
        EtcdCommand::Leave { peer_address, .. } => {
            let host = peer_address.unwrap_or_else(|| pki::peer_address(&config).to_owned());
            ensure!(
                !host.is_empty(),
                "this node has no etcd peer address, name one with --peer-address"
            );
            let peer = format!("https://{}", HostPort { host, port: 2380 });
            let member = members.iter().find(|member| url(member) == peer);
            let id = member
                .and_then(|member| member.get("ID"))
                .with_context(|| format!("peer not found: {peer}"))?;
            ask(client, "member/remove", &json!({"ID": id}))
                .await
                .context("failed to delete node from cluster")?;
        }
    }
    Ok(())
}

async fn ask(client: &Client, call: &str, body: &Value) -> Result<Value> {
    let request = Request::post(format!("/v3/cluster/{call}")).body(serde_json::to_vec(body)?)?;
    Ok(client.request(request).await?)
}
