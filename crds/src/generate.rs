//! Files made from the types: the custom resource definitions and the examples.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;
use serde_json::Value;

use crate::definitions;
use crate::v1beta2::{
    Cluster, ClusterPolicy, ClusterPolicySpec, ClusterSpec, JoinTokenRequest, JoinTokenRequestSpec,
    NamespaceLimits, PersistenceSpec, PersistenceType, PersistentVolumeClaimTemplate, PolicyAction,
    PolicyKind, PolicyRule, ReplicaBounds, RequiredKey, ServiceSpec, ServiceType,
};
use crate::version::DEFAULT_VERSION;

/// A file made from the types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path below the crate's folder.
    pub path: String,
    /// What belongs in it.
    pub content: String,
}

/// Why a file cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A type does not turn into JSON.
    #[error("cannot turn {path} into values: {source}")]
    Value {
        /// Path of the file.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Values do not turn into YAML.
    #[error("cannot write {path} as YAML: {source}")]
    Yaml {
        /// Path of the file.
        path: String,
        /// What is wrong.
        source: serde_saphyr::ser::Error,
    },
}

const GENERATED: &str = "Generated from the Rust types by crdgen; change those, then run it.";

/// Every file that is made from the types.
pub fn files() -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for definition in definitions::all() {
        let name = definition.metadata.name.as_deref().unwrap_or_default();
        files.push(file(
            format!("yaml/{name}.yaml"),
            &[GENERATED],
            &value(name, &definition)?,
        )?);
    }
    for Example { name, text, object } in examples()? {
        files.push(file(
            format!("examples/{name}.yaml"),
            &[text, GENERATED],
            &object,
        )?);
    }
    Ok(files)
}

/// An object to learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Name of its file, without the ending.
    pub name: &'static str,
    /// One line on what it shows.
    pub text: &'static str,
    /// The object, with nothing in it that a default would say as well.
    pub object: Value,
}

/// The examples.
pub fn examples() -> Result<Vec<Example>, Error> {
    Ok(vec![
        cluster(
            "clusterip",
            "A control plane that is reached from inside this cluster only.",
            ClusterSpec::default(),
        )?,
        cluster(
            "nodeport",
            "A control plane at a port of every node; the API server chooses the ports.",
            ClusterSpec {
                service: ServiceSpec {
                    type_: ServiceType::NodePort,
                    api_port: 0,
                    konnectivity_port: 0,
                },
                ..ClusterSpec::default()
            },
        )?,
        cluster(
            "ha",
            "Three control-plane pods and three etcd members behind a load balancer.",
            ClusterSpec {
                replicas: 3,
                service: ServiceSpec {
                    type_: ServiceType::LoadBalancer,
                    ..ServiceSpec::default()
                },
                ..ClusterSpec::default()
            },
        )?,
        cluster(
            "pvc",
            "A control plane that keeps its data directory on a volume, which goes with it.",
            ClusterSpec {
                persistence: Some(claimed("2Gi")),
                ..ClusterSpec::default()
            },
        )?,
        join_token()?,
        policy()?,
    ])
}

fn cluster(name: &'static str, text: &'static str, spec: ClusterSpec) -> Result<Example, Error> {
    let service_type = spec.service.type_;
    let spec = ClusterSpec {
        version: Some(DEFAULT_VERSION.to_owned()),
        ..spec
    };
    let mut object = value(name, &Cluster::new(name, spec))?;
    if let Some(spec) = object.get_mut("spec") {
        strip(spec, &value(name, &ClusterSpec::default())?);
        // Said even where it is the default: it is the first thing to decide on.
        let service = spec.as_object_mut().map(|spec| {
            spec.entry("service")
                .or_insert_with(|| Value::Object(serde_json::Map::new()))
        });
        if let Some(service) = service.and_then(Value::as_object_mut) {
            service.insert("type".to_owned(), service_type.as_str().into());
        }
    }
    Ok(Example { name, text, object })
}

