//! From flags to the Cluster that is sent. Pure.

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::{CreateArgs, Persistence, ServiceType, StorageType};
use crate::{error::Error, resources};

/// The object that these flags ask for: what the user said, and nothing that the server defaults.
pub fn object(args: &CreateArgs, namespace: &str) -> Result<DynamicObject, Error> {
    let body = json!({
        "apiVersion": format!("{}/{}", resources::GROUP, resources::VERSION),
        "kind": "Cluster",
        "metadata": {"name": args.name, "namespace": namespace},
        "spec": spec(args)?,
    });
    serde_json::from_value(body).map_err(|source| Error::io("build the object", source.into()))
}

fn spec(args: &CreateArgs) -> Result<Value, Error> {
    let mut spec = Map::new();
    if let Some(version) = &args.version {
        spec.insert("version".to_owned(), json!(version));
    }
    spec.insert("replicas".to_owned(), json!(args.replicas));
    if let Some(address) = &args.external_address {
        spec.insert("externalAddress".to_owned(), json!(address));
    }
    spec.insert("service".to_owned(), service(args));
    spec.insert("storage".to_owned(), storage(args));
    if let Some(persistence) = persistence(args)? {
        spec.insert("persistence".to_owned(), persistence);
    }
    Ok(Value::Object(spec))
}

/// With NodePort both ports are allocated unless they are named, so clusters never collide.
fn service(args: &CreateArgs) -> Value {
    let mut service = Map::new();
    service.insert("type".to_owned(), json!(args.service.name()));
    let allocated = (args.service == ServiceType::NodePort).then_some(0);
    if let Some(port) = args.api_port.or(allocated) {
        service.insert("apiPort".to_owned(), json!(port));
    }
    if let Some(port) = args.konnectivity_port.or(allocated) {
        service.insert("konnectivityPort".to_owned(), json!(port));
    }
    Value::Object(service)
}

fn storage(args: &CreateArgs) -> Value {
    let mut volume = Map::new();
    if let Some(size) = &args.storage_size {
        volume.insert("size".to_owned(), json!(size));
    }
    if let Some(class) = &args.storage_class {
        volume.insert("storageClass".to_owned(), json!(class));
    }
    match args.storage {
        StorageType::Etcd if volume.is_empty() => json!({"type": "etcd"}),
        StorageType::Etcd => json!({"type": "etcd", "etcd": {"persistence": volume}}),
    }
}

fn persistence(args: &CreateArgs) -> Result<Option<Value>, Error> {
    let stray = |flag: &str, needs: &str| {
        Err(Error::Usage {
            message: format!("{flag} means nothing without --persistence {needs}"),
            hint: format!("add --persistence {needs}, or leave {flag} out"),
        })
    };
    if args.host_path.is_some() && args.persistence != Persistence::HostPath {
        return stray("--host-path", "hostPath");
    }
    Ok(match args.persistence {
        Persistence::EmptyDir => None,
        Persistence::HostPath => Some(json!({"type": "hostPath", "hostPath": args.host_path})),
        Persistence::Pvc => {
            let mut claim = json!({
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": args.persistence_size}},
            });
            if let (Some(class), Some(claim)) = (&args.storage_class, claim.as_object_mut()) {
                claim.insert("storageClassName".to_owned(), json!(class));
            }
            Some(json!({"type": "pvc", "persistentVolumeClaim": {"spec": claim}}))
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn flags(line: &str) -> CreateArgs {
        let words = std::iter::once("k").chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Create(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn made(line: &str) -> Value {
        serde_json::to_value(object(&flags(line), "team-a").unwrap()).unwrap()
    }

    #[test]
    fn a_bare_name_makes_a_cluster_with_allocated_ports() {
        insta::assert_snapshot!(made("create demo"), @r#"{"apiVersion":"k0smotron.io/v1beta2","kind":"Cluster","metadata":{"name":"demo","namespace":"team-a"},"spec":{"replicas":1,"service":{"apiPort":0,"konnectivityPort":0,"type":"NodePort"},"storage":{"type":"etcd"}}}"#);
    }

    #[test]
    fn only_a_nodeport_is_allocated() {
        let spec = &made("create demo --service LoadBalancer")["spec"];
        assert_eq!(spec["service"], json!({"type": "LoadBalancer"}));
        let spec = &made("create demo --service nodeport --api-port 30500")["spec"];
        assert_eq!(
            spec["service"],
            json!({"type": "NodePort", "apiPort": 30500, "konnectivityPort": 0})
        );
    }

    #[test]
    fn every_flag_lands_in_a_field_that_the_api_knows() {
        for line in [
            "create demo",
            "create demo --version v1.36.3 --replicas 3 --service ClusterIP --api-port 6443",
            "create demo --persistence hostPath --host-path /srv/k0s",
            "create demo --persistence pvc --persistence-size 5Gi --storage-class fast \
             --storage-size 4Gi --external-address api.example.org --konnectivity-port 8132",
        ] {
            let made = made(line);
            let typed: crds::v1beta2::Cluster = serde_json::from_value(made.clone()).unwrap();
            let back = serde_json::to_value(&typed).unwrap();
            assert!(
                contains(&back["spec"], &made["spec"]),
                "{line}: {back} lacks some of {made}"
            );
        }
    }

    fn contains(whole: &Value, part: &Value) -> bool {
        match (whole, part) {
            (Value::Object(whole), Value::Object(part)) => part
                .iter()
                .all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value))),
            _ => whole == part,
        }
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        let error = object(&flags("create demo --host-path /srv"), "x").unwrap_err();
        assert_eq!(error.exit().code(), 2);
        for line in [
            "k create demo --persistence hostPath",
            "k create demo --replicas 0",
            "k create demo --replicas many",
            "k create demo --service Ingress",
            "k create demo --api-port 70000",
            "k create demo --timeout soon",
            "k create Demo",
        ] {
            let refused = Cli::try_parse_from(line.split_whitespace()).unwrap_err();
            assert_eq!(refused.exit_code(), 2, "{line}");
        }
    }
}
