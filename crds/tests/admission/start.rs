//! What no control plane is known to start with: kept from what is new, never from what is there.

use crds::admission::Kind;
use crds::v1beta2::Cluster;
use crds::validation::validate_cluster;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, create, paths, serving, update, with_status};

/// A Cluster that can start, with this besides.
fn with(version: &str, more: Value) -> Value {
    let mut spec = json!({"version": version, "service": {"type": "ClusterIP"}});
    let more = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    cluster(spec)
}

fn refused(object: &Value) -> Vec<String> {
    let decision = create(Kind::Cluster, object);
    paths(&decision).into_iter().map(str::to_owned).collect()
}

const OLD: &str = "v1.33.13-k0s.1";
const NEW: &str = "v1.36.3-k0s.2";

fn manifest(name: &str) -> Value {
    json!({"manifests": [{"name": name, "configMap": {"name": "m"}}]})
}

fn manifest_and_flag(name: &str, flag: &str) -> Value {
    let mut spec = manifest(name);
    spec["controlPlaneFlags"] = json!([flag]);
    spec
}

#[rstest]
#[case::coredns(NEW, manifest("coredns"), Some("spec.manifests[0].name"), "")]
#[case::coredns_off(
    NEW,
    manifest_and_flag("coredns", "--disable-components=helm,coredns"),
    None,
    ""
)]
#[case::calico(OLD, manifest("calico"), Some("spec.manifests[0].name"), "")]
#[case::no_network(
    OLD,
    manifest_and_flag("calico", "--disable-components network-provider"),
    None,
    ""
)]
#[case::kuberouter(NEW, manifest("kuberouter"), Some("spec.manifests[0].name"), "")]
#[case::metrics_server(NEW, manifest("metricserver"), Some("spec.manifests[0].name"), "")]
#[case::kube_proxy(
    "v1.34.1-k0s.0",
    manifest("kubeproxy"),
    Some("spec.manifests[0].name"),
    ""
)]
#[case::kube_proxy_of_old(
    OLD,
    manifest("kubeproxy"),
    None,
    "spec.manifests[0].name: \"kubeproxy\": keeps k0s from writing"
)]
#[case::konnectivity(
    NEW,
    manifest("konnectivity"),
    None,
    "spec.manifests[0].name: \"konnectivity\": keeps k0s from writing"
)]
#[case::no_konnectivity(
    NEW,
    manifest_and_flag("konnectivity", "--disable-components=konnectivity-server"),
    None,
    ""
)]
#[case::helm("v1.35.7-k0s.0", manifest("helm"), Some("spec.manifests[0].name"), "")]
#[case::helm_is_skipped(NEW, manifest("helm"), None, "is a folder that k0s does not read")]
#[case::autopilot(
    "v1.34.9-k0s.0",
    manifest("autopilot"),
    Some("spec.manifests[0].name"),
    ""
)]
#[case::autopilot_is_skipped(
    "v1.35.1-k0s.0",
    manifest("autopilot"),
    None,
    "is a folder that k0s does not read"
)]
#[case::windows(OLD, manifest("windows"), Some("spec.manifests[0].name"), "")]
#[case::windows_is_skipped(
    "v1.34.1-k0s.0",
    manifest("windows"),
    None,
    "is a folder that k0s does not read"
)]
#[case::rbac(
    "v1.32.13-k0s.0",
    manifest("bootstraprbac"),
    Some("spec.manifests[0].name"),
    ""
)]
#[case::metrics(
    NEW,
    manifest_and_flag("metrics", "--enable-metrics-scraper"),
    Some("spec.manifests[0].name"),
    ""
)]
#[case::no_metrics(NEW, manifest("metrics"), None, "")]
#[case::of_a_k0s_that_is_not_known("v1.37.0-k0s.0", manifest("coredns"), None, "")]
#[case::another(NEW, manifest("coredns-extra"), None, "")]
#[case::a_mount_there(
    NEW, json!({"mounts": [{"path": "/var/lib/k0s//manifests/coredns/", "configMap": {"name": "m"}}]}),
    Some("spec.mounts[0].path"), "")]
