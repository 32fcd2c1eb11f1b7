//! Which versions a Cluster may go to.

use crds::admission::{Decision, Kind};
use crds::upgrade::{etcd_version, refusal, target};
use crds::v1beta2::Cluster;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, condition, create, paths, serving, update, with_status};

const FORCE: &str = "k0smotron.io/force-upgrade";

fn at(version: &str) -> Value {
    cluster(json!({"version": version}))
}

/// What is decided about a Cluster that runs the first version and asks for the second.
fn change(running: &str, wanted: &str) -> Decision {
    update(
        Kind::Cluster,
        &with_status(at(running), serving(running)),
        &at(wanted),
    )
}

#[rstest]
#[case::patch("v1.35.1-k0s.0", "v1.35.2-k0s.0")]
#[case::minor("v1.34.10-k0s.0", "v1.35.7-k0s.0")]
#[case::build("v1.36.3-k0s.1", "v1.36.3+k0s.2")]
#[case::spelling("v1.36.3-k0s.0", "v1.36.3+k0s.0")]
#[case::no_suffix("v1.36.3-k0s.0", "1.36.3")]
#[case::release_after_its_pre_release("v1.36.0-rc.1+k0s.0", "v1.36.0+k0s.0")]
#[case::pre_release_of_the_next("v1.36.3+k0s.2", "v1.37.0-alpha.1+k0s.0")]
fn forward_by_one_minor_version_is_allowed(#[case] running: &str, #[case] wanted: &str) {
    assert_eq!(change(running, wanted).errors, []);
}

#[rstest]
#[case::minor("v1.35.1-k0s.0", "v1.34.10-k0s.0", "is older than")]
#[case::patch("v1.35.2-k0s.0", "v1.35.1-k0s.0", "is older than")]
#[case::build("v1.35.1-k0s.1", "v1.35.1", "is older than")]
#[case::pre_release("v1.36.0+k0s.0", "v1.36.0-rc.1+k0s.0", "is older than")]
#[case::skip("v1.34.1-k0s.0", "v1.36.3-k0s.2", "skips a minor version")]
#[case::major("v1.34.1-k0s.0", "v2.35.0-k0s.0", "skips a minor version")]
fn back_and_too_far_are_refused(#[case] running: &str, #[case] wanted: &str, #[case] why: &str) {
    let decision = change(running, wanted);
    assert_eq!(paths(&decision), ["spec.version"]);
    assert!(decision.errors[0].message.contains(why), "{decision:?}");
}

#[test]
fn the_version_that_comes_next_is_named() {
    let decision = change("v1.34.1-k0s.0", "v1.36.3-k0s.2");
    assert_eq!(
        decision.errors[0].to_string(),
        "spec.version: Invalid value: \"v1.36.3-k0s.2\": skips a minor version: the cluster runs v1.34.1+k0s.0 \
         (v1.35.x first, such as v1.35.7+k0s.0)"
    );
}

/// Runs v1.35.1 and has been told to go to v1.36.3.
fn rolling() -> Value {
    with_status(at("v1.36.3-k0s.2"), serving("v1.35.1-k0s.0"))
}

#[rstest]
#[case::back("v1.35.1+k0s.0", &[])]
#[case::on("v1.36.3+k0s.3", &["spec.version"])]
#[case::elsewhere_below("v1.35.7-k0s.0", &["spec.version"])]
#[case::further_back("v1.34.10-k0s.0", &["spec.version", "spec.version"])]
fn an_upgrade_can_be_left_and_not_be_followed_by_another(
    #[case] wanted: &str,
    #[case] refused: &[&str],
) {
    assert_eq!(
        paths(&update(Kind::Cluster, &rolling(), &at(wanted))),
        refused
    );
}

#[test]
fn an_upgrade_is_left_also_while_nothing_works() {
    let mut old = rolling();
    old["status"]["conditions"] = json!([condition("Available", "False")]);
    assert_eq!(update(Kind::Cluster, &old, &at("v1.35.1-k0s.0")).errors, []);
}

#[test]
fn an_upgrade_that_never_began_is_followed_by_another() {
    let mut old = with_status(at("v1.37.1-k0s.0"), serving("v1.35.1-k0s.0"));
    assert_eq!(update(Kind::Cluster, &old, &at("v1.36.3-k0s.2")).errors, []);
    old["spec"]["version"] = json!("v1.34.1-k0s.0");
    assert_eq!(update(Kind::Cluster, &old, &at("v1.35.2-k0s.0")).errors, []);
}

#[test]
fn once_it_has_ended_the_way_back_is_closed() {
    let old = with_status(at("v1.36.3-k0s.2"), serving("v1.36.3-k0s.2"));
    let decision = update(Kind::Cluster, &old, &at("v1.35.1-k0s.0"));
    assert_eq!(paths(&decision), ["spec.version"]);
}

