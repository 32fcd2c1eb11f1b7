//! What is known after objects came, changed and went.

use crds::v1beta2::JoinTokenRequest;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::*;
use crate::cache::watched::{
    NamespaceMeta, ResourceQuota, Service, StorageClass, StoredPolicy, Watched,
};

mod unread;

fn put<K: Watched>(known: &Cache, object: Value) {
    let object: K = serde_json::from_value(object).unwrap();
    let key = object.key();
    object.put(key, known);
}

fn remove<K: Watched>(known: &Cache, namespace: &str, name: &str) {
    K::remove(
        &(namespace.to_owned(), name.to_owned()),
        &mut known.0.write(),
    );
}

#[expect(clippy::needless_pass_by_value, reason = "json! literals are moved in")]
fn cluster(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"namespace": "a", "name": name},
        "spec": spec,
    })
}

fn service(name: &str, owner: Option<&str>, port: i32) -> Value {
    let owners = owner.map(|owner| {
        json!([{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "name": owner, "uid": "u"}])
    });
    json!({
        "metadata": {"namespace": "a", "name": name, "ownerReferences": owners},
        "spec": {"ports": [{"port": 80, "nodePort": port}, {"port": 81}]},
    })
}

fn holder(kind: &'static str, name: &str) -> Holder {
    Holder {
        kind,
        namespace: "a".to_owned(),
        name: name.to_owned(),
    }
}

fn node_port(port: i32) -> Value {
    json!({"service": {"type": "NodePort", "apiPort": port, "konnectivityPort": 30132}})
}

#[test]
fn a_node_port_is_held_until_the_last_who_has_it_is_gone() {
    let known = Cache::default();
    put::<Cluster>(&known, cluster("c", node_port(30500)));
    put::<Service>(&known, service("kmc-c-nodeport", Some("c"), 30500));
    put::<Service>(&known, service("web", None, 30500));
    let both = vec![holder("Cluster", "c"), holder("Service", "web")];
    assert_eq!(known.node_port(30500), both);
    // The Service outlives its Cluster for a moment.
    remove::<Cluster>(&known, "a", "c");
    assert_eq!(known.node_port(30500), both);
    remove::<Service>(&known, "a", "kmc-c-nodeport");
    assert_eq!(known.node_port(30500), [holder("Service", "web")]);
    remove::<Service>(&known, "a", "web");
    assert!(known.node_port(30500).is_empty());
}

#[test]
fn a_changed_object_holds_what_it_says_now() {
    let known = Cache::default();
    put::<Cluster>(&known, cluster("c", node_port(30500)));
    put::<Cluster>(&known, cluster("c", node_port(30600)));
    assert!(known.node_port(30500).is_empty());
    assert_eq!(known.node_port(30600), [holder("Cluster", "c")]);
    put::<Cluster>(
        &known,
        cluster(
            "c",
            json!({"service": {"type": "ClusterIP", "apiPort": 30600}}),
        ),
    );
    assert!(known.node_port(30600).is_empty());
}

#[test]
fn a_port_that_the_api_server_gave_is_held_too() {
    let known = Cache::default();
    let mut given = cluster("c", node_port(0));
    given["status"] = json!({"ports": {"api": 31000, "konnectivity": 31001}});
    put::<Cluster>(&known, given);
    assert_eq!(known.node_port(31000), [holder("Cluster", "c")]);
    assert!(known.node_port(0).is_empty());
}

#[test]
fn a_port_that_is_left_for_another_is_held_no_more() {
    let known = Cache::default();
    let mut moving = cluster("c", node_port(30600));
    moving["status"] = json!({"ports": {"api": 30500, "konnectivity": 30132}});
    put::<Cluster>(&known, moving.clone());
    assert_eq!(known.node_port(30600), [holder("Cluster", "c")]);
    // As long as its Service has it, that one holds it.
    assert!(known.node_port(30500).is_empty());
    // A zero is no number, wherever it stands.
    moving["spec"] = node_port(0);
    moving["status"]["ports"]["api"] = json!(0);
    put::<Cluster>(&known, moving);
    assert_eq!(known.node_port(30132), [holder("Cluster", "c")]);
    assert!(known.node_port(0).is_empty());
}

#[test]
fn who_is_not_served_keeps_no_port_by_asking_for_it() {
    let known = Cache::default();
    let mut asks = cluster("c", node_port(30500));
    asks["spec"]["externalAddress"] = json!("cp.example.com");
    for (field, value) in [
        ("monitoring", json!({"enabled": true})),
        ("controlPlaneFlags", json!(["--open 'quote"])),
    ] {
        let mut asks = asks.clone();
        asks["spec"][field] = value;
        put::<Cluster>(&known, asks.clone());
        assert!(known.node_port(30500).is_empty());
        assert!(known.address("cp.example.com", 30500).is_empty());
        // What it was given while it was served is still in use.
        asks["status"] = json!({"ports": {"api": 30500, "konnectivity": 30132},
            "externalAddress": "cp.example.com"});
        put::<Cluster>(&known, asks.clone());
        assert_eq!(known.node_port(30500), [holder("Cluster", "c")]);
        assert_eq!(
            known.address("cp.example.com", 30500),
            [holder("Cluster", "c")]
        );
        // It gets no other address by asking for one.
        asks["spec"]["externalAddress"] = json!("other.example.com");
        put::<Cluster>(&known, asks);
        assert!(known.address("other.example.com", 30500).is_empty());
    }
    put::<Cluster>(&known, asks);
    assert_eq!(known.node_port(30500), [holder("Cluster", "c")]);
}

