//! Which replicas have to be on nodes of their own: two on one would have one data directory.
//!
//! Those of a set that was made before that was asked for may share one, and would be pending for ever if
//! it was asked of them. So it is, once there are to be more of them. That is decided once and written
//! down: what the template says may be an edit, and so may the number of replicas that is there.

use crds::v1beta2::PersistenceType;
use k8s_openapi::api::apps::v1::StatefulSet;

use crate::apply::desired::{APPLIED_HASH, Desired};
use crate::cluster::children::pod;
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// Annotation of the set: up to how many replicas may share a node.
pub const OWN_NODES_ABOVE: &str = "k0smotron.io/own-nodes-above";

/// What is asked of the nodes of a set's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Each has to be on its own.
    pub own: bool,
    /// Up to how many replicas may share one; not said where no data is on nodes.
    pub above: Option<i32>,
}

impl Nodes {
    const fn new(own: bool, replicas: i32) -> Self {
        let above = if own || replicas < 1 { 1 } else { replicas };
        Self {
            own,
            above: Some(above),
        }
    }
}

/// The set as it was decided, of those that `build` makes.
pub fn decided(
    cluster: &ValidCluster,
    build: impl Fn(Nodes) -> Option<StatefulSet>,
) -> Option<StatefulSet> {
    let persistence = cluster.spec.persistence.as_ref();
    if persistence.is_none_or(|persistence| persistence.type_ != PersistenceType::HostPath) {
        return build(Nodes::default());
    }
    let replicas = cluster.replicas();
    // What was applied last of this very spec holds, whatever has become of it. Earlier releases wrote
    // nothing down.
    if let Some(applied) = annotated(cluster, APPLIED_HASH) {
        for own in [true, false] {
            let now = Nodes::new(own, replicas);
            for as_applied in [now, Nodes { above: None, ..now }] {
                if is_applied(build(as_applied)?, applied) {
                    return build(now);
                }
            }
        }
    }
    build(Nodes::new(are_own(cluster), replicas))
}

/// Whether a set has this hash, in this release or in an earlier one, which said nothing of an account that
/// is not asked for.
fn is_applied(set: StatefulSet, applied: &str) -> bool {
    let mut now = set.clone();
    pod::leave_account(&mut now);
    [now, set]
        .into_iter()
        .any(|set| Desired::declared(Kind::StatefulSet, set).hash() == applied)
}

/// The same of a set of which another spec was applied last, or none, or that is not there.
fn are_own(cluster: &ValidCluster) -> bool {
    let live = cluster.control_plane.as_ref();
    let live = live.and_then(|live| live.spec.as_ref());
    if live.is_some_and(pod::has_own_nodes) {
        return true;
    }
    let noted = annotated(cluster, OWN_NODES_ABOVE).and_then(|above| above.parse().ok());
    // One that nothing is written down of was made before anything was.
    let above = noted.or_else(|| live?.replicas).unwrap_or(1);
    cluster.replicas() > above.max(1)
}

