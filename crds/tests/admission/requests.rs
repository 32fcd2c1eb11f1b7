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
    let made = with_status(old.clone(), json!({"tokenID": "abcdef"}));
    assert_eq!(paths(&update(Kind::JoinTokenRequest, &made, &new)), [path]);
    // From the finalizer on there may be one already.
    let mut begun = old.clone();
    begun["metadata"]["finalizers"] = json!(["jointokenrequests.k0smotron.io/finalizer"]);
    let decision = update(Kind::JoinTokenRequest, &begun, &new);
    let expected: &[&str] = if field == "expiry" { &[] } else { &[path] };
    assert_eq!(paths(&decision), expected);
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
