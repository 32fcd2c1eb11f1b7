//! Rounds of dereference, validate, children and apply, until nothing changes.

use std::sync::Arc;
use std::time::Duration;

use crds::names::CLUSTER_FINALIZER;
use crds::v1beta2::{Cluster, ClusterStatus};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::children::Built;
use super::context::{Context, Error};
use super::dereference::{Observed, dereference};
use super::validate::{Address, Refusal, ValidCluster, validate};
use super::{children, deletion, status};
use crate::apply::{Applied, Problem, Round, SigningKeys};
use crate::kubernetes::primary::PrimaryError;

/// Rounds of build and apply in one reconcile. Three are the most that the order of the children
/// asks for; what is left waits for a watch.
const ROUNDS: usize = 6;

/// A Cluster whose children are as they should be, as far as that is possible now.
pub struct Settled {
    /// As it was last written.
    pub cluster: Arc<Cluster>,
    /// What is there.
    pub observed: Observed,
    /// What it is built from, or why nothing is.
    pub valid: Result<ValidCluster, Refusal>,
    /// What could not be done.
    pub problems: Vec<Problem>,
    /// When to try again what the API server has failed to do.
    pub again: Option<Duration>,
    /// The last round has changed something too.
    pub goes_on: bool,
}

/// Writes what differs; `None` while not all that it depends on has been read.
pub async fn settle(
    mut cluster: Arc<Cluster>,
    keys: &SigningKeys,
    context: &Context,
) -> Result<Option<Settled>, Error> {
    let find = |cluster: &Cluster| {
        let observed = dereference(
            cluster,
            &context.mothership.store,
            &context.mothership.watches,
            &context.prober,
        );
        let valid = validate(cluster, &observed, context.leaf_lifetime);
        (observed, valid)
    };
    let mut problems = Vec::new();
    let (mut again, mut goes_on) = (None, false);
    for _ in 0..ROUNDS {
        let (observed, valid) = find(&cluster);
        if observed.unread {
            return Ok(None);
        }
        let Ok(valid) = valid else {
            let kept = children::keys_of(&cluster, &observed);
            let applied = apply_round(&cluster, &kept, keys, context).await;
            (problems, again, goes_on) = (applied.problems, applied.again, applied.changed);
            if applied.changed {
                continue;
            }
            break;
        };
        if !deletion::is_set(&cluster) {
            let added = context.primary.add_finalizer(&cluster, CLUSTER_FINALIZER);
            match added.await {
                Ok(written) => cluster = written,
                Err(error) if error.is_conflict() => return Err(error),
                Err(error) => {
                    problems = vec![cannot_be_finalized(&cluster, &error)];
                    break;
                }
            }
        }
        if let Some(recorded) = recorded_first(&cluster, &valid) {
            cluster = context.primary.status(&cluster, &recorded).await?;
        }
        let applied = apply_round(&cluster, &children::build(&valid), keys, context).await;
        (problems, again, goes_on) = (applied.problems, applied.again, applied.changed);
        if !applied.changed {
            break;
        }
    }
    let (observed, valid) = find(&cluster);
    Ok(Some(Settled {
        cluster,
        observed,
        valid,
        problems,
        again,
        goes_on,
    }))
}

/// Without a finalizer nothing is made: it could outlive the Cluster.
fn cannot_be_finalized(cluster: &Cluster, error: &PrimaryError) -> Problem {
    Problem {
        about: format!(
            "Cluster {}/{}",
            cluster.namespace().unwrap_or_default(),
            cluster.name_any()
        ),
        message: format!("its finalizer could not be added, so nothing is created: {error}"),
        passing: !error.is_refused(),
    }
}

async fn apply_round(
    cluster: &Cluster,
    built: &Built,
    keys: &SigningKeys,
    context: &Context,
) -> Applied {
    let uid = cluster.uid().unwrap_or_default();
    let round = Round {
        writer: &context.mothership.writer,
        store: &context.mothership.store,
        no_op_applies: &context.no_op_applies,
        damping: &context.damping,
        keys,
        uid: &uid,
        keys_made: status::keys_were_made(cluster.status.as_ref()),
        now: Timestamp::now(),
        leaf_lifetime: context.leaf_lifetime,
    };
    round.run(&built.wanted, &built.obsolete).await
}

/// What was found out is written down before anything relies on it: k0s listens on the ports and
/// workers dial the address for the cluster's life.
fn recorded_first(cluster: &Cluster, valid: &ValidCluster) -> Option<ClusterStatus> {
    valid.ports?;
    let mut status = cluster.status.clone().unwrap_or_default();
    // A fixed number may be taken: it is recorded when the Service has it.
    let allocated = cluster.spec.service.asked_ports().both().is_none();
    if allocated {
        status.ports = valid.ports;
    }
    if let Address::External(host) = &valid.address
        && (allocated || cluster.spec.asked_host().is_none())
    {
        status.external_address = Some(host.clone());
    }
    let old = cluster.status.as_ref();
    let is_known = old.is_some_and(|old| {
        (old.ports, &old.external_address) == (status.ports, &status.external_address)
    }) || (status.ports, &status.external_address) == (None, &None);
    status.etcd_members = valid.begun_members();
    (!is_known).then_some(status)
}
