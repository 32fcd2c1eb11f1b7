//! What is built of each Cluster in `tests/clusters`, in the order of the list.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crds::names;
use crds::v1beta2::{Cluster, StatusPorts};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use rstest::rstest;
use serde_json::{Value, json};

use super::control_plane::k0s_config::merged;
use super::{Built, build};
use crate::apply::desired::{APPLIED_HASH, Content, Desired, INPUTS_DIGEST};
use crate::cluster::dereference::Observed;
use crate::cluster::validate::{ValidCluster, validate};
use crate::cluster::{LEAF_LIFETIME, fixtures};
use crate::kubernetes::store::Kind;

fn cluster(spec: &str) -> Cluster {
    let spec: Value = serde_saphyr::from_str(spec).unwrap();
    serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "demo", "namespace": "team", "uid": "uid-of-demo",
            "labels": {"team": "a", "app": "mine"},
            "annotations": {
                "note": "b",
                names::SERVICE_LABELS_ANNOTATION: r#"{"tier": "edge"}"#,
                names::SERVICE_ANNOTATIONS_ANNOTATION: r#"{"example.com/pool": "public"}"#,
                names::EXTERNAL_TRAFFIC_POLICY_ANNOTATION: r#""Local""#,
                names::LOAD_BALANCER_CLASS_ANNOTATION: r#""example.com/internal""#,
            }},
        "spec": spec,
    }))
    .unwrap()
}

/// As if a controller had seen everything that a child depends on.
fn all_seen() -> Observed {
    let service: Service =
        serde_json::from_value(json!({"spec": {"clusterIPs": ["10.0.0.77"]}})).unwrap();
    Observed {
        service: Some(service),
        ..fixtures::made()
    }
}

fn valid(spec: &str, observed: &Observed) -> ValidCluster {
    fixtures::written(validate(&cluster(spec), observed, LEAF_LIFETIME).unwrap())
}

const PLAIN: &str = include_str!("../../../tests/clusters/plain.yaml");

/// Digests change with everything, and tell nobody anything.
fn without_digests(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(annotations) = body["metadata"]["annotations"].as_object_mut() {
        annotations.remove(APPLIED_HASH);
        annotations.remove(INPUTS_DIGEST);
    }
    body
}

/// An object as a person reads it, with how its data is made.
fn shown(desired: &Desired) -> String {
    let body = without_digests(&desired.body);
    let data = match &desired.content {
        Content::Declared => String::new(),
        Content::Made(recipe) => format!("# made again when it changes: {recipe:?}\n"),
        Content::Kept(recipe) => format!("# made once: {recipe:?}\n"),
    };
    format!(
        "--- # {}\n{data}{}",
        desired.key,
        serde_saphyr::to_string(&body).unwrap()
    )
}

#[test]
fn what_is_built_where_everything_is_left_out() {
    let built = build(&valid(PLAIN, &all_seen()));
    let all: String = built.wanted.iter().map(shown).collect();
    insta::assert_snapshot!("plain", all);
}

/// What is built otherwise than of a Cluster in which everything is left out.
#[rstest]
#[case::old("old", include_str!("../../../tests/clusters/old.yaml"))]
#[case::ha("ha", include_str!("../../../tests/clusters/ha.yaml"))]
#[case::node_port("node-port", include_str!("../../../tests/clusters/node-port.yaml"))]
#[case::low_port("low-port", include_str!("../../../tests/clusters/low-port.yaml"))]
#[case::host_path("host-path", include_str!("../../../tests/clusters/host-path.yaml"))]
#[case::claim("claim", include_str!("../../../tests/clusters/claim.yaml"))]
#[case::policies("policies", "networkPolicy: {enabled: true}")]
#[case::extras("extras", include_str!("../../../tests/clusters/extras.yaml"))]
fn what_a_spec_changes(#[case] name: &str, #[case] spec: &str) {
    let plain = build(&valid(PLAIN, &all_seen()));
    let built = build(&valid(spec, &all_seen()));
    let mut text = String::new();
    for desired in &built.wanted {
        let Some(before) = plain.wanted.iter().find(|plain| plain.key == desired.key) else {
            text.push_str(&shown(desired));
            continue;
        };
        let patch = json_patch::diff(
            &without_digests(&before.body),
            &without_digests(&desired.body),
        );
        let mut changes: Vec<String> = patch.iter().map(|change| format!("{change}\n")).collect();
        if before.content != desired.content {
            changes.push(format!("# {:?}\n", desired.content));
        }
        if !changes.is_empty() {
            let _ = write!(text, "--- # {}\n{}", desired.key, changes.concat());
        }
    }
    let is_built = |key| built.wanted.iter().any(|desired| desired.key == key);
    for gone in plain
        .wanted
        .iter()
        .filter(|plain| !is_built(plain.key.clone()))
    {
        let _ = writeln!(text, "--- # no {}", gone.key);
    }
    insta::assert_snapshot!(name, text);
}

