//! While the nodes of a cluster that serves cannot be counted.

use crds::upgrade::upgrade;
use crds::v1beta2::StatusNodes;

use super::*;
use crate::cluster::validate::{Refusal, ValidCluster};
use crate::kubernetes::pods::{Pods, Trouble};

const BUSY: &str = "hosted API responded with status 429 Too Many Requests";

fn old_nodes() -> StatusNodes {
    StatusNodes {
        joined: 2,
        ready: 2,
        oldest_kubelet: Some("v1.31.2+k0s".to_owned()),
    }
}

/// One that serves, and whose nodes were counted.
fn counted() -> Cluster {
    let mut cluster = settled();
    cluster.status.as_mut().unwrap().nodes = Some(old_nodes());
    cluster
}

fn failed() -> Count {
    Count::Failed(BUSY.to_owned())
}

fn seen(cluster: &Cluster, observed: &Observed, nodes: Count) -> ClusterStatus {
    let valid = validate(cluster, observed, jiff::SignedDuration::from_hours(1));
    of(cluster, observed, valid.as_ref(), nodes)
}

fn of(
    cluster: &Cluster,
    observed: &Observed,
    valid: Result<&ValidCluster, &Refusal>,
    nodes: Count,
) -> ClusterStatus {
    status(&Facts {
        cluster,
        observed,
        valid,
        problems: &[],
        left: &BTreeSet::new(),
        is_asked: true,
        unasked_for: Duration::from_secs(60),
        hosted_config: None,
        nodes,
        now: at(60),
    })
}

fn message(status: &ClusterStatus) -> &str {
    &condition(Some(status), FUNCTIONAL).unwrap().message
}

#[test]
fn nodes_that_cannot_be_counted_for_long_are_not_known_and_that_is_said_where_the_api_is_ready() {
    let mut cluster = counted();
    let (before, observed) = (cluster.status.clone(), written(&cluster, 1));
    let new = seen(&cluster, &observed, failed());
    assert_eq!(new.nodes, None);
    assert!(message(&new).ends_with(BUSY), "{}", message(&new));
    for type_ in [FUNCTIONAL, APPLIED, AVAILABLE] {
        assert_eq!(says(&new, type_), says(before.as_ref().unwrap(), type_));
    }
    cluster.status = Some(new.clone());
    // Said once, also by another process, whether it has asked the API or not.
    let unasked = Observed {
        health: None,
        ..written(&cluster, 1)
    };
    for observed in [&observed, &unasked] {
        for nodes in [failed(), Count::Unknown] {
            let same = seen(&cluster, observed, nodes);
            assert!(!differs(Some(&new), &same), "{same:?}");
        }
    }
    let over = seen(&cluster, &observed, Count::Known(old_nodes()));
    assert_eq!(Some(over), before);
}

#[test]
fn an_upgrade_is_judged_by_no_nodes_that_were_there_once() {
    let mut cluster = counted();
    cluster.status.as_mut().unwrap().version = Some("v1.34.2-k0s.0".to_owned());
    cluster.spec.version = Some("v1.34.2-k0s.0".to_owned());
    let judged = |cluster: &Cluster| {
        let mut wanted = cluster.clone();
        wanted.spec.version = Some("v1.35.4+k0s.0".to_owned());
        let found = upgrade(cluster, &wanted);
        let names_kubelets = |all: &[crds::validation::FieldError]| {
            all.iter().any(|it| it.to_string().contains("kubelet"))
        };
        (
            names_kubelets(&found.errors),
            names_kubelets(&found.warnings),
        )
    };
    assert_eq!(judged(&cluster), (true, false));
    let observed = written(&cluster, 1);
    cluster.status = Some(seen(&cluster, &observed, failed()));
    assert_eq!(judged(&cluster), (false, true));
}

/// A spec that is refused is put right by the very change that upgrades.
#[test]
fn nodes_are_recorded_whether_the_spec_is_refused_or_not() {
    let cluster = counted();
    let refusal = Refusal::NotImplemented(vec!["spec.x".to_owned()]);
    let new = of(&cluster, &working(1), Err(&refusal), failed());
    assert_eq!(
        (new.nodes.as_ref(), message(&new).ends_with(BUSY)),
        (None, true)
    );
    let known = Count::Known(old_nodes());
    let new = of(&cluster, &working(1), Err(&refusal), known);
    assert_eq!(new.nodes, Some(old_nodes()));
}

/// Nothing else says so where no version could be recorded, and its keys would be made anew.
#[test]
fn that_nodes_are_not_known_does_not_make_a_cluster_one_that_never_served() {
    let mut cluster = counted();
    cluster.spec.replicas = 3;
    let mut observed = written(&cluster, 1);
    let set = observed.control_plane.as_mut().unwrap();
    set.status.as_mut().unwrap().updated_replicas = Some(0);
    cluster.status.as_mut().unwrap().version = None;
    let new = seen(&cluster, &observed, failed());
    assert_eq!(new.version, None);
    let nodes = new.nodes.clone().unwrap();
    assert_eq!((nodes.joined, nodes.oldest_kubelet), (2, None));
    cluster.status = Some(new);
    for _ in 0..2 {
        let new = seen(&cluster, &unreachable(0), failed());
        assert!(new.was_available() && !new.has_never_served());
        cluster.status = Some(new);
    }
}

#[test]
fn what_is_lost_is_said_beside_it() {
    let mut cluster = counted();
    cluster.spec.replicas = 3;
    let image = "pod kmc-demo-1, container controller: ImagePullBackOff (image x)";
    let lacks = |pods| Observed {
        pods,
        ..written(&cluster, 1)
    };
    let known = Pods::Known(Some(Trouble::new(image, "")));
    let new = seen(&cluster, &lacks(known.clone()), failed());
    assert_eq!(says(&new, FUNCTIONAL), pair("True", "Degraded"));
    let said = message(&new);
    assert!(
        said.contains(&format!("not ready: {image}; the nodes ")),
        "{said}"
    );
    let mut again = cluster.clone();
    again.status = Some(new.clone());
    for (pods, nodes) in [(known, Count::Unknown), (Pods::Unknown, failed())] {
        let same = seen(&again, &lacks(pods), nodes);
        assert_eq!(message(&same), said);
    }
    // An outage has other words, and none of it is left when that is over.
    again.status = Some(seen(&again, &unreachable(1), Count::Unknown));
    assert!(!message(again.status.as_ref().unwrap()).contains(BUSY));
    let over = seen(&again, &working(1), Count::Unknown);
    assert!(!message(&over).contains(BUSY), "{}", message(&over));
}
