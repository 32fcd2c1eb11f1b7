//! Objects that cannot be read.

use crds::v1beta2::PolicyAction;

use super::*;

fn stand_in<K: Watched>(known: &Cache, object: Value) -> Option<K> {
    let runtime::Read::<K>::Not(unreadable) = serde_json::from_value(object).unwrap() else {
        panic!("it parses")
    };
    K::stand_in(*unreadable, &known.0.read())
}

/// An API server may hold what another release has allowed.
#[test]
fn what_cannot_be_read_is_there_all_the_same() {
    let known = Cache::default();
    put::<Cluster>(&known, cluster("known", node_port(30500)));
    let stands_in = |name: &str, spec: Value, status: Value| {
        let mut object = cluster(name, spec);
        object["status"] = status;
        let found: Cluster = stand_in(&known, object).unwrap();
        found.put(("a".to_owned(), name.to_owned()), &known);
        known.cluster("a", name).unwrap()
    };
    let bad = || json!({"replicas": "three"});
    let odd = || json!({"conditions": 5});
    assert_eq!(
        stands_in("known", bad(), json!({})).spec.service.api_port,
        30500
    );
    assert_eq!(known.node_port(30500), [holder("Cluster", "known")]);
    assert_eq!(stands_in("new", bad(), json!({})).spec.replicas, 1);
    let newer = stands_in("newer", node_port(30600), odd());
    assert_eq!(
        newer.status.as_ref().map(|status| status.conditions.len()),
        Some(0)
    );
    assert_eq!(known.node_port(30600), [holder("Cluster", "newer")]);
    assert_eq!(known.usage("a", "").clusters, 3);
}

/// A watch that was lost may bring one for which nobody has seen its namesake go.
#[test]
fn what_cannot_be_read_is_not_what_had_its_name() {
    let known = Cache::default();
    let named = |mut object: Value, uid: &str| {
        object["metadata"] = json!({"namespace": "a", "name": "x", "uid": uid});
        object
    };
    let of = |cluster: Value| json!({"spec": {"clusterName": cluster}});
    put::<Cluster>(&known, named(cluster("x", node_port(30500)), "old"));
    put::<JoinTokenRequest>(&known, named(of(json!("demo")), "old"));
    let bad = cluster("x", json!({"replicas": "three"}));
    let port = |uid: &str| {
        let cluster: Cluster = stand_in(&known, named(bad.clone(), uid)).unwrap();
        cluster.spec.service.api_port
    };
    assert_eq!(port("old"), 30500);
    assert_ne!(port("new"), 30500);
    let request = |uid: &str| stand_in::<JoinTokenRequest>(&known, named(of(json!(5)), uid));
    assert_eq!(request("old").unwrap().spec.cluster_name, "demo");
    // Its name is taken, by whomever.
    let new = request("new").unwrap();
    assert_eq!(new.spec.cluster_name, "");
    new.put(("a".to_owned(), "unread".to_owned()), &known);
    assert!(known.has_request("a", "unread"));
}

/// A webhook may be older than the policies that it reads.
#[test]
fn a_policy_of_which_a_part_cannot_be_read_holds_with_the_rest_and_refuses_where_it_would() {
    let known = Cache::default();
    let policy = |spec: Value| json!({"metadata": {"name": "p"}, "spec": spec});
    put::<StoredPolicy>(&known, policy(json!({"replicas": {"max": 3}})));
    StoredPolicy::listed(&mut known.0.write());
    for part in [
        json!({"ofALaterRelease": true}),
        json!({"replicas": {"max": "three"}}),
    ] {
        let mut spec = json!({"action": "Audit", "versions": ["1.36"],
            "namespaceSelector": {"matchLabels": {"a": "b"}}});
        for (key, value) in part.as_object().unwrap() {
            spec[key] = value.clone();
        }
        put::<StoredPolicy>(&known, policy(spec));
        let [policy] = &known.stored_policies()[..] else {
            panic!("one policy is known")
        };
        assert_eq!(policy.spec.action, PolicyAction::Audit);
        assert!(policy.spec.namespace_selector.is_some());
        assert_eq!(policy.spec.versions, ["1.36"]);
        let faults = known.policies().faults("p").map(<[_]>::len);
        assert_eq!(faults, Some(1), "{part}");
    }
    // Whatever was read of it before.
    put::<StoredPolicy>(&known, policy(json!({"replicas": {"max": 3}})));
    assert_eq!(known.policies().faults("p").map(<[_]>::len), Some(0));
}
