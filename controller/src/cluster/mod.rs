//! One Cluster: `dereference -> validate -> build -> apply -> status`.

use std::sync::Arc;
use std::time::Duration;

use crds::names::CLUSTER_FINALIZER;
use crds::v1beta2::{Cluster, ClusterStatus};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use runtime::backoff::Failures;
use runtime::events::Events;

use crate::hosted::health::Prober;
use crate::hosted::nodes::Census;
use crate::kubernetes::primary::{PrimaryError, PrimaryWriter};
use crate::kubernetes::store::{Key, Kind, Store};
use crate::kubernetes::watches::Watches;
use crate::kubernetes::writer::Writer;
use crate::metrics::Metrics;

pub mod build;
pub mod dereference;
mod finalizer;
mod live_config;
mod news;
mod own_access;
pub mod status;
pub mod sweep;
pub mod validate;

use self::dereference::{Observed, dereference};
use self::validate::{Address, ValidCluster, validate};
use crate::apply::{Applied, Damping, Futile, Keys, Problem, Round};

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
    /// Writes that are held back.
    pub damping: Damping,
    /// Writes Clusters themselves.
    pub primary: PrimaryWriter<Cluster>,
    /// Attempts that failed in a row, by uid.
    pub failures: Failures,
}

/// Why a reconcile did not end well, where the status does not say so: it could not be written, or
/// the Cluster is changing under our hands.
pub type Error = PrimaryError;

/// Brings one Cluster closer to what it says.
pub async fn reconcile(cluster: Arc<Cluster>, context: Arc<Context>) -> Result<Action, Error> {
    let began = std::time::Instant::now();
    let uid = cluster.uid().unwrap_or_default();
    let outcome = Box::pin(run(context.primary.latest(cluster), &context)).await;
    let label = if outcome.is_ok() { "ok" } else { "error" };
    context
        .metrics
        .reconciled("Cluster", label, began.elapsed().as_secs_f64());
    Ok(match outcome? {
        Outcome::Done => {
            context.failures.clear(&uid);
            Action::await_change()
        }
        Outcome::Ended => Action::await_change(),
        Outcome::Later(wait) => Action::requeue(wait),
        Outcome::Refused { since } => {
            context.failures.clear(&uid);
            Action::requeue(until_next_attempt(since))
        }
        Outcome::Failed { again } => {
            let wait = again.unwrap_or_else(|| context.failures.delay(&uid));
            Action::requeue(wait.mul_f64(rand::random_range(1.0..1.2)))
        }
    })
}