#[case::a_mount_to_write_to(
    NEW, json!({"mounts": [{"path": "/var/lib/k0s/manifests/coredns", "emptyDir": {}}]}), None, "")]
fn a_folder_of_k0s_own_is_not_mounted_over(
    #[case] version: &str,
    #[case] spec: Value,
    #[case] path: Option<&str>,
    #[case] warned: &str,
) {
    let object = with(version, spec);
    assert_eq!(refused(&object), path.into_iter().collect::<Vec<_>>());
    let warnings = create(Kind::Cluster, &object).warnings.join("\n");
    assert!(warnings.contains(warned), "{warnings}");
    let says = ["keeps k0s from", "does not read"].map(|said| warnings.contains(said));
    assert_eq!(says.contains(&true), !warned.is_empty(), "{warnings}");
}

fn ports(api: i32, konnectivity: i32, config: Value) -> Value {
    json!({
        "service": {"type": "ClusterIP", "apiPort": api, "konnectivityPort": konnectivity},
        "k0sConfig": {"spec": config},
    })
}

const AGENTS: &str = "spec.service.konnectivityPort";
const ADMIN: &str = "spec.k0sConfig.spec.konnectivity.adminPort";

#[rstest]
#[case::as_they_are(30443, 30132, json!({}), &[], "")]
#[case::of_upstream(6443, 8132, json!({}), &[], "")]
#[case::least(443, 1024, json!({"konnectivity": {"adminPort": 49151}}), &[], "")]
#[case::reserved(6443, 443, json!({}), &[AGENTS], "must be between 1024 and 49151")]
#[case::ephemeral(6443, 49152, json!({}), &[AGENTS], "must be between 1024 and 49151")]
#[case::reserved_admin(6443, 8132, json!({"konnectivity": {"adminPort": 1023}}), &[ADMIN], "must be between 1024 and 49151")]
#[case::no_port_at_all(6443, 70000, json!({}), &[AGENTS], "must be between 1 and 65535")]
#[case::agents_and_admin(6443, 8133, json!({}), &[AGENTS], "must be different from 8133, the default of spec.k0sConfig.spec.konnectivity.adminPort")]
#[case::agents_and_another_admin(6443, 9000, json!({"konnectivity": {"adminPort": 9000}}), &[AGENTS], "must be different from spec.k0sConfig.spec.konnectivity.adminPort")]
#[case::agents_and_health(6443, 8092, json!({}), &[AGENTS], "must be different from 8092, where the konnectivity server tells of its health")]
#[case::admin_and_health(6443, 8132, json!({"konnectivity": {"adminPort": 8092}}), &[ADMIN], "must be different from 8092")]
#[case::api_and_admin(8133, 8132, json!({}), &["spec.service.apiPort"], "must be different from 8133")]
#[case::api_and_another_admin(8133, 8132, json!({"konnectivity": {"adminPort": 8134}}), &[], "")]
#[case::api_and_health(8092, 8132, json!({}), &["spec.service.apiPort"], "must be different from 8092")]
#[case::api_and_join(9443, 8132, json!({}), &[], "spec.service.apiPort: \"9443\": is also 9443, the default of spec.k0sConfig.spec.api.k0sApiPort")]
#[case::api_and_another_join(9443, 8132, json!({"api": {"k0sApiPort": 9444}}), &[], "")]
fn ports_of_one_pod_are_different(
    #[case] api: i32,
    #[case] konnectivity: i32,
    #[case] config: Value,
    #[case] expected: &[&str],
    #[case] said: &str,
) {
    let object = with(NEW, ports(api, konnectivity, config));
    let decision = create(Kind::Cluster, &object);
    assert_eq!(paths(&decision), expected);
    let errors = decision.errors.iter().map(ToString::to_string);
    let texts: Vec<String> = errors.chain(decision.warnings).collect();
    let texts = texts.join("\n");
    assert!(texts.contains(said), "{texts}");
    assert_eq!(
        texts.contains("k0sApiPort"),
        said.contains("k0sApiPort"),
        "{texts}"
    );
}

