//! kube-apiserver.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Context, etcd};
use crate::args::Args;
use crate::paths::{chown, text, user, write_file};
use crate::supervisor::Component;
use crate::{duration, pki, version};

/// From this version on k0s leaves `anonymous-auth` to an `authentication-config` that has it.
const HEEDS_ANONYMOUS: &str = "v1.36.3+k0s.1";

/// The API server, started as soon as etcd answers.
pub async fn component(context: &Context) -> Result<Component> {
    let (paths, config) = (&context.paths, &context.config);
    let owner = user("kube-apiserver");
    for key in [
        "sa.key",
        "server.key",
        "apiserver-kubelet-client.key",
        "front-proxy-client.key",
    ] {
        chown(&paths.pki(key), owner)?;
    }
    let egress = paths.data.join("konnectivity.conf");
    if context.enabled("konnectivity-server") {
        let selector = json!({
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [{"name": "cluster", "connection": {
                "proxyProtocol": "GRPC",
                "transport": {"uds": {"udsName": paths.konnectivity_socket()}},
            }}],
        });
        write_file(&egress, selector.to_string(), 0o644)?;
    }
    let args = arguments(context, &egress);
    let stop = stop_timeout(context, &args);
    let mut args = args;
    args.default(
        "shutdown-watch-termination-grace-period",
        format!("{}s", stop.as_secs().saturating_sub(2)),
    );
    let mut line = args.into_command_line(&config.api.raw_args);
    line.extend(etcd_arguments(context));
    let mut component = Component::new("kube-apiserver", paths.component("kube-apiserver")?, line);
    component.user = owner;
    component.stop = stop;
    component.gate = Some(etcd::gate(paths, config).await?);
    Ok(component)
}

fn arguments(context: &Context, egress: &Path) -> Args {
    let (paths, config) = (&context.paths, &context.config);
    let pki = |file: &str| text(paths.pki(file));
    let mut args = Args::new([
        ("advertise-address", config.api.address.clone()),
        ("secure-port", config.api.port.to_string()),
        ("authorization-mode", "Node,RBAC".into()),
        ("client-ca-file", pki("ca.crt")),
        ("enable-admission-plugins", "NodeRestriction".into()),
        ("enable-bootstrap-token-auth", "true".into()),
        (
            "kubelet-client-certificate",
            pki("apiserver-kubelet-client.crt"),
        ),
        ("kubelet-client-key", pki("apiserver-kubelet-client.key")),
        (
            "kubelet-preferred-address-types",
            "InternalIP,ExternalIP,Hostname".into(),
        ),
        ("proxy-client-cert-file", pki("front-proxy-client.crt")),
        ("proxy-client-key-file", pki("front-proxy-client.key")),
        ("requestheader-allowed-names", "front-proxy-client".into()),
        ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
        ("service-account-key-file", pki("sa.pub")),
        ("service-account-signing-key-file", pki("sa.key")),
        (
            "service-account-issuer",
            "https://kubernetes.default.svc".into(),
        ),
        (
            "service-account-jwks-uri",
            "https://kubernetes.default.svc/openid/v1/jwks".into(),
        ),
        (
            "service-cluster-ip-range",
            config.network.service_cidr.clone(),
        ),
        ("tls-cert-file", pki("server.crt")),
        ("tls-private-key-file", pki("server.key")),
        ("tls-min-version", "VersionTLS12".into()),
        ("profiling", "false".into()),
        ("v", context.options.log_level.to_string()),
    ]);
    if config.api.only_bind_to_address {
        args.set("bind-address", config.api.address.clone());
    }
    let mut audiences = "https://kubernetes.default.svc".to_owned();
    if context.enabled("konnectivity-server") {
        args.set("egress-selector-config-file", text(egress));
        audiences.push_str(",system:konnectivity-server");
    }
    args.set("api-audiences", audiences);
    args.override_with("apiserver", &config.api.extra_args);
    for (name, value) in [
        ("allow-privileged", "true"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-username-headers", "X-Remote-User"),
    ] {
        args.default(name, value);
    }
    let left_to_file = args
        .get("authentication-config")
        .is_some_and(decides_anonymous)
        && version::at_least(&version::k0s(), HEEDS_ANONYMOUS);
    if !left_to_file {
        args.default("anonymous-auth", "false");
    }
    if context.reconciles_endpoints() {
        args.set("endpoint-reconciler-type", "none");
    }
    args
}

/// Whether an `AuthenticationConfiguration` says something about anonymous users.
fn decides_anonymous(path: &str) -> bool {
    let Ok(file) = std::fs::read_to_string(path) else {
        tracing::warn!("cannot read the authentication configuration {path}");
        return false;
    };
    serde_saphyr::from_str::<Value>(&file).is_ok_and(|value| value.get("anonymous").is_some())
}

fn etcd_arguments(context: &Context) -> Vec<String> {
    let config = &context.config;
    let mut args = vec![format!(
        "--etcd-servers={}",
        etcd::endpoints(config).join(",")
    )];
    let files = pki::etcd_client_files(&context.paths, config);
    for (flag, file) in ["etcd-cafile", "etcd-certfile", "etcd-keyfile"]
        .into_iter()
        .zip(files)
    {
        if !file.as_os_str().is_empty() {
            args.push(format!("--{flag}={}", text(&file)));
        }
    }
    if let Some(external) = &config.storage.etcd.external_cluster {
        args.push(format!("--etcd-prefix={}", external.etcd_prefix));
    }
    args
}

/// k0s's guess: as long as a request may take, but between 5 and 20 seconds.
fn stop_timeout(context: &Context, args: &Args) -> Duration {
    if let Some(seconds) = context.options.api_stop {
        return Duration::from_secs(seconds);
    }
    let longest = ["request-timeout", "shutdown-watch-termination-grace-period"]
        .into_iter()
        .filter_map(|flag| duration::parse(args.get(flag)?).ok())
        .max();
    let requests = longest.unwrap_or(Duration::from_mins(1)) + Duration::from_secs(2);
    requests.clamp(Duration::from_secs(5), Duration::from_secs(20))
}
