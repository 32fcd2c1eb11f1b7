//! What the rules say.

use crds::validation::{cluster_boundaries, validate_cluster, validate_join_token_request};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{claim, cluster, named, paths, request};

fn etcd_args(arg: &str) -> Value {
    json!({"storage": {"type": "etcd", "etcd": {"args": [arg]}}})
}

#[rstest]
#[case::replicas(json!({"replicas": -1}), "spec.replicas", json!({"replicas": 0}))]
#[case::version(json!({"version": "latest"}), "spec.version", json!({"version": "v1.36.3"}))]
#[case::image_tag(json!({"image": "quay.io/x/k0s:v1"}), "spec.image", json!({"image": "host:5000/x/k0s"}))]
#[case::image_space(json!({"image": "quay.io/x k0s"}), "spec.image", json!({"image": "quay.io/x-k0s"}))]
#[case::address_url(json!({"externalAddress": "https://a.b"}), "spec.externalAddress", json!({"externalAddress": "a.b"}))]
#[case::address_port(json!({"externalAddress": "a.b:6443"}), "spec.externalAddress", json!({"externalAddress": "fd00::1"}))]
#[case::api_port_range(json!({"service": {"apiPort": 70000}}), "spec.service.apiPort", json!({"service": {"apiPort": 6443}}))]
#[case::konnectivity_port_range(
    json!({"service": {"konnectivityPort": -1}}), "spec.service.konnectivityPort",
    json!({"service": {"konnectivityPort": 8132}})
)]
#[case::api_port_zero(
    json!({"service": {"type": "ClusterIP", "apiPort": 0}}), "spec.service.apiPort",
    json!({"service": {"type": "NodePort", "apiPort": 0}})
)]
#[case::konnectivity_port_zero(
    json!({"service": {"type": "LoadBalancer", "konnectivityPort": 0}}), "spec.service.konnectivityPort",
    json!({"service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0}})
)]
#[case::equal_ports(
    json!({"service": {"apiPort": 30132}}), "spec.service.konnectivityPort",
    json!({"service": {"apiPort": 30133}})
)]
#[case::etcd_begun_anew(
    etcd_args("--initial-cluster-state=new"),
    "spec.storage.etcd.args[0]",
    etcd_args("--initial-cluster-token=new")
)]
#[case::etcd_begun_anew_in_two_words(
    etcd_args("-initial-cluster-state"),
    "spec.storage.etcd.args[0]",
    etcd_args("initial-cluster-state")
)]
#[case::etcd_members(
    etcd_args("--initial-cluster=a=https://a:2380"),
    "spec.storage.etcd.args[0]",
    etcd_args("--quota-backend-bytes=8589934592")
)]
#[case::etcd_forced(
    etcd_args("--force-new-cluster"),
    "spec.storage.etcd.args[0]",
    etcd_args("--auto-compaction-mode=revision")
)]
#[case::etcd_discovered(
    etcd_args("--discovery-srv=example.org"),
    "spec.storage.etcd.args[0]",
    etcd_args("--max-request-bytes=2000000")
)]
#[case::etcd_of_a_file(
    etcd_args("--config-file=/etc/etcd.yaml"),
    "spec.storage.etcd.args[0]",
    etcd_args("--data-dir=/var/lib/k0s/etcd")
)]
#[case::persistence(json!({"persistence": {"type": "PVC"}}), "spec.persistence.type", json!({"persistence": {"type": "emptyDir"}}))]
#[case::no_host_path(
    json!({"persistence": {"type": "hostPath"}}), "spec.persistence.hostPath",
    json!({"persistence": {"type": "hostPath", "hostPath": "/data"}})
)]
#[case::no_claim(
    json!({"persistence": {"type": "pvc"}}), "spec.persistence.persistentVolumeClaim",
    claim(json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}))
)]
#[case::claim_modes(
    claim(json!({"resources": {"requests": {"storage": "1Gi"}}})),
    "spec.persistence.persistentVolumeClaim.spec.accessModes",
    claim(json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}))
)]
#[case::claim_size(
    claim(json!({"accessModes": ["ReadWriteOnce"]})),
    "spec.persistence.persistentVolumeClaim.spec.resources.requests.storage",
    claim(json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": 1024}}}))
)]
#[case::claim_name(
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {
        "metadata": {"name": "A_b"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }}}),
    "spec.persistence.persistentVolumeClaim.metadata.name",
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {
        "metadata": {"name": "a-b"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }}})
)]
#[case::claim_label(
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {
        "metadata": {"labels": {"Example.com/x": "a"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }}}),
    "spec.persistence.persistentVolumeClaim.metadata.labels[Example.com/x]",
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {
        "metadata": {"labels": {"example.com/X": "a"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }}})
)]
#[case::etcd_image(
    json!({"storage": {"etcd": {"image": "etcd v3.7.1"}}}), "spec.storage.etcd.image",
    json!({"storage": {"etcd": {"image": ""}}})
)]
#[case::etcd_size(
    json!({"storage": {"etcd": {"persistence": {"size": "-1Gi"}}}}), "spec.storage.etcd.persistence.size",
    json!({"storage": {"etcd": {"persistence": {"size": "0"}}}})
)]
#[case::etcd_size_text(
    json!({"storage": {"etcd": {"persistence": {"size": "big"}}}}), "spec.storage.etcd.persistence.size",
    json!({"storage": {"etcd": {"persistence": {"size": "1e9"}}}})
)]
#[case::etcd_resources(
    json!({"storage": {"etcd": {"resources": {"requests": {"cpu": "x"}}}}}), "spec.storage.etcd.resources.requests.cpu",
    json!({"storage": {"etcd": {"resources": {"requests": {"cpu": 1}}}}})
)]
#[case::config_version(
    json!({"k0sConfig": {"apiVersion": "v1"}}), "spec.k0sConfig.apiVersion",
    json!({"k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1"}})
)]
#[case::config_spec(json!({"k0sConfig": {"spec": []}}), "spec.k0sConfig.spec", json!({"k0sConfig": {"spec": {}}}))]
#[case::flags(
    json!({"controlPlaneFlags": ["--ok", "--labels='a"]}), "spec.controlPlaneFlags[1]",
    json!({"controlPlaneFlags": ["--ok", "--labels='a'"]})
)]
#[case::certificates(
    json!({"certificateRefs": [{"type": "ca"}, {"type": "ca"}]}), "spec.certificateRefs[1].type",
    json!({"certificateRefs": [{"type": "ca"}, {"type": "sa"}]})
)]
#[case::certificate_name(
    json!({"certificateRefs": [{"type": "ca", "name": "My CA"}]}), "spec.certificateRefs[0].name",
    json!({"certificateRefs": [{"type": "ca", "name": "my.ca"}]})
)]
#[case::manifest_name(
    json!({"manifests": [{"name": "a.b", "emptyDir": {}}]}), "spec.manifests[0].name",
    json!({"manifests": [{"name": "a-b", "emptyDir": {}}]})
)]
#[case::manifest_twice(
    json!({"manifests": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]}), "spec.manifests[1].name",
    json!({"manifests": [{"name": "a", "emptyDir": {}}, {"name": "kmc-c-endpoint", "configMap": {"name": "kmc-c-endpoint"}}]})
)]
#[case::manifest_taken(
    json!({"manifests": [{"name": "kmc-c", "emptyDir": {}}]}), "spec.manifests[0].name",
    json!({"manifests": [{"name": "kmc-d", "emptyDir": {}}]})
)]
#[case::manifest_empty(
    json!({"manifests": [{"name": "a"}]}), "spec.manifests[0]",
    json!({"manifests": [{"name": "a", "secret": {"secretName": "a"}}]})
)]
#[case::manifest_two_sources(
    json!({"manifests": [{"name": "a", "emptyDir": {}, "secret": {}}]}), "spec.manifests[0]",
    json!({"manifests": [{"name": "a", "secret": {"secretName": "a"}}]})
)]
#[case::mount_path(
    json!({"mounts": [{"path": "/", "emptyDir": {}}]}), "spec.mounts[0].path",
    json!({"mounts": [{"path": "/opt", "emptyDir": {}}]})
)]
#[case::mount_colon(
    json!({"mounts": [{"path": "/a:b", "emptyDir": {}}]}), "spec.mounts[0].path",
    json!({"mounts": [{"path": "/a_b", "emptyDir": {}}]})
)]
#[case::mount_data(
    json!({"mounts": [{"path": "/var/lib/k0s/", "emptyDir": {}}]}), "spec.mounts[0].path",
    json!({"mounts": [{"path": "/var/lib/k0s/images", "emptyDir": {}}]})
)]
#[case::mount_twice(
    json!({"mounts": [{"path": "/a", "emptyDir": {}}, {"path": "/a/", "emptyDir": {}}]}), "spec.mounts[1].path",
    json!({"mounts": [{"path": "/a", "emptyDir": {}}, {"path": "/A", "emptyDir": {}}]})
)]
#[case::mount_in_other_words(
    json!({"mounts": [{"path": "/opt/../etc//./k0smotron", "emptyDir": {}}]}), "spec.mounts[0].path",
    json!({"mounts": [{"path": "/etc/k0s", "emptyDir": {}}]})
)]
#[case::mount_configuration(
    json!({"mounts": [{"path": "/etc/k0smotron", "emptyDir": {}}]}), "spec.mounts[0].path",
    json!({"mounts": [{"path": "/certs", "emptyDir": {}}, {"path": "/kmc-c-config", "emptyDir": {}}]})
)]
#[case::mount_manifest(
    json!({"manifests": [{"name": "a", "emptyDir": {}}], "mounts": [{"path": "/var/lib/k0s/manifests/a", "emptyDir": {}}]}),
    "spec.mounts[0].path",
    json!({"manifests": [{"name": "a", "emptyDir": {}}], "mounts": [{"path": "/a", "emptyDir": {}}]})
)]
#[case::manifest_telemetry(
    json!({"manifests": [{"name": "k0s-telemetry", "emptyDir": {}}]}), "spec.manifests[0].name",
    json!({"manifests": [
        {"name": "run", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}, {"name": "certs", "emptyDir": {}},
        {"name": "kmc-c-config", "emptyDir": {}},
    ]})
)]
#[case::mount_empty(
    json!({"mounts": [{"path": "/a"}]}), "spec.mounts[0]",
    json!({"mounts": [{"path": "/a", "hostPath": {"path": "/a"}}]})
)]
#[case::mount_in_proc(
    json!({"mounts": [{"path": "/proc/x/../self", "emptyDir": {}}]}), "spec.mounts[0].path",
    json!({"mounts": [
        {"path": "/process", "emptyDir": {}},
        {"path": "/proc/meminfo", "hostPath": {"path": "/var/lib/lxcfs/proc/meminfo"}}, {"path": "/sys/fs/bpf", "hostPath": {"path": "/sys/fs/bpf"}},
        {"path": "/dev/fuse", "hostPath": {"path": "/dev/fuse", "type": "CharDevice"}},
    ]})
)]
#[case::mount_of_no_secret(
    json!({"mounts": [{"path": "/a", "secret": {}}]}), "spec.mounts[0].secret.secretName",
    json!({"mounts": [{"path": "/a", "secret": {"secretName": "a"}}]})
)]
#[case::manifest_of_no_config_map(
    json!({"manifests": [{"name": "a", "configMap": {}}]}), "spec.manifests[0].configMap.name",
    json!({"manifests": [{"name": "a", "configMap": {"name": "a"}}]})
)]
#[case::mount_of_an_unknown_kind(
    json!({"mounts": [{"path": "/a", "hostPath": {"path": "/a", "type": "Folder"}}]}), "spec.mounts[0].hostPath.type",
    json!({"mounts": [{"path": "/a", "hostPath": {"path": "/a", "type": ""}}]})
)]
#[case::mount_of_an_unknown_medium(
    json!({"mounts": [{"path": "/a", "emptyDir": {"medium": "Disk"}}]}), "spec.mounts[0].emptyDir.medium",
    json!({"mounts": [{"path": "/a", "emptyDir": {"medium": "HugePages-2Mi"}}]})
)]
#[case::limits(
    json!({"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}}), "spec.resources.requests.cpu",
    json!({"resources": {"requests": {"cpu": "1.5"}, "limits": {"cpu": "1500m"}}})
)]
#[case::service_account(json!({"serviceAccount": "Sa"}), "spec.serviceAccount", json!({"serviceAccount": "sa"}))]
#[case::kubeconfig_label(
    json!({"kubeconfigSecretMetadata": {"labels": {"a": "b c"}}}), "spec.kubeconfigSecretMetadata.labels[a]",
    json!({"kubeconfigSecretMetadata": {"labels": {"a": "b-c"}}})
)]
#[case::kubeconfig_label_with_capitals(
    json!({"kubeconfigSecretMetadata": {"labels": {"Example.com/x": "a"}}}), "spec.kubeconfigSecretMetadata.labels[Example.com/x]",
    json!({"kubeconfigSecretMetadata": {"labels": {"example.com/X": "a"}, "annotations": {"Example.com/x": "a"}}})
)]
#[case::kubeconfig_annotation(
    json!({"kubeconfigSecretMetadata": {"annotations": {"a b": ""}}}), "spec.kubeconfigSecretMetadata.annotations[a b]",
    json!({"kubeconfigSecretMetadata": {"annotations": {"x.y/a-b": "any thing"}}})
)]
#[case::skew(
    json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]}),
    "spec.topologySpreadConstraints[0].maxSkew",
    json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]})
)]
#[case::unsatisfiable(
    json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "Wait"}]}),
    "spec.topologySpreadConstraints[0].whenUnsatisfiable",
    json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}]})
)]
fn a_cluster(#[case] wrong: Value, #[case] field: &str, #[case] corrected: Value) {
    let errors = validate_cluster(&cluster(wrong));
    assert_eq!(paths(&errors), [field]);
    assert!(!errors[0].message.is_empty());
    assert_eq!(validate_cluster(&cluster(corrected)), []);
}

