//! Joining: what the cluster wants of this worker.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use serde_json::Value;

use super::Context;
use crate::config::HostPort;
use crate::{api, version};

const PATIENCE: Duration = Duration::from_mins(2);

/// What a worker reads from its profile's ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The kubelet configuration of the profile.
    pub kubelet: Value,
    pub konnectivity: bool,
    pub konnectivity_port: u16,
    /// Host of the konnectivity server, empty where it is the API server's.
    pub konnectivity_address: String,
    pub kube_proxy: bool,
    pub pod_cidr: String,
    pub network_provider: String,
    pub pause_image: Option<String>,
}

impl Profile {
    fn parse(map: &ConfigMap) -> Result<Self> {
        let entry = |name: &str| -> Result<Value> {
            map.data
                .as_ref()
                .and_then(|data| data.get(name))
                .map_or(Ok(Value::Null), |text| {
                    serde_json::from_str(text).with_context(|| format!("{name} is not valid"))
                })
        };
        let konnectivity = entry("konnectivity")?;
        let more = entry("standIn")?;
        let text = |value: &Value, field: &str| {
            value
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let yes =
            |value: &Value, field: &str| value.get(field).and_then(Value::as_bool).unwrap_or(false);
        let port = konnectivity.get("agentPort").and_then(Value::as_u64);
        Ok(Self {
            kubelet: entry("kubeletConfiguration")?,
            konnectivity: yes(&konnectivity, "enabled"),
            konnectivity_port: port.and_then(|port| port.try_into().ok()).unwrap_or(8132),
            konnectivity_address: text(&konnectivity, "externalAddress"),
            kube_proxy: yes(&more, "kubeProxy"),
            pod_cidr: text(&more, "podCIDR"),
            network_provider: text(&more, "networkProvider"),
            pause_image: entry("pauseImage")?.as_str().map(str::to_owned),
        })
    }
}

/// Loads the profile: with the token, or as the node that this machine has become already. Keeps
/// trying for two minutes, for the API server may be on its way.
///
/// # Errors
/// When the API server refuses or does not answer in time.
pub async fn profile(context: &Context, bootstrap: &Path) -> Result<Profile> {
    let joined = context.paths.kubelet_conf();
    let credentials = if joined.exists() {
        joined.as_path()
    } else {
        bootstrap
    };
    let name = format!(
        "worker-config-{}-{}",
        context.options.profile,
        version::minor(&version::k0s())
    );
    let start = Instant::now();
    loop {
        let error = match load(credentials, &name).await {
            Ok(profile) => return Ok(profile),
            Err(error) => error,
        };
        tracing::warn!(
            "failed to load configuration for worker profile {}: {error:#}",
            context.options.profile
        );
        if start.elapsed() > PATIENCE {
            bail!(
                "failed to load configuration for worker profile {}: {error:#}",
                context.options.profile
            );
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn load(credentials: &Path, name: &str) -> Result<Profile> {
    let client = api::client(credentials).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, "kube-system");
    match maps.get(name).await {
        Ok(map) => {
            Profile::parse(&map).with_context(|| format!("unusable ConfigMap kube-system/{name}"))
        }
        Err(error) if api::has_code(&error, 401) => bail!(
            "the API server refused the join token (401 Unauthorized): it has expired, was invalidated, or belongs to another cluster"
        ),
        Err(error) if api::has_code(&error, 403) => {
            bail!(
                "no ConfigMap kube-system/{name} that a worker may read (403 Forbidden): there may be no such worker profile"
            )
        }
        Err(error) => Err(error).context("the API server gave no answer"),
    }
}

/// The API server of a kubelet that has joined before.
pub fn known_server(kubelet_conf: &Path) -> Option<String> {
    let text = std::fs::read_to_string(kubelet_conf).ok()?;
    let value: Value = serde_saphyr::from_str(&text).ok()?;
    value
        .pointer("/clusters/0/cluster/server")?
        .as_str()
        .map(str::to_owned)
}

/// The address from which this machine reaches the API server: nothing is sent to find out.
pub fn own_address(server: &HostPort) -> Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("no socket")?;
    socket
        .connect((server.host.as_str(), server.port))
        .with_context(|| format!("no way to the API server {server}"))?;
    Ok(socket
        .local_addr()
        .context("no own address")?
        .ip()
        .to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_its_config_map() {
        let data = [
            ("kubeletConfiguration", r#"{"maxPods":7}"#),
            (
                "konnectivity",
                r#"{"enabled":true,"agentPort":30132,"externalAddress":"k.example.org"}"#,
            ),
            (
                "standIn",
                r#"{"kubeProxy":true,"podCIDR":"10.1.0.0/16","networkProvider":"custom"}"#,
            ),
        ];
        let data = data
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let profile = Profile::parse(&ConfigMap {
            data: Some(data),
            ..ConfigMap::default()
        })
        .unwrap();
        assert_eq!(profile.kubelet["maxPods"], 7);
        assert_eq!(profile.konnectivity_port, 30132);
        assert_eq!(profile.konnectivity_address, "k.example.org");
        assert!(profile.konnectivity && profile.kube_proxy);
        assert_eq!(profile.pause_image, None);
    }

    #[test]
    fn the_own_address_leads_to_the_server() {
        let server = HostPort {
            host: "127.0.0.1".into(),
            port: 6443,
        };
        assert_eq!(own_address(&server).unwrap(), "127.0.0.1");
    }
}
