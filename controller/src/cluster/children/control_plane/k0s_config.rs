//! The k0s configuration: the user's, with what the product decides written over it.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the key reads as null"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crds::k0s_config::{names_no_address, stored};
use crds::labels::Component;
use crds::version::K0sVersion;
use crds::{k0s_flags, names};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Map, Value, json};

use crate::apply::desired::Desired;
use crate::cluster::children::common::metadata;
use crate::cluster::children::storage;
use crate::cluster::validate::{Address, ValidCluster};
use crate::kubernetes::store::{Kind, digest};

/// Folder of the configuration inside the container.
pub const FOLDER: &str = crds::volumes::CONFIG_DIR;
/// File name of the configuration.
pub const FILE: &str = "k0s.yaml";
/// Key and file name of the API server's authentication configuration.
pub const AUTHENTICATION: &str = "authentication.yaml";
/// Folder of certificates and keys inside the container.
pub const PKI: &str = crds::volumes::PKI_DIR;

/// Lets the readiness probe in without a certificate, and nothing else: a kubelet has none.
const ANONYMOUS_HEALTH: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
    - path: /readyz
    - path: /livez
    - path: /healthz
";

/// Fields of the network that k0s never takes from the hosted cluster.
const STATIC_NETWORK: [&str; 4] = [
    "serviceCIDR",
    "clusterDomain",
    "controlPlaneLoadBalancing",
    "primaryAddressFamily",
];

/// The first k0s that leaves out its own `--anonymous-auth=false` beside such a file;
/// kube-apiserver refuses to start with both.
const ANONYMOUS_SINCE: &str = "v1.36.3+k0s.1";

/// Whether the API server may answer health checks without a certificate.
pub fn anonymous_health(cluster: &ValidCluster) -> bool {
    let since = ANONYMOUS_SINCE.parse::<K0sVersion>().ok();
    if cluster.version.is_none() || cluster.version < since {
        return false;
    }
    let api = |field: &str| {
        cluster
            .spec
            .k0s_config
            .as_ref()
            .and_then(|config| config.get("spec")?.get("api")?.get(field))
    };
    let clashes = |flag: &str| {
        let flag = flag.trim_start_matches('-');
        flag.starts_with("oidc-")
            || flag.starts_with("anonymous-auth")
            || flag.starts_with("authentication-config")
    };
    let extra = api("extraArgs").and_then(Value::as_object);
    let raw = api("rawArgs").and_then(Value::as_array);
    !extra
        .into_iter()
        .flat_map(Map::keys)
        .any(|flag| clashes(flag))
        && !raw
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(clashes)
}

/// The object under this key. What is none, as no rule lets it be, counts as an empty one.
fn object_in<'v>(value: &'v mut Value, key: &str) -> &'v mut Value {
    for_object(value);
    let below = &mut value[key];
    for_object(below);
    below
}

fn for_object(value: &mut Value) {
    if !value.is_object() {
        *value = json!({});
    }
}

/// The merged configuration; `None` while the address or the ports are not known, for k0s reads
/// them once, at its start.
pub fn merged(cluster: &ValidCluster) -> Option<Value> {
    let ports = cluster.ports.as_ref()?;
    cluster.host()?;
    if cluster.service_ips.is_empty() {
        return None;
    }
    let mut config = cluster.spec.k0s_config.clone().unwrap_or_else(|| json!({}));
    let user = object_in(object_in(&mut config, "spec"), "api");
    let own_address = take(user, "address").and_then(|address| address.as_str().map(str::to_owned));
    // A pod has to listen at its own address, and can at no other.
    take(user, "onlyBindToAddress");
    let user_sans: BTreeSet<String> = user
        .get("sans")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|san| san.as_str().map(str::to_owned))
        .chain(own_address.filter(|address| address.parse::<IpAddr>().is_ok()))
        .collect();
    let mut api = json!({
        "port": ports.api,
        "sans": user_sans.into_iter().chain(sans(cluster)).collect::<BTreeSet<_>>(),
    });
    let load_balancing = &config["spec"]["network"]["nodeLocalLoadBalancing"]["enabled"];
    if load_balancing != &Value::Bool(true) {
        api["externalAddress"] = match &cluster.address {
            Address::External(host) => Value::String(host.clone()),
            // Somebody else publishes the Service, and k0s alone is told where.
            Address::Internal if names_no_address(&cluster.spec) => {
                let told = config["spec"]["api"]["externalAddress"].as_str();
                Value::from(told.unwrap_or_default())
            }
            Address::Internal | Address::Waiting { .. } => Value::String(String::new()),
        };
    }
    if anonymous_health(cluster) {
        api["extraArgs"] = json!({"authentication-config": format!("{FOLDER}/{AUTHENTICATION}")});
    }
    merge(
        &mut config,
        json!({
            "apiVersion": "k0s.k0sproject.io/v1beta1",
            "kind": "ClusterConfig",
            "spec": {
                "api": api,
                "konnectivity": {"agentPort": ports.konnectivity},
                "storage": storage::k0s_config(cluster),
            },
        }),
    );
    Some(config)
}

/// The configuration as k0s reads it. A text of several lines is a block, as in earlier releases, where
/// k0s does not take a tab at its beginning for a part of the indentation.
fn text(config: &Value) -> Option<String> {
    let blocks = !begins_with_tab(config);
    let options = serde_saphyr::ser_options! { prefer_block_scalars: blocks };
    serde_saphyr::to_string_with_options(config, options).ok()
}

