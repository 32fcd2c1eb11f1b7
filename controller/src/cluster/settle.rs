//! Rounds of dereference, validate, children and apply, until nothing changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::conditions::steady;
use crds::names::CLUSTER_FINALIZER;
use crds::v1beta2::{Cluster, ClusterStatus};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::children::Built;
use super::context::{Context, Error};
use super::dereference::{Observed, dereference};
use super::validate::{Address, Refusal, ValidCluster, validate};
use super::{UNREAD, children, deletion, status};
use crate::apply::{Applied, Problem, Round, SigningKeys};
use crate::kubernetes::primary::PrimaryError;
use crate::kubernetes::store::ObjectKey;
use crate::kubernetes::watches::Unread;

/// Rounds of build and apply in one reconcile. Three are the most that the order of the children
/// asks for; what is left waits for a watch.
const ROUNDS: usize = 6;

/// What fails for longer is said.
const SAID_AFTER: Duration = Duration::from_secs(5);

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
    /// What is not yet as it is wanted, though nothing is wrong with it.
    pub left: BTreeSet<ObjectKey>,
    /// When to try again what the API server has failed to do.
    pub again: Option<Duration>,
    /// When to look again whatever has come of it.
    pub look: Option<Duration>,
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
        let observed = dereference(cluster, &context.mothership, &context.prober);
        let valid = validate(cluster, &observed, context.leaf_lifetime);
        (observed, valid)
    };
    let (mut problems, mut left) = (Vec::new(), BTreeSet::new());
    let (mut again, mut look, mut goes_on) = (None, None, false);
    for _ in 0..ROUNDS {
        let (observed, valid) = find(&cluster);
        if let Some(unread) = &observed.unread {
            if unread.why.is_none() {
                return Ok(None);
            }
            problems.extend(could_not_be_read(unread));
            break;
        }
        let Ok(valid) = valid else {
            let kept = children::keys_of(&cluster, &observed);
            let applied = apply_round(&cluster, &kept, keys, context).await;
            (problems, left) = (applied.problems, applied.left);
            (again, look, goes_on) = (applied.again, applied.look, applied.changed);
            if applied.changed {
                continue;
            }
            break;
        };
        if !deletion::is_set(&cluster) {
            let added = context.primary.add_finalizer(&cluster, CLUSTER_FINALIZER);
            match added.await {
                Ok(written) => cluster = written,
                // Somebody has changed it, and that comes by the watch.
                Err(error) if error.is_conflict() && !has_lasted(&cluster, context) => {
                    return Err(error);
                }
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
        (problems, left) = (applied.problems, applied.left);
        (again, look, goes_on) = (applied.again, applied.look, applied.changed);
        if !applied.changed {
            break;
        }
    }
    let (observed, mut valid) = find(&cluster);
    if let Some(unread) = &observed.unread {
        valid = valid.and(Err(Refusal::Unread));
        // What came after the last round is asked for since then, and where its list hangs nothing
        // tells of that.
        match could_not_be_read(unread) {
            Some(problem) => problems.push(problem),
            None => look = Some(look.map_or(UNREAD, |look| look.min(UNREAD))),
        }
    }
    Ok(Some(Settled {
        cluster,
        observed,
        valid,
        problems,
        left,
        again,
        look,
        goes_on,
    }))
}

/// Whether it fails for so long that whoever looks at it wants to know.
fn has_lasted(cluster: &Cluster, context: &Context) -> bool {
    let uid = cluster.uid().unwrap_or_default();
    context.failures.lasted(&uid) > SAID_AFTER
}

/// Nothing is changed without it: it is not known what would be right.
fn could_not_be_read(unread: &Unread) -> Option<Problem> {
    Some(Problem {
        passing: true,
        ..Problem::new(&unread.secret, unread.why.clone()?)
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
        message: steady(&format!(
            "its finalizer could not be added, so nothing is created: {error}"
        )),
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
    let _place = match context.rounds.try_acquire() {
        Ok(place) => Some(place),
        // What there is to say of it waits for nobody's writes.
        Err(_) if !round.has_work(&built.wanted, &built.obsolete) => None,
        // It is never closed.
        Err(_) => context.rounds.acquire().await.ok(),
    };
    round.run(&built.wanted, &built.obsolete).await
}

/// What was found out is written down before anything relies on it: k0s listens on the ports and
/// workers dial the address for the cluster's life. A number may be taken, so nothing relies on any of
/// it before the Service has both.
fn recorded_first(cluster: &Cluster, valid: &ValidCluster) -> Option<ClusterStatus> {
    if !valid.has_ports {
        return None;
    }
    let old = status::ours(cluster).unwrap_or_default();
    let mut status = old.clone();
    let allocated = cluster.spec.service.asked_ports().both().is_none();
    if allocated {
        status.ports = valid.ports;
    }
    if let Address::External(host) = &valid.address
        && (allocated || cluster.spec.asked_host().is_none())
    {
        status.external_address = Some(host.clone());
    }
    let is_known = status == old;
    status.etcd_members = valid.begun_members();
    (!is_known).then_some(status)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fixtures;
    use crate::kubernetes::fixtures::{answer, refusal};

    const OLD: Option<(i32, i32)> = Some((31000, 31001));

    /// Asked and recorded ports, what the Service has, and what is written down.
    #[rstest]
    #[case::allocated((0, 0), None, (31000, 31001), OLD)]
    #[case::allocated_and_not_served((0, 0), None, (30443, 30132), None)]
    #[case::recorded((0, 0), OLD, (31000, 31001), None)]
    #[case::half_a_change_that_is_refused((31443, 0), OLD, (31000, 31001), None)]
    #[case::half_a_change((31443, 0), OLD, (31443, 31001), Some((31443, 31001)))]
    fn ports_are_written_down_once_the_service_has_them(
        #[case] asked: (i32, i32),
        #[case] recorded: Option<(i32, i32)>,
        #[case] has: (i32, i32),
        #[case] written: Option<(i32, i32)>,
    ) {
        let pair = |(api, konnectivity)| json!({"api": api, "konnectivity": konnectivity});
        let cluster: Cluster = serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
            "spec": {"externalAddress": "a.example.org", "service": {
                "type": "NodePort", "apiPort": asked.0, "konnectivityPort": asked.1}},
            "status": {"ports": recorded.map(pair), "externalAddress": "a.example.org"},
        }))
        .unwrap();
        let port = |name: &str, port: i32, node_port: i32| -> Value {
            json!({"name": name, "port": port, "nodePort": node_port})
        };
        let ports = [
            port("api", has.0, 31000),
            port("konnectivity", has.1, 31001),
        ];
        let observed = Observed {
            service: serde_json::from_value(json!({"spec": {"ports": ports}})).unwrap(),
            ..Observed::default()
        };
        let valid = validate(&cluster, &observed, SignedDuration::from_hours(1)).unwrap();
        let status = recorded_first(&cluster, &valid);
        let ports = status.and_then(|status| status.ports);
        assert_eq!(ports.map(|ports| (ports.api, ports.konnectivity)), written);
    }

    /// Who writes what somebody else says takes it from them.
    #[test]
    fn conditions_of_others_are_not_written_with_the_ports() {
        let condition = |type_: &str| {
            json!({"type": type_, "status": "True", "reason": "Seen", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let cluster: Cluster = serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
            "spec": {"externalAddress": "a.example.org", "service": {
                "type": "NodePort", "apiPort": 0, "konnectivityPort": 0}},
            "status": {"conditions": [condition("Audited"), condition(status::ACCEPTED)]},
        }))
        .unwrap();
        let port =
            |name: &str, number: i32| json!({"name": name, "port": number, "nodePort": number});
        let observed = Observed {
            service: serde_json::from_value(json!({"spec": {"ports": [
                port("api", 31000), port("konnectivity", 31001)]}}))
            .unwrap(),
            ..Observed::default()
        };
        let valid = validate(&cluster, &observed, SignedDuration::from_hours(1)).unwrap();
        let written = recorded_first(&cluster, &valid).unwrap();
        let types: Vec<_> = written
            .conditions
            .iter()
            .map(|c| c.type_.as_str())
            .collect();
        assert_eq!(types, [status::ACCEPTED]);
    }

    /// An address that was found is written down before anybody relies on it, whoever has chosen the
    /// ports; what the spec says need not be.
    #[rstest]
    #[case::allocated_ports((0, 0), None, Some("192.0.2.7"))]
    #[case::fixed_ports((31000, 31001), None, Some("192.0.2.7"))]
    #[case::asked_for((31000, 31001), Some("a.example.org"), None)]
    fn the_address_of_a_node_is_written_down_first(
        #[case] asked: (i32, i32),
        #[case] host: Option<&str>,
        #[case] written: Option<&str>,
    ) {
        let cluster: Cluster = serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
            "spec": {"externalAddress": host, "service": {
                "type": "NodePort", "apiPort": asked.0, "konnectivityPort": asked.1}},
        }))
        .unwrap();
        let port =
            |name: &str, number: i32| json!({"name": name, "port": number, "nodePort": number});
        let observed = Observed {
            node_address: Some("192.0.2.7".to_owned()),
            node_address_alive: true,
            service: serde_json::from_value(json!({"spec": {"ports": [
                port("api", 31000), port("konnectivity", 31001)]}}))
            .unwrap(),
            ..Observed::default()
        };
        let valid = validate(&cluster, &observed, SignedDuration::from_hours(1)).unwrap();
        let status = recorded_first(&cluster, &valid);
        let address = status.and_then(|status| status.external_address);
        assert_eq!(address.as_deref(), written);
    }
    /// Its user has named it meanwhile, and the answer to a write of ours shows that.
    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_named_in_the_middle_is_looked_for_soon() {
        let cluster = |spec: Value| {
            json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "metadata": {"name": "demo", "namespace": "ns", "uid": "1"}, "spec": spec})
        };
        let changed = cluster(json!({"certificateRefs": [{"type": "ca", "name": "my-ca"}]}));
        let context = fixtures::context(move |request| {
            let changed = changed.clone();
            async move {
                match (request.method().as_str(), request.uri().path()) {
                    ("PATCH", path) if path.ends_with("/clusters/demo") => answer(&changed),
                    ("GET", _) => std::future::pending().await,
                    _ => refusal(403),
                }
            }
        });
        let before = serde_json::from_value(cluster(json!({}))).unwrap();
        let keys = SigningKeys::default();
        let settled = Box::pin(settle(Arc::new(before), &keys, &context));
        let settled = settled.await.unwrap().unwrap();
        assert_eq!(settled.valid.err(), Some(Refusal::Unread));
        assert_eq!(settled.look, Some(UNREAD));
    }
}
