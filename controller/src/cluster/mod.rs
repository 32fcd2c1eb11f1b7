//! One Cluster: `dereference -> validate -> build -> apply -> status`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt, runtime::controller::Action};
use parking_lot::Mutex;

use crds::v1beta2::Cluster;
use runtime::events::Events;

use crate::{
    hosted::{health::Prober, nodes::Census},
    kubernetes::{
        own::{Own, OwnError},
        store::Store,
        watches::Watches,
        writer::Writer,
    },
    metrics::Metrics,
};

pub mod apply;
pub mod build;
pub mod compare;
pub mod dereference;
mod finalizer;
mod live_config;
mod news;
mod own_access;
pub mod restore;
pub mod status;
pub mod validate;
pub mod wanted;
mod write;

use self::{
    apply::{Applied, ApplyError, Futile, Keys, Problem, Round},
    dereference::{Observed, dereference},
    validate::{Address, Refusal, ValidCluster, validate},
};

/// How long leaf certificates last unless a flag says otherwise.
pub const LEAF_LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long the controller's own certificate for a hosted API lasts.
const OWN_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Rounds of build and apply in one reconcile. Three are the most that the order of the children
/// asks for; what is left waits for a watch.
const ROUNDS: usize = 6;

/// What a reconcile works with.
pub struct Context {
    /// What the watches have brought.
    pub store: Store,
    /// The watches, for Secrets that a user names.
    pub watches: Watches,
    /// Writes children.
    pub writer: Writer,
    /// Asks hosted APIs whether they are ready.
    pub prober: Prober,
    /// Counts the nodes of hosted clusters.
    pub census: Census,
    /// Tells people.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// How long leaf certificates last.
    pub leaf_lifetime: SignedDuration,
    /// Applies that change nothing.
    pub futile: Futile,
    /// Writes Clusters themselves.
    pub own: Own<Cluster>,
    /// Attempts that failed in a row, by uid.
    pub failures: Failures,
}

/// Why a reconcile did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A child could not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The status or the finalizer could not be written.
    #[error(transparent)]
    Own(#[from] OwnError),
}

impl Error {
    /// Whether trying again may help while nothing else changes.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Apply(error) => error.is_retryable(),
            Self::Own(_) => true,
        }
    }
}

/// Failed attempts in a row, for the backoff.
#[derive(Clone, Default)]
pub struct Failures(Arc<Mutex<HashMap<String, u32>>>);

impl Failures {
    /// The delay before the next attempt: doubling from a quarter of a second to five minutes,
    /// with up to a fifth added so that many do not come back together.
    pub fn delay(&self, uid: &str) -> Duration {
        let mut failures = self.0.lock();
        let count = failures.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        let base = Duration::from_millis(250) * 2_u32.pow((*count - 1).min(11));
        base.min(Duration::from_secs(300))
            .mul_f64(rand::random_range(1.0..1.2))
    }