fn begins_with_tab(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            text.contains('\n') && text.trim_start_matches('\n').starts_with('\t')
        }
        Value::Array(items) => items.iter().any(begins_with_tab),
        Value::Object(fields) => fields.values().any(begins_with_tab),
        _ => false,
    }
}

/// The configuration as a ConfigMap of this name.
pub fn config_map(cluster: &ValidCluster, name: String) -> Option<Desired> {
    let text = text(&merged(cluster)?)?;
    let mut data = BTreeMap::from([(names::K0S_CONFIG_KEY.to_owned(), text)]);
    if anonymous_health(cluster) {
        data.insert(AUTHENTICATION.to_owned(), ANONYMOUS_HEALTH.to_owned());
    }
    Some(Desired::declared(
        Kind::ConfigMap,
        ConfigMap {
            metadata: metadata(cluster, name, Component::ClusterConfig),
            data: Some(data),
            ..ConfigMap::default()
        },
    ))
}

/// The part that k0s takes from the `ClusterConfig` object in the hosted cluster while it runs;
/// nothing while the configuration is not known, or when the user's flags turn that off.
pub fn live_part(cluster: &ValidCluster) -> Option<Value> {
    if !k0s_flags::is_dynamic(&cluster.spec) {
        return None;
    }
    let mut config = stored(merged(cluster)?);
    let mut spec = config["spec"].take();
    let fields = spec.as_object_mut()?;
    for field in ["api", "storage", "installConfig"] {
        fields.remove(field);
    }
    if let Some(network) = fields.get_mut("network").and_then(Value::as_object_mut) {
        for field in STATIC_NETWORK {
            network.remove(field);
        }
    }
    Some(json!({"spec": spec}))
}

/// Digest of the part that k0s reads only at its start: a change of it rolls the pods. Addresses
/// of the Service are left out, for a Service made anew must not restart anything.
pub fn static_digest(cluster: &ValidCluster) -> Option<String> {
    let part = static_part(cluster, &cluster.service_ips)?;
    Some(digest(part.to_string().as_bytes()))
}

/// Digest of what pods of one revision read: of the same, and of the version, for the rest is changed
/// while they run and an older k0s may not know it. Of Clusters that are alike it is the same in every
/// namespace.
pub fn revision(cluster: &ValidCluster) -> Option<String> {
    let inside = inside(cluster).into_iter();
    let left_out: Vec<_> = inside.chain(cluster.service_ips.iter().cloned()).collect();
    let part = static_part(cluster, &left_out)?;
    let version = cluster.running_version();
    Some(digest(format!("{part} {version}").as_bytes()))
}

fn static_part(cluster: &ValidCluster, left_out: &[String]) -> Option<Value> {
    let mut config = merged(cluster)?;
    if let Some(sans) = config["spec"]["api"]
        .get_mut("sans")
        .and_then(Value::as_array_mut)
    {
        sans.retain(|san| !left_out.iter().any(|other| san == other));
    }
    if !k0s_flags::is_dynamic(&cluster.spec) {
        return Some(config);
    }
    let spec = &config["spec"];
    let network = &spec["network"];
    let mut part = json!({
        "api": spec["api"],
        "storage": spec["storage"],
        "konnectivity": spec["konnectivity"],
        "network": {
            "podCIDR": network["podCIDR"],
            "serviceCIDR": network["serviceCIDR"],
            "clusterDomain": network["clusterDomain"],
            "dualStack": network["dualStack"],
            "controlPlaneLoadBalancing": network["controlPlaneLoadBalancing"],
        },
        "installConfig": spec["installConfig"],
    });
    // Not there while they are not set: whoever has none of them is not rolled for them.
    let family = &network["primaryAddressFamily"];
    if family.as_str().is_some_and(|family| !family.is_empty()) {
        part["network"]["primaryAddressFamily"] = family.clone();
    }
    let gates = api_gates(&spec["featureGates"]);
    if !gates.is_empty() {
        part["featureGates"] = Value::from(gates);
    }
    Some(part)
}

/// The feature gates that an API server starts with. Other components are started anew for theirs.
fn api_gates(gates: &Value) -> Vec<Value> {
    let concerns = |gate: &&Value| {
        let components = gate["components"].as_array();
        components.is_none_or(|all| all.is_empty() || all.iter().any(|it| it == "kube-apiserver"))
    };
    let gates = gates.as_array().into_iter().flatten().filter(concerns);
    gates
        .map(|gate| json!({"name": gate["name"], "enabled": gate["enabled"] == true}))
        .collect()
}

/// The names of the Service that have its namespace in them.
fn inside(cluster: &ValidCluster) -> [String; 3] {
    let (service, namespace) = (cluster.service_name(), &cluster.namespace);
    ["", ".svc", ".svc.cluster.local"].map(|end| format!("{service}.{namespace}{end}"))
}

fn sans(cluster: &ValidCluster) -> Vec<String> {
    let mut sans = Vec::from(inside(cluster));
    sans.push(cluster.service_name());
    sans.extend(cluster.service_ips.iter().cloned());
    if let Address::External(host) = &cluster.address {
        sans.push(host.clone());
    }
    sans
}

fn take(object: &mut Value, field: &str) -> Option<Value> {
    object.as_object_mut()?.remove(field)
}

/// Maps are merged, anything else is replaced.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, over) in over {
                merge(base.entry(key).or_insert(Value::Null), over);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests;