/// What came of a reconcile whose outcome the status tells.
enum Outcome {
    /// All is as it should be, or a watch will tell.
    Done,
    /// The Cluster is let go.
    Ended,
    /// What is waited for comes by a watch, and is looked at then at the latest.
    Later(Duration),
    /// Something that others have to mend stands in the way.
    Refused {
        /// Since when.
        since: Option<Timestamp>,
    },
    /// The API server did not do its part, or not in time.
    Failed {
        /// When to try again, if that is known.
        again: Option<Duration>,
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

/// What happens after a failed reconcile: it is tried again later.
pub fn error_policy(cluster: &Cluster, error: &Error, context: &Context) -> Action {
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    let delay = context.failures.delay(&cluster.uid().unwrap_or_default());
    tracing::warn!(name, namespace, %error, ?delay, "reconcile failed, trying again");
    Action::requeue(delay)
}

async fn run(mut cluster: Arc<Cluster>, context: &Context) -> Result<Outcome, Error> {
    if cluster.metadata.deletion_timestamp.is_some() {
        return finalizer::run(&cluster, context).await;
    }
    let find = |cluster: &Cluster| {
        let observed = dereference(cluster, &context.store, &context.watches, &context.prober);
        let valid = validate(cluster, &observed, context.leaf_lifetime);
        (observed, valid)
    };
    let keys = Keys::default();
    let mut problems = Vec::new();
    let (mut again, mut goes_on) = (None, false);
    for _ in 0..ROUNDS {
        let (observed, valid) = find(&cluster);
        if observed.unread {
            return Ok(Outcome::Later(Duration::from_secs(5)));
        }
        let Ok(valid) = valid else { break };
        if !finalizer::is_set(&cluster) {
            match context
                .primary
                .add_finalizer(&cluster, CLUSTER_FINALIZER)
                .await
            {
                Ok(written) => cluster = written,
                Err(error) if error.is_conflict() => return Err(error),
                Err(error) => {
                    problems = vec![cannot_be_finalized(&cluster, &error)];
                    break;
                }
            }
        }
        if must_record_first(&cluster, &valid) {
            cluster = context
                .primary
                .status(&cluster, &recorded(&cluster, &valid))
                .await?;
        }
        let applied = apply_round(&cluster, &valid, &keys, context).await;
        (problems, again, goes_on) = (applied.problems, applied.again, applied.changed);
        if !applied.changed {
            break;
        }
    }
    let (observed, valid) = find(&cluster);
    let asked = ask_hosted(&cluster, &observed, valid.as_ref().ok(), &keys, context).await;
    let is_asked = asked.unwrap_or_else(|problem| {
        problems.push(problem);
        false
    });
    let mut hosted_config = None;
    if let Ok(valid) = &valid {
        problems.extend(count_nodes(&observed, valid, &keys, context).await.err());
        match live_config::bring(&cluster, &observed, valid, &keys, context).await {
            Ok(config) => hosted_config = config,
            Err(problem) => problems.push(problem),
        }
    }
    problems.sort();
    problems.dedup();
    let facts = status::Facts {
        cluster: &cluster,
        observed: &observed,
        valid: valid.as_ref(),
        problems: &problems,
        is_asked,
        hosted_config,
        nodes: context.census.last(&cluster.uid().unwrap_or_default()),
        now: Timestamp::now(),
    };
    write_status(&cluster, status::status(&facts), context).await?;
    for Problem { about, message, .. } in &problems {
        tracing::warn!(about, message, "not done, trying again");
    }
    if problems.iter().any(|problem| problem.passing) {
        return Ok(Outcome::Failed { again });
    }
    Ok(if problems.is_empty() && goes_on {
        Outcome::Later(Duration::from_secs(1))
    } else if problems.is_empty() {
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

/// Without a finalizer nothing is made: it could outlive the Cluster.
fn cannot_be_finalized(cluster: &Cluster, error: &PrimaryError) -> Problem {
    Problem {
        about: format!(
            "Cluster {}/{}",
            cluster.namespace().unwrap_or_default(),
            cluster.name_any()
        ),
        message: format!("its finalizer could not be added, so nothing is made: {error}"),
        passing: !error.is_refused(),
    }
}

async fn apply_round(
    cluster: &Cluster,
    valid: &ValidCluster,
    keys: &Keys,
    context: &Context,
) -> Applied {
    let built = build::build(valid);
    let round = Round {
        writer: &context.writer,
        store: &context.store,
        futile: &context.futile,
        damping: &context.damping,
        keys,
        uid: &valid.uid,
        keys_made: status::keys_were_made(cluster.status.as_ref()),
        now: Timestamp::now(),
        leaf_lifetime: context.leaf_lifetime,
    };
    round.run(&built.wanted, &built.obsolete).await
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
fn recorded(cluster: &Cluster, valid: &ValidCluster) -> ClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    status.ports = valid.ports;
    if let Address::External(host) = &valid.address {
        status.external_address = Some(host.clone());
    }
    status.etcd_members = valid.begun_members();
    status
}

async fn write_status(
    cluster: &Arc<Cluster>,
    new: ClusterStatus,
    context: &Context,
) -> Result<(), Error> {
    if status::differs(cluster.status.as_ref(), &new) {
        news::publish(cluster, &new, context);
        context.primary.status(cluster, &new).await?;
    }
    Ok(())
}

/// Has the hosted API asked, in the background, whether it is ready: also that of a Cluster whose
/// spec is refused, since it may serve all the same. Whether it is asked.
async fn ask_hosted(
    cluster: &Cluster,
    observed: &Observed,
    valid: Option<&ValidCluster>,
    keys: &Keys,
    context: &Context,
) -> Result<bool, Problem> {
    let ports = match valid {
        Some(valid) => valid.ports,
        None => cluster.status.as_ref().and_then(|status| status.ports),
    };
    let (Some(control_plane), Some((endpoint, authority))) = (
        observed.control_plane.as_ref(),
        own_access::endpoint(observed, ports),
    ) else {
        return Ok(false);
    };
    let uid = cluster.uid().unwrap_or_default();
    if context.prober.observes(&uid, &endpoint) {
        let started = control_plane
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas);
        let serves = observed.health.as_ref().is_some_and(|health| health.ready);
        if (started.unwrap_or_default() > 0) != serves {
            context.prober.hurry(&uid);
        }
        return Ok(true);
    }
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    // An API server that lets nobody ask without a certificate costs one request for the key.
    let client = if valid.is_some_and(build::k0s_config::anonymous_health) {
        None
    } else {
        let key = Key::new(Kind::Secret, &namespace, authority);
        Some(own_access::certificate(&key, OWN_LIFETIME, keys, context).await?)
    };
    let was_ready = status::is_true(cluster.status.as_ref(), status::FUNCTIONAL);
    context
        .prober
        .observe(&uid, &namespace, &name, endpoint, client, was_ready);
    Ok(true)
}

/// Has the nodes counted, in the background, once there is an API that can be asked.
async fn count_nodes(
    observed: &Observed,
    valid: &ValidCluster,
    keys: &Keys,
    context: &Context,
) -> Result<(), Problem> {
    let serves = observed.health.as_ref().is_some_and(|health| health.ready);
    let (true, Some((endpoint, authority))) = (serves, own_access::endpoint(observed, valid.ports))
    else {
        return Ok(());
    };
    let wants = context
        .census
        .follow(&valid.uid, &valid.namespace, &valid.name, endpoint);
    if wants {
        let key = Key::new(Kind::Secret, &valid.namespace, authority);
        let pair = own_access::certificate(&key, OWN_LIFETIME, keys, context).await?;
        context.census.provide(&valid.uid, pair);
    }
    Ok(())
}

/// The reference of an event.
fn reference(cluster: &Cluster) -> k8s_openapi::api::core::v1::ObjectReference {
    cluster.object_ref(&())
}
