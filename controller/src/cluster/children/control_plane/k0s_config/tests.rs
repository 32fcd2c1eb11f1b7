use rstest::rstest;

use super::*;
use crate::cluster::validate::validate;
use crate::cluster::{LEAF_LIFETIME, fixtures};

/// A Cluster whose configuration has this.
fn with(config: &Value, flags: &[&str]) -> ValidCluster {
    let cluster = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
        "spec": {
            "version": "v1.36.3-k0s.2", "controlPlaneFlags": flags,
            "service": {"type": "ClusterIP", "apiPort": 30443, "konnectivityPort": 30132},
            "k0sConfig": {"spec": config},
        },
    });
    let mut seen = fixtures::made();
    seen.service = serde_json::from_value(json!({"spec": {"clusterIPs": ["10.0.0.77"]}})).unwrap();
    validate(
        &serde_json::from_value(cluster).unwrap(),
        &seen,
        LEAF_LIFETIME,
    )
    .unwrap()
}

fn gate(gate: &Value) -> Value {
    json!({"featureGates": [gate]})
}

#[test]
fn what_is_no_object_counts_as_an_empty_one() {
    for mut config in [
        json!("x"),
        json!({"spec": "x"}),
        json!({"spec": {"api": []}}),
    ] {
        let api = object_in(object_in(&mut config, "spec"), "api");
        api["port"] = json!(1);
        assert_eq!(config, json!({"spec": {"api": {"port": 1}}}));
    }
}

#[test]
fn what_the_product_decides_wins_and_the_rest_survives() {
    let mut config = json!({"spec": {"api": {"port": 1, "x": true}, "network": {"y": 1}}});
    merge(&mut config, json!({"spec": {"api": {"port": 2}}}));
    assert_eq!(
        config,
        json!({"spec": {"api": {"port": 2, "x": true}, "network": {"y": 1}}})
    );
}

#[rstest]
#[case::a_gate(json!({}), gate(&json!({"name": "A", "enabled": true})), true)]
#[case::another_value(
    gate(&json!({"name": "A", "enabled": true})), gate(&json!({"name": "A", "enabled": false})), true)]
#[case::of_the_api_server(
    json!({}), gate(&json!({"name": "A", "enabled": true, "components": ["kubelet", "kube-apiserver"]})), true)]
#[case::of_another_component(
    json!({}), gate(&json!({"name": "A", "enabled": true, "components": ["kubelet"]})), false)]
#[case::in_other_words(
    gate(&json!({"name": "A"})), gate(&json!({"name": "A", "enabled": false, "components": []})), false)]
#[case::a_family(json!({}), json!({"network": {"primaryAddressFamily": "IPv6"}}), true)]
#[case::an_image(json!({}), json!({"images": {"repository": "a"}}), false)]
fn what_is_read_at_the_start_rolls_the_pods(
    #[case] before: Value,
    #[case] after: Value,
    #[case] rolls: bool,
) {
    let digests = [before, after].map(|config| static_digest(&with(&config, &[])));
    assert_eq!(digests[0] != digests[1], rolls);
}

/// Else a release would roll every control plane.
#[test]
fn what_is_not_set_is_not_in_the_digest() {
    for config in [
        json!({}),
        json!({"featureGates": [], "network": {"primaryAddressFamily": ""}}),
    ] {
        let part = static_part(&with(&config, &[]), &[]).unwrap();
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            keys(&part),
            ["api", "installConfig", "konnectivity", "network", "storage"]
        );
        assert!(!keys(&part["network"]).contains(&"primaryAddressFamily".to_owned()));
    }
}

#[test]
fn what_is_written_live_is_what_the_hosted_api_takes() {
    let config = json!({
        "featureGates": [{"name": "A", "components": []}],
        "extensions": {"helm": {"charts": [
            {"name": "a", "chartname": "b/a", "namespace": "c", "version": null}]}},
        "network": {"nodeLocalLoadBalancing": {"type": "", "envoyProxy": {"apiServerBindPort": 0}}},
    });
    let live = live_part(&with(&config, &[])).unwrap();
    let spec = &live["spec"];
    assert_eq!(
        spec["featureGates"],
        json!([{"name": "A", "enabled": false}])
    );
    let chart = &spec["extensions"]["helm"]["charts"][0];
    assert_eq!(chart.get("version"), None);
    let balancing = &spec["network"]["nodeLocalLoadBalancing"];
    assert_eq!(balancing, &json!({"envoyProxy": {}}));
}

#[rstest]
#[case("--enable-dynamic-config", true)]
#[case("--enable-dynamic-config=0", false)]
#[case("--enable-dynamic-config=f", false)]
#[case("--enable-dynamic-config=False", false)]
fn nothing_is_written_live_where_k0s_does_not_read_it(#[case] flag: &str, #[case] is_live: bool) {
    let cluster = with(&json!({}), &[flag]);
    assert_eq!(live_part(&cluster).is_some(), is_live);
    let images = with(&json!({"images": {"repository": "a"}}), &[flag]);
    assert_eq!(static_digest(&cluster) == static_digest(&images), is_live);
}

#[rstest]
#[case::as_in_earlier_releases("a: 1\nb:\n\t- 2\n", true)]
#[case::tab_first("\t# tuned\nreplicas: 2\n", false)]
#[case::tab_after_an_empty_line("\n\t# tuned\nreplicas: 2\n", false)]
#[case::tab_on_a_line_of_its_own("\t# tuned", false)]
fn no_block_begins_with_a_tab(#[case] values: &str, #[case] is_block: bool) {
    let config = json!({"spec": {"extensions": {"helm": {"charts": [{"values": values}]}}}});
    let text = text(&config).unwrap();
    assert_eq!(text.contains("values: |"), is_block, "{text}");
    assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), config);
    if is_block {
        assert_eq!(text, serde_saphyr::to_string(&config).unwrap());
    }
}
