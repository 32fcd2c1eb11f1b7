//! What every process begins and ends with: its log, its client, its name and its signals.

use std::time::Duration;

use anyhow::Context as _;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::retry::RetryPolicy;
use kube::client::{ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tokio_util::sync::CancellationToken;
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

use crate::deadline::Deadlines;

/// How long a connection is quiet until its other end is asked whether it is there, and how long it
/// may take to say so; twice, and the connection is over.
const IS_IT_THERE: Duration = Duration::from_secs(10);
/// How long a connection that nobody uses is kept: a rush leaves many, with their buffers.
const UNUSED: Duration = Duration::from_secs(20);
/// How often what an API server is too busy for is asked again without a word.
const AGAIN: u32 = 5;

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
    // That of kube goes on for minutes.
    config.default_retry = false;
    let what = "could not make a client for the Kubernetes API";
    if config.proxy_url.is_some() {
        // kube's own, to its proxies.
        let builder = ClientBuilder::try_from(config).context(what)?;
        return Ok(builder.with_layer(&Deadlines).build());
    }
    direct(config).context(what)
}

/// As kube makes one, but over connections whose other end is asked for, or a machine that is gone
/// without a word would be waited for until a deadline: of a watch that is minutes.
fn direct(config: Config) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(IS_IT_THERE));
    tcp.set_keepalive_interval(Some(IS_IT_THERE));
    tcp.set_keepalive_retries(Some(2));
    // Also while there is something on its way, which the probes wait for.
    tcp.set_tcp_user_timeout(Some(IS_IT_THERE * 3));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    let mut connections = legacy::Client::builder(TokioExecutor::new());
    connections
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(UNUSED);
    let service = ServiceBuilder::new()
        .layer(Deadlines)
        .layer(config.base_uri_layer())
        .option_layer(again().map(RetryLayer::new))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(connections.build(connector));
    Ok(Client::new(service, config.default_namespace))
}

/// What an API server is too busy for is asked again a few times, and then somebody is told: who waits for
/// an answer cannot say what is wrong. With a pause that the API server asks for that takes seconds.
fn again() -> Option<RetryPolicy> {
    let (shortest, longest) = (Duration::from_millis(5), Duration::from_secs(1));
    RetryPolicy::new(shortest, longest, AGAIN, true).ok()
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
