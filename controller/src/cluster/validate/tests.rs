//! What is decided once for all children.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn cluster(version: &str, running: Option<&str>) -> Cluster {
    let mut cluster: Cluster = serde_json::from_value(json!({
        "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
        "spec": {"version": version}, "status": {},
    }))
    .unwrap();
    let status = cluster.status.as_mut().unwrap();
    status.version = running.map(ToOwned::to_owned);
    cluster
}

fn valid(version: &str, running: Option<&str>) -> Result<ValidCluster, Refusal> {
    let lifetime = jiff::SignedDuration::from_hours(1);
    validate(&cluster(version, running), &Observed::default(), lifetime)
}

#[rstest]
#[case::new("v1.36.3", None)]
#[case::settled("v1.35.1+k0s.0", Some("v1.35.1-k0s.0"))]
#[case::upgrade("v1.36.3", Some("v1.35.1-k0s.0"))]
#[case::back_from_an_upgrade("v1.35.1", Some("v1.35.1-k0s.0"))]
#[case::running_an_image_of_ones_own("v1.34.1", Some("mine"))]
fn a_version_that_can_be_reached_is_worked_on(
    #[case] version: &str,
    #[case] running: Option<&str>,
) {
    let valid = valid(version, running).unwrap();
    assert_eq!(valid.version, version.parse().ok());
}

#[rstest]
#[case::downgrade("v1.34.1")]
#[case::skipped_minor("v1.37.1")]
fn a_version_that_the_webhook_would_have_refused_is_refused_here(#[case] version: &str) {
    match valid(version, Some("v1.35.1-k0s.0")) {
        Err(Refusal::Invalid(errors)) => {
            let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
            assert_eq!(paths, ["spec.version"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cluster_that_names_no_version_stays_at_its_own() {
    let valid = valid("", Some("v1.34.1-k0s.0")).unwrap();
    assert_eq!(valid.image, "quay.io/k0sproject/k0s:v1.34.1-k0s.0");
    assert_eq!(valid.running_version(), "v1.34.1-k0s.0");
}

#[rstest]
#[case::upstreams("quay.io/k0sproject/k0s:v1.27.9-k0s.0", "v1.27.9-k0s.0")]
#[case::of_a_registry_with_a_port("registry:5000/k0s:v1.35.1-k0s.0", "v1.35.1-k0s.0")]
#[case::by_digest(
    "quay.io/k0sproject/k0s:v1.35.1-k0s.0@sha256:0123abcd",
    "v1.35.1-k0s.0"
)]
#[case::by_digest_alone("registry:5000/k0s@sha256:0123abcd", crds::version::DEFAULT_VERSION)]
#[case::no_version("quay.io/k0sproject/k0s:latest", crds::version::DEFAULT_VERSION)]
#[case::no_tag("registry:5000/k0s", crds::version::DEFAULT_VERSION)]
fn a_cluster_that_says_no_version_anywhere_stays_at_the_one_of_its_pods(
    #[case] image: &str,
    #[case] version: &str,
) {
    let container = json!({"name": "controller", "image": image});
    let set = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    let observed = Observed {
        control_plane: serde_json::from_value(set).unwrap(),
        ..Observed::default()
    };
    let (none, nothing) = (json!({}), json!({}));
    assert_eq!(of(&none, &nothing, &observed).running_version(), version);
    // What the user or the status says goes first.
    let (asked, ran) = (
        json!({"version": "v1.36.1"}),
        json!({"version": "v1.36.1-k0s.0"}),
    );
    assert_eq!(
        of(&asked, &nothing, &observed).running_version(),
        "v1.36.1-k0s.0"
    );
    assert_eq!(
        of(&none, &ran, &observed).running_version(),
        "v1.36.1-k0s.0"
    );
}

fn of(spec: &Value, status: &Value, observed: &Observed) -> ValidCluster {
    let cluster = serde_json::from_value(json!({
        "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
        "spec": spec, "status": status,
    }));
    let lifetime = jiff::SignedDuration::from_hours(1);
    validate(&cluster.unwrap(), observed, lifetime).unwrap()
}

/// A Service with these node ports; 0 is one that is not allocated.
fn allocated(api: i32, konnectivity: i32) -> Observed {
    let ports = json!([
        {"name": "api", "port": 1, "nodePort": api},
        {"name": "konnectivity", "port": 2, "nodePort": konnectivity},
    ]);
    Observed {
        service: serde_json::from_value(json!({"spec": {"ports": ports}})).unwrap(),
        ..Observed::default()
    }
}

fn nothing() -> Observed {
    Observed::default()
}

const DEFAULT: Option<(i32, i32)> = Some((30443, 30132));

#[rstest]
#[case::left_out(json!({}), json!({}), nothing(), DEFAULT)]
#[case::asked(json!({"apiPort": 443, "konnectivityPort": 8132}), json!({}), nothing(), Some((443, 8132)))]
#[case::asked_otherwise_than_recorded(
    json!({"apiPort": 31443}), json!({"ports": {"api": 30443, "konnectivity": 30132}}), nothing(),
    Some((31443, 30132))
)]
#[case::to_be_allocated(json!({"apiPort": 0, "konnectivityPort": 0}), json!({}), nothing(), None)]
#[case::one_to_be_allocated(json!({"apiPort": 0}), json!({}), allocated(0, 31132), None)]
#[case::allocated(
    json!({"apiPort": 0, "konnectivityPort": 0}), json!({}), allocated(31000, 31001),
    Some((31000, 31001))
)]
#[case::allocated_and_recorded(
    json!({"apiPort": 0, "konnectivityPort": 0}),
    json!({"ports": {"api": 31000, "konnectivity": 31001}}), allocated(32000, 32001),
    Some((31000, 31001))
)]
#[case::zeros_are_recorded(
    json!({"apiPort": 0, "konnectivityPort": 0}),
    json!({"ports": {"api": 0, "konnectivity": 0}}), allocated(32000, 32001),
    Some((32000, 32001))
)]
fn ports_are_the_specs_else_the_recorded_else_the_allocated(
    #[case] mut service: Value,
    #[case] status: Value,
    #[case] observed: Observed,
    #[case] ports: Option<(i32, i32)>,
) {
    service["type"] = json!("NodePort");
    let found = of(&json!({"service": service}), &status, &observed).ports;
    assert_eq!(found.map(|ports| (ports.api, ports.konnectivity)), ports);
}

