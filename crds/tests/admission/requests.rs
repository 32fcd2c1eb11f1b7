//! Operations, sub-resources and JSON of other shapes.

use std::sync::Arc;

use crds::admission::{Decision, Kind, Operation, validate};
use crds::lookup::{Mothership, Unknown};
use crds::v1beta2::Cluster;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, create, paths, request, serving, update, with_status};

struct One(Arc<Cluster>);

impl Mothership for One {
    fn cluster(&self, namespace: &str, name: &str) -> Option<Arc<Cluster>> {
        ((namespace, name) == ("n", "c")).then(|| Arc::clone(&self.0))
    }
}

fn one(object: Value) -> One {
    One(Arc::new(serde_json::from_value(object).unwrap()))
}

fn scale(replicas: Value, known: &dyn Mothership) -> Decision {
    let with = |replicas: Value| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "c", "namespace": "n"}, "spec": {"replicas": replicas},
        })
    };
    let (object, old) = (with(replicas), with(json!(1)));
    let mut request = request(Operation::Update, Some(&old), Some(&object));
    request.sub_resource = Some("scale");
    validate(Kind::Cluster, &request, known)
}

fn without_database() -> Value {
    cluster(json!({"storage": {"type": "kine", "kine": {}}}))
}

#[test]
fn scale_meets_the_rules_of_the_cluster() {
    let nats = cluster(json!({"storage": {"type": "nats"}, "replicas": 1}));
    let nats = one(with_status(nats, json!({"replicas": 1})));
    assert_eq!(paths(&scale(json!(3), &nats)), ["spec.replicas"]);
    assert_eq!(scale(json!(1), &nats), Decision::default());
    assert_eq!(
        paths(&scale(json!(3), &one(without_database()))),
        ["spec.storage.kine"]
    );
    assert_eq!(scale(json!(3), &one(cluster(json!({})))).errors, []);
}

#[test]
fn scale_says_when_etcd_does_not_follow() {
    let served = with_status(cluster(json!({})), serving("v1.36.3-k0s.2"));
    let decision = scale(json!(3), &one(served));
    assert_eq!(decision.errors, []);
    assert!(
        decision.warnings[0].contains("etcd was created with 1"),
        "{decision:?}"
    );
}

#[rstest]
#[case::negative(json!(-1), 1)]
#[case::a_text(json!("3"), 1)]
#[case::too_many(json!(4_000_000_000_u64), 1)]
#[case::none(Value::Null, 0)]
#[case::zero(json!(0), 0)]
fn scale_of_a_cluster_that_is_not_known_is_a_number(
    #[case] replicas: Value,
    #[case] errors: usize,
) {
    assert_eq!(
        paths(&scale(replicas, &Unknown)),
        vec!["spec.replicas"; errors]
    );
}

#[rstest]
#[case::unset(json!({}), false)]
#[case::true_(json!({"k0smotron.io/protect": "true"}), true)]
#[case::anything(json!({"k0smotron.io/protect": ""}), true)]
#[case::false_(json!({"k0smotron.io/protect": "false"}), false)]
fn a_protected_cluster_is_not_deleted(#[case] annotations: Value, #[case] refused: bool) {
    let mut old = cluster(json!({}));
    old["metadata"]["annotations"] = annotations;
    let of_request = request(Operation::Delete, Some(&old), None);
    let bare = request(Operation::Delete, None, None);
    for decision in [
        validate(Kind::Cluster, &of_request, &Unknown),
        validate(Kind::Cluster, &bare, &one(old.clone())),
    ] {
        assert_eq!(!decision.errors.is_empty(), refused, "{decision:?}");
        if refused {
            assert!(
                decision.errors[0]
                    .hint
                    .contains("kubectl annotate kmc c -n n k0smotron.io/protect-")
            );
        }
    }
    assert_eq!(
        validate(Kind::JoinTokenRequest, &of_request, &Unknown),
        Decision::default()
    );
}

