//! The process: client, stores, leader election, controllers (a new kind of ours is registered here),
//! health server, shutdown.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crds::v1beta2::{Cluster, JoinTokenRequest};
use futures::{Stream, StreamExt, future, stream};
use jiff::SignedDuration;
use kube::runtime::Controller;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{ObjectRef, Store as Reader};
use kube::{Resource, ResourceExt};
use runtime::backoff::Failures;
use runtime::events::Events;
use runtime::leader::Candidate;
use runtime::synced;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::hosted::health::ReadinessPoller;
use crate::hosted::nodes::NodePoller;
use crate::hosted::turns::Turns;
use crate::kubernetes::pods::PodPoller;
use crate::kubernetes::primaries::{Primaries, Untold};
use crate::kubernetes::primary::PrimaryWriter;
use crate::kubernetes::pulse::Pulse;
use crate::kubernetes::store::Store;
use crate::kubernetes::watches::Watches;
use crate::kubernetes::writer::Writer;
use crate::kubernetes::{Mothership, requeue};
use crate::metrics::Metrics;
use crate::{apply, cluster, health, join_token};

/// How long open work may take after SIGTERM. Together with the release of the lease it stays
/// within the 30 s that the pod gets.
const DRAIN: Duration = Duration::from_secs(15);

/// Runs until SIGTERM or until the lease is lost.
pub async fn run(args: Args) -> anyhow::Result<()> {
    runtime::init(&args.log)?;
    // Only fails where a provider was installed before: then that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stop = CancellationToken::new();
    tokio::spawn(runtime::stop_on_signals(stop.clone()));

    let client = runtime::client().await?;
    let metrics = Metrics::default();
    let store = Store::default();
    let (triggers, triggered) = requeue::channel();
    let pulse = Pulse::default();
    let watches = Watches::start(
        client.clone(),
        args.namespace.clone(),
        store.clone(),
        triggers.clone(),
        metrics.clone(),
        pulse.clone(),
        stop.clone(),
    );
    let identity = runtime::identity(args.identity.as_deref(), "controller");
    let events = Events::new(client.clone(), "k0smotron-controller", &identity);
    let primaries = Primaries {
        client: client.clone(),
        namespace: args.namespace.clone(),
        pulse: pulse.clone(),
        triggers: triggers.clone(),
        events: events.clone(),
        stop: stop.clone(),
        untold: Untold::default(),
    };
    let (requests, requests_ready) = {
        let triggers = triggers.clone();
        primaries.follow(move |request: &JoinTokenRequest| {
            triggers.request(
                &request.namespace().unwrap_or_default(),
                &request.name_any(),
            );
        })
    };
    let (clusters, clusters_ready) = {
        let triggers = triggers.clone();
        primaries.follow(move |cluster: &Cluster| {
            let namespace = cluster.namespace().unwrap_or_default();
            triggers.cluster(&namespace, &cluster.name_any());
            triggers.requests_of(&namespace, &cluster.name_any());
        })
    };
    let prober = {
        let triggers = triggers.clone();
        ReadinessPoller::new(move |namespace: &str, name: &str| triggers.cluster(namespace, name))
    };
    let census = {
        let triggers = triggers.clone();
        NodePoller::new(move |namespace: &str, name: &str| triggers.cluster(namespace, name))
    };
    let pods = {
        let triggers = triggers.clone();
        let changed = move |namespace: &str, name: &str| triggers.cluster(namespace, name);
        PodPoller::new(client.clone(), changed)
    };
    let context = Arc::new(cluster::Context {
        mothership: Mothership {
            store: store.clone(),
            watches: watches.clone(),
            writer: Writer::new(
                client.clone(),
                store.clone(),
                triggers.clone(),
                metrics.clone(),
            ),
            pods,
        },
        prober,
        census,
        turns: Turns::default(),
        events,
        metrics: metrics.clone(),
        leaf_lifetime: SignedDuration::try_from(args.leaf_lifetime)
            .context("--leaf-lifetime is too long")?,
        rounds: Semaphore::new(cluster::ROUNDS_AT_ONCE),
        no_op_applies: apply::NoOpApplies::default(),
        damping: apply::Damping::default(),
        primary: PrimaryWriter::new(client.clone()),
        failures: Failures::default(),
        unasked: Failures::default(),
    });

    let gates = health::Gates {
        watches: watches.clone(),
        clusters: clusters_ready.clone(),
        requests: requests_ready.clone(),
        pulse,
    };
    let counted = metrics.clone();
    let scrape = move || {
        let counts = store.counts().into_iter();
        counted.render(counts.map(|(kind, count)| (kind.as_str(), count)))
    };
    let server =
        runtime::health::serve(args.health_address, move || gates.unready(), scrape).await?;
    tokio::spawn(server);

    let (leads, leading) = watch::channel(!args.leader_elect);
    let drained = CancellationToken::new();
    let election = async {
        if args.leader_elect {
            // A client of its own: what the reconciles send must not hold up what keeps them going.
            Candidate::new(
                runtime::client().await?,
                &args.lease_namespace,
                &args.lease_name,
                &identity,
            )
            .run(leads, stop.clone(), drained.clone())
            .await?;
        } else {
            stop.cancelled().await;
        }
        anyhow::Ok(())
    };
    let work = async {
        let ready = async {
            watches.wait_until_ready().await;
            let both = (clusters_ready.clone(), requests_ready.clone());
            future::join(synced(both.0), synced(both.1)).await;
            // The sender lives in the election, which outlives this.
            let _ = leading.clone().wait_for(|leads| *leads).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = ready => {}
        }
        metrics.leads(true);
        primaries.open();
        for cluster in clusters.state() {
            triggers.cluster(
                &cluster.namespace().unwrap_or_default(),
                &cluster.name_any(),
            );
        }
        for request in requests.state() {
            triggers.request(
                &request.namespace().unwrap_or_default(),
                &request.name_any(),
            );
        }
        let config = controller::Config::default().concurrency(args.concurrency);
        let for_clusters = control(
            clusters.clone(),
            requeue::stream(triggered.clusters),
            config.clone(),
            &stop,
            context.clone(),
            cluster::reconcile,
            cluster::error_policy,
        );
        let requests_context = Arc::new(join_token::Context {
            shared: context.clone(),
            clusters: clusters.clone(),
            primary: PrimaryWriter::new(client.clone()),
            failures: Failures::default(),
        });
        let forget = join_token::forget_gone(requests.clone(), requests_context.clone());
        let of_clusters = {
            let requests = requests.clone();
            requeue::stream(triggered.requests_of)
                .flat_map(move |of| stream::iter(join_token::of_cluster(&requests, &of)))
        };
        let for_requests = control(
            requests,
            stream::select(requeue::stream(triggered.requests), of_clusters),
            config,
            &stop,
            requests_context,
            join_token::reconcile,
            join_token::error_policy,
        );
        let sweep = cluster::sweep::run(clusters.clone(), &context);
        let drain = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            _ = future::join(for_clusters, for_requests) => {}
            () = sweep => {}
            () = forget => {}
            () = drain => tracing::warn!("pending work did not finish in time"),
        }
    };
    let work = async {
        work.await;
        drained.cancel();
    };
    tokio::pin!(election);
    tokio::select! {
        // A lost lease ends the process at once: whoever holds it now may be writing already.
        lost = &mut election => { lost?; }
        () = work => { election.await?; }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn control<K, C, R, E>(
    reader: Reader<K>,
    triggered: impl Stream<Item = ObjectRef<K>> + Send + 'static,
    config: controller::Config,
    stop: &CancellationToken,
    context: Arc<C>,
    reconcile: impl Fn(Arc<K>, Arc<C>) -> R + Send + Sync + 'static,
    policy: impl Fn(&K, &E, &C) -> Action + Send + Sync + 'static,
) where
    K: Resource<DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
    C: Send + Sync + 'static,
    R: Future<Output = Result<Action, E>> + Send + 'static,
    E: std::error::Error + Send + 'static,
{
    Controller::for_stream(futures::stream::pending(), reader)
        .with_config(config)
        .reconcile_on(triggered)
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(
            reconcile,
            move |object: Arc<K>, error: &E, context| policy(&object, error, &context),
            context,
        )
        // Errors were logged by the policy.
        .for_each(|_| future::ready(()))
        .await;
}