/// Only the door knows it: the controller goes on with what is stored.
#[rstest]
#[case::authority("/var/lib/k0s/pki", "/var/lib/k0s/pki2")]
#[case::authority_file("/var/lib/k0s/pki/ca.crt", "/var/lib/k0s/images")]
#[case::authority_in_other_words("/var/lib//k0s/./bin/../pki/", "/var/lib/k0s/bin")]
#[case::configuration("/etc/k0smotron/k0s.yaml", "/etc/k0smotron.d")]
#[case::authentication("/etc/x/../k0smotron//authentication.yaml", "/etc/x")]
#[case::telemetry(
    "/var/lib/k0s/manifests/k0s-telemetry/x.yaml",
    "/var/lib/k0s/manifests/k0s-telemetry2"
)]
#[case::endpoint(
    "/var/lib/k0s/manifests/kmc-c-endpoint/x",
    "/var/lib/k0s/manifests/kmc-d-endpoint/x"
)]
fn a_mount_over_files_of_the_product(#[case] wrong: &str, #[case] corrected: &str) {
    let at = |path: &str, source: &str| {
        let mount = json!({"path": path, "hostPath": {"path": source}});
        cluster(
            json!({"service": {"type": "NodePort"}, "mounts": [{"path": "/a", "emptyDir": {}}, mount]}),
        )
    };
    let new = at(wrong, "/x");
    let findings = cluster_boundaries(None, &new);
    assert_eq!(paths(&findings.errors), ["spec.mounts[1].path"]);
    assert_eq!(validate_cluster(&new), []);
    assert_eq!(cluster_boundaries(None, &at(corrected, "/x")).errors, []);
    // As it is stored it may stay, and nothing else may come into its place.
    let stored = cluster_boundaries(Some(&new), &new);
    assert_eq!((stored.errors.len(), stored.warnings.len()), (0, 1));
    let changed = cluster_boundaries(Some(&new), &at(wrong, "/y"));
    assert_eq!(paths(&changed.errors), ["spec.mounts[1].path"]);
}

