//! What the product decides, whatever the configuration says.

use serde_json::Value;

use super::text::{get, get_text};
use super::{PATH, walk};
use crate::v1beta2::{ClusterSpec, ServiceType};
use crate::validation::Errors;

const CONFIG_KIND: &str = "ClusterConfig";

/// Whether the Cluster has no address of its own, so that the one in its k0s configuration counts.
pub fn names_no_address(spec: &ClusterSpec) -> bool {
    spec.service.type_ == ServiceType::ClusterIP
        && spec.asked_host().is_none()
        && spec.ingress.is_none()
}

/// Says where the configuration has no effect, and what has it instead.
pub(super) fn warn(warnings: &mut Errors, spec: &ClusterSpec, config: &Value) {
    let mut say = |path: &[&str], message: &str, hint: &str| {
        let value = match get(config, path) {
            Some(Value::String(text)) => walk::shown(text),
            Some(Value::Bool(_) | Value::Number(_)) => {
                get(config, path).map(Value::to_string).unwrap_or_default()
            }
            _ => String::new(),
        };
        let path = format!("{PATH}.{}", path.join("."));
        warnings.warning(path, value, message).hint(hint);
    };
    // k0s never looks at the kind, and gets the right one anyway.
    if get(config, &["kind"]).is_some_and(|kind| kind != "" && kind != CONFIG_KIND) {
        say(&["kind"], &format!("is read as {CONFIG_KIND}"), "");
    }
    let api = |field: &'static str| ["spec", "api", field];
    if get(config, &api("address")).is_some_and(|address| address != "") {
        say(
            &api("address"),
            "is left out: every control-plane pod has an address of its own",
            "the certificate stays valid for it; workers connect to spec.externalAddress",
        );
    }
    if get(config, &api("onlyBindToAddress")).is_some_and(|only| only != false) {
        say(
            &api("onlyBindToAddress"),
            "is left out: every control-plane pod has an address of its own",
            "",
        );
    }
    let service = &spec.service;
    let ports = [
        (api("port"), service.api_port, "spec.service.apiPort"),
        (
            ["spec", "konnectivity", "agentPort"],
            service.konnectivity_port,
            "spec.service.konnectivityPort",
        ),
    ];
    for (path, port, ours) in ports {
        if get(config, &path).is_some_and(|given| *given != port) {
            say(&path, &format!("is replaced by {ours}"), "");
        }
    }
    if let Some(given) = get_text(config, &api("externalAddress")).filter(|text| !text.is_empty())
        && spec.asked_host() != Some(given)
    {
        if names_no_address(spec) {
            say(
                &api("externalAddress"),
                "is told to k0s alone: kubeconfigs and join tokens name the Service",
                "set spec.externalAddress",
            );
        } else {
            say(
                &api("externalAddress"),
                "is replaced by the address that the cluster is reached at",
                "set spec.externalAddress",
            );
        }
    }
    let storage = |field: &'static str| ["spec", "storage", field];
    if get(config, &storage("type")).is_some_and(|type_| *type_ != spec.storage.type_.to_string()) {
        say(&storage("type"), "is replaced by spec.storage.type", "");
    }
    for field in ["etcd", "kine"] {
        if get(config, &storage(field)).is_some_and(|settings| *settings != serde_json::json!({})) {
            say(
                &storage(field),
                "has no effect: the state is kept outside of k0s",
                "see spec.storage",
            );
        }
    }
}
