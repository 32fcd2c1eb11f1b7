//! The kubelet.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::join::Profile;
use super::{Context, containerd};
use crate::args::Args;
use crate::merge;
use crate::paths::{make_dir, text, write_file};
use crate::supervisor::Component;

/// The kubelet with its configuration written.
pub fn component(context: &Context, profile: &Profile, bootstrap: &Path) -> Result<Component> {
    make_dir(&context.kubelet_root, 0o755)?;
    let endpoint = context
        .options
        .cri_socket
        .as_deref()
        .and_then(|socket| {
            socket
                .split_once(':')
                .map(|(_, address)| address.to_owned())
        })
        .unwrap_or_else(|| format!("unix://{}", text(containerd::socket(&context.paths))));
    let mut config = settings();
    merge::merge(&mut config, &profile.kubelet);
    merge::merge(&mut config, &forced(&text(context.ca()), &endpoint));
    let file = context.paths.run.join("kubelet.yaml");
    write_file(&file, serde_json::to_string_pretty(&config)?, 0o644)?;

    let mut args = Args::new([
        ("config", text(&file)),
        ("bootstrap-kubeconfig", text(bootstrap)),
        ("kubeconfig", text(context.paths.kubelet_conf())),
        ("root-dir", text(&context.kubelet_root)),
        ("cert-dir", text(context.kubelet_root.join("pki"))),
        ("hostname-override", context.node_name.clone()),
        ("node-ip", context.node_ip.clone()),
        ("v", context.options.log_level.to_string()),
    ]);
    if !context.options.labels.is_empty() {
        args.set("node-labels", context.options.labels.join(","));
    }
    if !context.options.taints.is_empty() {
        args.set("register-with-taints", context.options.taints.join(","));
    }
    let mut raw = Vec::new();
    let extra = shell_words::split(&context.options.kubelet_extra_args)
        .context("--kubelet-extra-args has an open quote")?;
    for arg in extra {
        match arg.strip_prefix("--").and_then(|arg| arg.split_once('=')) {
            Some((name, value)) => args.set(name, value),
            None => raw.push(arg),
        }
    }
    Ok(Component::new(
        "kubelet",
        context.paths.component("kubelet")?,
        args.into_command_line(&raw),
    ))
}

/// What suits machines of every kind, small, in containers, with old cgroups; a profile may
/// change all of it.
fn settings() -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
            "imagefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "5s",
        "rotateCertificates": true,
    })
}

/// What only this machine knows; no profile may change it.
fn forced(ca: &str, endpoint: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": ca},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": endpoint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_win_over_settings_and_not_over_the_machine() {
        let mut config = settings();
        merge::merge(
            &mut config,
            &json!({"failCgroupV1": true, "containerRuntimeEndpoint": "x"}),
        );
        merge::merge(&mut config, &forced("/ca", "unix:///c.sock"));
        assert_eq!(config["failCgroupV1"], true);
        assert_eq!(config["containerRuntimeEndpoint"], "unix:///c.sock");
        assert_eq!(config["authentication"]["x509"]["clientCAFile"], "/ca");
    }
}
