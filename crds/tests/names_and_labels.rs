//! Names, labels and versions are those that other tools rely on.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::cmp::Ordering;

use crds::labels::{self, Component, Labels};
use crds::names;
use crds::v1beta2::{CertificateType, ClusterSpec, ServiceType};
use crds::version::{DEFAULT_VERSION, K0sVersion, image};
use proptest::prelude::*;
use rstest::rstest;

fn set(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn names_are_upstreams() {
    assert_eq!(names::control_plane("ha"), "kmc-ha");
    assert_eq!(names::service("ha", ServiceType::ClusterIP), "kmc-ha");
    assert_eq!(
        names::service("ha", ServiceType::NodePort),
        "kmc-ha-nodeport"
    );
    assert_eq!(names::service("ha", ServiceType::LoadBalancer), "kmc-ha-lb");
    assert_eq!(names::etcd("ha"), "kmc-ha-etcd");
    assert_eq!(names::etcd_client_service("ha"), "kmc-ha-etcd-client");
    assert_eq!(names::etcd_config("ha"), "kmc-ha-etcd-config");
    assert_eq!(names::config("ha"), "kmc-ha-config");
    let revision = names::config_revision("ha", "0123456789abcdef");
    assert_eq!(revision, "kmc-ha-config-0123456789");
    assert!(names::is_config_revision("ha", &revision));
    for other in ["kmc-ha-config", "kmc-ha-config-mine", "kmc-ha-etcd-config"] {
        assert!(!names::is_config_revision("ha", other), "{other}");
    }
    assert_eq!(names::endpoint_config("ha"), "kmc-ha-endpoint");
    assert_eq!(names::telemetry_config("ha"), "kmc-ha-telemetry-config");
    assert_eq!(names::kubeconfig("ha"), "ha-kubeconfig");
    let certificates =
        CertificateType::ALL.map(|certificate| names::certificate("ha", certificate));
    assert_eq!(
        certificates,
        [
            "ha-ca",
            "ha-sa",
            "ha-proxy",
            "ha-etcd",
            "ha-apiserver-etcd-client",
            "ha-etcd-peer",
            "ha-etcd-server"
        ]
    );
}

#[test]
fn a_long_name_ends_in_a_part_of_its_hash() {
    // The md5 of "kmc-" and 60 times "a" starts with a9df6.
    let name = names::control_plane(&"a".repeat(60));
    assert_eq!(name, format!("kmc-{}-a9df6", "a".repeat(53)));
    assert_eq!(
        names::control_plane(&"a".repeat(59)),
        format!("kmc-{}", "a".repeat(59))
    );
}

#[rstest]
#[case("/opt/x", "opt-x")]
#[case("/etc/k0s/", "etc-k0s")]
#[case("data", "data")]
fn a_mount_is_named_after_its_path(#[case] path: &str, #[case] wanted: &str) {
    assert_eq!(names::mount_volume(path), wanted);
}

#[test]
fn a_path_that_is_no_name_gets_a_part_of_its_hash() {
    let name = names::mount_volume("/etc/My_File.conf");
    assert_eq!(name, "etc-my-file-conf-dc7ce");
    assert_ne!(name, names::mount_volume("/etc/my_file.conf"));
    assert!(names::mount_volume("/___").starts_with("mount-"));
}

#[test]
fn selectors_and_pod_labels_hold_nothing_of_the_users() {
    let base = [
        ("app", "k0smotron"),
        ("cluster", "ha"),
        ("component", "cluster"),
    ];
    assert_eq!(labels::service_selector("ha"), set(&base));
    let mut selector = set(&base);
    selector.extend(set(&[("cluster.x-k8s.io/control-plane", "true")]));
    assert_eq!(labels::control_plane_selector("ha"), selector);
    selector.extend(set(&[("app.kubernetes.io/component", "control-plane")]));
    assert_eq!(labels::control_plane_pod("ha"), selector);
    let etcd = set(&[
        ("app", "k0smotron"),
        ("cluster", "ha"),
        ("component", "etcd"),
    ]);
    assert_eq!(labels::etcd_selector("ha"), etcd);
    assert_eq!(
        labels::etcd_pod("ha")["app.kubernetes.io/component"],
        "etcd"
    );
    assert_eq!(
        labels::to_selector(&etcd),
        "app=k0smotron,cluster=ha,component=etcd"
    );
}

#[test]
fn children_take_over_the_clusters_labels_but_those_they_are_found_by() {
    let of_cluster = set(&[
        ("team", "a"),
        ("app", "mine"),
        ("cluster", "mine"),
        ("component", "mine"),
        ("app.kubernetes.io/component", "mine"),
        ("cluster.x-k8s.io/control-plane", "mine"),
    ]);
    assert_eq!(
        labels::metadata("ha", Component::ClusterConfig, Some(&of_cluster)),
        set(&[
            ("team", "a"),
            ("app", "k0smotron"),
            ("cluster", "ha"),
            ("component", "cluster"),
            ("app.kubernetes.io/component", "cluster-config"),
        ])
    );
    assert_eq!(
        labels::metadata("ha", Component::Etcd, None)["component"],
        "etcd"
    );
    assert_eq!(
        labels::certificate("ha"),
        set(&[("cluster.x-k8s.io/cluster-name", "ha")])
    );
}

#[test]
fn a_tokens_labels_name_its_request() {
    assert_eq!(
        labels::join_token("ha", "worker", "t", Some(&set(&[("team", "a")]))),
        set(&[
            ("team", "a"),
            ("k0smotron.io/cluster", "ha"),
            ("k0smotron.io/role", "worker"),
            ("k0smotron.io/token-request", "t"),
            ("app.kubernetes.io/component", "jointoken"),
        ])
    );
}

#[rstest]
#[case("v1.36.3", "v1.36.3-k0s.0", "v1.36.3+k0s.0")]
#[case("1.36.3", "v1.36.3-k0s.0", "v1.36.3+k0s.0")]
#[case("v1.36.3-k0s.2", "v1.36.3-k0s.2", "v1.36.3+k0s.2")]
#[case("v1.36.3+k0s.2", "v1.36.3-k0s.2", "v1.36.3+k0s.2")]
#[case("v1.36.0-rc.1+k0s.0", "v1.36.0-rc.1-k0s.0", "v1.36.0-rc.1+k0s.0")]
#[case("v1.36.0-rc.1", "v1.36.0-rc.1-k0s.0", "v1.36.0-rc.1+k0s.0")]
#[case(
    "v1.36.3+k0s.2.12.gabcdef",
    "v1.36.3-k0s.2.12.gabcdef",
    "v1.36.3+k0s.2.12.gabcdef"
)]
fn versions(#[case] text: &str, #[case] tag: &str, #[case] shown: &str) {
    let version: K0sVersion = text.parse().unwrap();
    assert_eq!(version.image_tag(), tag);
    assert_eq!(version.to_string(), shown);
    assert_eq!(shown.parse::<K0sVersion>().unwrap(), version);
    assert_eq!(tag.parse::<K0sVersion>().unwrap(), version);
}