#[test]
fn without_a_konnectivity_server_its_ports_are_nobodys() {
    let mut spec = ports(8133, 443, json!({}));
    for flag in ["--disable-components=konnectivity-server", "--single"] {
        spec["controlPlaneFlags"] = json!([flag]);
        assert_eq!(refused(&with(NEW, spec.clone())), [""; 0], "{flag}");
    }
}

fn of_api(arguments: Value) -> Value {
    json!({"k0sConfig": {"spec": {"api": arguments}}})
}

const API: &str = "spec.k0sConfig.spec.api";

#[rstest]
#[case::port(json!({"extraArgs": {"secure-port": "6443"}}), Some("extraArgs[secure-port]"), "")]
#[case::the_same_port(json!({"extraArgs": {"secure-port": "30443"}}), None, "")]
#[case::raw_port(json!({"rawArgs": ["--v=2", "--secure-port=6443"]}), Some("rawArgs[1]"), "")]
#[case::raw_port_in_two_words(json!({"rawArgs": ["--secure-port", "6443"]}), Some("rawArgs[0]"), "")]
#[case::loopback(json!({"extraArgs": {"bind-address": "127.0.0.1"}}), Some("extraArgs[bind-address]"), "")]
#[case::no_address(json!({"extraArgs": {"bind-address": "localhost"}}), Some("extraArgs[bind-address]"), "")]
#[case::all_addresses(json!({"extraArgs": {"bind-address": "::"}}), None, "")]
#[case::an_address(json!({"extraArgs": {"bind-address": "192.0.2.1"}}), None, "")]
#[case::etcd(json!({"extraArgs": {"etcd-servers": "https://etcd:2379"}}), Some("extraArgs[etcd-servers]"), "")]
#[case::etcd_of_events(json!({"extraArgs": {"etcd-servers-overrides": "/events#https://etcd:2379"}}), None, "")]
#[case::certificate(json!({"extraArgs": {"tls-cert-file": "/certs/tls.crt"}}), None, "extraArgs[tls-cert-file]: \"/certs/tls.crt\": replaces what k0s makes")]
#[case::clients(json!({"extraArgs": {"client-ca-file": "/certs/ca.crt"}}), None, "replaces the cluster's own authority")]
#[case::clients_of_k0s(json!({"extraArgs": {"client-ca-file": "/var/lib/k0s/pki/ca.crt"}}), None, "")]
#[case::another(json!({"extraArgs": {"profiling": "false"}, "rawArgs": ["6443"]}), None, "")]
fn arguments_that_others_decide_are_refused(
    #[case] arguments: Value,
    #[case] path: Option<&str>,
    #[case] warned: &str,
) {
    let object = with(NEW, of_api(arguments));
    let path = path.map(|field| format!("{API}.{field}"));
    assert_eq!(refused(&object), path.into_iter().collect::<Vec<_>>());
    let warnings = create(Kind::Cluster, &object).warnings.join("\n");
    assert!(warnings.contains(warned), "{warnings}");
    assert_eq!(
        warnings.contains("replaces"),
        !warned.is_empty(),
        "{warnings}"
    );
}

fn address(text: &str) -> Value {
    of_api(json!({"externalAddress": text}))
}

#[rstest]
#[case::url(NEW, address("https://kube.example.org"), true)]
#[case::word(NEW, address("api.x:port"), true)]
#[case::zero(NEW, address("api.x:0"), true)]
#[case::large(NEW, address("api.x:65536"), true)]
#[case::none(NEW, address("api.x:"), true)]
#[case::of_ipv6(NEW, address("[fd00::1]:0"), true)]
#[case::port(NEW, address("api.x:443"), false)]
#[case::host(NEW, address("api.x"), false)]
#[case::ipv6(NEW, address("fd00::1"), false)]
#[case::of_old(OLD, address("api.x:0"), false)]
fn a_port_of_the_address_is_one(
    #[case] version: &str,
    #[case] mut spec: Value,
    #[case] is_refused: bool,
) {
    let path = format!("{API}.externalAddress");
    let expected: Vec<_> = is_refused.then_some(path).into_iter().collect();
    assert_eq!(refused(&with(version, spec.clone())), expected);
    spec["controlPlaneFlags"] = json!(["--disable-components=network-provider"]);
    assert_eq!(refused(&with(version, spec)), [""; 0]);
}