    /// It went well, or it is gone.
    pub fn clear(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}

/// Brings one Cluster closer to what it says.
pub async fn reconcile(cluster: Arc<Cluster>, context: Arc<Context>) -> Result<Action, Error> {
    let began = std::time::Instant::now();
    let uid = cluster.uid().unwrap_or_default();
    let outcome = Box::pin(run(context.own.latest(cluster), &context)).await;
    let label = if outcome.is_ok() { "ok" } else { "error" };
    context
        .metrics
        .reconciled("Cluster", label, began.elapsed().as_secs_f64());
    match outcome? {
        Outcome::Done => {
            context.failures.clear(&uid);
            Ok(Action::await_change())
        }
        Outcome::Ending(next) => Ok(next),
        Outcome::Refused { since } => {
            context.failures.clear(&uid);
            Ok(Action::requeue(until_next_attempt(since)))
        }
    }
}

/// What came of a reconcile that ended well.
enum Outcome {
    /// All is as it should be, or a watch will tell.
    Done,
    /// The Cluster is on its way out.
    Ending(Action),
    /// A child could not be written, and the status says why.
    Refused {
        /// Since when.
        since: Option<Timestamp>,
    },
}

/// What stands in the way (a port of another Cluster, a quota) may go without a word. The wait is
/// a tenth of the time that it has lasted, between two seconds and five minutes: whoever mends it
/// soon sees it soon, and what stays costs little.
fn until_next_attempt(since: Option<Timestamp>) -> Duration {
    let lasted = since.map_or(SignedDuration::ZERO, |since| {
        Timestamp::now().duration_since(since)
    });
    let lasted = Duration::try_from(lasted).unwrap_or_default();
    let wait = (lasted / 10).clamp(Duration::from_secs(2), Duration::from_secs(300));
    wait.mul_f64(rand::random_range(1.0..1.2))
}

/// What happens after a failed reconcile: again later, or when something changes.
pub fn error_policy(cluster: &Cluster, error: &Error, context: &Context) -> Action {
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    if !error.is_retryable() {
        tracing::warn!(name, namespace, %error, "reconcile failed, waiting for a change");
        return Action::await_change();
    }
    let delay = context.failures.delay(&cluster.uid().unwrap_or_default());
    tracing::warn!(name, namespace, %error, ?delay, "reconcile failed, trying again");
    Action::requeue(delay)
}

async fn run(mut cluster: Arc<Cluster>, context: &Context) -> Result<Outcome, Error> {
    if cluster.metadata.deletion_timestamp.is_some() {
        let next = finalizer::run(&cluster, context).await?;
        return Ok(Outcome::Ending(next));
    }
    let keys = Keys::default();
    let mut problems = Vec::new();
    for _ in 0..ROUNDS {
        let observed = dereference(&cluster, &context.store, &context.watches, &context.prober);
        let valid = validate(&cluster, &observed, context.leaf_lifetime);
        let valid = match valid {
            Ok(valid) => valid,
            Err(refusal) => {
                write_status(&cluster, &observed, Err(&refusal), &[], None, context).await?;
                return Ok(Outcome::Done);
            }
        };
        if !finalizer::is_set(&cluster) {
            cluster = write::finalizer(&cluster, context).await?;
        }
        if must_record_first(&cluster, &valid) {
            cluster = write::status(&cluster, recorded(&cluster, &valid), context).await?;
        }
        let applied = apply_round(&cluster, &valid, &keys, context).await?;
        problems = applied.problems;
        if !applied.changed {
            break;
        }
    }
    let observed = dereference(&cluster, &context.store, &context.watches, &context.prober);
    let valid = validate(&cluster, &observed, context.leaf_lifetime);
    let mut hosted_config = None;
    if let Ok(valid) = &valid {
        ask_hosted(&observed, valid, &keys, context).await?;
        count_nodes(&observed, valid, &keys, context).await?;
        match live_config::bring(&cluster, &observed, valid, &keys, context).await? {
            Ok(config) => hosted_config = config,
            Err(problem) => problems.push(problem),
        }
    }
    write_status(
        &cluster,
        &observed,
        valid.as_ref(),
        &problems,
        hosted_config,
        context,
    )
    .await?;
    Ok(if problems.is_empty() {
        Outcome::Done
    } else {
        let applied = status::condition(cluster.status.as_ref(), status::APPLIED);
        Outcome::Refused {
            since: applied
                .filter(|applied| applied.status == "False")
                .map(|applied| applied.last_transition_time.0),
        }
    })
}

async fn apply_round(
    cluster: &Cluster,
    valid: &ValidCluster,
    keys: &Keys,
    context: &Context,
) -> Result<Applied, ApplyError> {
    let built = build::build(valid);
    let round = Round {
        writer: &context.writer,
        store: &context.store,
        futile: &context.futile,
        keys,
        uid: &valid.uid,
        keys_made: status::keys_were_made(cluster.status.as_ref()),
        now: Timestamp::now(),
        leaf_lifetime: context.leaf_lifetime,
    };
    round.run(&built.wanted, &built.keep).await
}

/// An address or a port that was found out is written down before anything relies on it: k0s
/// listens on it and workers dial it for the cluster's life.
fn must_record_first(cluster: &Cluster, valid: &ValidCluster) -> bool {
    let spec = &cluster.spec.service;
    let allocated = spec.api_port == 0 || spec.konnectivity_port == 0;
    let recorded = cluster.status.clone().unwrap_or_default();
    let address = match &valid.address {
        Address::External(host) => recorded.external_address.as_ref() != Some(host),
        Address::Internal | Address::Waiting { .. } => false,
    };
    allocated && valid.ports.is_some() && (recorded.ports != valid.ports || address)
}

/// The status that is there, with what was found out.
fn recorded(cluster: &Cluster, valid: &ValidCluster) -> crds::v1beta2::ClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    status.ports = valid.ports;
    if let Address::External(host) = &valid.address {
        status.external_address = Some(host.clone());
    }
    status.etcd_members = Some(valid.etcd_members);
    status
}