#[rstest]
#[case::false_("False")]
#[case::unknown("Unknown")]
fn what_is_not_healthy_is_not_upgraded_and_can_be_forced(#[case] available: &str) {
    let mut old = with_status(at("v1.35.1-k0s.0"), serving("v1.35.1-k0s.0"));
    old["status"]["conditions"] = json!([condition("Available", available)]);
    let mut new = at("v1.35.2-k0s.0");
    let decision = update(Kind::Cluster, &old, &new);
    assert_eq!(paths(&decision), ["spec.version"]);
    assert!(decision.errors[0].hint.contains(FORCE), "{decision:?}");

    // A stale one forces nothing.
    new["metadata"]["annotations"] = json!({FORCE: "v1.35.1-k0s.0"});
    let decision = update(Kind::Cluster, &old, &new);
    assert_eq!(paths(&decision), ["spec.version"]);
    assert!(
        decision.errors[0].hint.contains("has no effect"),
        "{decision:?}"
    );

    new["metadata"]["annotations"] = json!({FORCE: "v1.35.2+k0s.0"});
    let decision = update(Kind::Cluster, &old, &new);
    assert_eq!(decision.errors, []);
    assert!(
        decision.warnings.iter().any(|text| text.contains("forced")),
        "{decision:?}"
    );
}

#[rstest]
#[case::back("v1.34.10-k0s.0")]
#[case::too_far("v1.37.1-k0s.0")]
fn force_does_not_lead_back_or_too_far(#[case] wanted: &str) {
    let old = with_status(at("v1.35.1-k0s.0"), serving("v1.35.1-k0s.0"));
    let mut new = at(wanted);
    new["metadata"]["annotations"] = json!({FORCE: wanted});
    assert_eq!(paths(&update(Kind::Cluster, &old, &new)), ["spec.version"]);
}

#[rstest]
#[case::in_reach(json!({"joined": 2, "oldestKubelet": "v1.33.4+k0s"}), 0, false)]
#[case::too_old(json!({"joined": 2, "oldestKubelet": "v1.32.4+k0s"}), 1, false)]
#[case::nobody(json!({"joined": 0}), 0, false)]
#[case::not_known(Value::Null, 0, true)]
#[case::not_readable(json!({"joined": 2, "oldestKubelet": "?"}), 0, true)]
fn kubelets_may_be_three_minor_versions_older(
    #[case] nodes: Value,
    #[case] errors: usize,
    #[case] warned: bool,
) {
    let mut old = with_status(at("v1.35.1-k0s.0"), serving("v1.35.1-k0s.0"));
    old["status"]["nodes"] = nodes;
    if old["status"]["nodes"].is_null() {
        old["status"].as_object_mut().unwrap().remove("nodes");
    }
    let decision = update(Kind::Cluster, &old, &at("v1.36.3-k0s.2"));
    assert_eq!(decision.errors.len(), errors, "{decision:?}");
    let about = decision
        .warnings
        .iter()
        .any(|text| text.contains("kubelets"));
    assert_eq!(about, warned, "{decision:?}");
    // Within a minor version kubelets do not matter.
    let patch = update(Kind::Cluster, &old, &at("v1.35.2-k0s.0"));
    assert_eq!(patch.errors, []);
    assert!(!patch.warnings.iter().any(|text| text.contains("kubelets")));
}

#[test]
fn what_never_ran_goes_anywhere() {
    let old = with_status(at("v1.36.0-k0s.9"), json!({"replicas": 1}));
    assert_eq!(update(Kind::Cluster, &old, &at("v1.34.1-k0s.0")).errors, []);
}

#[test]
fn what_an_earlier_installation_runs_is_in_its_spec() {
    let status =
        json!({"replicas": 1, "readyReplicas": 1, "conditions": [condition("Available", "True")]});
    let old = with_status(at("v1.34.1-k0s.0"), status);
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &at("v1.36.3-k0s.2"))),
        ["spec.version"]
    );
    assert_eq!(update(Kind::Cluster, &old, &at("v1.35.7-k0s.0")).errors, []);
}

#[test]
fn without_a_version_a_cluster_stays_where_it_is() {
    let old = with_status(at("v1.34.1-k0s.0"), serving("v1.34.1-k0s.0"));
    let decision = update(Kind::Cluster, &old, &cluster(json!({})));
    assert_eq!(decision, Decision::default());
    let kept: Cluster =
        serde_json::from_value(with_status(cluster(json!({})), serving("v1.34.1-k0s.0"))).unwrap();
    assert_eq!(target(&kept.spec, kept.status.as_ref()), "v1.34.1-k0s.0");
}

