//! The door's verdict about a k0s configuration, beside that of k0s itself.
//!
//! `k0s_config.tsv` holds, for each configuration, what `k0s config validate` of v1.36.3+k0s.2 said
//! about it once the product's own settings were merged into it: `accepts`, `refuses` or `ends` (it
//! panics); or `starts not`, where that accepts what k0s itself, kube-apiserver or the hosted API's
//! schema of k0s refuses at the start. Then the field that the door names, or `-`, and the configuration.

use crds::admission::Kind;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, create, paths, serving, update, with_status};

const CASES: &str = include_str!("k0s_config.tsv");

fn with(config: &Value) -> Value {
    cluster(json!({"service": {"type": "ClusterIP"}, "k0sConfig": config}))
}

#[test]
fn what_k0s_refuses_is_refused_and_what_it_takes_is_taken() {
    let mut differences = Vec::new();
    for line in CASES.lines() {
        let mut columns = line.split('\t');
        let (verdict, path) = (columns.next().unwrap(), columns.next().unwrap());
        let config: Value = serde_json::from_str(columns.next().unwrap()).unwrap();
        let decision = create(Kind::Cluster, &with(&config));
        let found = paths(&decision).first().copied().unwrap_or("-").to_owned();
        let as_k0s = (verdict == "accepts") == (found == "-");
        if !as_k0s || found != path {
            differences.push(format!("{line}\n    {found} {:?}", decision.errors));
        }
    }
    assert!(
        differences.is_empty(),
        "{}\n{} differ",
        differences.join("\n"),
        differences.len()
    );
}

/// Whoever reads the spec afterwards takes it for an object.
#[test]
fn what_is_only_warned_of_hides_nothing_that_is_wrong() {
    let mut config = serde_json::Map::new();
    for number in 0_u32..64 {
        let letters = "apiversion".chars().enumerate();
        let spelled = letters.map(|(index, letter)| match number >> index & 1 {
            0 => letter.to_ascii_uppercase(),
            _ => letter,
        });
        config.insert(spelled.collect(), json!("a"));
    }
    config.insert("spec".to_owned(), json!("x"));
    let decision = create(Kind::Cluster, &with(&Value::Object(config)));
    assert!(paths(&decision).contains(&"spec.k0sConfig.spec"));
    assert!(decision.warnings.len() <= 51, "{}", decision.warnings.len());
}

fn of(version: &str, config: Value) -> (Vec<String>, String) {
    let mut object = with(&config);
    object["spec"]["version"] = json!(version);
    let decision = create(Kind::Cluster, &object);
    let errors = paths(&decision).into_iter().map(str::to_owned).collect();
    (errors, decision.warnings.join("\n"))
}