/// Two of them on a node would write to one folder.
#[rstest]
#[case(
    r#"{"replicas": 3, "persistence": {"type": "hostPath", "hostPath": "/a"}}"#,
    true
)]
#[case(r#"{"persistence": {"type": "hostPath", "hostPath": "/a"}}"#, false)]
#[case(r#"{"replicas": 3}"#, false)]
fn replicas_never_share_a_node_whose_folder_is_their_data(#[case] spec: &str, #[case] own: bool) {
    let built = build(&valid(spec, &all_seen()));
    let set = built.wanted.iter().find(|desired| {
        (desired.key.kind, desired.key.name.as_str()) == (Kind::StatefulSet, "kmc-demo")
    });
    let anti = &set.unwrap().body["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"];
    let required = &anti["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(
        required[0]["topologyKey"] == "kubernetes.io/hostname",
        own,
        "{anti}"
    );
}

/// What is written for k0s, of a configuration somebody else's k0s has printed, and of an address
/// that only k0s is to know.
#[rstest]
#[case::inside("ClusterIP", None, "a.example.org")]
#[case::asked_for("ClusterIP", Some("192.0.2.9"), "192.0.2.9")]
#[case::outside("NodePort", Some("192.0.2.9"), "192.0.2.9")]
fn addresses_of_a_configuration(
    #[case] type_: &str,
    #[case] asked: Option<&str>,
    #[case] told: &str,
) {
    let spec = json!({
        "service": {"type": type_, "apiPort": 30443, "konnectivityPort": 30132},
        "externalAddress": asked,
        "k0sConfig": {"spec": {"API": {
            "address": "198.51.100.23", "onlyBindToAddress": true, "port": 6443,
            "externalAddress": "a.example.org", "SANS": ["b.example.org"],
        }}},
    });
    let cluster = valid(&spec.to_string(), &all_seen());
    let config = merged(&cluster).unwrap();
    let api = &config["spec"]["api"];
    assert_eq!(api["externalAddress"], told, "{config}");
    assert_eq!(api["port"], 30443);
    for taken_out in ["address", "onlyBindToAddress", "SANS"] {
        assert_eq!(api.get(taken_out), None, "{config}");
    }
    let sans = api["sans"].as_array().unwrap();
    assert!(sans.contains(&json!("198.51.100.23")) && sans.contains(&json!("b.example.org")));
    assert_eq!(config["spec"].get("API"), None);
}

fn keys(built: &Built, kind: Kind) -> Vec<&str> {
    let all = built
        .wanted
        .iter()
        .filter(|desired| desired.key.kind == kind);
    all.map(|desired| desired.key.name.as_str()).collect()
}

/// A child is not built before what it needs is there: what exists of it stays.
#[test]
fn each_child_waits_for_its_own() {
    let nothing = build(&valid("{}", &Observed::default()));
    assert_eq!(keys(&nothing, Kind::StatefulSet), Vec::<&str>::new());
    assert_eq!(
        keys(&nothing, Kind::Service),
        ["kmc-demo", "kmc-demo-etcd", "kmc-demo-etcd-client"]
    );
    let kept = ["demo-ca", "demo-sa", "demo-proxy", "demo-etcd"];
    assert_eq!(
        BTreeSet::from_iter(keys(&nothing, Kind::Secret)),
        BTreeSet::from(kept)
    );
    for (missing, sets) in [
        ("demo-etcd-server", &["kmc-demo"][..]),
        ("kmc-demo-etcd-config", &["kmc-demo"]),
        ("kmc-demo-config", &["kmc-demo-etcd"]),
        ("demo-apiserver-etcd-client", &["kmc-demo-etcd"]),
        ("nothing", &["kmc-demo-etcd", "kmc-demo"]),
    ] {
        let mut seen = all_seen();
        seen.existing.remove(missing);
        let built = build(&valid("{}", &seen));
        assert_eq!(keys(&built, Kind::StatefulSet), sets, "{missing}");
    }
}