fn network(network: Value) -> Value {
    json!({"k0sConfig": {"spec": {"network": network}}})
}

#[rstest]
#[case::ipv6(OLD, json!({"podCIDR": "fd00::/64", "serviceCIDR": "fd01::/108"}), &["serviceCIDR"])]
#[case::large(OLD, json!({"serviceCIDR": "10.0.0.0/8"}), &["serviceCIDR"])]
#[case::as_large_as_it_may_be(OLD, json!({"serviceCIDR": "10.96.0.0/12"}), &[])]
#[case::large_of_the_second_family(
    OLD, json!({"dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/108", "IPv6serviceCIDR": "fd01::/64"}}),
    &["dualStack.IPv6serviceCIDR"])]
#[case::large_and_not_used(
    OLD, json!({"dualStack": {"enabled": false, "IPv6serviceCIDR": "fd01::/64"}}), &[])]
#[case::large_since("v1.34.1-k0s.0", json!({"serviceCIDR": "10.0.0.0/8"}), &[])]
fn a_range_of_services_is_one_that_an_older_k0s_takes(
    #[case] version: &str,
    #[case] config: Value,
    #[case] fields: &[&str],
) {
    let expected = fields
        .iter()
        .map(|field| format!("spec.k0sConfig.spec.network.{field}"));
    let expected: Vec<_> = expected.collect();
    let object = with(version, network(config));
    assert_eq!(refused(&object), expected);
    // A gate lifts the limit, and no gate gives k0s an address.
    let gate = json!([{"name": "DisableAllocatorDualWrite", "enabled": true}]);
    let mut gated = object;
    gated["spec"]["k0sConfig"]["spec"]["featureGates"] = gate;
    let is_family = gated.to_string().contains("fd01::/108");
    assert_eq!(refused(&gated).is_empty(), !is_family);
}

#[rstest]
#[case::usual(NEW, json!({"IPv6podCIDR": "fd00::/64"}), "IPv6podCIDR: \"fd00::/64\": is too large for nodes that get a /117 each")]
#[case::largest(NEW, json!({"IPv6podCIDR": "fd00::/101"}), "")]
#[case::for_one_node(NEW, json!({"IPv6podCIDR": "fd00::/117"}), "")]
#[case::small(NEW, json!({"IPv6podCIDR": "fd00::/118"}), "is too small for a node, which gets a /117: kube-controller-manager ends (a mask of /101 to /117, or controllerManager.extraArgs[node-cidr-mask-size-ipv6])")]
#[case::of_old(OLD, json!({"IPv6podCIDR": "fd00::/111"}), "is too small for a node, which gets a /110")]
#[case::largest_of_old(OLD, json!({"IPv6podCIDR": "fd00::/94"}), "")]
fn pods_of_a_second_family_are_warned_of(
    #[case] version: &str,
    #[case] ranges: Value,
    #[case] warned: &str,
) {
    let mut dual = json!({"enabled": true, "IPv6serviceCIDR": "fd01::/112"});
    let ranges = ranges.as_object().unwrap().clone();
    dual.as_object_mut().unwrap().extend(ranges);
    let mut object = with(version, network(json!({"dualStack": dual})));
    let decision = create(Kind::Cluster, &object);
    assert_eq!(paths(&decision), [""; 0]);
    let warnings = decision.warnings.join("\n");
    assert!(warnings.contains(warned), "{warnings}");
    let ends = |warnings: &str| warnings.contains("kube-controller-manager ends");
    assert_eq!(ends(&warnings), !warned.is_empty(), "{warnings}");
    object["spec"]["k0sConfig"]["spec"]["controllerManager"] =
        json!({"extraArgs": {"node-cidr-mask-size-ipv6": "80"}});
    let warnings = create(Kind::Cluster, &object).warnings.join("\n");
    assert!(!ends(&warnings), "{warnings}");
}