fn balanced(ingress: &Value) -> Observed {
    let service = json!({"status": {"loadBalancer": {"ingress": ingress}}});
    Observed {
        service: serde_json::from_value(service).unwrap(),
        ..Observed::default()
    }
}

fn node(address: &str) -> Observed {
    Observed {
        node_address: Some(address.to_owned()),
        ..Observed::default()
    }
}

const RECORDED: &str = "192.0.2.1";

/// The host, or the reason why there is none; nothing where it is reached inside only.
#[rstest]
#[case::inside("ClusterIP", None, None, nothing(), None)]
#[case::inside_whatever_was_recorded("ClusterIP", None, Some(RECORDED), nothing(), None)]
#[case::asked(
    "ClusterIP",
    Some("a.example.org"),
    None,
    nothing(),
    Some("a.example.org")
)]
#[case::asked_for_nothing("ClusterIP", Some(""), None, nothing(), None)]
#[case::asked_before_recorded(
    "NodePort",
    Some("a.example.org"),
    Some(RECORDED),
    node("10.0.0.1"),
    Some("a.example.org")
)]
#[case::of_a_node("NodePort", None, None, node("10.0.0.1"), Some("10.0.0.1"))]
#[case::of_the_node_that_was_chosen(
    "NodePort",
    None,
    Some(RECORDED),
    Observed { node_address_alive: true, ..node("10.0.0.1") },
    Some(RECORDED)
)]
#[case::of_a_node_that_is_gone_before_anybody_joined(
    "NodePort",
    None,
    Some(RECORDED),
    node("10.0.0.1"),
    Some("10.0.0.1")
)]
#[case::of_a_balancer_that_is_none_any_more("LoadBalancer", None, Some(RECORDED), balanced(&json!([])), Some("WaitingForLoadBalancer"))]
#[case::balanced_by_the_recorded_one_of_two("LoadBalancer", None, Some(RECORDED), balanced(&json!([{"ip": "192.0.2.9"}, {"ip": RECORDED}])), Some(RECORDED))]
#[case::of_a_node_where_nothing_is_recorded(
    "NodePort",
    None,
    Some(""),
    node("10.0.0.1"),
    Some("10.0.0.1")
)]
#[case::without_nodes("NodePort", None, None, nothing(), Some("NoNodeAddress"))]
#[case::balanced("LoadBalancer", None, None, balanced(&json!([{"hostname": "lb"}, {"ip": "192.0.2.9"}])), Some("192.0.2.9"))]
#[case::balanced_by_name("LoadBalancer", None, None, balanced(&json!([{"hostname": "lb"}])), Some("lb"))]
#[case::balanced_anew("LoadBalancer", None, Some(RECORDED), balanced(&json!([{"ip": "192.0.2.9"}])), Some("192.0.2.9"))]
#[case::not_balanced_yet("LoadBalancer", None, None, nothing(), Some("WaitingForLoadBalancer"))]
fn an_address_is_the_users_else_what_the_type_gives(
    #[case] type_: &str,
    #[case] asked: Option<&str>,
    #[case] recorded: Option<&str>,
    #[case] observed: Observed,
    #[case] host: Option<&str>,
) {
    let spec = json!({"service": {"type": type_}, "externalAddress": asked});
    let found = of(&spec, &json!({"externalAddress": recorded}), &observed).address;
    let found = match &found {
        Address::Internal => None,
        Address::External(host) => Some(host.as_str()),
        Address::Waiting { reason, message } => {
            assert!(message.contains("set spec.externalAddress"), "{message}");
            Some(*reason)
        }
    };
    assert_eq!(found, host);
}