/// Pods read their configuration once, and nobody must be told of ports that no Service has.
#[test]
fn a_set_follows_what_its_pods_read_at_their_start() {
    let written = valid("{}", &all_seen());
    for (stale, sets) in [
        ("kmc-demo-config", &["kmc-demo-etcd"][..]),
        ("kmc-demo-etcd-config", &["kmc-demo"]),
    ] {
        let mut cluster = written.clone();
        let earlier = Some("of an earlier spec".to_owned());
        cluster.existing.insert(stale.to_owned(), earlier);
        let built = build(&cluster);
        assert_eq!(keys(&built, Kind::StatefulSet), sets, "{stale}");
        assert!(
            keys(&built, Kind::ConfigMap).contains(&stale),
            "it is written"
        );
    }
    let mut refused = written;
    refused.has_ports = false;
    let built = build(&refused);
    assert_eq!(keys(&built, Kind::StatefulSet), ["kmc-demo-etcd"]);
    assert!(!keys(&built, Kind::ConfigMap).contains(&"kmc-demo-config"));
    assert!(!keys(&built, Kind::Secret).contains(&"demo-kubeconfig"));
    assert!(keys(&built, Kind::Service).contains(&"kmc-demo"));
}

/// Without a policy everybody is let in, and with one of other ports nobody.
#[test]
fn a_policy_follows_the_ports_of_the_service_and_stays_until_it_can() {
    let of = |spec: &str, served: Option<i32>| {
        let mut cluster = valid(spec, &all_seen());
        cluster.has_ports = false;
        cluster.served_ports = served.map(|api| StatusPorts {
            api,
            konnectivity: 30132,
        });
        let built = build(&cluster);
        let goes = built.obsolete.iter();
        let goes = goes.filter(|key| key.kind == Kind::NetworkPolicy).count();
        let wanted = built.wanted.iter();
        let wanted = wanted.filter(|desired| desired.key.kind == Kind::NetworkPolicy);
        let first = |desired: &Desired| {
            let port = desired.body.pointer("/spec/ingress/0/ports/0/port");
            format!("{} {}", desired.key.name, port.unwrap())
        };
        (wanted.map(first).collect::<Vec<_>>().join(", "), goes)
    };
    let asked = "{networkPolicy: {enabled: true}, service: {apiPort: 31443}}";
    let etcds = "kmc-demo-etcd 2379";
    assert_eq!(
        of(asked, Some(30443)),
        (format!("kmc-demo 30443, {etcds}"), 0)
    );
    assert_eq!(of(asked, None), (etcds.to_owned(), 0));
    assert_eq!(of("{}", None), (String::new(), 2));
}

/// Pods that share a node are pending for ever once they may not; a set goes on as it is.
#[rstest]
#[case::as_it_is(3, 3, false, false)]
#[case::as_it_was_made(3, 3, true, true)]
#[case::it_grows(2, 3, false, true)]
#[case::it_shrinks(3, 2, false, false)]
#[case::to_one(3, 1, true, true)]
#[case::it_wakes(0, 1, false, false)]
fn a_set_that_exists_is_set_apart_when_it_grows(
    #[case] live: i32,
    #[case] replicas: i32,
    #[case] apart: bool,
    #[case] wanted: bool,
) {
    const REQUIRED: &str = "/spec/template/spec/affinity/podAntiAffinity/\
                            requiredDuringSchedulingIgnoredDuringExecution";
    let required = apart.then(|| json!([{"topologyKey": "kubernetes.io/hostname"}]));
    let set = json!({"spec": {"replicas": live, "selector": {}, "template": {"spec": {
        "containers": [], "affinity": {"podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": required}}}}}});
    let seen = Observed {
        control_plane: serde_json::from_value(set).unwrap(),
        ..all_seen()
    };
    let spec = json!({"replicas": replicas,
        "persistence": {"type": "hostPath", "hostPath": "/a"}});
    let built = build(&valid(&spec.to_string(), &seen));
    let mut sets = built.wanted.iter();
    let set = sets.find(|desired| {
        (desired.key.kind, desired.key.name.as_str()) == (Kind::StatefulSet, "kmc-demo")
    });
    assert_eq!(set.unwrap().body.pointer(REQUIRED).is_some(), wanted);
}

