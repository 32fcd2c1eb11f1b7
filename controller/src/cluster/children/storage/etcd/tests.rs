//! What a member without data is told.

use rstest::rstest;
use serde_json::{Value, json};

use super::initial::{CLOSED, EXISTING, members_config};
use super::*;
use crate::cluster::dereference::{Claim, Observed};
use crate::cluster::fixtures::valid;

const RAN: Option<&str> = Some("v1.36.3-k0s.2");
const ALL: &str = "kmc-demo-etcd-0=https://kmc-demo-etcd-0.kmc-demo-etcd:2380";
const NOBODY: &str = "members-are-added-by-hand=https://kmc-demo-etcd:2380";

fn told(cluster: &ValidCluster) -> BTreeMap<String, String> {
    let body = members_config(cluster).unwrap().body;
    serde_json::from_value(body.get("data").unwrap().clone()).unwrap()
}

/// An etcd with so many ready members, and what they were told.
fn running(replicas: i32, ready: i32, config: impl Into<Value>) -> Observed {
    Observed {
        etcd: serde_json::from_value(json!({
            "spec": {"replicas": replicas}, "status": {"replicas": replicas, "readyReplicas": ready},
        }))
        .unwrap(),
        etcd_config: serde_json::from_value(json!({"data": config.into()})).unwrap(),
        ..Observed::default()
    }
}

/// A StatefulSet as this product makes it.
fn with_token() -> Option<StatefulSet> {
    let variables = json!([{"name": INITIAL_TOKEN}]);
    let template = json!({"spec": {"containers": [{"name": "etcd", "env": variables}]}});
    serde_json::from_value(json!({"spec": {"replicas": 1, "template": template}})).unwrap()
}

fn claim(index: i32, added: bool) -> BTreeMap<i32, Claim> {
    let claim = Claim {
        name: names::etcd_claim("demo", index),
        uid: format!("u{index}"),
        of: Some("1".to_owned()),
        deleting: false,
        added,
    };
    BTreeMap::from([(index, claim)])
}

/// Its certificates are of another CA. What has begun has made them itself.
#[test]
fn data_of_an_earlier_control_plane_is_not_taken() {
    let of = |whose: Option<&str>, deleting: bool| Observed {
        data_claims: claim(0, false)
            .into_values()
            .map(|claim| Claim {
                deleting,
                of: whose.map(ToOwned::to_owned),
                ..claim
            })
            .collect(),
        ..Observed::default()
    };
    let claims = |deleting| of(None, deleting);
    let said = |version: Option<&str>, observed: &Observed| {
        let cluster = valid(1, version, observed);
        let said = storage::in_the_way(&cluster);
        assert_eq!(said.is_none(), members_config(&cluster).is_some());
        said
    };
    let claim = names::etcd_claim("demo", 0);
    for whose in [None, Some("0")] {
        let left = said(None, &of(whose, false)).unwrap();
        let keep = format!(
            "label --overwrite pvc {claim} {}=1",
            crds::labels::CLUSTER_UID
        );
        for part in [format!("-n ns delete pvc {claim}. Or keep it"), keep] {
            assert!(left.contains(&part), "{left}");
        }
    }
    // Prepared for this one; on its way out it keeps nothing.
    assert_eq!(said(None, &of(Some("1"), false)), None);
    assert!(said(None, &of(Some("1"), true)).is_some());
    let ending = said(None, &claims(true)).unwrap();
    assert!(ending.ends_with(&format!("are gone: {claim}")), "{ending}");
    assert_eq!(said(RAN, &claims(false)), None);
    let begun = Observed {
        data_claims: claims(false).data_claims,
        ..running(1, 0, config("new"))
    };
    assert_eq!(said(None, &begun), None);
    assert_eq!(said(None, &Observed::default()), None);
}

fn config(state: &str) -> Value {
    json!({INITIAL_STATE: state})
}

#[rstest]
#[case::nothing_is_there(None, Observed::default(), "new")]
#[case::its_pods_start(None, running(1, 0, config("new")), "new")]
#[case::its_pods_have_started(None, running(1, 1, config("new")), "new")]
#[case::it_has_served(RAN, running(1, 1, config("new")), "existing")]
#[case::it_has_served_and_lost_all(RAN, Observed::default(), "existing")]
#[case::it_has_served_and_lost_its_status(None, running(1, 0, config("existing")), "existing")]
#[case::upstreams_runs(None, Observed { etcd_config: None, ..running(1, 1, json!({})) }, "existing")]
#[case::upstreams_is_down(None, Observed { etcd_config: None, ..running(1, 0, json!({})) }, "existing")]
#[case::its_pods_start_and_the_configuration_is_gone(
    None,
    Observed { etcd_config: None, etcd: with_token(), ..Observed::default() },
    "new"
)]
#[case::was_given_data(None, Observed { claims: claim(0, false), ..Observed::default() }, "existing")]
#[case::its_statefulset_is_gone_before_it_served(
    None,
    Observed { etcd: None, claims: claim(0, false), ..running(1, 0, config("new")) },
    "new"
)]
fn a_store_is_begun_once(
    #[case] version: Option<&str>,
    #[case] observed: Observed,
    #[case] state: &str,
) {
    let told = told(&valid(1, version, &observed));
    assert_eq!(told.get(INITIAL_STATE).map(String::as_str), Some(state));
    assert_eq!(told.get(INITIAL_CLUSTER).map(String::as_str), Some(ALL));
    assert_eq!(told.get(INITIAL_TOKEN).map(String::as_str), Some("1"));
}

