//! Names that two owners would want, and folders that two would write to.

use std::sync::Arc;

use crds::admission::{Decision, Kind, Operation, validate};
use crds::lookup::{Holder, Mothership};
use crds::v1beta2::Cluster;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, create_on, paths, request};

/// Namespace `n` with one Cluster and one JoinTokenRequest.
struct Near {
    cluster: Cluster,
    request: &'static str,
}

impl Mothership for Near {
    fn cluster(&self, namespace: &str, name: &str) -> Option<Arc<Cluster>> {
        let found = namespace == "n" && self.cluster.metadata.name.as_deref() == Some(name);
        found.then(|| Arc::new(self.cluster.clone()))
    }

    fn has_request(&self, namespace: &str, name: &str) -> bool {
        (namespace, name) == ("n", self.request)
    }

    fn host_path(&self, path: &str) -> Vec<Holder> {
        let holder = Holder {
            kind: "Cluster",
            namespace: "n".to_owned(),
            name: "other".to_owned(),
        };
        Vec::from_iter((path == "/data/a").then_some(holder))
    }
}

fn named(name: &str, type_: &str) -> Value {
    let mut object = cluster(json!({"service": {"type": type_}}));
    object["metadata"]["name"] = json!(name);
    object
}

fn near(name: &str, type_: &str, request: &'static str) -> Near {
    Near {
        cluster: serde_json::from_value(named(name, type_)).unwrap(),
        request,
    }
}

#[rstest]
#[case::etcd("a-etcd", "NodePort", "a", "NodePort", true)]
#[case::etcd_comes_second("a", "NodePort", "a-etcd", "NodePort", true)]
#[case::balancer("a-lb", "ClusterIP", "a", "LoadBalancer", true)]
#[case::no_balancer("a-lb", "ClusterIP", "a", "NodePort", false)]
#[case::balancer_elsewhere("a-lb", "NodePort", "a", "LoadBalancer", false)]
#[case::node_port("a-nodeport", "ClusterIP", "a", "NodePort", true)]
#[case::clients("a-etcd-client", "ClusterIP", "a", "ClusterIP", true)]
#[case::telemetry("a-telemetry", "NodePort", "a", "NodePort", true)]
#[case::of_another_kind("a-config", "NodePort", "a", "NodePort", false)]
#[case::alike("a-b", "NodePort", "a", "NodePort", false)]
fn a_cluster_takes_no_name_of_what_is_made_for_another(
    #[case] name: &str,
    #[case] type_: &str,
    #[case] other: &str,
    #[case] others: &str,
    #[case] refused: bool,
) {
    let decision = create_on(Kind::Cluster, &named(name, type_), &near(other, others, ""));
    let expected: &[&str] = if refused { &["metadata.name"] } else { &[] };
    assert_eq!(paths(&decision), expected, "{decision:?}");
    if refused {
        let text = decision.errors[0].to_string();
        assert!(text.contains(&format!("the Cluster {other}")), "{text}");
    }
}

#[test]
fn what_is_there_stays_and_does_not_become_a_namesake() {
    let known = near("a", "LoadBalancer", "");
    let change = |old: &Value, new: &Value| -> Decision {
        let mut request = request(Operation::Update, Some(old), Some(new));
        request.name = "a-lb";
        validate(Kind::Cluster, &request, &known)
    };
    let old = named("a-lb", "ClusterIP");
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(3);
    assert_eq!(change(&old, &new).errors, []);
    let old = named("a-lb", "NodePort");
    assert_eq!(
        paths(&change(&old, &named("a-lb", "ClusterIP"))),
        ["metadata.name"]
    );
}

/// Two that have run side by side, and one of them takes another type.
#[test]
fn what_two_have_already_is_no_reason_against_another_change() {
    let known = near("a-telemetry", "NodePort", "a-ca");
    let change = |old: &Value, new: &Value| {
        let mut request = request(Operation::Update, Some(old), Some(new));
        request.name = "a";
        validate(Kind::Cluster, &request, &known)
    };
    let (old, new) = (named("a", "ClusterIP"), named("a", "NodePort"));
    assert_eq!(change(&old, &new).errors, []);
}

/// What a user's own Secret stands for is made for nobody.
#[test]
fn a_request_may_have_the_name_of_a_secret_that_is_not_made() {
    let mut owner = named("a", "NodePort");
    owner["spec"]["certificateRefs"] = json!([{"type": "ca", "name": "mine"}]);
    let known = Near {
        cluster: serde_json::from_value(owner).unwrap(),
        request: "",
    };
    let token = |name: &str| {
        json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
            "metadata": {"name": name, "namespace": "n"}, "spec": {"clusterName": "a"},
        })
    };
    let said = |name: &str| {
        create_on(Kind::JoinTokenRequest, &token(name), &known)
            .errors
            .len()
    };
    assert_eq!((said("a-ca"), said("a-sa")), (0, 1));
}

#[rstest]
#[case("a-kubeconfig", true)]
#[case("a-ca", true)]
#[case("a-apiserver-etcd-client", true)]
#[case("b-kubeconfig", false)]
#[case("a-worker", false)]
#[case("a", false)]
fn a_request_takes_no_secret_of_a_cluster(#[case] name: &'static str, #[case] refused: bool) {
    let token = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "metadata": {"name": name, "namespace": "n"}, "spec": {"clusterName": "a"},
    });
    let expected: &[&str] = if refused { &["metadata.name"] } else { &[] };
    let known = near("a", "NodePort", "");
    let decision = create_on(Kind::JoinTokenRequest, &token, &known);
    assert_eq!(paths(&decision), expected, "{decision:?}");
    // The other way round.
    let known = near("x", "NodePort", name);
    let decision = create_on(Kind::Cluster, &named("a", "NodePort"), &known);
    assert_eq!(paths(&decision), expected, "{decision:?}");
}

#[test]
fn two_clusters_do_not_share_a_folder_of_nodes() {
    let on = |path: &str| cluster(json!({"persistence": {"type": "hostPath", "hostPath": path}}));
    let known = near("x", "NodePort", "");
    for path in ["/data/a", "/data//b/../a/"] {
        let decision = create_on(Kind::Cluster, &on(path), &known);
        assert_eq!(paths(&decision), ["spec.persistence.hostPath"]);
    }
    assert_eq!(create_on(Kind::Cluster, &on("/data/b"), &known).errors, []);
    // What it has, it has.
    let (old, mut new) = (on("/data/a"), on("/data/a/"));
    new["spec"]["replicas"] = json!(3);
    let request = request(Operation::Update, Some(&old), Some(&new));
    assert_eq!(validate(Kind::Cluster, &request, &known).errors, []);
}