/// The API server fills in each name of an account from the other.
#[rstest]
#[case::asked_for("serviceAccount: a", "a", (Some("a"), None))]
#[case::another("serviceAccount: b", "a", (Some("b"), None))]
#[case::not_any_more("{}", "a", (Some(""), Some("")))]
#[case::never("{}", "", (Some(""), Some("")))]
fn an_account_goes_by_both_of_its_names(
    #[case] spec: &str,
    #[case] live: &str,
    #[case] wanted: (Option<&str>, Option<&str>),
) {
    let account = if live.is_empty() {
        json!({"containers": []})
    } else {
        json!({"containers": [], "serviceAccountName": live, "serviceAccount": live})
    };
    let set = json!({"spec": {"replicas": 1, "selector": {}, "template": {"spec": account}}});
    let set: Option<StatefulSet> = serde_json::from_value(set).unwrap();
    let seen = Observed {
        control_plane: set.clone(),
        etcd: set,
        ..all_seen()
    };
    let built = build(&valid(spec, &seen));
    let sets = built
        .wanted
        .iter()
        .filter(|desired| desired.key.kind == Kind::StatefulSet);
    for set in sets {
        let pod = &set.body["spec"]["template"]["spec"];
        let said = (
            pod["serviceAccountName"].as_str(),
            pod["serviceAccount"].as_str(),
        );
        assert_eq!(said, wanted, "{}", set.key.name);
    }
}

/// What an earlier spec asked for goes; keys never do.
#[test]
fn what_is_obsolete_are_services_budgets_policies_the_endpoint_and_copies() {
    let of = |spec: &str| {
        let built = build(&valid(spec, &all_seen()));
        built
            .obsolete
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let plain = of("{}");
    insta::assert_snapshot!(plain.join("\n"), @r"
    Service team/kmc-demo-lb
    Service team/kmc-demo-nodeport
    ConfigMap team/kmc-demo-endpoint
    Secret team/demo-ca-restore
    Secret team/demo-etcd-restore
    Secret team/demo-proxy-restore
    Secret team/demo-sa-restore
    PodDisruptionBudget team/kmc-demo
    PodDisruptionBudget team/kmc-demo-etcd
    NetworkPolicy team/kmc-demo
    NetworkPolicy team/kmc-demo-etcd
    ");
    let exposed = of(include_str!("../../../tests/clusters/node-port.yaml"));
    assert!(exposed.iter().all(|key| !key.contains("kmc-demo-endpoint")));
    let three = of("{replicas: 3}");
    assert!(
        three
            .iter()
            .all(|key| !key.starts_with("PodDisruptionBudget"))
    );
    for key in [plain, exposed, three].concat() {
        let is_copy = key.ends_with("-restore");
        assert!(is_copy || !key.starts_with("Secret"), "{key}");
    }
}

/// Who starts the controller with another lifetime has certificates made anew, and rolls nothing.
#[test]
fn another_lifetime_of_certificates_changes_no_pod() {
    let sets = |hours| {
        let lifetime = jiff::SignedDuration::from_hours(hours);
        let valid = validate(&cluster(PLAIN), &all_seen(), lifetime).unwrap();
        let built = build(&fixtures::written(valid)).wanted.into_iter();
        let sets = built.filter(|desired| desired.key.kind == Kind::StatefulSet);
        sets.map(|set| set.hash().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sets(1).len(), 2);
    assert_eq!(sets(1), sets(9000));
}