#[rstest]
#[case::update(Operation::Update)]
#[case::delete(Operation::Delete)]
fn what_is_ending_is_never_blocked(#[case] operation: Operation) {
    let mut old = with_status(cluster(json!({})), serving("v1.36.3-k0s.2"));
    old["metadata"]["annotations"] = json!({"k0smotron.io/protect": "true"});
    old["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut new = old.clone();
    new["spec"] = json!({"replicas": -1, "version": "nonsense", "service": 3});
    for kind in Kind::ALL {
        let request = request(operation, Some(&old), Some(&new));
        assert_eq!(validate(kind, &request, &Unknown), Decision::default());
    }
}

#[test]
fn a_new_object_is_not_ending_whatever_it_says() {
    let mut object = cluster(json!({"replicas": -1}));
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(paths(&create(Kind::Cluster, &object)), ["spec.replicas"]);
}

#[test]
fn the_status_is_the_controllers() {
    let object = cluster(json!({"replicas": -1}));
    let mut request = request(Operation::Update, Some(&object), Some(&object));
    request.sub_resource = Some("status");
    assert_eq!(
        validate(Kind::Cluster, &request, &Unknown),
        Decision::default()
    );
}

#[rstest]
#[case::number(json!({"replicas": "three"}), "spec.replicas")]
#[case::deep(json!({"service": {"apiPort": "a"}}), "spec.service.apiPort")]
#[case::item(json!({"certificateRefs": [{"type": "ca"}, {"type": 3}]}), "spec.certificateRefs[1].type")]
#[case::whole(json!("c"), "spec")]
fn a_field_of_another_type_is_named(#[case] spec: Value, #[case] path: &str) {
    let decision = create(Kind::Cluster, &cluster(spec));
    assert_eq!(paths(&decision), [path], "{decision:?}");
}

#[rstest]
#[case::nothing(json!({}))]
#[case::null(Value::Null)]
#[case::a_list(json!([1]))]
fn what_is_no_object_is_one_error(#[case] object: Value) {
    for kind in Kind::ALL {
        assert_eq!(create(kind, &object).errors.len(), 1);
    }
}

#[test]
fn a_request_without_an_object_is_refused() {
    let request = request(Operation::Create, None, None);
    assert_eq!(validate(Kind::Cluster, &request, &Unknown).errors.len(), 1);
}

#[test]
fn what_was_stored_wrong_can_be_labelled_and_changed_elsewhere() {
    let mut spec = json!({"replicas": 3, "storage": {"type": "kine", "kine": {}}});
    let old = cluster(spec.clone());
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(update(Kind::Cluster, &old, &labelled), Decision::default());
    spec["externalAddress"] = json!("192.0.2.1");
    let decision = update(Kind::Cluster, &old, &cluster(spec.clone()));
    assert_eq!(decision.errors, []);
    assert!(
        decision
            .warnings
            .iter()
            .any(|text| text.starts_with("spec.storage.kine"))
    );
    // More of it is refused.
    spec["replicas"] = json!(5);
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &cluster(spec))),
        ["spec.storage.kine"]
    );
}

#[test]
fn what_was_stored_and_cannot_be_read_can_still_be_let_go() {
    let old = cluster(json!({"replicas": "three"}));
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!([]);
    assert_eq!(update(Kind::Cluster, &old, &new), Decision::default());
    new["spec"]["image"] = json!("a/k0s");
    let decision = update(Kind::Cluster, &old, &new);
    assert_eq!(decision.errors, []);
    assert_eq!(decision.warnings.len(), 1);
    new["spec"]["service"] = json!(3);
    new["spec"]["replicas"] = json!(3);
    assert_eq!(paths(&update(Kind::Cluster, &old, &new)), ["spec.service"]);
}

#[test]
fn a_reference_into_another_namespace_that_is_stored_stays_or_goes() {
    let host = |name: &str| json!({"replicas": 1, "remoteHostCluster": {"kubeconfigRef": {"name": name, "namespace": "kube-system"}}});
    let path = ["spec.remoteHostCluster.kubeconfigRef.namespace"];
    let old = cluster(host("a"));
    let mut more = host("a");
    more["replicas"] = json!(3);
    let kept = update(Kind::Cluster, &old, &cluster(more));
    assert_eq!(kept.errors, []);
    assert!(kept.warnings.iter().any(|text| text.starts_with(path[0])));
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &cluster(host("b")))),
        path
    );
    let mut key = host("a");
    key["remoteHostCluster"]["kubeconfigRef"]["key"] = json!("other");
    assert_eq!(paths(&update(Kind::Cluster, &old, &cluster(key))), path);
    let gone = cluster(json!({"replicas": 1}));
    assert_eq!(update(Kind::Cluster, &old, &gone).errors, []);
    assert_eq!(paths(&update(Kind::Cluster, &gone, &old)), path);
}

