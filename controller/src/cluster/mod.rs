//! One Cluster: deletion, or `settle` (`dereference -> validate -> children -> apply`, until nothing
//! changes), `hosted`, `status`. When it is looked at again without a change is its `Outcome`.

use std::sync::Arc;
use std::time::Duration;

use crds::v1beta2::Cluster;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use runtime::backoff::{self, Failures};

pub mod children;
pub mod context;
mod deletion;
pub mod dereference;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod fuzz;
mod hosted;
mod settle;
mod spare;
pub mod status;
pub mod sweep;
pub mod validate;

pub use self::context::{Context, Error, LEAF_LIFETIME, ROUNDS_AT_ONCE};
use self::settle::{Settled, settle};
use self::validate::ValidCluster;
use crate::apply::{Problem, SigningKeys};

/// Brings one Cluster closer to what it says.
pub async fn reconcile(cluster: Arc<Cluster>, context: Arc<Context>) -> Result<Action, Error> {
    let began = std::time::Instant::now();
    let uid = cluster.uid().unwrap_or_default();
    let about = ObjectRef::from_obj(&*cluster);
    let run = Box::pin(run(context.primary.latest(cluster), &context));
    // One of them takes nothing from the others.
    let outcome = runtime::unwinding(run).await.unwrap_or_else(|| {
        tracing::error!(%about, "reconcile panicked, retrying");
        Ok((Outcome::Failed { again: None }, None))
    });
    let label = if outcome.is_ok() { "ok" } else { "error" };
    context
        .metrics
        .reconciled("Cluster", label, began.elapsed().as_secs_f64());
    let (outcome, no_news_for) = outcome?;
    Ok(again(&outcome, no_news_for, &uid, &context.failures))
}

/// When a Cluster is looked at again: what its status has to say, and what nothing would tell of, is not
/// held up by what else it waits for.
fn again(
    outcome: &Outcome,
    no_news_for: Option<Duration>,
    uid: &str,
    failures: &Failures,
) -> Action {
    let wait = match outcome {
        Outcome::Done => {
            failures.clear(uid);
            None
        }
        Outcome::Ended => None,
        Outcome::Later(wait) => {
            failures.clear(uid);
            Some(*wait)
        }
        Outcome::Refused { since } => {
            failures.clear(uid);
            Some(backoff::while_it_lasts(*since))
        }
        Outcome::Failed { again } => {
            let apart = |wait: &Duration| wait.mul_f64(rand::random_range(1.0..1.2));
            let known = again.as_ref().map(apart);
            Some(known.unwrap_or_else(|| failures.delay(uid)))
        }
    };
    let soonest = wait.into_iter().chain(no_news_for).min();
    soonest.map_or_else(Action::await_change, Action::requeue)
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

/// What came of it, and when the status has more to say, or it is to be looked at all the same.
async fn run(
    cluster: Arc<Cluster>,
    context: &Context,
) -> Result<(Outcome, Option<Duration>), Error> {
    if cluster.metadata.deletion_timestamp.is_some() {
        return deletion::run(&cluster, context).await;
    }
    let keys = SigningKeys::default();
    let Some(settled) = Box::pin(settle(cluster, &keys, context)).await? else {
        return Ok((Outcome::Later(UNREAD), None));
    };
    let Settled {
        cluster,
        observed,
        valid,
        mut problems,
        left,
        again,
        look,
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
        left: &left,
        is_asked: asked.is_asked,
        unasked_for: asked.unasked_for,
        hosted_config: asked.config,
        nodes: context.census.last(&uid),
        now: Timestamp::now(),
    };
    let no_news_for = status::write(&cluster, status::status(&facts), context).await?;
    // Nobody waits for it.
    if let Ok(valid) = &valid {
        spare::let_go(valid, context).await;
    }
    for Problem { about, message, .. } in &problems {
        tracing::warn!(about, message, "not done, retrying");
    }
    // Nothing tells of a claim whose name is too long to say whose it is.
    let waits = |valid: &ValidCluster| children::storage::in_the_way(valid).is_some();
    let outcome = if problems.iter().any(|problem| problem.passing) {
        Outcome::Failed { again }
    } else if let Some(wait) = again.or_else(|| goes_on.then_some(GOES_ON)) {
        Outcome::Later(wait)
    } else if !problems.is_empty() || valid.as_ref().is_ok_and(waits) {
        Outcome::Refused {
            since: status::refused_since(&cluster),
        }
    } else {
        Outcome::Done
    };
    // By then it is said, whatever that waits for.
    let patience = (!asked.is_asked)
        .then(|| status::PATIENCE.checked_sub(asked.unasked_for))
        .flatten();
    let soonest = no_news_for.into_iter().chain(look).chain(patience).min();
    Ok((outcome, soonest))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn nothing_holds_up_what_the_status_has_to_say() {
        let failures = Failures::default();
        let (soon, late) = (Duration::from_secs(3), Duration::from_secs(300));
        let outcomes = [
            Outcome::Done,
            Outcome::Later(late),
            Outcome::Refused {
                since: Some(Timestamp::now() - SignedDuration::from_hours(2)),
            },
            Outcome::Failed { again: Some(late) },
        ];
        for outcome in &outcomes {
            let action = again(outcome, Some(soon), "a", &failures);
            assert_eq!(action, Action::requeue(soon));
        }
        let rest = |outcome, no_news_for| again(outcome, no_news_for, "a", &failures);
        let before = Outcome::Later(soon);
        assert_eq!(rest(&before, Some(late)), Action::requeue(soon));
        assert_eq!(rest(&outcomes[0], None), Action::await_change());
        assert_eq!(rest(&outcomes[1], None), Action::requeue(late));
    }
}
