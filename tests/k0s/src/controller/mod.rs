//! `k0s controller`: a control plane in one process tree.

mod apiserver;
mod bootstrap;
mod clusterconfig;
mod endpoints;
mod etcd;
mod konnectivity;
mod leader;
mod managers;
mod manifests;
mod workerconfig;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
pub use etcd::clients as etcd_clients;
use kube::Client;
use rand::Rng as _;
use tokio::sync::watch;

use crate::config::{self, ClusterConfig};
use crate::paths::{Paths, make_dir, write_file};
use crate::supervisor::Supervised;
use crate::{api, paths, pki, signals, status};

/// The components that `--disable-components` may name.
const DISABLEABLE: [&str; 18] = [
    "applier-manager",
    "autopilot",
    "control-api",
    "coredns",
    "csr-approver",
    "endpoint-reconciler",
    "helm",
    "konnectivity-server",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "metrics-server",
    "network-provider",
    "node-role",
    "system-rbac",
    "update-prober",
    "windows-node",
    "worker-config",
];

/// What the command line of `k0s controller` asks for.
#[derive(Debug, Default)]
pub struct Options {
    pub config: Option<PathBuf>,
    pub dynamic_config: bool,
    pub disabled: Vec<String>,
    /// Verbosity of the Kubernetes components.
    pub log_level: u8,
    /// How long the API server may take to end, in seconds.
    pub api_stop: Option<u64>,
    /// `--kube-controller-manager-extra-args`.
    pub manager_args: String,
}

/// What every part of a running controller may look at.
pub struct Context {
    pub paths: Paths,
    pub options: Options,
    pub config: ClusterConfig,
    /// Tells this run apart from every other, as k0s's invocation id.
    pub invocation: String,
    pub node_name: String,
    pub client: Client,
}

impl Context {
    /// Whether a component runs.
    pub fn enabled(&self, component: &str) -> bool {
        !self.options.disabled.iter().any(|name| name == component)
    }

    /// Whether this controller writes `default/kubernetes` instead of the API server.
    pub fn reconciles_endpoints(&self) -> bool {
        self.enabled("endpoint-reconciler") && !self.config.api.external_address.is_empty()
    }
}

/// Runs a controller until it is told to end.
///
/// # Errors
/// When the configuration, the certificates or the components are not usable.
pub async fn run(paths: Paths, options: Options) -> Result<()> {
    let start = Instant::now();
    for name in &options.disabled {
        ensure!(
            DISABLEABLE.contains(&name.as_str()),
            "unknown component {name:?} in --disable-components"
        );
    }
    let mut config = ClusterConfig::load(options.config.as_deref())?;
    config::check_profiles(&config, config::has_old_cgroups())?;
    config.settle_address();
    make_dir(&paths.data, 0o755)?;
    make_dir(&paths.run, 0o755)?;
    make_dir(&paths.manifests(), 0o755)?;
    pki::prepare(&paths, &config)?;
    let runtime = serde_json::to_string_pretty(&config.to_value())?;
    write_file(&paths.runtime_config(), runtime, 0o600)?;
    tracing::info!(
        "certificates are ready after {} ms",
        start.elapsed().as_millis()
    );

    let client = api::client(&paths.admin_conf()).await?;
    let invocation = format!("{:032x}", rand::rng().random::<u128>());
    let node_name = paths::node_name()?;
    let context = Arc::new(Context {
        paths,
        options,
        config,
        invocation,
        node_name,
        client,
    });

    // Ordered as they start; what comes later is ended first.
    let mut running = Vec::new();
    let run_dir = &context.paths.run;
    running.extend(etcd::component(&context)?.map(|etcd| Supervised::start(etcd, run_dir)));
    running.extend(
        konnectivity::component(&context)?.map(|server| Supervised::start(server, run_dir)),
    );
    running.push(Supervised::start(
        apiserver::component(&context).await?,
        run_dir,
    ));
    managers::check(&context)?;
    let status = status::serve(&context.paths, "controller", &context.config.to_value())?;

    let (stop, stopped) = watch::channel(false);
    let inside = tokio::spawn(inside(context.clone(), start, stopped));
    signals::terminated().await?;
    stop.send_replace(true);
    if let Err(error) = inside.await {
        tracing::error!("a part of the controller failed: {error}");
    }
    while let Some(component) = running.pop() {
        component.stop().await;
    }
    status.abort();
    std::fs::remove_file(&context.paths.status_socket).ok();
    tracing::info!("stopped");
    Ok(())
}

/// Everything that needs the API server to answer.
async fn inside(context: Arc<Context>, start: Instant, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = api::wait_ready(&context.client) => {}
        () = signals::on(&mut stopped) => return,
    }
    tracing::info!(
        "the API server is ready after {} ms",
        start.elapsed().as_millis()
    );
    let (lead, leading) = watch::channel(false);
    let (configs, live) = watch::channel(context.config.clone());
    let parts = async {
        tokio::join!(
            clusterconfig::run(&context, configs, leading.clone()),
            bootstrap::run(&context, leading.clone()),
            workerconfig::run(&context, live.clone(), leading.clone()),
            endpoints::run(&context, leading.clone()),
            manifests::run(&context, leading.clone()),
        );
        // Each part may have nothing more to do before it is time to end.
        std::future::pending::<()>().await;
    };
    let mut end = stopped.clone();
    // These are cut off wherever they are: an API server without its etcd answers nothing.
    let parts = async {
        tokio::select! {
            () = parts => {}
            () = signals::on(&mut end) => {}
        }
    };
    tokio::join!(
        parts,
        leader::run(&context, lead, stopped.clone()),
        managers::run(&context, live.clone(), stopped.clone()),
    );
}

/// Waits until this controller leads.
async fn until_leading(leading: &mut watch::Receiver<bool>) {
    signals::on(leading).await;
}
