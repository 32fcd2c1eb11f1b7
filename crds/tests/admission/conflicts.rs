//! What somebody else has already, or nobody has.

use std::ops::RangeInclusive;

use crds::admission::{Decision, Kind, Operation, validate};
use crds::lookup::{Holder, Mothership, Quota, Unknown};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, create_on, paths, request, serving, with_status};

/// A mothership where everything that can be taken is.
pub struct Full {
    by: Holder,
    range: Option<RangeInclusive<i32>>,
}

pub fn full() -> Full {
    Full {
        by: holder("other"),
        range: Some(30000..=30999),
    }
}

fn holder(name: &str) -> Holder {
    Holder {
        kind: "Cluster",
        namespace: "n".to_owned(),
        name: name.to_owned(),
    }
}

impl Mothership for Full {
    fn node_port(&self, port: i32) -> Vec<Holder> {
        if port == 30001 {
            vec![self.by.clone()]
        } else {
            Vec::new()
        }
    }

    fn node_port_range(&self) -> Option<RangeInclusive<i32>> {
        self.range.clone()
    }

    fn host(&self, host: &str) -> Vec<Holder> {
        if host == "taken.x" {
            vec![self.by.clone()]
        } else {
            Vec::new()
        }
    }

    fn address(&self, address: &str, port: i32) -> Vec<Holder> {
        if (address, port) == ("192.0.2.1", 6443) {
            vec![self.by.clone()]
        } else {
            Vec::new()
        }
    }

    fn storage_class(&self, name: Option<&str>) -> Option<bool> {
        Some(name == Some("fast"))
    }

    fn quotas(&self, namespace: &str) -> Vec<Quota> {
        if namespace != "n" {
            return Vec::new();
        }
        let quota = |resource: &str, hard: &str, used: &str| Quota {
            name: "q".to_owned(),
            resource: resource.to_owned(),
            hard: Quantity(hard.to_owned()),
            used: Quantity(used.to_owned()),
        };
        vec![
            quota("pods", "6", "2"),
            quota("requests.cpu", "2", "500m"),
            quota("services.loadbalancers", "1", "1"),
            quota("secrets", "1", "1"),
        ]
    }
}

/// A spec that meets nothing there.
fn free(more: Value) -> Value {
    let mut spec = json!({
        "version": "v1.36.3-k0s.2",
        "storage": {"etcd": {"persistence": {"storageClass": "fast"}}},
    });
    let fields = spec.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    cluster(spec)
}

fn node_port(api: i32) -> Value {
    json!({"service": {"type": "NodePort", "apiPort": api, "konnectivityPort": 0}})
}

fn ingress(host: &str) -> Value {
    json!({"ingress": {"apiHost": host, "konnectivityHost": "k.x"}})
}

fn address(address: &str) -> Value {
    json!({"externalAddress": address, "service": {"type": "ClusterIP", "apiPort": 6443, "konnectivityPort": 8132}})
}

#[rstest]
#[case::node_port(node_port(30002), node_port(30001), "spec.service.apiPort")]
#[case::a_chosen_node_port(node_port(0), node_port(30001), "spec.service.apiPort")]
#[case::node_port_range(node_port(30999), node_port(31000), "spec.service.apiPort")]
#[case::ingress(ingress("free.x"), ingress("taken.x"), "spec.ingress.apiHost")]
#[case::address(address("192.0.2.2"), address("192.0.2.1"), "spec.service.apiPort")]
fn what_is_taken_is_refused(#[case] accepted: Value, #[case] refused: Value, #[case] path: &str) {
    assert_eq!(
        create_on(Kind::Cluster, &free(accepted), &full()).errors,
        []
    );
    let object = free(refused);
    assert_eq!(paths(&create_on(Kind::Cluster, &object, &full())), [path]);
}

fn change(old: &Value, new: &Value, known: &dyn Mothership) -> Decision {
    validate(
        Kind::Cluster,
        &request(Operation::Update, Some(old), Some(new)),
        known,
    )
}

#[rstest]
#[case::node_port(node_port(30001))]
#[case::out_of_range(node_port(31000))]
#[case::ingress(ingress("taken.x"))]
#[case::address(address("192.0.2.1"))]
fn what_a_cluster_has_is_no_reason_to_refuse_another_change(#[case] spec: Value) {
    let mut new = spec.clone();
    new["replicas"] = json!(3);
    assert_eq!(change(&free(spec), &free(new), &full()).errors, []);
}

#[rstest]
#[case(node_port(30001))]
#[case(ingress("taken.x"))]
#[case(address("192.0.2.1"))]
fn a_cluster_is_not_in_its_own_way(#[case] spec: Value) {
    let known = Full {
        by: holder("c"),
        ..full()
    };
    assert_eq!(create_on(Kind::Cluster, &free(spec), &known).errors, []);
}

#[test]
fn another_kind_of_that_name_is_in_the_way() {
    let known = Full {
        by: Holder {
            kind: "Service",
            ..holder("c")
        },
        ..full()
    };
    let decision = create_on(Kind::Cluster, &free(node_port(30001)), &known);
    assert!(
        decision.errors[0].message.contains("the Service n/c"),
        "{decision:?}"
    );
}