#[rstest]
#[case::unknown("v1.36.3-k0s.2", json!({"spec": {"netwrok": {}}}), Some("spec.k0sConfig.spec.netwrok"), "")]
#[case::of_a_newer_k0s("v1.37.0-k0s.0", json!({"spec": {"netwrok": {}}}), None, "spec.k0sConfig.spec.netwrok")]
#[case::of_a_newer_patch("v1.36.9-k0s.0", json!({"spec": {"netwrok": {}}}), None, "spec.k0sConfig.spec.netwrok")]
#[case::choice_of_a_newer_k0s("v1.37.0-k0s.0", json!({"spec": {"network": {"provider": "x"}}}), None, "network.provider: \"x\": supported values")]
#[case::type_with_a_newer_k0s("v1.37.0-k0s.0", json!({"spec": {"network": {"provider": 1}}}), Some("spec.k0sConfig.spec.network.provider"), "")]
#[case::before_it_was_there("v1.33.1-k0s.0", json!({"spec": {"scheduler": {"rawArgs": []}}}), Some("spec.k0sConfig.spec.scheduler.rawArgs"), "")]
#[case::since_it_is_there("v1.34.1-k0s.0", json!({"spec": {"scheduler": {"rawArgs": []}}}), None, "")]
#[case::before_the_patch("v1.33.5-k0s.0", json!({"spec": {"konnectivity": {"externalAddress": "x"}}}), Some("spec.k0sConfig.spec.konnectivity.externalAddress"), "")]
#[case::since_the_patch("v1.33.6-k0s.0", json!({"spec": {"konnectivity": {"externalAddress": "x"}}}), None, "")]
#[case::where_k0s_goes_on("v1.36.3-k0s.2", json!({"spec": {"network": {"podCidrs": []}}}), None, "spec.k0sConfig.spec.network.podCidrs: k0s v1.36.3+k0s.2 does not know the field, and goes on without it (did you mean podCIDR?)")]
#[case::in_capitals("v1.36.3-k0s.2", json!({"spec": {"network": {"Provider": "x"}}}), Some("spec.k0sConfig.spec.network.provider"), "network.Provider: is read as provider")]
#[case::old_profiles("v1.33.1-k0s.0", json!({"spec": {"workerProfiles": [{"name": "a", "values": {"kind": "KubeletConfiguration"}}]}}), Some("spec.k0sConfig.spec.workerProfiles[0].values.kind"), "")]
#[case::families_of_old("v1.33.1-k0s.0", json!({"spec": {"network": {"podCIDR": "fd00::/64", "serviceCIDR": "fd01::/108"}}}), Some("spec.k0sConfig.spec.network.serviceCIDR"), "")]
#[case::a_time("v1.36.3-k0s.2", json!({"metadata": {"creationTimestamp": "x"}}), Some("spec.k0sConfig.metadata.creationTimestamp"), "")]
#[case::a_time_as_it_is_written("v1.36.3-k0s.2", json!({"metadata": {"creationTimestamp": "2026-01-31T12:00:00.5+01:00"}}), None, "")]
#[case::no_time("v1.36.3-k0s.2", json!({"metadata": {"creationTimestamp": null}}), None, "")]
fn a_release_is_held_to_what_it_knows(
    #[case] version: &str,
    #[case] config: Value,
    #[case] refused: Option<&str>,
    #[case] warned: &str,
) {
    let (errors, warnings) = of(version, config);
    assert_eq!(errors, refused.into_iter().collect::<Vec<_>>());
    assert!(warnings.contains(warned), "{warnings}");
}

#[rstest]
#[case(json!({"api": {"sans": "a.b"}}), "spec.k0sConfig.spec.api.sans: Invalid value: \"string\": must be a list of texts")]
#[case(json!({"api": {"sans": ["*.a.b"]}}), "spec.k0sConfig.spec.api.sans[0]: Invalid value: \"*.a.b\": must be an IP address or a DNS name")]
#[case(json!({"scheduler": {"extraArgs": {"profiling": false}}}), "spec.k0sConfig.spec.scheduler.extraArgs[profiling]: Invalid value: \"boolean\": must be a text (write it as a text, in quotes)")]
#[case(json!({"network": {"provider": "Calico"}}), "spec.k0sConfig.spec.network.provider: Unsupported value: \"Calico\": supported values: \"kuberouter\", \"calico\", \"custom\"")]
#[case(json!({"netwrok": {}}), "spec.k0sConfig.spec.netwrok: Forbidden: k0s v1.36.3+k0s.2 does not know the field, and ends (did you mean network?)")]
#[case(json!({"extensions": {"helm": {"repositories": [{"name": "a", "url": "b", "password": 12}]}}}), "spec.k0sConfig.spec.extensions.helm.repositories[0].password: Invalid value: \"number\": must be a text (write it as a text, in quotes)")]
fn a_refusal_says_what_to_write(#[case] spec: Value, #[case] text: &str) {
    let decision = create(Kind::Cluster, &with(&json!({"spec": spec})));
    let errors: Vec<_> = decision.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [text]);
}

#[test]
fn what_is_ours_is_warned_of() {
    let (errors, warnings) = of(
        "v1.36.3-k0s.2",
        json!({"kind": "Cluster", "spec": {
            "api": {"address": "192.0.2.1", "port": 6443, "externalAddress": "a.b", "onlyBindToAddress": true},
            "konnectivity": {"agentPort": 8132},
            "storage": {"type": "kine", "kine": {"dataSource": "x"}},
        }}),
    );
    assert_eq!(errors, [""; 0]);
    for said in [
        "spec.k0sConfig.kind: \"Cluster\": is read as ClusterConfig",
        "spec.api.address: \"192.0.2.1\": is left out",
        "spec.api.onlyBindToAddress: \"true\": is left out",
        "spec.api.port: \"6443\": is replaced by spec.service.apiPort",
        "spec.api.externalAddress: \"a.b\": is told to k0s alone",
        "spec.konnectivity.agentPort: \"8132\": is replaced",
        "spec.storage.type: \"kine\": is replaced",
        "spec.storage.kine: has no effect",
    ] {
        assert!(warnings.contains(said), "{said}\n{warnings}");
    }
    let (_, warnings) = of("v1.36.3-k0s.2", json!({"spec": {"api": {"port": 30443}}}));
    assert_eq!(warnings, "");
}

