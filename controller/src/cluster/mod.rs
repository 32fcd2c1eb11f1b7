//! One Cluster: deletion, or `settle` (`dereference -> validate -> children -> apply`, until nothing
//! changes), `hosted`, `status`. When it is looked at again without a change is its `Outcome`.

use std::sync::Arc;
use std::time::Duration;

use crds::v1beta2::Cluster;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use runtime::backoff;

pub mod children;
pub mod context;
mod deletion;
pub mod dereference;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod fuzz;
mod hosted;
mod settle;
pub mod status;
pub mod sweep;
pub mod validate;

pub use self::context::{Context, Error, LEAF_LIFETIME};
use self::settle::{Settled, settle};
use self::validate::ValidCluster;
use crate::apply::{Problem, SigningKeys};

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
        Outcome::Done { again } => {
            context.failures.clear(&uid);
            again.map_or_else(Action::await_change, Action::requeue)
        }
        Outcome::Ended => Action::await_change(),
        Outcome::Later(wait) => Action::requeue(wait),
        Outcome::Refused { since } => {
            context.failures.clear(&uid);
            Action::requeue(backoff::while_it_lasts(since))
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
    Done {
        /// When the status has more to say.
        again: Option<Duration>,
    },
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

/// What happens after a failed reconcile: it is tried again later.
pub fn error_policy(cluster: &Cluster, error: &Error, context: &Context) -> Action {
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    let delay = context.failures.delay(&cluster.uid().unwrap_or_default());
    tracing::warn!(name, namespace, %error, ?delay, "reconcile failed, retrying");
    Action::requeue(delay)
}

/// How long a first list of what a Cluster depends on may take before it is looked at again.
const UNREAD: Duration = Duration::from_secs(5);
/// When what has changed in the last round is looked at once more.
const GOES_ON: Duration = Duration::from_secs(1);

async fn run(cluster: Arc<Cluster>, context: &Context) -> Result<Outcome, Error> {
    if cluster.metadata.deletion_timestamp.is_some() {
        return deletion::run(&cluster, context).await;
    }
    let keys = SigningKeys::default();
    let Some(settled) = Box::pin(settle(cluster, &keys, context)).await? else {
        return Ok(Outcome::Later(UNREAD));
    };
    let Settled {
        cluster,
        observed,
        valid,
        mut problems,
        again,
        goes_on,
    } = settled;
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let uid = cluster.uid().unwrap_or_default();
    context
        .mothership
        .pods
        .follow(&uid, &namespace, &name, observed.lacking());
    let asked = hosted::ask(&cluster, &observed, valid.as_ref().ok(), &keys, context).await;
    problems.extend(asked.problems);
    problems.sort();
    problems.dedup();
    let facts = status::Facts {
        cluster: &cluster,
        observed: &observed,
        valid: valid.as_ref(),
        problems: &problems,
        is_asked: asked.is_asked,
        hosted_config: asked.config,
        nodes: context.census.last(&uid),
        now: Timestamp::now(),
    };
    let no_news_for = status::write(&cluster, status::status(&facts), context).await?;
    for Problem { about, message, .. } in &problems {
        tracing::warn!(about, message, "not done, retrying");
    }
    // Nothing tells of a claim whose name is too long to say whose it is.
    let waits = |valid: &ValidCluster| children::storage::in_the_way(valid).is_some();
    Ok(if problems.iter().any(|problem| problem.passing) {
        Outcome::Failed { again }
    } else if !problems.is_empty() || valid.as_ref().is_ok_and(waits) {
        Outcome::Refused {
            since: status::refused_since(&cluster),
        }
    } else if goes_on {
        Outcome::Later(GOES_ON)
    } else {
        Outcome::Done { again: no_news_for }
    })
}