#[test]
fn who_is_not_served_keeps_no_host() {
    let known = Cache::default();
    let ingress =
        json!({"ingress": {"apiHost": "api.example.com", "konnectivityHost": "k.example.com"}});
    put::<Cluster>(&known, cluster("i", ingress));
    assert!(known.host("api.example.com").is_empty());
}

#[test]
fn hosts_and_addresses_are_found_whatever_their_case() {
    let known = Cache::default();
    // Clusters behind an ingress are not served yet, and hold no host.
    known
        .0
        .write()
        .hosts
        .add(&"api.example.com".to_owned(), &holder("Cluster", "i"));
    assert_eq!(known.host("API.Example.com"), [holder("Cluster", "i")]);
    put::<Cluster>(
        &known,
        cluster("e", json!({"externalAddress": "Cp.example.com"})),
    );
    assert_eq!(
        known.address("cp.example.com", 30443),
        [holder("Cluster", "e")]
    );
    assert!(known.address("cp.example.com", 443).is_empty());
}

#[test]
fn an_address_is_held_as_it_is_wanted() {
    let known = Cache::default();
    let held = |spec: Value| {
        let mut moving = cluster("c", spec);
        moving["status"] = json!({"externalAddress": "192.0.2.1"});
        put::<Cluster>(&known, moving);
        let holds = |address: &str| !known.address(address, 30443).is_empty();
        (holds("192.0.2.1"), holds("cp.example.com"))
    };
    let of = |type_: &str, address: &str| json!({"service": {"type": type_}, "externalAddress": address});
    assert_eq!(held(of("NodePort", "")), (true, false));
    assert_eq!(held(of("LoadBalancer", "cp.example.com")), (false, true));
    assert_eq!(held(of("ClusterIP", "cp.example.com")), (false, true));
    // Who is reached from inside only leaves the address that was found out for it.
    assert_eq!(held(of("ClusterIP", "")), (false, false));
}

#[test]
fn usage_counts_a_namespace_without_the_one_that_is_asked_about() {
    let known = Cache::default();
    for (name, replicas) in [("a", 1), ("b", 3), ("c", 5)] {
        put::<Cluster>(&known, cluster(name, json!({"replicas": replicas})));
    }
    let mut elsewhere = cluster("d", json!({"replicas": 7}));
    elsewhere["metadata"]["namespace"] = json!("aa");
    put::<Cluster>(&known, elsewhere);
    assert_eq!(
        known.usage("a", "b"),
        Usage {
            clusters: 2,
            replicas: 6
        }
    );
    assert_eq!(known.usage("", ""), Usage::default());
}

#[test]
fn storage_classes_are_unknown_until_they_were_listed() {
    let known = Cache::default();
    assert_eq!(known.storage_class(Some("fast")), None);
    let class = |name: &str, default: &str| {
        json!({"metadata": {"name": name, "annotations": {
            "storageclass.kubernetes.io/is-default-class": default,
        }}})
    };
    put::<StorageClass>(&known, class("fast", "false"));
    StorageClass::listed(&mut known.0.write());
    assert_eq!(known.storage_class(Some("fast")), Some(true));
    assert_eq!(known.storage_class(Some("slow")), Some(false));
    assert_eq!(known.storage_class(None), Some(false));
    put::<StorageClass>(&known, class("slow", "true"));
    assert_eq!(known.storage_class(None), Some(true));
}

#[test]
fn quotas_are_known_by_namespace_with_what_is_taken_of_them() {
    let known = Cache::default();
    let quota = |namespace: &str, name: &str, spec: Value| {
        json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec, "status": {
            "hard": {"pods": "10", "requests.cpu": "4"}, "used": {"pods": "7"},
        }})
    };
    put::<ResourceQuota>(&known, quota("a", "q", json!({"hard": {"pods": "10"}})));
    // Which of the pods these count is not known before there are any.
    put::<ResourceQuota>(
        &known,
        quota("a", "best", json!({"scopes": ["BestEffort"]})),
    );
    let selector = json!({"scopeSelector": {"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]},
    ]}});
    put::<ResourceQuota>(&known, quota("a", "high", selector));
    put::<ResourceQuota>(&known, quota("aa", "other", json!({})));
    let quantity = |text: &str| Quantity(text.to_owned());
    let pods = Quota {
        name: "q".to_owned(),
        resource: "pods".to_owned(),
        hard: quantity("10"),
        used: quantity("7"),
    };
    assert_eq!(known.quotas("a"), [pods]);
    assert_eq!(known.quotas(""), []);
    remove::<ResourceQuota>(&known, "a", "q");
    assert_eq!(known.quotas("a"), []);
}