#[test]
fn a_mount_that_hides_something_from_now_on_is_refused() {
    let at = |path: &str, source: Value| {
        let mut mount = json!({ "path": path });
        for (field, value) in source.as_object().unwrap() {
            mount[field] = value.clone();
        }
        cluster(json!({"service": {"type": "ClusterIP"}, "mounts": [mount]}))
    };
    let folder = "/var/lib/k0s/manifests/kmc-c-endpoint/x";
    let old = at(folder, json!({"emptyDir": {}}));
    assert_eq!(cluster_boundaries(None, &old).errors, []);
    let mut exposed = old.clone();
    exposed.spec.external_address = Some("api.example.org".to_owned());
    let findings = cluster_boundaries(Some(&old), &exposed);
    assert_eq!(paths(&findings.errors), ["spec.mounts[0].path"]);
    // One that is stored and written in other units is the same.
    let pki = |limit: &str| {
        at(
            "/var/lib/k0s/pki",
            json!({"emptyDir": {"sizeLimit": limit}}),
        )
    };
    let findings = cluster_boundaries(Some(&pki("1024Mi")), &pki("1Gi"));
    assert_eq!((findings.errors.len(), findings.warnings.len()), (0, 1));
    let findings = cluster_boundaries(Some(&pki("1024Mi")), &pki("2Gi"));
    assert_eq!(findings.errors.len(), 1);
}