#[rstest]
#[case("")]
#[case("latest")]
#[case("v1.36")]
#[case("v1.36.3+k0s")]
#[case("v1.36.3+k0s.")]
#[case("v1.36.3+k0s.x")]
#[case("v1.36.3+k0s.01")]
#[case("v1.36.3+k0s.1 ")]
#[case("v1.36.3+other")]
#[case("vv1.36.3")]
#[case("v1.36.3-k0s.1.36.3+k0s.2")]
#[case::longer_than_a_tag(&format!("v1.36.3-k0s.2-{}", "a".repeat(128)))]
fn no_versions(#[case] text: &str) {
    assert!(text.parse::<K0sVersion>().is_err());
}

#[rstest]
#[case("v1.36.3-k0s.1", "v1.36.3-k0s.2")]
#[case("v1.36.3-k0s.9", "v1.36.3-k0s.10")]
#[case("v1.36.3-k0s.2", "v1.36.4")]
#[case("v1.9.0", "v1.10.0")]
#[case("v1.36.0-rc.1+k0s.0", "v1.36.0+k0s.0")]
#[case("v1.36.0-rc.1", "v1.36.0-rc.2")]
fn older_and_newer(#[case] older: &str, #[case] newer: &str) {
    let (older, newer): (K0sVersion, K0sVersion) = (older.parse().unwrap(), newer.parse().unwrap());
    assert_eq!(older.cmp(&newer), Ordering::Less);
    assert_eq!(newer.cmp(&older), Ordering::Greater);
}

