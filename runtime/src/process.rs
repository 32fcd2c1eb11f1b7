//! What every process begins and ends with: its log, its client, its name and its signals.

use std::time::Duration;

use anyhow::Context as _;
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio_util::sync::CancellationToken;

use crate::deadline::Deadlines;

/// What is logged, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Log {
    /// What is logged, in the syntax of `RUST_LOG`
    #[arg(long, env = "RUST_LOG", default_value = "info,kube_runtime=warn")]
    pub log: String,

    /// Form of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// An object a line.
    Json,
    /// For people.
    Text,
}

/// Begins to log to standard error.
pub fn init(log: &Log) -> anyhow::Result<()> {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    use tracing_subscriber::{EnvFilter, Layer as _, filter, fmt, registry};
    let wanted = EnvFilter::try_new(&log.log).context("--log does not parse")?;
    // kube warns of an answer that does not parse with the whole of it, which may be a Secret. A
    // filter of its own, as no directive of a user's may undo it.
    let harmless = filter::filter_fn(|of| {
        of.target() != "kube_client::client" || *of.level() == tracing::Level::ERROR
    });
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.log_format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    registry()
        .with(wanted)
        .with(lines.with_filter(harmless))
        .init();
    Ok(())
}

/// A client for the cluster of the ServiceAccount, or of the kubeconfig.
pub async fn client() -> anyhow::Result<Client> {
    let mut config = Config::infer().await.context(
        "no way to the Kubernetes API: neither a ServiceAccount of a pod nor a kubeconfig was found",
    )?;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Of a whole connection; here it depends on the request.
    config.read_timeout = None;
    let builder = ClientBuilder::try_from(config)
        .context("could not make a client for the Kubernetes API")?;
    Ok(builder.with_layer(&Deadlines).build())
}

/// The name of this process among its replicas: the given one, else the host's, else `fallback`.
pub fn identity(given: Option<&str>, fallback: &str) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = given
        .map(str::to_owned)
        .or_else(host)
        .unwrap_or_else(|| fallback.to_owned());
    // Two processes on one host are two candidates.
    format!("{}_{}", name.trim(), std::process::id())
}

/// The first signal (SIGTERM, SIGINT) cancels `stop`, the second ends the process at once.
pub async fn stop_on_signals(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be caught: only SIGKILL will end this process");
        return;
    };
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    tracing::info!("stopping");
    stop.cancel();
    next().await;
    #[expect(clippy::exit, reason = "a second signal must not wait for anything")]
    std::process::exit(130);
}
