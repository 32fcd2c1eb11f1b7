use super::*;

fn error(yaml: &str) -> String {
    format!("{:#}", ClusterConfig::parse(yaml).unwrap_err())
}

#[test]
fn nothing_given_means_k0s_defaults() {
    let config = ClusterConfig::parse("").unwrap();
    assert_eq!(config.api.port, 6443);
    assert_eq!(config.konnectivity.agent_port, 8132);
    assert_eq!(config.storage.kind, "etcd");
    assert_eq!(config.service_ip().unwrap().to_string(), "10.96.0.1");
    assert_eq!(config.dns_ip().unwrap().to_string(), "10.96.0.10");
}

#[test]
fn a_hosted_configuration_is_read_whole() {
    let config = ClusterConfig::parse(
        r#"
apiVersion: k0s.k0sproject.io/v1beta1
kind: ClusterConfig
metadata: {name: k0s, creationTimestamp: null}
spec:
  api:
    address: null
    externalAddress: 172.17.0.2
    port: 30443
    sans: [kmc-test, 10.1.2.3]
    extraArgs: {authentication-config: /etc/k0s/auth.yaml}
  konnectivity: {agentPort: 30132}
  network: {provider: custom, podCIDR: 10.10.0.0/16, serviceCIDR: 10.20.0.0/16}
  storage:
    type: etcd
    etcd:
      externalCluster:
        endpoints: ["https://kmc-test-etcd:2379"]
        etcdPrefix: /k0s
        caFile: /var/lib/k0s/pki/etcd-ca.crt
        clientCertFile: /var/lib/k0s/pki/apiserver-etcd-client.crt
        clientKeyFile: /var/lib/k0s/pki/apiserver-etcd-client.key
  workerProfiles:
  - name: custom
    values: {maxPods: 7}
  telemetry: {enabled: false}
"#,
    )
    .unwrap();
    assert_eq!(config.api_url(), "https://172.17.0.2:30443");
    assert_eq!(config.join_url(), "https://172.17.0.2:9443");
    assert_eq!(
        config.konnectivity_endpoint().to_string(),
        "172.17.0.2:30132"
    );
    let external = config.storage.etcd.external_cluster.as_ref().unwrap();
    assert_eq!(external.etcd_prefix, "/k0s");
    assert_eq!(config.worker_profiles[0].values["maxPods"], 7);
}

#[test]
fn an_external_address_may_bring_its_port() {
    let mut config =
        ClusterConfig::parse("spec: {api: {externalAddress: 'api.example.org:443'}}").unwrap();
    config.settle_address();
    assert_eq!(config.api_url(), "https://api.example.org:443");
    assert_eq!(
        config.konnectivity_endpoint().to_string(),
        "api.example.org:8132"
    );
}

#[test]
fn mistakes_are_named() {
    assert!(error("apiVersion: 1").contains("apiVersion"));
    assert!(error("kinds: ClusterConfig").contains("kinds"));
    assert!(error("spec: {apo: {}}").contains("spec.apo"));
    assert!(error("spec: {konnectivity: {port: 1}}").contains("unknown field `port`"));
    assert!(error("spec: {api: {port: '6443'}}").contains("spec.api: invalid type"));
    assert!(error("spec: {api: {extraArgs: {v: 4}}}").contains("spec.api: invalid type"));
    assert!(error("spec: {storage: {type: kine}}").contains("not in the stand-in"));
    assert!(error("spec: {storage: {type: tape}}").contains("unsupported storage"));
    assert!(error("spec: {network: {provider: tape}}").contains("provider"));
    assert!(error("spec: {network: {serviceCIDR: 10.96.0.0}}").contains("serviceCIDR"));
    assert!(error("[]").contains("not an object"));
    assert!(error("a: [").contains("not valid YAML"));
}

#[test]
fn k0s_passes_over_some_mistakes() {
    for yaml in [
        "apiVersion: k0s.k0sproject.io/v7",
        "kind: Cluster",
        "spec: {api: {prt: 1}}",
        "spec: {network: {prt: 1}}",
        "spec: {storage: {etcd: {prt: 1}}}",
    ] {
        ClusterConfig::parse(yaml).unwrap();
    }
}

#[test]
fn profiles_suit_the_machine() {
    let config = |values: &str| {
        let profile = format!("spec: {{workerProfiles: [{{name: x, values: {values}}}]}}");
        ClusterConfig::parse(&profile).unwrap()
    };
    check_profiles(&config("{maxPods: 7}"), true).unwrap_err();
    check_profiles(&config("{maxPods: 7}"), false).unwrap();
    check_profiles(&config("{failCgroupV1: false}"), true).unwrap();
}

#[test]
fn the_object_in_the_cluster_has_no_node_parts_and_comes_back_whole() {
    let config = ClusterConfig::parse(
        "spec: {api: {port: 1234}, network: {provider: custom, serviceCIDR: 10.20.0.0/16}}",
    )
    .unwrap();
    let live = config.cluster_wide();
    assert_eq!(live["metadata"]["namespace"], "kube-system");
    assert_eq!(live.pointer("/spec/api"), None);
    assert_eq!(live.pointer("/spec/storage"), None);
    assert_eq!(live["spec"]["network"]["serviceCIDR"], "10.96.0.0/12");
    assert_eq!(live["spec"]["network"]["provider"], "custom");
    assert_eq!(live["spec"]["konnectivity"]["agentPort"], 8132);

    let mut changed = live.clone();
    changed["spec"]["workerProfiles"] = serde_json::json!([{"name": "new", "values": {}}]);
    let merged = config.with_dynamic(&changed).unwrap();
    assert_eq!(merged.api.port, 1234);
    assert_eq!(merged.network.service_cidr, "10.20.0.0/16");
    assert_eq!(merged.worker_profiles[0].name, "new");
}