#[rstest]
#[case(None, "", "quay.io/k0sproject/k0s:v1.36.3-k0s.2")]
#[case(
    Some(""),
    "quay.io/k0sproject/k0s",
    "quay.io/k0sproject/k0s:v1.36.3-k0s.2"
)]
#[case(Some("v1.35.1"), "r/k0s", "r/k0s:v1.35.1-k0s.0")]
#[case(Some("v1.35.1+k0s.1"), "r:5000/k0s", "r:5000/k0s:v1.35.1-k0s.1")]
#[case(Some("nightly"), "r/k0s", "r/k0s:nightly-k0s.0")]
fn images(#[case] version: Option<&str>, #[case] repository: &str, #[case] wanted: &str) {
    let spec = ClusterSpec {
        version: version.map(ToOwned::to_owned),
        image: repository.to_owned(),
        ..ClusterSpec::default()
    };
    assert_eq!(image(&spec), wanted);
}

#[test]
fn the_default_version_is_one() {
    assert_eq!(
        DEFAULT_VERSION.parse::<K0sVersion>().unwrap().image_tag(),
        DEFAULT_VERSION
    );
}

fn version() -> impl Strategy<Value = K0sVersion> {
    (
        0_u64..3,
        0_u64..3,
        0_u64..3,
        0_u32..3,
        prop::option::of(0_u64..3),
    )
        .prop_map(|(major, minor, patch, k0s, rc)| {
            let rc = rc.map(|rc| format!("-rc.{rc}")).unwrap_or_default();
            format!("v{major}.{minor}.{patch}{rc}+k0s.{k0s}")
                .parse()
                .unwrap()
        })
}

proptest! {
    #[test]
    fn every_shortened_name_fits_a_label(name in "[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?") {
        let shortened = [
            names::control_plane(&name), names::etcd(&name), names::etcd_client_service(&name),
            names::etcd_config(&name), names::config(&name), names::endpoint_config(&name),
            names::service(&name, ServiceType::NodePort), names::service(&name, ServiceType::LoadBalancer),
        ];
        for short in shortened {
            prop_assert!(names::is_label(&short), "{}", short);
        }
    }

    #[test]
    fn long_names_that_differ_stay_different(a in "[a-z]{70}", b in "[a-z]{70}") {
        prop_assume!(a != b);
        prop_assert_ne!(names::control_plane(&a), names::control_plane(&b));
    }

    #[test]
    fn every_mount_is_named(path in "\\PC{0,120}") {
        let name = names::mount_volume(&path);
        prop_assert!(names::is_label(&name), "{}", name);
    }

    #[test]
    fn the_order_of_versions_is_total(a in version(), b in version(), c in version()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b) == Ordering::Equal);
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn versions_survive_being_written(version in version()) {
        prop_assert_eq!(version.to_string().parse::<K0sVersion>().unwrap(), version.clone());
        prop_assert_eq!(version.image_tag().parse::<K0sVersion>().unwrap(), version);
    }

    #[test]
    fn reading_versions_never_panics(text in "v?[-+.0-9ak s]{0,30}") {
        let _ = text.parse::<K0sVersion>();
    }
}
