//! The `ClusterConfig` that `--config` names: as strict and as lenient as k0s, defaults filled in.

mod net;
mod spec;

use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
pub use net::{HostPort, local_addresses, nth_address};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
pub use spec::{Api, Component, Konnectivity, Network, Storage, WorkerProfile};

use crate::{merge, version};

/// `apiVersion` of a `ClusterConfig`.
pub const API_VERSION: &str = "k0s.k0sproject.io/v1beta1";
/// `kind` of a `ClusterConfig`.
pub const KIND: &str = "ClusterConfig";

/// Everything of a `ClusterConfig` that the stand-in honours.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    pub api: Api,
    pub controller_manager: Component,
    pub scheduler: Component,
    pub storage: Storage,
    pub network: Network,
    pub worker_profiles: Vec<WorkerProfile>,
    pub konnectivity: Konnectivity,
    /// The pause image of `spec.images.pause`, when given.
    pub pause_image: Option<String>,
    /// The whole object as it was given, nulls left out.
    raw: Value,
}

/// Sections that k0s knows and the stand-in takes without looking inside.
const OTHER_SECTIONS: [&str; 6] = [
    "telemetry",
    "installConfig",
    "images",
    "extensions",
    "featureGates",
    "metricsServer",
];

impl ClusterConfig {
    /// Reads the configuration from a file, from stdin (`-`), or takes k0s's defaults.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold a valid `ClusterConfig`.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Self::parse("{}");
        };
        let text = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("failed to read stdin")?;
            text
        } else {
            std::fs::read_to_string(path)
                .with_context(|| format!("failed to read the configuration {}", path.display()))?
        };
        Self::parse(&text).with_context(|| format!("invalid configuration {}", path.display()))
    }

    /// Reads the configuration from YAML.
    ///
    /// # Errors
    /// When it is no YAML, no `ClusterConfig`, or holds unknown fields or wrong types.
    pub fn parse(yaml: &str) -> Result<Self> {
        let value: Value = serde_saphyr::from_str(yaml).context("not valid YAML")?;
        Self::from_value(if value.is_null() { json!({}) } else { value })
    }

    /// Reads the configuration from a JSON object.
    ///
    /// # Errors
    /// When it is no `ClusterConfig` or holds unknown fields or wrong types.
    pub fn from_value(mut raw: Value) -> Result<Self> {
        merge::strip_nulls(&mut raw);
        let object = raw
            .as_object()
            .context("the configuration is not an object")?;
        for (key, value) in object {
            match key.as_str() {
                // k0s does not look at what they say.
                "apiVersion" | "kind" => ensure!(value.is_string(), "{key} is not a string"),
                "metadata" | "spec" => ensure!(value.is_object(), "{key} is not an object"),
                "status" => {}
                _ => bail!("unknown field {key:?}"),
            }
        }
        let empty = Map::new();
        let spec = object
            .get("spec")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let known = [
            "api",
            "controllerManager",
            "scheduler",
            "storage",
            "network",
            "workerProfiles",
            "konnectivity",
        ];
        if let Some(key) = spec
            .keys()
            .find(|key| !known.contains(&key.as_str()) && !OTHER_SECTIONS.contains(&key.as_str()))
        {
            bail!("unknown field {:?}", format!("spec.{key}"));
        }
        let config = Self {
            api: section(spec, "api")?,
            controller_manager: section(spec, "controllerManager")?,
            scheduler: section(spec, "scheduler")?,
            storage: section(spec, "storage")?,
            network: section(spec, "network")?,
            worker_profiles: section(spec, "workerProfiles")?,
            konnectivity: section(spec, "konnectivity")?,
            pause_image: pause_image(spec),
            raw,
        };
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<()> {
        ensure!(
            self.api.port != 0,
            "spec.api.port: must be between 1 and 65535"
        );
        ensure!(
            self.konnectivity.agent_port != 0,
            "spec.konnectivity.agentPort: must be between 1 and 65535"
        );
        if !self.api.external_address.is_empty() {
            HostPort::parse(&self.api.external_address, self.api.port)
                .context("spec.api.externalAddress")?;
        }
        ensure!(
            self.konnectivity.external_address.is_empty()
                || version::at_least(&version::k0s(), "v1.35.1+k0s.0"),
            "unknown field \"spec.konnectivity.externalAddress\" (k0s {} is older than 1.35.1)",
            version::k0s()
        );
        nth_address(&self.network.service_cidr, 1).context("spec.network.serviceCIDR")?;
        nth_address(&self.network.pod_cidr, 1).context("spec.network.podCIDR")?;
        let provider = &self.network.provider;
        ensure!(
            ["kuberouter", "calico", "custom"].contains(&provider.as_str()),
            "spec.network.provider: unsupported provider {provider:?}"
        );
        match self.storage.kind.as_str() {
            "etcd" => {}
            "kine" => bail!("spec.storage.type: kine is not in the stand-in"),
            other => bail!("spec.storage.type: unsupported storage type {other:?}"),
        }
        if let Some(external) = &self.storage.etcd.external_cluster {
            ensure!(
                !external.endpoints.is_empty(),
                "spec.storage.etcd.externalCluster.endpoints: cannot be empty"
            );
            ensure!(
                !external.etcd_prefix.is_empty(),
                "spec.storage.etcd.externalCluster.etcdPrefix: cannot be empty"
            );
        }
        for (index, profile) in self.worker_profiles.iter().enumerate() {
            ensure!(
                !profile.name.is_empty(),
                "spec.workerProfiles[{index}].name: cannot be empty"
            );
        }
        Ok(())
    }

    /// Fills in `spec.api.address` with the first address of this machine that others can reach.
    pub fn settle_address(&mut self) {
        if self.api.address.is_empty() {
            let own = local_addresses();
            let first = own.iter().find(|ip| ip.is_ipv4()).or_else(|| own.first());
            self.api.address = first.map_or_else(|| "127.0.0.1".into(), ToString::to_string);
        }
    }

    /// Where clients find the API: the external address, or this machine's.
    pub fn api_endpoint(&self) -> HostPort {
        let host = if self.api.external_address.is_empty() {
            &self.api.address
        } else {
            &self.api.external_address
        };
        HostPort::parse(host, self.api.port).unwrap_or_else(|_| HostPort {
            host: host.clone(),
            port: self.api.port,
        })
    }

    /// The URL that goes into worker tokens and kubeconfigs.
    pub fn api_url(&self) -> String {
        format!("https://{}", self.api_endpoint())
    }

    /// The URL that goes into controller tokens.
    pub fn join_url(&self) -> String {
        let HostPort { host, .. } = self.api_endpoint();
        format!(
            "https://{}",
            HostPort {
                host,
                port: self.api.k0s_api_port
            }
        )
    }

    /// Where the konnectivity agents find their server.
    pub fn konnectivity_endpoint(&self) -> HostPort {
        let port = self.konnectivity.agent_port;
        HostPort::parse(&self.konnectivity.external_address, port).unwrap_or_else(|_| HostPort {
            host: self.api_endpoint().host,
            port,
        })
    }

    /// The address of the Service `default/kubernetes`.
    pub fn service_ip(&self) -> Option<IpAddr> {
        nth_address(&self.network.service_cidr, 1).ok()
    }

    /// The address of the cluster DNS.
    pub fn dns_ip(&self) -> Option<IpAddr> {
        nth_address(&self.network.service_cidr, 10).ok()
    }

    /// The object as given, with what was filled in.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": "k0s"},
            "spec": {
                "api": self.api,
                "storage": self.storage,
                "network": self.network,
                "konnectivity": self.konnectivity,
            },
        });
        merge::merge(&mut value, &self.raw);
        if let Some(api) = value.pointer_mut("/spec/api") {
            merge::merge(api, &json!({"address": self.api.address}));
        }
        value
    }

    /// The object that lives in the hosted cluster: what belongs to one controller left out.
    pub fn cluster_wide(&self) -> Value {
        let mut value = self.to_value();
        if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
            for section in ["api", "storage", "installConfig"] {
                spec.remove(section);
            }
            if let Some(network) = spec.get_mut("network").and_then(Value::as_object_mut) {
                // What k0s leaves out it fills with defaults again when it writes the object.
                let default = spec::Network::default();
                network.insert("serviceCIDR".into(), default.service_cidr.into());
                network.insert("clusterDomain".into(), default.cluster_domain.into());
                network.remove("controlPlaneLoadBalancing");
            }
        }
        if let Some(object) = value.as_object_mut() {
            object.insert(
                "metadata".into(),
                json!({"name": "k0s", "namespace": "kube-system"}),
            );
            object.remove("status");
        }
        value
    }

    /// This configuration with the cluster-wide parts of the object in the hosted cluster.
    ///
    /// # Errors
    /// When that object is not a valid `ClusterConfig`.
    pub fn with_dynamic(&self, live: &Value) -> Result<Self> {
        let mut merged = live.clone();
        let own = self.to_value();
        let spec = merged
            .as_object_mut()
            .context("the live ClusterConfig is not an object")?
            .entry("spec")
            .or_insert_with(|| json!({}));
        let spec = spec.as_object_mut().context("spec is not an object")?;
        for section in ["api", "storage", "installConfig"] {
            match own.pointer(&format!("/spec/{section}")) {
                Some(value) => spec.insert(section.into(), value.clone()),
                None => spec.remove(section),
            };
        }
        let network = spec.entry("network").or_insert_with(|| json!({}));
        merge::merge(
            network,
            &json!({"serviceCIDR": self.network.service_cidr, "clusterDomain": self.network.cluster_domain}),
        );
        Self::from_value(merged)
    }
}