#[test]
fn what_is_stored_is_a_warning_and_what_is_added_is_refused() {
    let stored = with(&json!({"spec": {"netwrok": {}, "api": {"sans": "a.b"}}}));
    let mut scaled = stored.clone();
    scaled["spec"]["replicas"] = json!(3);
    let decision = update(Kind::Cluster, &stored, &scaled);
    assert_eq!(paths(&decision), [""; 0]);
    assert_eq!(decision.warnings.len(), 2, "{:?}", decision.warnings);
    scaled["spec"]["k0sConfig"]["spec"]["network"] = json!({"provider": "x"});
    assert_eq!(
        paths(&update(Kind::Cluster, &stored, &scaled)),
        ["spec.k0sConfig.spec.network.provider"]
    );
}

#[rstest]
#[case::switched_on(json!({}), json!({"dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/112"}}), Some("dualStack.enabled"))]
#[case::said_to_be_off(json!({}), json!({"dualStack": {"enabled": false}}), None)]
#[case::ranges_without_it(json!({}), json!({"dualStack": {"IPv6podCIDR": "fd00::/108"}}), None)]
#[case::another_range(
    json!({"dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/112"}}),
    json!({"dualStack": {"enabled": true, "IPv6podCIDR": "fd02::/108", "IPv6serviceCIDR": "fd01::/112"}}),
    Some("dualStack.IPv6podCIDR"))]
#[case::the_family_that_it_is(
    json!({"dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/112"}}),
    json!({"primaryAddressFamily": "IPv4", "dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/112"}}),
    None)]
#[case::the_other_family(
    json!({"dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/112"}}),
    json!({"primaryAddressFamily": "IPv6", "dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/112"}}),
    Some("primaryAddressFamily"))]
#[case::in_capitals(json!({}), json!({"podcidr": "10.9.0.0/16"}), Some("podCIDR"))]
fn networks_of_a_running_cluster_stay(
    #[case] old: Value,
    #[case] new: Value,
    #[case] refused: Option<&str>,
) {
    let of = |network: &Value| {
        let mut object = with(&json!({"spec": {"network": network}}));
        object["spec"]["version"] = json!("v1.36.3-k0s.2");
        with_status(object, serving("v1.36.3-k0s.2"))
    };
    let decision = update(Kind::Cluster, &of(&old), &of(&new));
    let refused = refused.map(|field| format!("spec.k0sConfig.spec.network.{field}"));
    assert_eq!(paths(&decision), refused.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_hostile_configuration_is_answered_shortly() {
    let many: serde_json::Map<_, _> = (0..100_000).map(|i| (format!("x{i}"), json!(1))).collect();
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({"a": [deep]});
    }
    for config in [
        json!({"spec": many}),
        json!({"spec": {"network": many}}),
        json!({"spec": {"api": {"extraArgs": many}}}),
        json!({"spec": {"api": deep}}),
        json!({"spec": {"workerProfiles": vec![json!(null); 100_000]}}),
    ] {
        let decision = create(Kind::Cluster, &with(&config));
        assert!(decision.errors.len() + decision.warnings.len() <= 100);
    }
}

#[test]
fn capitals_are_written_as_k0s_writes_them() {
    let odd = json!({"SPEC": {"Api": {"SANS": ["a"], "extraArgs": {"X": "y"}}, "api": {"sans": null, "port": 1}}});
    assert_eq!(
        crds::k0s_config::canonical(odd),
        json!({"spec": {"api": {"sans": ["a"], "extraArgs": {"X": "y"}, "port": 1}}})
    );
}

/// Its schema takes less than k0s reads.
#[rstest]
#[case::a_null_in_a_list(
    json!({"extensions": {"helm": {"charts": [{"name": "a", "version": null}]}}}),
    json!({"extensions": {"helm": {"charts": [{"name": "a"}]}}}))]