/// Another program's members run with them.
#[test]
fn arguments_that_members_find_each_other_by_are_refused_and_stay_where_they_are_stored() {
    let with = |args: Value| cluster(json!({"replicas": 1, "storage": {"etcd": {"args": args}}}));
    let path = "spec.storage.etcd.args[0]";
    for arg in [
        "--client-cert-auth=false",
        "--wal-dir=/tmp",
        "--listen-metrics-urls=http://0.0.0.0:2381",
        "-name=x",
    ] {
        let new = with(json!([arg]));
        assert_eq!(paths(&create(Kind::Cluster, &new)), [path], "{arg}");
        let more = with(json!([arg, "--debug"]));
        let kept = update(Kind::Cluster, &new, &more);
        assert_eq!(kept.errors, [], "{arg}");
        assert!(kept.warnings.iter().any(|text| text.starts_with(path)));
        let none = with(json!([]));
        assert_eq!(paths(&update(Kind::Cluster, &none, &new)), [path], "{arg}");
    }
    let fine = with(json!(["--tls-min-version=TLS1.3"]));
    assert_eq!(create(Kind::Cluster, &fine).errors, []);
}

/// A fault that is stored, the same with more around it, and another fault with the same text.
#[rstest]
#[case::moved(
    json!({"mounts": [{"path": "/", "emptyDir": {}}]}),
    json!({"mounts": [{"path": "/a", "emptyDir": {}}, {"path": "/", "emptyDir": {}}]}),
    json!({"mounts": [{"path": "/", "emptyDir": {}}, {"path": "/", "emptyDir": {}}]}),
    "spec.mounts[1].path"
)]
#[case::taken(
    json!({"mounts": [{"path": "/a", "emptyDir": {}}, {"path": "/a", "emptyDir": {}}]}),
    json!({"mounts": [{"path": "/b", "emptyDir": {}}, {"path": "/a", "emptyDir": {}}, {"path": "/a", "emptyDir": {}}]}),
    json!({"mounts": [{"path": "/c", "emptyDir": {}}, {"path": "/c", "emptyDir": {}}]}),
    "spec.mounts[1].path"
)]
#[case::behind_what_is_shown(
    json!({"patches": [patch(&format!("[{}", "a".repeat(100)))]}),
    json!({"patches": [patch(&format!("[{}", "a".repeat(100)))], "replicas": 3}),
    json!({"patches": [patch(&format!("[{}b", "a".repeat(100)))]}),
    "spec.patches[0].patch.content"
)]
#[case::two_sources(
    json!({"mounts": [{"path": "/a", "emptyDir": {}, "secret": {"secretName": "a"}}]}),
    json!({"mounts": [{"path": "/a", "emptyDir": {}, "secret": {"secretName": "a"}}], "replicas": 3}),
    json!({"mounts": [{"path": "/a", "emptyDir": {}, "secret": {"secretName": "b"}}]}),
    "spec.mounts[0]"
)]
fn a_fault_is_known_by_what_was_found_and_not_by_what_is_shown(
    #[case] stored: Value,
    #[case] kept: Value,
    #[case] changed: Value,
    #[case] path: &str,
) {
    let old = cluster(stored);
    let kept = update(Kind::Cluster, &old, &cluster(kept));
    assert_eq!(kept.errors, [], "{kept:?}");
    assert!(!kept.warnings.is_empty());
    let changed = update(Kind::Cluster, &old, &cluster(changed));
    assert_eq!(paths(&changed), [path], "{changed:?}");
}

fn patch(content: &str) -> Value {
    json!({
        "target": {"kind": "Service", "component": "control-plane"},
        "patch": {"type": "json", "content": content},
    })
}