fn claimed(size: &str) -> PersistenceSpec {
    PersistenceSpec {
        type_: PersistenceType::Pvc,
        auto_delete_pvcs: true,
        persistent_volume_claim: Some(PersistentVolumeClaimTemplate {
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(BTreeMap::from([(
                        "storage".to_owned(),
                        Quantity(size.to_owned()),
                    )])),
                    ..VolumeResourceRequirements::default()
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            ..PersistentVolumeClaimTemplate::default()
        }),
        ..PersistenceSpec::default()
    }
}

fn join_token() -> Result<Example, Error> {
    let name = "join-token";
    let spec = JoinTokenRequestSpec {
        cluster_name: "clusterip".to_owned(),
        expiry: "24h".to_owned(),
        ..JoinTokenRequestSpec::default()
    };
    Ok(Example {
        name,
        text: "A token with which workers join the cluster of clusterip.yaml for a day.",
        object: value(name, &JoinTokenRequest::new(name, spec))?,
    })
}

fn policy() -> Result<Example, Error> {
    let name = "policy";
    let spec = ClusterPolicySpec {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([("tenant".to_owned(), "true".to_owned())])),
            ..LabelSelector::default()
        }),
        versions: vec![">=1.35.0 <1.37.0".to_owned()],
        images: vec!["quay.io/k0sproject".to_owned()],
        service_types: vec![ServiceType::ClusterIP, ServiceType::LoadBalancer],
        persistence_types: vec!["emptyDir".to_owned(), "pvc".to_owned()],
        replicas: Some(ReplicaBounds {
            min: None,
            max: Some(3),
        }),
        required_labels: vec![RequiredKey {
            key: "team".to_owned(),
            pattern: Some("[a-z][a-z0-9-]*".to_owned()),
            ..RequiredKey::default()
        }],
        namespace_limits: Some(NamespaceLimits {
            clusters: Some(5),
            replicas: Some(9),
        }),
        max_token_lifetime: Some("24h".to_owned()),
        forbidden_fields: vec![
            "spec.patches".to_owned(),
            "spec.mounts[*].hostPath".to_owned(),
            "spec.manifests[*].hostPath".to_owned(),
        ],
        rules: vec![PolicyRule {
            name: "three-in-production".to_owned(),
            kinds: vec![PolicyKind::Cluster],
            expression:
                "!('stage' in namespace.metadata.labels) || namespace.metadata.labels.stage != 'production' || object.spec.replicas == 3"
                    .to_owned(),
            field_path: Some("spec.replicas".to_owned()),
            message: Some("production needs 3 replicas".to_owned()),
            action: Some(PolicyAction::Warn),
            ..PolicyRule::default()
        }],
        ..ClusterPolicySpec::default()
    };
    Ok(Example {
        name,
        text: "What tenants may ask for, in every namespace with the label tenant=true.",
        object: value(name, &ClusterPolicy::new(name, spec))?,
    })
}

/// Takes out of `value` what `default` says as well.
fn strip(value: &mut Value, default: &Value) {
    if let (Value::Object(value), Value::Object(default)) = (value, default) {
        value.retain(|key, inner| match default.get(key) {
            Some(default) if default == inner => false,
            Some(default) => {
                strip(inner, default);
                true
            }
            None => true,
        });
    }
}

fn value(path: &str, object: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(object).map_err(|source| Error::Value {
        path: path.to_owned(),
        source,
    })
}

fn file(path: String, comments: &[&str], object: &Value) -> Result<File, Error> {
    let mut content = String::new();
    for line in comments {
        content.extend(["# ", line, "\n"]);
    }
    match serde_saphyr::to_string(object) {
        Ok(yaml) => content.push_str(&yaml),
        Err(source) => return Err(Error::Yaml { path, source }),
    }
    if !content.ends_with('\n') {
        content.push('\n');
    }
    Ok(File { path, content })
}