async fn write_status(
    cluster: &Arc<Cluster>,
    observed: &Observed,
    valid: Result<&ValidCluster, &Refusal>,
    problems: &[Problem],
    hosted_config: Option<serde_json::Value>,
    context: &Context,
) -> Result<(), Error> {
    let now = Timestamp::now();
    let new = status::status(&status::Facts {
        cluster,
        observed,
        valid,
        problems,
        hosted_config,
        nodes: context.census.last(&cluster.uid().unwrap_or_default()),
        now,
    });
    if !status::differs(cluster.status.as_ref(), &new) {
        return Ok(());
    }
    news::publish(cluster, &new, context);
    write::status(cluster, new, context).await?;
    Ok(())
}

/// Has the hosted API asked, in the background, whether it is ready.
async fn ask_hosted(
    observed: &Observed,
    valid: &ValidCluster,
    keys: &Keys,
    context: &Context,
) -> Result<(), Error> {
    let (Some(control_plane), Some((endpoint, authority))) =
        (observed.control_plane.as_ref(), own_access::endpoint(valid))
    else {
        return Ok(());
    };
    if context.prober.observes(&valid.uid, &endpoint) {
        let started = control_plane
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas);
        let serves = observed.health.as_ref().is_some_and(|health| health.ready);
        if started.unwrap_or_default() > 0 && !serves {
            context.prober.hurry(&valid.uid);
        }
        return Ok(());
    }
    // An API server that lets nobody ask without a certificate costs one request for the key.
    let client = if build::k0s_config::anonymous_health(valid) {
        None
    } else {
        Some(own_access::certificate(valid, &authority, OWN_LIFETIME, keys, context).await?)
    };
    context
        .prober
        .observe(&valid.uid, &valid.namespace, &valid.name, endpoint, client);
    Ok(())
}

/// Has the nodes counted, in the background, once there is an API that can be asked.
async fn count_nodes(
    observed: &Observed,
    valid: &ValidCluster,
    keys: &Keys,
    context: &Context,
) -> Result<(), Error> {
    let serves = observed.health.as_ref().is_some_and(|health| health.ready);
    let (true, Some((endpoint, authority))) = (serves, own_access::endpoint(valid)) else {
        return Ok(());
    };
    let wants = context
        .census
        .follow(&valid.uid, &valid.namespace, &valid.name, endpoint);
    if wants {
        let pair = own_access::certificate(valid, &authority, OWN_LIFETIME, keys, context).await?;
        context.census.provide(&valid.uid, pair);
    }
    Ok(())
}

/// The reference of an event.
fn reference(cluster: &Cluster) -> k8s_openapi::api::core::v1::ObjectReference {
    cluster.object_ref(&())
}