/// As k0s, refuses worker profiles with which no kubelet would start on a machine like this one,
/// although workers run elsewhere: with old control groups they must say `failCgroupV1: false`.
///
/// # Errors
/// When there is such a profile.
pub fn check_profiles(config: &ClusterConfig, old_cgroups: bool) -> Result<()> {
    for (index, profile) in config.worker_profiles.iter().enumerate() {
        ensure!(
            !old_cgroups || profile.values.get("failCgroupV1") == Some(&Value::Bool(false)),
            "spec.workerProfiles[{index}].values: kubelet is configured to not run on a host \
             using cgroup v1"
        );
    }
    Ok(())
}

/// Whether this machine has the old control groups.
pub fn has_old_cgroups() -> bool {
    !Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Reads one section of the spec; a section left out has its defaults.
fn section<T: DeserializeOwned + Default>(spec: &Map<String, Value>, name: &str) -> Result<T> {
    spec.get(name).map_or_else(
        || Ok(T::default()),
        |value| serde_json::from_value(value.clone()).with_context(|| format!("spec.{name}")),
    )
}

fn pause_image(spec: &Map<String, Value>) -> Option<String> {
    let pause = spec.get("images")?.get("pause")?;
    let part = |name| pause.get(name).and_then(Value::as_str);
    Some(format!("{}:{}", part("image")?, part("version")?))
}

#[cfg(test)]
mod tests;
