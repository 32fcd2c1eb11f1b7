//! `k0s worker`: joins a cluster by token and runs its pods.

mod containerd;
mod join;
mod kubelet;
mod network;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::args::Args;
use crate::config::HostPort;
use crate::paths::{Paths, make_dir, text, write_file};
use crate::supervisor::{Component, Supervised};
use crate::token::{Join, Role};
use crate::{kubeconfig, lease, paths, signals, status};

/// What the command line of `k0s worker` asks for.
#[derive(Debug, Default)]
pub struct Options {
    /// The join token itself.
    pub token: Option<String>,
    /// A file that holds it.
    pub token_file: Option<PathBuf>,
    pub profile: String,
    pub labels: Vec<String>,
    pub taints: Vec<String>,
    pub kubelet_extra_args: String,
    pub kubelet_root: Option<PathBuf>,
    /// A container runtime that is there already, as k0s's `--cri-socket`.
    pub cri_socket: Option<String>,
    pub log_level: u8,
}

/// What every part of a worker may look at.
pub struct Context {
    pub paths: Paths,
    pub options: Options,
    pub node_name: String,
    pub kubelet_root: PathBuf,
    /// The API server that the token names.
    pub server: HostPort,
    /// The address of this machine that leads to the API server.
    pub node_ip: String,
}

impl Context {
    /// The CA of the cluster.
    pub fn ca(&self) -> PathBuf {
        self.paths.pki("ca.crt")
    }

    /// Certificate and key of the kubelet, in one file that its renewal replaces.
    pub fn kubelet_pem(&self) -> PathBuf {
        self.kubelet_root
            .join("pki")
            .join("kubelet-client-current.pem")
    }

    /// A kubeconfig that follows the kubelet's certificate.
    pub fn node_conf(&self) -> PathBuf {
        self.paths.run.join("node.conf")
    }
}

/// Runs a worker until it is told to end.
///
/// # Errors
/// When the token is refused or anything that a worker needs is missing.
pub async fn run(paths: Paths, options: Options) -> Result<()> {
    make_dir(&paths.data, 0o755)?;
    make_dir(&paths.run, 0o755)?;
    make_dir(&paths.pki(""), 0o751)?;
    let bootstrap = paths.data.join("kubelet-bootstrap.conf");
    let server = match token(&options)? {
        Some(join) => {
            ensure!(
                join.role == Role::Worker,
                "the join token is a controller's, a worker cannot join with it"
            );
            write_file(&paths.pki("ca.crt"), &join.ca, 0o644)?;
            write_file(&bootstrap, &join.kubeconfig, 0o600)?;
            join.server
        }
        None => join::known_server(&paths.kubelet_conf())
            .context("no join token is given, and this machine has not joined a cluster before")?,
    };
    let endpoint = HostPort::parse(
        server.trim_start_matches("https://").trim_end_matches('/'),
        443,
    )
    .with_context(|| format!("the API server's address {server:?} is not usable"))?;
    let context = Context {
        node_name: paths::node_name()?,
        kubelet_root: options
            .kubelet_root
            .clone()
            .unwrap_or_else(|| paths.kubelet_root()),
        node_ip: join::own_address(&endpoint)?,
        server: endpoint,
        paths,
        options,
    };
    tracing::info!(
        "joining {server} as {} ({})",
        context.node_name,
        context.node_ip
    );

    let mut running = Vec::new();
    let outcome = tokio::select! {
        ended = signals::terminated() => ended,
        failed = start(&context, &server, &bootstrap, &mut running) => match failed {
            Ok(tasks) => {
                let ended = signals::terminated().await;
                for task in tasks {
                    task.abort();
                }
                ended
            }
            Err(error) => Err(error),
        },
    };
    while let Some(component) = running.pop() {
        component.stop().await;
    }
    std::fs::remove_file(&context.paths.status_socket).ok();
    tracing::info!("stopped");
    outcome
}