#[rstest]
#[case::before_it_served(None, 3, json!({}), false, true)]
#[case::the_last_has_not_started(RAN, 2, json!({INITIAL_CLUSTER: ALL}), false, true)]
#[case::all_have(RAN, 3, config("existing"), false, false)]
#[case::one_is_away(RAN, 2, json!({INITIAL_CLUSTER: NOBODY}), false, false)]
#[case::all_are_away(RAN, 0, json!({INITIAL_CLUSTER: NOBODY}), false, false)]
#[case::one_is_added_by_hand(RAN, 2, json!({INITIAL_CLUSTER: NOBODY, CLOSED: "true"}), true, true)]
#[case::it_is_on_its_way(RAN, 2, json!({INITIAL_CLUSTER: ALL, CLOSED: "true"}), true, true)]
#[case::it_was_given_up(RAN, 2, json!({INITIAL_CLUSTER: ALL, CLOSED: "true"}), false, false)]
#[case::it_is_lost_once_more(RAN, 2, json!({INITIAL_CLUSTER: NOBODY, CLOSED: "true u2"}), true, false)]
#[case::another_was_added(RAN, 2, json!({INITIAL_CLUSTER: NOBODY, CLOSED: "true u1"}), true, true)]
#[case::its_status_is_lost(None, 2, json!({INITIAL_CLUSTER: NOBODY, INITIAL_STATE: EXISTING}), false, false)]
#[case::its_status_and_the_state_are_lost(None, 2, json!({CLOSED: "true"}), false, false)]
#[case::it_has_joined(RAN, 3, json!({INITIAL_CLUSTER: ALL}), true, false)]
#[case::somebody_wrote_all(RAN, 2, json!({INITIAL_CLUSTER: ALL, CLOSED: "true"}), false, false)]
#[case::somebody_wrote_that_it_is_open(RAN, 2, json!({INITIAL_CLUSTER: ALL, CLOSED: "false"}), true, false)]
#[case::somebody_took_that_away(RAN, 2, json!({INITIAL_CLUSTER: NOBODY}), true, false)]
#[case::somebody_emptied_it(RAN, 2, json!({}), true, false)]
#[case::somebody_deleted_it(RAN, 2, Value::Null, true, false)]
fn a_member_joins_once(
    #[case] version: Option<&str>,
    #[case] ready: i32,
    #[case] config: Value,
    #[case] added: bool,
    #[case] joins: bool,
) {
    let is_there = !config.is_null();
    let mut observed = Observed {
        claims: claim(2, added),
        ..running(3, ready, config)
    };
    observed.etcd_config = observed.etcd_config.filter(|_| is_there);
    let told = told(&valid(3, version, &observed));
    let members = &told[INITIAL_CLUSTER];
    if joins {
        assert_eq!(members.matches("=https://").count(), 3, "{members}");
        assert!(members.starts_with(ALL), "{members}");
    } else {
        assert_eq!(members, NOBODY);
    }
}

/// What the ConfigMap notes for the next time it is looked at.
#[rstest]
#[case::never_closed(2, json!({INITIAL_CLUSTER: ALL}), false, None)]
#[case::all_are_ready(3, json!({INITIAL_CLUSTER: ALL}), false, Some("true"))]
#[case::it_has_joined(3, json!({INITIAL_CLUSTER: ALL, CLOSED: "true"}), true, Some("true u2"))]
#[case::it_is_joining(2, json!({INITIAL_CLUSTER: NOBODY, CLOSED: "true"}), true, Some("true"))]
#[case::it_was_used(2, json!({INITIAL_CLUSTER: NOBODY, CLOSED: "true u2"}), true, Some("true u2"))]
#[case::it_is_taken_off(2, json!({INITIAL_CLUSTER: NOBODY, CLOSED: "true u2"}), false, Some("true"))]
#[case::of_an_earlier_release(2, json!({INITIAL_CLUSTER: NOBODY}), false, Some("true"))]
fn that_nobody_joins_is_remembered(
    #[case] ready: i32,
    #[case] config: Value,
    #[case] added: bool,
    #[case] noted: Option<&str>,
) {
    let observed = Observed {
        claims: claim(2, added),
        ..running(3, ready, config)
    };
    let told = told(&valid(3, RAN, &observed));
    assert_eq!(told.get(CLOSED).map(String::as_str), noted);
}

#[test]
fn no_member_joins_those_that_were_given_data() {
    let observed = Observed {
        claims: (0..3).flat_map(|index| claim(index, false)).collect(),
        ..Observed::default()
    };
    let told = told(&valid(3, None, &observed));
    assert_eq!(told[INITIAL_CLUSTER], NOBODY);
    assert_eq!(told[CLOSED], "true");
}

