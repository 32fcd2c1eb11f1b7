//! Arguments of the API server that others have said already: k0s, or the product.

use serde_json::Value;

use super::PATH;
use super::rules::items;
use super::text::{get, get_text};
use super::walk::{Walk, shown};
use crate::v1beta2::ClusterSpec;
use crate::volumes::PKI_DIR;

struct Argument<'a> {
    path: String,
    name: &'a str,
    value: &'a str,
}

pub(super) fn check(walk: &mut Walk<'_>, cluster: &ClusterSpec, spec: &Value) {
    let port = cluster.service.api_port.to_string();
    for argument in of_api(spec) {
        let Argument { path, name, value } = argument;
        match name {
            "secure-port" if value != port || port == "0" => {
                walk.errors
                    .invalid(
                        path,
                        shown(value),
                        "must be spec.service.apiPort: nobody asks at another port",
                    )
                    .hint("leave it out, and set spec.service.apiPort");
            }
            "bind-address" if !is_reached(value) => {
                walk.errors
                    .invalid(
                        path,
                        shown(value),
                        "must be an address that the pod is reached at: neither workers nor k0s itself ask elsewhere",
                    )
                    .hint("leave it out: the API is at every address of the pod");
            }
            "etcd-servers" => {
                walk.errors
                    .forbidden(
                        path,
                        "may not be set: k0s names the servers too, and kube-apiserver would keep a part of the state in each",
                    )
                    .hint("see spec.storage");
            }
            "tls-cert-file" | "tls-private-key-file" if !value.starts_with(PKI_DIR) => {
                walk.warnings
                    .warning(
                        path,
                        shown(value),
                        "replaces what k0s makes: workers, kubeconfigs and k0s itself trust the cluster's own authority alone",
                    )
                    .hint("api.sans adds names, and extraArgs[tls-sni-cert-key] a certificate");
            }
            "client-ca-file" if !value.starts_with(PKI_DIR) => {
                walk.warnings.warning(
                    path,
                    shown(value),
                    "replaces the cluster's own authority: without it in the file, no kubelet and no kubeconfig is let in",
                );
            }
            _ => {}
        }
    }
}

/// Whether an API server may take a range of Services that is large for its time: gates decide, or
/// another range is given.
pub(super) fn takes_large_ranges(spec: &Value) -> bool {
    let mut gates = items(spec, &["featureGates"]);
    gates.any(|(_, gate)| get_text(gate, &["name"]) == Some("DisableAllocatorDualWrite"))
        || of_api(spec)
            .iter()
            .any(|it| ["feature-gates", "service-cluster-ip-range"].contains(&it.name))
}

fn is_reached(address: &str) -> bool {
    let address = address.trim();
    let parsed: Result<std::net::IpAddr, _> = address.parse();
    address.is_empty() || parsed.is_ok_and(|address| !address.to_canonical().is_loopback())
}

fn of_api(spec: &Value) -> Vec<Argument<'_>> {
    let extra = get(spec, &["api", "extraArgs"]).and_then(Value::as_object);
    let extra = extra.into_iter().flatten().map(|(name, value)| Argument {
        path: format!("{PATH}.spec.api.extraArgs[{name}]"),
        name,
        value: value.as_str().unwrap_or_default(),
    });
    let raw: Vec<&str> = items(spec, &["api", "rawArgs"])
        .map(|(_, word)| word.as_str().unwrap_or_default())
        .collect();
    let raw = raw.iter().enumerate().filter_map(|(index, word)| {
        let word = word.strip_prefix("--")?;
        let next = || raw.get(index + 1).copied().unwrap_or_default();
        let (name, value) = word.split_once('=').unwrap_or_else(|| (word, next()));
        Some(Argument {
            path: format!("{PATH}.spec.api.rawArgs[{index}]"),
            name,
            value,
        })
    });
    extra.chain(raw).collect()
}