#[test]
fn what_a_new_list_does_not_hold_is_forgotten() {
    let known = Cache::default();
    for name in ["x", "y"] {
        put::<NamespaceMeta>(
            &known,
            json!({"metadata": {"name": name, "labels": {"a": "b"}}}),
        );
    }
    let kept = [(String::new(), "y".to_owned())].into();
    NamespaceMeta::retain(&kept, &mut known.0.write());
    assert_eq!(known.namespace("x"), None);
    assert_eq!(known.namespace("y").unwrap().labels["a"], "b");
}

#[test]
fn what_kubectl_notes_about_an_object_is_not_kept() {
    let known = Cache::default();
    let mut noted = cluster("c", json!({}));
    let copy = "kubectl.kubernetes.io/last-applied-configuration";
    noted["metadata"]["annotations"] = json!({copy: "{}", "kept": "yes"});
    put::<Cluster>(&known, noted);
    let annotations = known
        .cluster("a", "c")
        .unwrap()
        .metadata
        .annotations
        .clone()
        .unwrap();
    assert_eq!(annotations.len(), 1);
}

#[test]
fn a_host_is_the_same_however_it_is_written() {
    let known = Cache::default();
    let at = |address: &str| json!({"externalAddress": address, "service": {"type": "LoadBalancer", "apiPort": 6443}});
    put::<Cluster>(&known, cluster("one", at("2001:db8:0::1")));
    put::<Cluster>(&known, cluster("two", at("API.example.org.")));
    for address in ["2001:db8::1", "2001:0DB8::0001"] {
        assert_eq!(known.address(address, 6443), [holder("Cluster", "one")]);
    }
    for address in ["api.example.org", "api.Example.org."] {
        assert_eq!(known.address(address, 6443), [holder("Cluster", "two")]);
    }
    remove::<Cluster>(&known, "a", "one");
    assert_eq!(known.address("2001:db8::1", 6443), []);
}

#[test]
fn a_folder_of_nodes_is_the_clusters_that_has_it() {
    let known = Cache::default();
    let on = |path: &str| json!({"persistence": {"type": "hostPath", "hostPath": path}});
    put::<Cluster>(&known, cluster("one", on("/data//one/")));
    assert_eq!(known.host_path("/data/one"), [holder("Cluster", "one")]);
    put::<Cluster>(&known, cluster("one", on("/data/two")));
    assert_eq!(known.host_path("/data/one"), []);
    remove::<Cluster>(&known, "a", "one");
    assert_eq!(known.host_path("/data/two"), []);
}

#[test]
fn what_an_audit_looks_at_of_a_request_is_a_change() {
    let known = Cache::default();
    let mut request = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "metadata": {"namespace": "a", "name": "one"}, "spec": {"clusterName": "one"},
    });
    put::<JoinTokenRequest>(&known, request.clone());
    let mut last = known.changes();
    for (field, value) in [
        ("labels", json!({"a": "b"})),
        ("annotations", json!({"a": "b"})),
    ] {
        request["metadata"][field] = value;
        put::<JoinTokenRequest>(&known, request.clone());
        assert!(known.changes() > last, "{field}");
        last = known.changes();
    }
    request["status"] = json!({"tokenID": "x"});
    put::<JoinTokenRequest>(&known, request);
    assert_eq!(known.changes(), last);
    assert!(known.has_request("a", "one") && !known.has_request("a", "two"));
}

#[test]
fn a_policy_that_comes_changes_and_goes_is_known_at_once() {
    let known = Cache::default();
    let policy = |name: &str, version: &str| {
        json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy",
            "metadata": {"name": name}, "spec": {"versions": [version]},
        })
    };
    put::<StoredPolicy>(&known, policy("b", "no range"));
    assert_eq!(known.policies().len(), 0, "the first list is yet to end");
    StoredPolicy::listed(&mut known.0.write());
    let faults = |name: &str| known.policies().faults(name).map(<[_]>::len);
    assert_eq!((faults("a"), faults("b")), (None, Some(1)));
    put::<StoredPolicy>(&known, policy("a", ">=1.35.0"));
    put::<StoredPolicy>(&known, policy("b", ">=1.35.0"));
    assert_eq!((faults("a"), faults("b")), (Some(0), Some(0)));
    remove::<StoredPolicy>(&known, "", "a");
    assert_eq!((faults("a"), faults("b")), (None, Some(0)));
    // What is listed again is what is known.
    let before = known.policies();
    put::<StoredPolicy>(&known, policy("b", ">=1.35.0"));
    StoredPolicy::listed(&mut known.0.write());
    assert!(Arc::ptr_eq(&before, &known.policies()));
}