fn annotated<'c>(cluster: &'c ValidCluster, name: &str) -> Option<&'c str> {
    let metadata = &cluster.control_plane.as_ref()?.metadata;
    Some(metadata.annotations.as_ref()?.get(name)?.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::stateful_set;
    use super::*;
    use crate::cluster::dereference::Observed;
    use crate::cluster::validate::validate;
    use crate::cluster::{LEAF_LIFETIME, fixtures};

    const REQUIRED: &str = "/spec/template/spec/affinity/podAntiAffinity/\
                            requiredDuringSchedulingIgnoredDuringExecution";
    const OLD: &str = "v1.36.2+k0s.0";
    const NEW: &str = "v1.36.3+k0s.2";

    /// What is built where this is there; whether the rule is asked, and what is written down.
    fn build(live: Option<&Value>, replicas: i32, version: &str) -> (Value, (bool, String)) {
        let cluster = json!({
            "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
            "spec": {"replicas": replicas, "version": version,
                "persistence": {"type": "hostPath", "hostPath": "/a"}},
        });
        let set: Option<StatefulSet> =
            live.map(|live| serde_json::from_value(live.clone()).unwrap());
        let service = json!({"spec": {"clusterIPs": ["10.0.0.77"]}});
        let seen = Observed {
            control_plane: set,
            service: serde_json::from_value(service).unwrap(),
            ..fixtures::made()
        };
        let cluster = serde_json::from_value(cluster).unwrap();
        let valid = fixtures::written(validate(&cluster, &seen, LEAF_LIFETIME).unwrap());
        let body = stateful_set(&valid).unwrap().body;
        let above = body["metadata"]["annotations"][OWN_NODES_ABOVE].as_str();
        let said = (body.pointer(REQUIRED).is_some(), above.unwrap().to_owned());
        (body, said)
    }

    fn own() -> (bool, String) {
        (true, "1".to_owned())
    }

    fn shared(replicas: i32) -> (bool, String) {
        (false, replicas.to_string())
    }

    fn without(set: &Value, rule: bool, annotation: &[&str]) -> Value {
        let mut set = set.clone();
        let affinity = &mut set["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"];
        if rule {
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            affinity.as_object_mut().unwrap().remove(required);
        }
        let annotations = set["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.retain(|name, _| !annotation.contains(&name.as_str()));
        set
    }

    #[test]
    fn an_edit_lets_no_two_replicas_share_a_node() {
        let (set, said) = build(None, 3, OLD);
        assert_eq!(said, own());
        let after = |set: &Value, version| build(Some(set), 3, version).1;
        assert_eq!(after(&set, OLD), own());
        for annotation in [&[][..], &[OWN_NODES_ABOVE]] {
            assert_eq!(after(&without(&set, true, annotation), OLD), own());
        }
        // Together with a change of the spec.
        assert_eq!(after(&without(&set, true, &[]), NEW), own());
        assert_eq!(after(&without(&set, false, &[OWN_NODES_ABOVE]), NEW), own());
    }

    #[test]
    fn replicas_that_share_a_node_do_so_until_there_are_to_be_more() {
        let (set, _) = build(None, 3, OLD);
        // An earlier release or upstream made it, of which nothing is known.
        let mut set = without(&set, true, &[OWN_NODES_ABOVE, APPLIED_HASH]);
        let mut said;
        (set, said) = build(Some(&set), 3, OLD);
        assert_eq!(said, shared(3));
        // Somebody scales it, and takes off what was written down.
        for scaled in [1, 0, 5] {
            set["spec"]["replicas"] = json!(scaled);
            assert_eq!(build(Some(&set), 3, OLD).1, shared(3), "{scaled}");
            assert_eq!(build(Some(&set), 3, NEW).1, shared(3), "{scaled}");
            let bare = without(&set, false, &[OWN_NODES_ABOVE]);
            assert_eq!(build(Some(&bare), 3, OLD).1, shared(3), "{scaled}");
        }
        (set, said) = build(Some(&set), 2, OLD);
        assert_eq!(said, shared(2));
        (set, said) = build(Some(&set), 3, OLD);
        assert_eq!(said, own());
        assert_eq!(build(Some(&without(&set, true, &[])), 3, NEW).1, own());
    }

    /// It is written down without a change of any pod.
    #[test]
    fn what_an_earlier_release_applied_holds_where_somebody_has_scaled_it() {
        for (rule, wanted) in [(false, shared(3)), (true, own())] {
            for says_account in [true, false] {
                let (with, _) = build(None, 3, OLD);
                let mut bare = without(&with, !rule, &[OWN_NODES_ABOVE, APPLIED_HASH]);
                if !says_account {
                    let pod = bare["spec"]["template"]["spec"].as_object_mut().unwrap();
                    pod.retain(|field, _| !field.starts_with("serviceAccount"));
                }
                let mut live = Desired::declared(Kind::StatefulSet, bare).body;
                live["spec"]["replicas"] = json!(1);
                let template = |set: &Value| set["spec"]["template"].clone();
                let (built, said) = build(Some(&live), 3, OLD);
                assert_eq!(said, wanted, "{says_account}");
                let same = crate::apply::diff::contains(&template(&built), &template(&live));
                assert!(same, "{built}");
                // An edit of the template is none of the spec.
                let edited = without(&live, true, &[]);
                assert_eq!(build(Some(&edited), 3, OLD).1, wanted, "{says_account}");
            }
        }
    }
}