#[rstest]
#[case::dot("a.b", "ab")]
#[case::too_long(&"a".repeat(44), &"a".repeat(43))]
fn a_name(#[case] wrong: &str, #[case] corrected: &str) {
    assert_eq!(
        paths(&validate_cluster(&named(wrong, json!({})))),
        ["metadata.name"]
    );
    assert_eq!(validate_cluster(&named(corrected, json!({}))), []);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let errors = validate_cluster(&cluster(json!({
        "replicas": -1, "version": "x", "persistence": {"type": "pvc"}, "service": {"apiPort": 99999},
    })));
    assert_eq!(
        paths(&errors),
        [
            "spec.replicas",
            "spec.version",
            "spec.service.apiPort",
            "spec.persistence.persistentVolumeClaim"
        ]
    );
}

#[test]
fn an_error_reads_as_one_line() {
    let errors = validate_cluster(&cluster(json!({"version": "latest"})));
    assert_eq!(
        errors[0].to_string(),
        r#"spec.version: Invalid value: "latest": must be a k0s version such as v1.36.3, v1.36.3-k0s.2 or v1.36.3+k0s.2"#
    );
}

#[rstest]
#[case::no_cluster("t", json!({"clusterName": ""}), "spec.clusterName", "t", json!({"clusterName": "c"}))]
#[case::cluster("t", json!({"clusterName": "a.b"}), "spec.clusterName", "t", json!({"clusterName": "a-b"}))]
#[case::expiry("t", json!({"clusterName": "c", "expiry": "1d"}), "spec.expiry", "t", json!({"clusterName": "c", "expiry": "24h"}))]
#[case::injection(
    "t", json!({"clusterName": "c", "expiry": "1h; reboot"}), "spec.expiry",
    "t", json!({"clusterName": "c", "expiry": "1h30m"})
)]
#[case::name(&"t".repeat(64), json!({"clusterName": "c"}), "metadata.name", &"t".repeat(63), json!({"clusterName": "c"}))]
fn a_request(
    #[case] wrong_name: &str,
    #[case] wrong: Value,
    #[case] field: &str,
    #[case] corrected_name: &str,
    #[case] corrected: Value,
) {
    assert_eq!(
        paths(&validate_join_token_request(&request(wrong_name, wrong))),
        [field]
    );
    assert_eq!(
        validate_join_token_request(&request(corrected_name, corrected)),
        []
    );
}