/// Starts the components one after the other, as each needs the one before.
async fn start(
    context: &Context,
    server: &str,
    bootstrap: &Path,
    running: &mut Vec<Supervised>,
) -> Result<Vec<JoinHandle<()>>> {
    let run = context.paths.run.clone();
    let mut tasks = Vec::new();
    if context.options.cri_socket.is_none() {
        running.push(Supervised::start(
            containerd::component(context, None)?,
            &run,
        ));
    }
    let profile = join::profile(context, bootstrap).await?;
    if context.options.cri_socket.is_none() {
        if let Some(image) = &profile.pause_image {
            if let Some(containerd) = running.pop() {
                containerd.stop().await;
            }
            running.push(Supervised::start(
                containerd::component(context, Some(image))?,
                &run,
            ));
        }
        let mut importer = containerd::Importer::new(context)?;
        importer.import_all().await;
        tasks.push(tokio::spawn(importer.watch()));
    }
    let kubelet = kubelet::component(context, &profile, bootstrap)?;
    running.push(Supervised::start(kubelet, &run));
    tasks.push(status::serve(&context.paths, "worker", &json!(null))?);

    while !context.kubelet_pem().exists() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tracing::info!("the kubelet has its certificate");
    let node = kubeconfig::with_certificate_file(
        server,
        &text(context.ca()),
        &text(context.kubelet_pem()),
    );
    write_file(&context.node_conf(), node, 0o600)?;
    if profile.konnectivity {
        running.push(Supervised::start(agent(context, &profile)?, &run));
    }
    if profile.kube_proxy {
        running.push(Supervised::start(kube_proxy(context, &profile)?, &run));
    }
    if profile.network_provider != "custom" {
        network::configure(context).await?;
    }
    Ok(tasks)
}

fn token(options: &Options) -> Result<Option<Join>> {
    let text = match (&options.token, &options.token_file) {
        (Some(_), Some(_)) => {
            bail!("a join token and --token-file are given: one of them is enough")
        }
        (Some(token), None) => token.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .with_context(|| format!("failed to read the join token from {}", file.display()))?,
        (None, None) => return Ok(None),
    };
    ensure!(!text.trim().is_empty(), "the join token is empty");
    Join::decode(&text).map(Some)
}

/// The konnectivity agent, which proves itself with the kubelet's certificate.
fn agent(context: &Context, profile: &join::Profile) -> Result<Component> {
    let server = HostPort::parse(&profile.konnectivity_address, profile.konnectivity_port)
        .unwrap_or_else(|_| HostPort {
            host: context.server.host.clone(),
            port: profile.konnectivity_port,
        });
    let args = Args::new([
        ("ca-cert", text(context.ca())),
        ("agent-cert", text(context.kubelet_pem())),
        ("agent-key", text(context.kubelet_pem())),
        ("agent-id", context.node_name.clone()),
        (
            "agent-identifiers",
            format!(
                "host={}&ipv4={}&default-route=true",
                context.node_name, context.node_ip
            ),
        ),
        ("proxy-server-host", server.host),
        ("proxy-server-port", server.port.to_string()),
        ("admin-bind-address", "127.0.0.1".into()),
        ("health-server-port", "8093".into()),
        ("count-server-leases", "true".into()),
        ("lease-namespace", lease::NAMESPACE.into()),
        ("lease-label", format!("{}=true", lease::CONTROLLER_LABEL)),
        ("kubeconfig", text(context.node_conf())),
        ("sync-forever", "true".into()),
        ("sync-interval-cap", "5s".into()),
        ("logtostderr", "true".into()),
        ("v", context.options.log_level.to_string()),
    ]);
    let program = context.paths.component("konnectivity-agent")?;
    let mut component = Component::new("konnectivity-agent", program, args.into_command_line(&[]));
    // It would wait for the streams that it carries, and those end with the node.
    component.stop = Duration::from_secs(1);
    Ok(component)
}

fn kube_proxy(context: &Context, profile: &join::Profile) -> Result<Component> {
    let args = Args::new([
        ("kubeconfig", text(context.node_conf())),
        ("hostname-override", context.node_name.clone()),
        ("cluster-cidr", profile.pod_cidr.clone()),
        ("proxy-mode", "iptables".into()),
        // None of the kernel's conntrack settings can be written in a container.
        ("conntrack-max-per-core", "0".into()),
        ("conntrack-tcp-timeout-established", "0s".into()),
        ("conntrack-tcp-timeout-close-wait", "0s".into()),
        ("v", context.options.log_level.to_string()),
    ]);
    let program = context.paths.component("kube-proxy")?;
    Ok(Component::new(
        "kube-proxy",
        program,
        args.into_command_line(&[]),
    ))
}