#[test]
fn the_usual_range_is_spoken_of_only_while_the_real_one_is_not_known() {
    let about = |decision: Decision| {
        decision
            .warnings
            .iter()
            .any(|text| text.contains("usual range"))
    };
    let object = free(node_port(20000));
    assert!(about(create_on(Kind::Cluster, &object, &Unknown)));
    let known = Full {
        range: Some(20000..=20100),
        ..full()
    };
    assert!(!about(create_on(Kind::Cluster, &object, &known)));
}

#[rstest]
#[case::etcd(json!({"storage": {"etcd": {"persistence": {"storageClass": "slow"}}}}), "spec.storage.etcd.persistence.storageClass")]
#[case::default_class(json!({"storage": {}}), "no default storage class")]
#[case::claim(
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {"spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
        "resources": {"requests": {"storage": "1Gi"}},
    }}}}),
    "spec.persistence.persistentVolumeClaim.spec.storageClassName"
)]
#[case::pods(json!({"replicas": 3}), "requested: pods=6, used: 2, limited: 6")]
#[case::cpu(json!({"resources": {"requests": {"cpu": "2"}}}), "requested: requests.cpu=2, used: 500m, limited: 2")]
#[case::balancers(json!({"service": {"type": "LoadBalancer"}}), "services.loadbalancers")]
fn what_is_missing_is_a_warning(#[case] spec: Value, #[case] text: &str) {
    let decision = create_on(Kind::Cluster, &free(spec), &full());
    assert_eq!(decision.errors, []);
    assert_eq!(decision.warnings.len(), 1, "{decision:?}");
    assert!(decision.warnings[0].contains(text), "{decision:?}");
}

#[test]
fn where_there_is_room_nothing_is_said() {
    let object = free(json!({"resources": {"requests": {"cpu": "1500m"}}}));
    assert_eq!(
        create_on(Kind::Cluster, &object, &full()),
        Decision::default()
    );
}

#[test]
fn of_a_change_only_what_is_more_counts() {
    let old = with_status(free(json!({"replicas": 5})), serving("v1.36.3-k0s.2"));
    let fewer = change(&old, &free(json!({"replicas": 4})), &full());
    assert!(
        !fewer
            .warnings
            .iter()
            .any(|text| text.contains("ResourceQuota")),
        "{fewer:?}"
    );
}

#[rstest]
#[case(node_port(30001))]
#[case(ingress("taken.x"))]
#[case(address("192.0.2.1"))]
fn who_has_it_in_another_namespace_is_not_told(#[case] spec: Value) {
    let known = Full {
        by: Holder {
            namespace: "tenant-b".to_owned(),
            ..holder("secret-project")
        },
        ..full()
    };
    let decision = create_on(Kind::Cluster, &free(spec.clone()), &known);
    assert_eq!(decision.errors.len(), 1);
    let text = decision.errors[0].to_string();
    assert!(
        !text.contains("tenant-b") && !text.contains("secret-project"),
        "{text}"
    );
    assert!(text.contains("another namespace"), "{text}");
    let own = create_on(Kind::Cluster, &free(spec), &full());
    assert!(
        own.errors[0].to_string().contains("the Cluster n/other"),
        "{own:?}"
    );
}

#[test]
fn what_is_honoured_from_now_on_has_to_find_its_ports_free() {
    let monitored = |port: i32| {
        let mut spec = node_port(port);
        spec["monitoring"] = json!({"enabled": true});
        free(spec)
    };
    let now = free(node_port(30001));
    assert_eq!(
        paths(&change(&monitored(30001), &now, &full())),
        ["spec.service.apiPort"]
    );
    // What has been served before has the ports that are recorded, and no others.
    let mut served = with_status(monitored(30001), serving("v1.36.3-k0s.2"));
    assert_eq!(
        paths(&change(&served, &now, &full())),
        ["spec.service.apiPort"]
    );
    served["status"]["ports"]["api"] = json!(30001);
    assert_eq!(change(&served, &now, &full()).errors, []);
    // And what goes on without being honoured asks for nothing.
    let mut other = monitored(30001);
    other["spec"]["replicas"] = json!(3);
    assert_eq!(change(&monitored(30001), &other, &full()).errors, []);
}

/// What keeps a Cluster from being served: what is not honoured, and what is invalid.
#[rstest]
#[case::monitoring("monitoring", json!({"enabled": true}))]
#[case::ingress("ingress", json!({"apiHost": "a.x", "konnectivityHost": "k.x", "annotations": {"a": "b"}}))]
#[case::open_quote("controlPlaneFlags", json!(["--open 'quote"]))]
fn what_is_taken_is_not_had_in_two_changes(#[case] field: &str, #[case] value: Value) {
    for spec in [node_port(30001), address("192.0.2.1")] {
        let mut aside = spec.clone();
        aside[field] = value.clone();
        let aside = with_status(free(aside), serving("v1.36.3-k0s.2"));
        let back = with_status(free(spec), serving("v1.36.3-k0s.2"));
        let decision = change(&aside, &back, &full());
        assert_eq!(paths(&decision), ["spec.service.apiPort"], "{back}");
    }
}
