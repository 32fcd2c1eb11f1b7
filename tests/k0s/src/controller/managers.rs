//! kube-controller-manager and kube-scheduler, started anew when the live configuration changes
//! their arguments.

use std::collections::BTreeMap;

use anyhow::Result;
use tokio::sync::watch;

use super::Context;
use crate::args::Args;
use crate::config::ClusterConfig;
use crate::paths::{chown, text, user};
use crate::signals;
use crate::supervisor::{Component, Supervised};

const MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";

/// Fails early when a program that will be needed is missing.
pub fn check(context: &Context) -> Result<()> {
    components(context, &context.config).map(|_| ())
}

/// Keeps both running until the end, then ends them.
pub async fn run(
    context: &Context,
    mut live: watch::Receiver<ClusterConfig>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut running: BTreeMap<&'static str, (Vec<String>, Supervised)> = BTreeMap::new();
    loop {
        let config = live.borrow_and_update().clone();
        match components(context, &config) {
            Ok(wanted) => {
                for component in wanted {
                    let same = running
                        .get(component.name)
                        .is_some_and(|(args, _)| *args == component.args);
                    if same {
                        continue;
                    }
                    if let Some((_, old)) = running.remove(component.name) {
                        tracing::info!("the arguments of {} have changed", component.name);
                        old.stop().await;
                    }
                    let (name, args) = (component.name, component.args.clone());
                    running.insert(
                        name,
                        (args, Supervised::start(component, &context.paths.run)),
                    );
                }
            }
            Err(error) => tracing::error!("cannot run the control loops: {error:#}"),
        }
        tokio::select! {
            changed = live.changed() => if changed.is_err() { break },
            () = signals::on(&mut stopped) => break,
        }
    }
    signals::on(&mut stopped).await;
    futures::future::join_all(running.into_values().map(|(_, component)| component.stop())).await;
}

fn components(context: &Context, config: &ClusterConfig) -> Result<Vec<Component>> {
    let mut found = Vec::new();
    if context.enabled(MANAGER) {
        found.push(controller_manager(context, config)?);
    }
    if context.enabled(SCHEDULER) {
        found.push(scheduler(context, config)?);
    }
    Ok(found)
}

fn controller_manager(context: &Context, config: &ClusterConfig) -> Result<Component> {
    let pki = |file: &str| text(context.paths.pki(file));
    let owner = user("kube-apiserver");
    for file in ["ca.key", "ccm.conf"] {
        chown(&context.paths.pki(file), owner)?;
    }
    let mut args = Args::new([
        ("authentication-kubeconfig", pki("ccm.conf")),
        ("authorization-kubeconfig", pki("ccm.conf")),
        ("kubeconfig", pki("ccm.conf")),
        ("client-ca-file", pki("ca.crt")),
        ("cluster-signing-cert-file", pki("ca.crt")),
        ("cluster-signing-key-file", pki("ca.key")),
        ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
        ("root-ca-file", pki("ca.crt")),
        ("service-account-private-key-file", pki("sa.key")),
        ("cluster-cidr", config.network.pod_cidr.clone()),
        (
            "service-cluster-ip-range",
            context.config.network.service_cidr.clone(),
        ),
        ("node-cidr-mask-size", "24".into()),
        ("terminated-pod-gc-threshold", "12500".into()),
        ("profiling", "false".into()),
        ("v", context.options.log_level.to_string()),
    ]);
    let given = context
        .options
        .manager_args
        .split_whitespace()
        .filter_map(|arg| {
            let (name, value) = arg.trim_start_matches("--").split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
    args.override_with(MANAGER, &given.collect());
    args.override_with(MANAGER, &config.controller_manager.extra_args);
    for (name, value) in [
        ("allocate-node-cidrs", "true"),
        ("bind-address", "127.0.0.1"),
        ("cluster-name", "k0s"),
        ("controllers", "*,bootstrapsigner,tokencleaner"),
        ("leader-elect", "true"),
        ("use-service-account-credentials", "true"),
    ] {
        args.default(name, value);
    }
    let args = args.into_command_line(&config.controller_manager.raw_args);
    let mut component = Component::new(MANAGER, context.paths.component(MANAGER)?, args);
    component.user = owner;
    Ok(component)
}

fn scheduler(context: &Context, config: &ClusterConfig) -> Result<Component> {
    let conf = text(context.paths.pki("scheduler.conf"));
    let owner = user("kube-scheduler");
    chown(&context.paths.pki("scheduler.conf"), owner)?;
    let mut args = Args::new([
        ("authentication-kubeconfig", conf.clone()),
        ("authorization-kubeconfig", conf.clone()),
        ("kubeconfig", conf),
        ("bind-address", "127.0.0.1".into()),
        ("leader-elect", "true".into()),
        ("profiling", "false".into()),
        ("v", context.options.log_level.to_string()),
    ]);
    args.override_with(SCHEDULER, &config.scheduler.extra_args);
    let args = args.into_command_line(&config.scheduler.raw_args);
    let mut component = Component::new(SCHEDULER, context.paths.component(SCHEDULER)?, args);
    component.user = owner;
    Ok(component)
}
