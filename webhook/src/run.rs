//! The process: client, stores, certificates, servers, the end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::SignedDuration;
use kube::Client;
use runtime::leader::Candidate;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::audit;
use crate::cache::{Cache, Watches};
use crate::certificates::ca_bundles::CaBundles;
use crate::certificates::plan::Timings;
use crate::certificates::rotator::{self, Rotator};
use crate::certificates::{Served, secret};
use crate::handlers::Handlers;
use crate::health::Gates;
use crate::metrics::Metrics;
use crate::review::Reviews;
use crate::server::{self, Limits};

/// Definitions whose conversion is asked for here.
const DEFINITIONS: [&str; 2] = ["clusters.k0smotron.io", "jointokenrequests.k0smotron.io"];

/// Runs until some time after SIGTERM.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let started = Instant::now();
    runtime::init(&args.log)?;
    // Only fails where a provider was installed before: then that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stop = CancellationToken::new();
    tokio::spawn(runtime::stop_on_signals(stop.clone()));
    // Watches and renewal go on while the last requests are answered.
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();

    // Else the first object that is converted waits for it.
    tokio::task::spawn_blocking(crds::conversion::prepare);
    let client = runtime::client().await?;
    let metrics = Metrics::default();
    let known = Cache::default();
    let served = Served::new(metrics.clone());
    let watches = Watches::start(client.clone(), known.clone(), metrics.clone(), end.clone());
    let (seen, seen_rx) = watch::channel(secret::SeenSecret::default());
    tokio::spawn(secret::follow(
        client.clone(),
        args.namespace.clone(),
        args.certificate_secret.clone(),
        served.clone(),
        metrics.clone(),
        seen,
        end.clone(),
    ));
    let published = Arc::new(AtomicBool::new(!args.manage_certificates));
    let keeper = args
        .manage_certificates
        .then(|| keeper(&args, &client, &metrics, seen_rx, published.clone(), &stop))
        .transpose()?;
    let leading = lead(
        args.clone(),
        client.clone(),
        known.clone(),
        metrics.clone(),
        keeper,
        stop.clone(),
    );

    let limits = Limits {
        connections: args.max_connections.into(),
        requests: args.max_requests.into(),
        age: args.connection_age,
        drain: args.drain,
        ..Limits::default()
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}: choose another --listen", args.listen))?;
    let gates = Gates {
        watches: watches.clone(),
        served: served.clone(),
        published,
        stop: stop.clone(),
    };
    let (readiness, counted, counts) = (gates.clone(), metrics.clone(), known.clone());
    let scrape = move || counted.render(counts.counts());
    let health =
        runtime::health::serve(args.health_address, move || readiness.unready(), scrape).await?;
    tokio::spawn(health);
    tokio::spawn(async move {
        gates.ready().await;
        tracing::info!(seconds = started.elapsed().as_secs_f64(), "ready");
    });
    let endpoints = Arc::new(Reviews {
        handlers: Handlers::default(),
        cache: known,
        watches,
        metrics: metrics.clone(),
    });
    let router = server::router(endpoints, limits, metrics.clone());
    let tls = served.tls().context("TLS cannot be set up")?;
    server::serve(listener, Arc::new(tls), router, limits, metrics, stop).await;
    // The lease is released by now, long before the drain has ended.
    let _ = tokio::time::timeout(Duration::from_secs(5), leading).await;
    tracing::info!("stopped");
    Ok(())
}

/// Keeps certificate and bundles right, once it leads.
fn keeper(
    args: &Args,
    client: &Client,
    metrics: &Metrics,
    seen: watch::Receiver<secret::SeenSecret>,
    published: Arc<AtomicBool>,
    stop: &CancellationToken,
) -> anyhow::Result<Rotator> {
    let bundles = CaBundles::new(
        client.clone(),
        &args.namespace,
        &args.configuration,
        &DEFINITIONS,
    );
    bundles.start(metrics, stop);
    tokio::spawn({
        let (bundles, seen) = (bundles.clone(), seen.clone());
        async move {
            rotator::published(bundles, seen).await;
            published.store(true, Relaxed);
        }
    });
    let lifetime = |lifetime| SignedDuration::try_from(lifetime).context("a lifetime is too long");
    Ok(Rotator {
        client: client.clone(),
        namespace: args.namespace.clone(),
        secret: args.certificate_secret.clone(),
        names: args.names(),
        timings: Timings::new(
            lifetime(args.authority_lifetime)?,
            lifetime(args.leaf_lifetime)?,
        ),
        bundles,
        seen,
        metrics: metrics.clone(),
        kept: None,
        promoted: None,
    })
}

/// Competes for the lease. Who holds it renews the certificate, and counts what violates policies.
fn lead(
    args: Args,
    client: Client,
    known: Cache,
    metrics: Metrics,
    keeper: Option<Rotator>,
    stop: CancellationToken,
) -> tokio::task::JoinHandle<()> {
    let (leads, leading) = watch::channel(false);
    let drained = CancellationToken::new();
    let identity = runtime::identity(args.identity.as_deref(), "webhook");
    tokio::spawn(async move {
        let work = async {
            let keeping = async {
                if let Some(keeper) = keeper {
                    keeper.run(leading.clone(), stop.clone()).await;
                }
            };
            let auditing = audit::run(
                client.clone(),
                known,
                metrics.clone(),
                leading.clone(),
                stop.clone(),
            );
            futures::future::join(keeping, auditing).await;
            drained.cancel();
        };
        let mut changes = leading.clone();
        let report = async {
            while changes.changed().await.is_ok() {
                metrics.leads(*changes.borrow_and_update());
            }
        };
        let election = async {
            loop {
                let (namespace, name) = (&args.namespace, &args.lease_name);
                let candidate = Candidate::new(client.clone(), namespace, name, &identity);
                let run = candidate
                    .run(leads.clone(), stop.clone(), drained.clone())
                    .await;
                let Err(error) = run else { return };
                // Unlike a controller, it may go on: whoever writes the Secret has to have seen
                // its last version, so two who think that they lead cannot undo each other.
                tracing::warn!(%error, "no longer leading");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            ((), ()) = futures::future::join(work, election) => {}
            () = report => {}
        }
    })
}