#[test]
fn rules_on_changes_hold_of_what_can_be_read_of_an_object() {
    let mut old = with_status(
        cluster(json!({"version": "v1.35.1-k0s.0"})),
        serving("v1.35.1-k0s.0"),
    );
    old["spec"]["certificateRefs"] = json!([{"type": 3}]);
    // Mended, and what was served is lost by the way.
    let mended = cluster(
        json!({"version": "v1.35.1-k0s.0", "storage": {"type": "kine", "kine": {"dataSourceURL": "x"}}}),
    );
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &mended)),
        ["spec.storage.type"]
    );
    // Not mended.
    let mut worse = mended;
    worse["spec"]["certificateRefs"] = json!([{"type": 3}]);
    let decision = update(Kind::Cluster, &old, &worse);
    assert_eq!(paths(&decision), ["spec.storage.type"]);
    assert!(
        decision.warnings[0].starts_with("spec.certificateRefs[0].type"),
        "{decision:?}"
    );
    worse["spec"]["certificateRefs"] = json!([{"type": 4}]);
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &worse)),
        ["spec.certificateRefs[0].type"]
    );
}

#[test]
fn fields_that_are_not_honoured_are_said_to_stop_everything() {
    let decision = create(
        Kind::Cluster,
        &cluster(json!({"version": "v1.36.3-k0s.2", "monitoring": {"enabled": true}})),
    );
    assert_eq!(decision.errors, []);
    assert_eq!(decision.warnings.len(), 1, "{decision:?}");
    assert!(
        decision.warnings[0].contains("nothing is created"),
        "{decision:?}"
    );
}

fn token(spec: Value) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "metadata": {"name": "t", "namespace": "n"}, "spec": spec,
    })
}

#[rstest]
#[case::cluster("clusterName", "other", "spec.clusterName")]
#[case::expiry("expiry", "48h", "spec.expiry")]
#[case::role("role", "controller", "spec.role")]
fn a_request_stays_as_it_is_once_there_is_a_token(
    #[case] field: &str,
    #[case] value: &str,
    #[case] path: &str,
) {
    let old = token(json!({"clusterName": "c", "expiry": "24h", "role": "worker"}));
    let mut new = old.clone();
    new["spec"][field] = json!(value);
    assert_eq!(update(Kind::JoinTokenRequest, &old, &new).errors, []);
    let made = with_status(old, json!({"tokenID": "abcdef"}));
    assert_eq!(paths(&update(Kind::JoinTokenRequest, &made, &new)), [path]);
    // The same time in other words.
    new = token(json!({"clusterName": "c", "expiry": "1440m", "role": "worker"}));
    assert_eq!(update(Kind::JoinTokenRequest, &made, &new).errors, []);
}

#[test]
fn a_token_for_ever_is_warned_of() {
    let decision = create(
        Kind::JoinTokenRequest,
        &token(json!({"clusterName": "c", "expiry": "0s"})),
    );
    assert_eq!(decision.errors, []);
    assert!(
        decision.warnings[0].contains("never expires"),
        "{decision:?}"
    );
    let daily = create(
        Kind::JoinTokenRequest,
        &token(json!({"clusterName": "c", "expiry": "24h"})),
    );
    assert_eq!(daily, Decision::default());
}

/// What comes from v1beta1 with something that cannot be taken over, as a conversion says it.
#[test]
fn what_would_lose_a_part_is_refused_and_what_has_lost_it_stays_manageable() {
    const ERROR: &str = "metadata.annotations[k0smotron.io/conversion-error]";
    let sound = cluster(json!({}));
    let mut lossy = sound.clone();
    lossy["metadata"]["annotations"] = json!({"k0smotron.io/conversion-error": "too large"});
    let refused = create(Kind::Cluster, &lossy);
    assert_eq!(paths(&refused), [ERROR]);
    assert!(refused.errors[0].message.contains("too large"));
    assert_eq!(paths(&update(Kind::Cluster, &sound, &lossy)), [ERROR]);

    let mut labelled = lossy.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(update(Kind::Cluster, &lossy, &labelled).errors, []);
    let mut changed = lossy.clone();
    changed["spec"]["replicas"] = json!(3);
    assert_eq!(paths(&update(Kind::Cluster, &lossy, &changed)), [ERROR]);
    let mended = cluster(json!({"replicas": 3}));
    assert_eq!(update(Kind::Cluster, &lossy, &mended).errors, []);
    changed["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(update(Kind::Cluster, &lossy, &changed).errors, []);

    let mut token = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
        "metadata": {"name": "c", "namespace": "n"}, "spec": {"clusterName": "c"},
    });
    assert_eq!(create(Kind::JoinTokenRequest, &token).errors, []);
    token["metadata"]["annotations"] = lossy["metadata"]["annotations"].clone();
    assert_eq!(paths(&create(Kind::JoinTokenRequest, &token)), [ERROR]);
}