#[case::an_item_that_is_null(json!({"scheduler": {"rawArgs": [null]}}), json!({"scheduler": {"rawArgs": [""]}}))]
#[case::an_empty_choice(
    json!({"network": {"nodeLocalLoadBalancing": {"type": "", "envoyProxy": {"imagePullPolicy": ""}}}}),
    json!({"network": {"nodeLocalLoadBalancing": {"envoyProxy": {}}}}))]
#[case::no_port(
    json!({"network": {"nodeLocalLoadBalancing": {"envoyProxy": {"apiServerBindPort": 0}}}}),
    json!({"network": {"nodeLocalLoadBalancing": {"envoyProxy": {}}}}))]
#[case::gates(
    json!({"featureGates": [{"name": "A", "components": []}, {"name": "B", "enabled": true, "components": ["kubelet"]}]}),
    json!({"featureGates": [{"name": "A", "enabled": false}, {"name": "B", "enabled": true, "components": ["kubelet"]}]}))]
#[case::an_image_without_anything(
    json!({"images": {"coredns": {}, "pause": {"version": "3"}}, "network": {"nodeLocalLoadBalancing": {"envoyProxy": {"image": {"image": "", "version": ""}}}}}),
    json!({"images": {"pause": {"version": "3"}}, "network": {"nodeLocalLoadBalancing": {"envoyProxy": {}}}}))]
#[case::hairpin(json!({"network": {"kuberouter": {"hairpin": "", "mtu": 0}}}), json!({"network": {"kuberouter": {"mtu": 0}}}))]
#[case::what_the_user_names(
    json!({"scheduler": {"extraArgs": {"a": ""}}, "workerProfiles": [{"name": "p", "values": {"port": 0, "kind": "", "x": null}}]}),
    json!({"scheduler": {"extraArgs": {"a": ""}}, "workerProfiles": [{"name": "p", "values": {"port": 0, "kind": "", "x": null}}]}))]
fn the_hosted_api_gets_what_it_takes(#[case] spec: Value, #[case] stored: Value) {
    let config = json!({"spec": spec});
    assert_eq!(crds::k0s_config::stored(config), json!({"spec": stored}));
}

#[rstest]
#[case::half_of_a_new_one(json!({}), json!({"coredns": {"version": "1.12.0"}}), Some("coredns.image"))]
#[case::the_other_half(json!({}), json!({"calico": {"cni": {"image": "a/cni"}}}), Some("calico.cni.version"))]
#[case::a_whole_one(json!({}), json!({"coredns": {"image": "a/dns", "version": "1"}}), None)]
#[case::another_version_of_a_half(json!({"coredns": {"version": "1.11"}}), json!({"coredns": {"version": "1.12"}}), None)]
#[case::half_of_one_goes(json!({"coredns": {"image": "a/dns", "version": "1"}}), json!({"coredns": {"version": "1"}}), Some("coredns.image"))]
#[case::a_repository(json!({}), json!({"repository": "a"}), None)]
fn an_image_of_a_running_cluster_is_named_as_a_whole(
    #[case] old: Value,
    #[case] new: Value,
    #[case] refused: Option<&str>,
) {
    let of = |images: &Value| {
        let mut object = with(&json!({"spec": {"images": images}}));
        object["spec"]["version"] = json!("v1.36.3-k0s.2");
        object
    };
    let served = |images: &Value| with_status(of(images), serving("v1.36.3-k0s.2"));
    let decision = update(Kind::Cluster, &served(&old), &served(&new));
    let refused = refused.map(|field| format!("spec.k0sConfig.spec.images.{field}"));
    assert_eq!(paths(&decision), refused.into_iter().collect::<Vec<_>>());
    assert_eq!(paths(&update(Kind::Cluster, &of(&old), &of(&new))), [""; 0]);
    let mut fixed = [served(&old), served(&new)];
    for object in &mut fixed {
        object["spec"]["controlPlaneFlags"] = json!(["--enable-dynamic-config=f"]);
    }
    assert_eq!(paths(&update(Kind::Cluster, &fixed[0], &fixed[1])), [""; 0]);
}