#[test]
fn pods_of_ipv6_alone_are_warned_of() {
    let mut spec = network(json!({"podCIDR": "fd00::/64", "serviceCIDR": "fd01::/108"}));
    spec["controlPlaneFlags"] = json!(["--feature-gates=IPv6SingleStack=true"]);
    let decision = create(Kind::Cluster, &with(NEW, spec));
    assert_eq!(paths(&decision), [""; 0]);
    let warnings = decision.warnings.join("\n");
    let said = "podCIDR: \"fd00::/64\": is too large for nodes that get a /117 each: kube-controller-manager ends (a mask of /101 to /117, or controllerManager.extraArgs[node-cidr-mask-size])";
    assert!(warnings.contains(said), "{warnings}");
}

fn profile(profile: Value) -> Value {
    json!({"k0sConfig": {"spec": {"workerProfiles": [profile]}}})
}

#[rstest]
#[case::text_for_a_number(json!({"name": "p", "values": {"maxPods": "110"}}), Some("values.maxPods"))]
#[case::no_duration(json!({"name": "p", "values": {"syncFrequency": "1 minute"}}), Some("values.syncFrequency"))]
#[case::name(json!({"name": "My_Profile", "values": {}}), Some("name"))]
#[case::long_name(json!({"name": "p".repeat(64), "values": {}}), Some("name"))]
#[case::name_with_a_dot(json!({"name": "p.q", "values": {}}), None)]
#[case::number_that_a_kubelet_refuses(json!({"name": "p", "values": {"maxPods": -1, "memoryThrottlingFactor": 2}}), None)]
#[case::choice_that_a_kubelet_refuses(json!({"name": "p", "values": {"topologyManagerPolicy": "x"}}), None)]
#[case::unknown(json!({"name": "p", "values": {"x": 1}}), None)]
fn a_worker_profile_can_be_read_by_an_older_k0s(#[case] of: Value, #[case] path: Option<&str>) {
    let path = path.map(|field| format!("spec.k0sConfig.spec.workerProfiles[0].{field}"));
    let expected: Vec<_> = path.into_iter().collect();
    assert_eq!(refused(&with(OLD, profile(of))), expected);
}

#[rstest]
#[case::read_once("--enable-dynamic-config=0", true)]
#[case::read_live("--enable-dynamic-config", false)]
fn an_image_is_not_null_where_no_api_fills_it_in(#[case] flag: &str, #[case] is_refused: bool) {
    let spec = json!({
        "controlPlaneFlags": [flag], "k0sConfig": {"spec": {"images": {"coredns": null}}},
    });
    let path = "spec.k0sConfig.spec.images.coredns".to_owned();
    let expected: Vec<_> = is_refused.then_some(path).into_iter().collect();
    assert_eq!(refused(&with(NEW, spec)), expected);
}

/// It may get along with it in a way that nobody has thought of: the controller builds it, and
/// everything else of it can be changed.
#[rstest]
#[case::manifest(NEW, manifest("coredns"))]
#[case::port(NEW, ports(6443, 443, json!({})))]
#[case::ports_that_meet(NEW, ports(6443, 8133, json!({})))]
#[case::argument(NEW, of_api(json!({"extraArgs": {"secure-port": "6443"}})))]
#[case::address(NEW, address("https://kube.example.org"))]
#[case::range(OLD, network(json!({"serviceCIDR": "10.0.0.0/8"})))]
#[case::profile(OLD, profile(json!({"name": "p", "values": {"maxPods": "110"}})))]
fn what_is_stored_goes_on(#[case] version: &str, #[case] spec: Value) {
    let object = with(version, spec);
    let found = refused(&object);
    assert_eq!(found.len(), 1);
    let typed: Cluster = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(validate_cluster(&typed), []);
    let stored = with_status(object, serving(version));
    let mut scaled = stored.clone();
    scaled["spec"]["replicas"] = json!(3);
    let decision = update(Kind::Cluster, &stored, &scaled);
    assert_eq!(paths(&decision), [""; 0]);
    let path = format!("{}: ", found[0]);
    let mut warnings = decision.warnings.iter();
    assert!(
        warnings.any(|text| text.starts_with(&path)),
        "{:?}",
        decision.warnings
    );
}