#[rstest]
#[case::known("v1.36.3-k0s.2", &[])]
#[case::no_suffix("v1.36.3", &["v1.36.3-k0s.0 is used"])]
#[case::no_such("v1.36.9-k0s.0", &["is not known to this release"])]
#[case::skipped_by_k0s("v1.31.4-k0s.0", &["the nearest is v1.31.3+k0s.0"])]
#[case::long_ago("v1.27.9-k0s.0", &["older than every version"])]
#[case::pre_release("v1.36.0-rc.1-k0s.0", &["pre-release"])]
fn odd_versions_are_warned_of(#[case] version: &str, #[case] wanted: &[&str]) {
    let decision = create(Kind::Cluster, &at(version));
    assert_eq!(decision.errors, []);
    assert_eq!(decision.warnings.len(), wanted.len(), "{decision:?}");
    for text in wanted {
        assert!(
            decision
                .warnings
                .iter()
                .any(|warning| warning.contains(text)),
            "{decision:?}"
        );
    }
}

fn etcd(version: &str, image: &str) -> Value {
    cluster(json!({"version": version, "storage": {"etcd": {"image": image}}}))
}

#[rstest]
#[case::patch("e:v3.6.11", "e:v3.6.14", 0, &[])]
#[case::patch_back("e:v3.6.14", "e:v3.6.11", 0, &[])]
#[case::minor("e:v3.5.26", "e:v3.6.14", 0, &[])]
#[case::registry_of_kubernetes("r.io:5000/etcd:3.6.14-0", "r.io:5000/etcd:3.7.1-0@sha256:00", 0, &[])]
#[case::zombies("e:v3.5.25", "e:v3.6.14", 0, &["removed long ago"])]
#[case::back("e:v3.6.14", "e:v3.5.33", 1, &["older than the etcd"])]
#[case::skip("e:v3.5.33", "e:v3.7.1", 1, &[])]
#[case::major("e:v3.6.14", "e:v4.0.0", 1, &[])]
#[case::unknown("e:v3.6.14", "e:latest", 0, &["no version in its tag"])]
fn etcd_goes_forward_by_one_minor_version(
    #[case] before: &str,
    #[case] now: &str,
    #[case] errors: usize,
    #[case] warnings: &[&str],
) {
    const VERSION: &str = "v1.36.3-k0s.2";
    let old = with_status(etcd(VERSION, before), serving(VERSION));
    let decision = update(Kind::Cluster, &old, &etcd(VERSION, now));
    assert_eq!(paths(&decision), vec!["spec.storage.etcd.image"; errors]);
    assert_eq!(decision.warnings.len(), warnings.len(), "{decision:?}");
    for text in warnings {
        assert!(
            decision
                .warnings
                .iter()
                .any(|warning| warning.contains(text)),
            "{decision:?}"
        );
    }
}

#[test]
fn an_upgrade_of_kubernetes_beyond_its_etcd_is_warned_of() {
    let (from, to) = ("v1.33.13-k0s.1", "v1.34.10-k0s.0");
    let mut old = with_status(etcd(from, "e:v3.5.33"), serving(from));
    old["status"]["nodes"] = json!({"joined": 0});
    let decision = update(Kind::Cluster, &old, &etcd(to, "e:v3.5.33"));
    assert_eq!(decision.errors, []);
    assert_eq!(decision.warnings.len(), 1, "{decision:?}");
    assert!(
        decision.warnings[0].contains("etcd 3.6 or newer"),
        "{decision:?}"
    );
}

#[rstest]
#[case("quay.io/k0sproject/etcd:v3.7.1", Some("3.7.1"))]
#[case("registry.k8s.io/etcd:3.5.17-0", Some("3.5.17"))]
#[case("localhost:5000/etcd", None)]
#[case("etcd@sha256:00", None)]
#[case("etcd:latest", None)]
fn the_version_of_etcd_is_in_its_tag(#[case] image: &str, #[case] wanted: Option<&str>) {
    assert_eq!(
        etcd_version(image)
            .map(|version| version.to_string())
            .as_deref(),
        wanted
    );
}

#[rstest]
#[case::settled("v1.35.1+k0s.0", "v1.35.1-k0s.0", false)]
#[case::upgrade("v1.36.3", "v1.35.1-k0s.0", false)]
#[case::back("v1.34.1", "v1.35.1-k0s.0", true)]
#[case::too_far("v1.37.1", "v1.35.1-k0s.0", true)]
#[case::no_version("", "v1.31.1-k0s.0", false)]
#[case::an_image_of_ones_own("v1.34.1", "mine", false)]
fn the_controller_refuses_what_went_past_the_webhook(
    #[case] wanted: &str,
    #[case] running: &str,
    #[case] refused: bool,
) {
    let cluster: Cluster =
        serde_json::from_value(with_status(at(wanted), serving(running))).unwrap();
    assert_eq!(refusal(&cluster).is_some(), refused);
}