/// Workers know the address: it stays, and that it is gone is said.
#[rstest]
#[case::of_a_node("NodePort", node("10.0.0.1"), RECORDED, true)]
#[case::balanced_no_more("LoadBalancer", balanced(&json!([])), RECORDED, true)]
#[case::balanced_anew("LoadBalancer", balanced(&json!([{"ip": "192.0.2.9"}])), "192.0.2.9", false)]
fn an_address_that_workers_know_stays(
    #[case] type_: &str,
    #[case] observed: Observed,
    #[case] host: &str,
    #[case] is_gone: bool,
) {
    let spec = json!({"service": {"type": type_}});
    let status = json!({"externalAddress": RECORDED, "version": "v1.36.3-k0s.2"});
    let found = of(&spec, &status, &observed);
    assert_eq!(found.address, Address::External(host.to_owned()));
    assert_eq!(found.address_is_gone, is_gone);
}

#[rstest]
#[case::one(1, json!({}), 1)]
#[case::two_survive_no_more_than_one(2, json!({}), 3)]
#[case::three(3, json!({}), 3)]
#[case::none_while_it_sleeps(0, json!({}), 1)]
#[case::as_recorded(5, json!({"etcdMembers": 3}), 3)]
fn members_of_etcd_are_an_odd_number_that_stays(
    #[case] replicas: i32,
    #[case] status: Value,
    #[case] members: i32,
) {
    let valid = of(&json!({"replicas": replicas}), &status, &nothing());
    assert_eq!(valid.etcd_members, members);
}

/// An apply that says another class is refused for ever.
#[test]
fn the_class_of_a_load_balancer_stays_what_it_is() {
    let class = |live: Option<&str>| {
        let service = json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": live}});
        let observed = Observed {
            service: serde_json::from_value(service).unwrap(),
            ..Observed::default()
        };
        let cluster = serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "uid": "1", "annotations": {
                crds::names::LOAD_BALANCER_CLASS_ANNOTATION: r#""example.com/new""#,
            }},
            "spec": {"service": {"type": "LoadBalancer"}},
        }));
        let lifetime = jiff::SignedDuration::from_hours(1);
        let valid = validate(&cluster.unwrap(), &observed, lifetime).unwrap();
        valid.service.load_balancer_class
    };
    assert_eq!(
        class(Some("example.com/old")).as_deref(),
        Some("example.com/old")
    );
    assert_eq!(class(None), None);
}

#[test]
fn everything_wrong_is_said_at_once_and_what_is_not_honoured_only_when_all_is_right() {
    let refused = |spec: Value| {
        let cluster = serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "uid": "1"}, "spec": spec,
        }));
        let lifetime = jiff::SignedDuration::from_hours(1);
        validate(&cluster.unwrap(), &nothing(), lifetime).unwrap_err()
    };
    let later = json!({"ingress": {"apiHost": "a", "konnectivityHost": "b"}});
    match refused(later.clone()) {
        Refusal::NotImplemented(paths) => assert_eq!(paths, ["spec.ingress"]),
        other @ (Refusal::Invalid(_) | Refusal::Unread) => panic!("{other:?}"),
    }
    let mut wrong = later;
    wrong["replicas"] = json!(-1);
    wrong["version"] = json!("newest");
    match refused(wrong) {
        Refusal::Invalid(errors) => {
            let mut paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
            paths.sort_unstable();
            paths.dedup();
            assert!(
                paths.contains(&"spec.replicas") && paths.contains(&"spec.version"),
                "{paths:?}"
            );
        }
        other @ (Refusal::NotImplemented(_) | Refusal::Unread) => panic!("{other:?}"),
    }
}
