//! Whatever a Cluster says and whatever is there: objects or a refusal with the field's path, and the
//! same each time.

use std::collections::BTreeSet;

use crds::v1beta2::Cluster;
use json_patch::merge;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::children::build;
use super::children::control_plane::k0s_config;
use super::dereference::Observed;
use super::validate::{Refusal, validate};
use super::{LEAF_LIFETIME, fixtures};

const WORDS: &[&str] = &[
    "spec",
    "metadata",
    "labels",
    "annotations",
    "replicas",
    "version",
    "v1.35.1+k0s.0",
    "image",
    "etcd",
    "storage",
    "type",
    "service",
    "NodePort",
    "LoadBalancer",
    "persistence",
    "hostPath",
    "/data",
    "pvc",
    "size",
    "1e3",
    "1500m",
    "k0sConfig",
    "api",
    "sans",
    "port",
    "externalAddress",
    "extraArgs",
    "rawArgs",
    "anonymous-auth",
    "network",
    "nodeLocalLoadBalancing",
    "enabled",
    "konnectivity",
    "storage",
    "installConfig",
    "featureGates",
    "mounts",
    "manifests",
    "path",
    "name",
    "configMap",
    "secret",
    "projected",
    "emptyDir",
    "controlPlaneFlags",
    "--debug",
    "--enable-dynamic-config=false",
    "'",
    "resources",
    "limits",
    "cpu",
    "certificateRefs",
    "ca",
    "status",
    "ports",
    "host",
    "conditions",
    "kubeconfigSecretMetadata",
    "topologySpreadConstraints",
    "ingress",
];

fn clusters() -> Vec<Value> {
    let specs = fuzz::objects("controller/tests/clusters")
        .into_iter()
        .map(|spec| {
            json!({
                "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "metadata": {"name": "demo", "namespace": "team", "uid": "u", "labels": {"a": "b"}},
                "spec": spec,
            })
        });
    let examples = fuzz::objects("crds/examples")
        .into_iter()
        .filter(|object| object["kind"] == "Cluster");
    specs.chain(examples).collect()
}

#[test]
fn clusters_and_what_is_made_of_them() {
    let seen: Service = serde_json::from_value(json!({
        "spec": {"clusterIPs": ["10.0.0.77"], "ports": [{"name": "api", "nodePort": 30443}]},
    }))
    .unwrap();
    let observed = [
        Observed::default(),
        Observed {
            service: Some(seen),
            ..fixtures::made()
        },
    ];
    fuzz::check!(fuzz::tree(clusters(), WORDS), |tree: &Value| {
        let Ok(cluster) = serde_json::from_value::<Cluster>(tree.clone()) else {
            return;
        };
        for observed in &observed {
            let valid = match validate(&cluster, observed, LEAF_LIFETIME) {
                Ok(valid) => valid,
                Err(Refusal::Invalid(errors)) => {
                    assert!(errors.iter().all(|error| !error.path.is_empty()));
                    continue;
                }
                Err(Refusal::Unread) => panic!("that is not for it to say"),
                Err(Refusal::NotImplemented(fields)) => {
                    assert!(
                        fields.iter().all(|field| field.contains("spec")),
                        "{fields:?}"
                    );
                    continue;
                }
            };
            let (once, twice) = (build(&valid), build(&valid));
            let mut seen = BTreeSet::new();
            for (one, other) in once.wanted.iter().zip(&twice.wanted) {
                assert_eq!(one.body, other.body);
                assert!(seen.insert(one.key.clone()), "{} is made twice", one.key);
                assert!(
                    !once.obsolete.contains(&one.key),
                    "{} is wanted and obsolete",
                    one.key
                );
            }
            // What is ours to decide is in the configuration, whatever the user's own says.
            if let Some(config) = k0s_config::merged(&valid) {
                let ports = valid.ports.unwrap();
                assert_eq!(config["spec"]["api"]["port"], json!(ports.api));
                assert_eq!(
                    config["spec"]["konnectivity"]["agentPort"],
                    json!(ports.konnectivity)
                );
                assert!(k0s_config::static_digest(&valid).is_some());
                let map = k0s_config::config_map(&valid, crds::names::config(&valid.name)).unwrap();
                let text = map.body["data"][crds::names::K0S_CONFIG_KEY]
                    .as_str()
                    .unwrap()
                    .to_owned();
                let read: Value = serde_saphyr::from_str(&text).unwrap();
                assert_eq!(read, config, "{text}");
                let mut live = json!({});
                merge(
                    &mut live,
                    &k0s_config::live_part(&valid).unwrap_or_default(),
                );
                assert_eq!(live.pointer("/spec/api"), None);
            }
        }
    });
}