#[test]
fn a_single_member_finds_itself() {
    let told = told(&valid(1, RAN, &running(1, 1, json!({}))));
    assert_eq!(told[INITIAL_CLUSTER], ALL);
    assert_eq!(told.get(CLOSED), None);
}

#[test]
fn a_pod_template_without_the_token_is_not_changed_for_it() {
    let has_token = |observed: &Observed| {
        environment(&valid(1, None, observed))
            .iter()
            .any(|variable| variable.name == INITIAL_TOKEN)
    };
    assert!(has_token(&Observed::default()));
    let with = |names: &[&str]| {
        let env: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        Observed {
            etcd: serde_json::from_value(json!({"spec": {
                "selector": {}, "serviceName": "",
                "template": {"spec": {"containers": [{"name": "etcd", "env": env}]}},
            }}))
            .unwrap(),
            ..Observed::default()
        }
    };
    assert!(!has_token(&with(&[INITIAL_STATE])));
    assert!(has_token(&with(&[INITIAL_STATE, INITIAL_TOKEN])));
}

#[rstest]
#[case::stopped(0, &[], 1)]
#[case::running(3, &[], 3)]
#[case::three_that_are_stopped(0, &[0, 1, 2], 3)]
#[case::three_of_which_one_runs(1, &[0, 1, 2], 3)]
#[case::three_of_which_one_lost_its_claim(3, &[0, 1], 3)]
#[case::one_that_is_stopped(0, &[0], 1)]
fn members_are_as_many_as_were_found_or_have_data(
    #[case] found: i32,
    #[case] claims: &[i32],
    #[case] members: i32,
) {
    let observed = Observed {
        etcd_config: None,
        claims: claims
            .iter()
            .flat_map(|index| claim(*index, false))
            .collect(),
        ..running(found, 0, json!({}))
    };
    assert_eq!(valid(1, None, &observed).etcd_members, members);
}

/// A set of ours is as large as it was made, and upstream's that serves is as large as it is.
#[rstest]
#[case::another_clusters_beside_ours(true, 0, Some("0"))]
#[case::nobodys_beside_ours(true, 0, None)]
#[case::another_clusters_beside_upstreams(false, 0, Some("0"))]
#[case::nobodys_beside_upstreams_that_serves(false, 1, None)]
fn left_over_claims_are_no_members(
    #[case] ours: bool,
    #[case] ready: i32,
    #[case] of: Option<&str>,
) {
    let mut observed = running(1, ready, json!({}));
    if ours {
        let env = vec![EnvVar {
            name: INITIAL_TOKEN.to_owned(),
            ..EnvVar::default()
        }];
        let container = Container {
            env: Some(env),
            ..Container::default()
        };
        let spec = observed.etcd.as_mut().unwrap().spec.as_mut().unwrap();
        spec.template.spec = Some(PodSpec {
            containers: vec![container],
            ..PodSpec::default()
        });
    }
    for index in [1, 2] {
        observed.claims.extend(claim(index, false));
    }
    for claim in observed.claims.values_mut() {
        claim.of = of.map(ToOwned::to_owned);
    }
    assert_eq!(valid(1, None, &observed).etcd_members, 1);
}

/// What the user may set besides has to be said here: everything else is refused at the door.
#[test]
fn what_members_find_each_other_by_is_nobody_elses_to_set() {
    let free = [
        "auto-compaction-mode",
        "auto-compaction-retention",
        "data-dir",
        "enable-pprof",
        "snapshot-count",
        "tls-min-version",
    ];
    let cluster = valid(3, RAN, &Observed::default());
    for arg in arguments(&cluster, &cluster.spec.storage.etcd) {
        let flag = crds::validation::etcd_flag(&arg).unwrap();
        let own = crds::validation::is_etcds_own(flag);
        assert_ne!(own, free.contains(&flag), "{flag}");
    }
}

#[rstest]
#[case::free(&["--quota-backend-bytes=1", "--debug"], &["--quota-backend-bytes=1", "--debug"])]
#[case::of_two_the_last_counts(&["--name=x", "--listen-metrics-urls=http://a:1"], &[])]
#[case::with_a_value_apart(&["-name", "x", "--debug"], &["--debug"])]
#[case::a_switch(&["--client-cert-auth", "--debug"], &["--debug"])]
#[case::where_data_lies(&["--wal-dir=/var/lib/k0s/etcd/wal"], &["--wal-dir=/var/lib/k0s/etcd/wal"])]
fn what_members_find_each_other_by_stays_ours(#[case] given: &[&str], #[case] kept: &[&str]) {
    let ours = [
        "--name",
        "--client-cert-auth=true",
        "--listen-metrics-urls=b",
    ]
    .map(str::to_owned);
    let given: Vec<String> = given.iter().map(|arg| (*arg).to_owned()).collect();
    assert_eq!(theirs(&ours, &given), kept);
}
