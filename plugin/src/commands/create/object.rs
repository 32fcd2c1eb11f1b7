//! From flags, or a file, to the Cluster that is sent.

use std::path::Path;

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::{CreateArgs, Persistence, ServiceType, StorageType};
use crate::error::Error;
use crate::escape;
use crate::flags;
use crate::kubeconfig::parse_message;
use crate::mothership::resources;

/// Name and object that these flags ask for: what the user said, and nothing that the server
/// defaults. Its namespace is that of the file, unless that has none: then the one given.
pub fn object(
    args: &CreateArgs,
    flag: Option<&str>,
    namespace: &str,
) -> Result<(String, DynamicObject), Error> {
    let mut body = match &args.from {
        Some(path) => read(path)?,
        None => json!({
            "apiVersion": format!("{}/{}", resources::GROUP, resources::VERSION),
            "kind": "Cluster",
            "metadata": {},
            "spec": spec(args)?,
        }),
    };
    for set in &args.set {
        set.apply(&mut body).map_err(|message| Error::Usage {
            message: format!("--set: {message}"),
            hint: "see the fields with: kubectl explain cluster.spec --api-version=k0smotron.io/v1beta2"
                .to_owned(),
        })?;
    }
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        if let Some(name) = &args.name {
            metadata.insert("name".to_owned(), json!(name));
        }
        let written = metadata.get("namespace").and_then(Value::as_str);
        let written = written.filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(written) = &written {
            flags::written_namespace(written).map_err(|message| Error::Usage {
                message,
                hint: "change the object; nothing was created".to_owned(),
            })?;
        }
        if let (Some(written), Some(flag)) = (
            &written,
            flag.filter(|flag| written.as_deref() != Some(*flag)),
        ) {
            return Err(Error::Usage {
                message: format!(
                    "the namespace of the object, \"{}\", is not that of -n, \"{flag}\"",
                    escape::line(written)
                ),
                hint: "leave -n out, or change the object".to_owned(),
            });
        }
        metadata.insert(
            "namespace".to_owned(),
            json!(written.as_deref().unwrap_or(namespace)),
        );
    }
    let name = body.pointer("/metadata/name").and_then(Value::as_str);
    let name = name.unwrap_or_default();
    let name = flags::object_name(name).map_err(|why| Error::Usage {
        message: format!("metadata.name: Invalid value: \"{name}\": {why}"),
        hint: "name it on the command line".to_owned(),
    })?;
    let object = serde_json::from_value(body)
        .map_err(|source| Error::io("build the object", source.into()))?;
    Ok((name, object))
}

/// The Cluster of a file.
fn read(path: &Path) -> Result<Value, Error> {
    let shown = path.display();
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|source| Error::io(format!("read {shown}"), source))?;
    let wrong = |message: String| Error::Usage {
        message,
        hint: "a file for --from holds one Cluster of k0smotron.io; kubectl apply takes several \
               objects"
            .to_owned(),
    };
    let mut found: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|error| wrong(format!("{shown} must be YAML: {}", parse_message(&error))))?;
    // Nothing follows a separator at the end.
    found.retain(|value| !value.is_null());
    let [value] = found.as_slice() else {
        return Err(wrong(format!("{shown} holds {} objects", found.len())));
    };
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let group = field("apiVersion").split_once('/').map(|(group, _)| group);
    if field("kind") != "Cluster" || group != Some(resources::GROUP) {
        return Err(wrong(format!(
            "{shown} holds a \"{}\" of \"{}\"",
            field("kind"),
            field("apiVersion")
        )));
    }
    // As the API server would read it.
    let spoken = format!("{}/{}", resources::GROUP, resources::VERSION);
    crds::conversion::convert(value.clone(), &spoken)
        .map_err(|error| wrong(format!("{shown} cannot be read as {spoken}: {error}")))
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
    use crate::cli::Cli;
    use crate::commands::Command;

    fn flags(line: &str) -> CreateArgs {
        let words = std::iter::once("k").chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Create(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn made(line: &str) -> Value {
        serde_json::to_value(object(&flags(line), None, "team-a").unwrap().1).unwrap()
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
    fn a_file_is_taken_as_it_is_and_single_fields_are_set() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "apiVersion: k0smotron.io/v1beta2\nkind: Cluster\n\
            metadata: {name: mine, labels: {a: b}}\nspec: {replicas: 1}\n";
        std::fs::write(file.path(), text).unwrap();
        let from = file.path().display();
        let as_it_is = made(&format!("create --from {from}"));
        assert_eq!(
            as_it_is["metadata"],
            json!({"name": "mine", "namespace": "team-a", "labels": {"a": "b"}})
        );
        std::fs::write(file.path(), format!("---\n{text}---\n")).unwrap();
        assert_eq!(made(&format!("create --from {from}")), as_it_is);
        let changed = made(&format!("create other --from {from} --set spec.replicas=3"));
        assert_eq!(changed["metadata"]["name"], "other");
        assert_eq!(changed["spec"], json!({"replicas": 3}));
        let line = format!("k create --from {from} --replicas 3");
        let refused = Cli::try_parse_from(line.split_whitespace()).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
    }

    #[test]
    fn a_namespace_of_a_file_counts_and_never_another_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "apiVersion: k0smotron.io/v1beta2\nkind: Cluster\n\
            metadata: {name: mine, namespace: team-b}\nspec: {}\n";
        std::fs::write(file.path(), text).unwrap();
        let args = flags(&format!("create --from {}", file.path().display()));
        for flag in [None, Some("team-b")] {
            let (_, made) = object(&args, flag, "team-a").unwrap();
            assert_eq!(made.metadata.namespace.as_deref(), Some("team-b"));
        }
        let refused = object(&args, Some("team-a"), "team-a").unwrap_err();
        assert_eq!(refused.exit().code(), 2);
        let said = refused.to_string();
        assert!(
            said.contains("\"team-a\"") && said.contains("\"team-b\""),
            "{said}"
        );
    }

    #[test]
    fn a_namespace_that_would_be_another_address_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let args = flags(&format!("create --from {}", file.path().display()));
        for strange in ["kube-system/services/http:x:80/proxy/a?id=1", "..", "a.b"] {
            let text = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "metadata": {"name": "mine", "namespace": strange}, "spec": {}});
            std::fs::write(file.path(), text.to_string()).unwrap();
            for flag in [None, Some(strange)] {
                let refused = object(&args, flag, "team-a").unwrap_err();
                assert_eq!(refused.exit().code(), 2);
                let said = format!("metadata.namespace: Invalid value: \"{strange}\"");
                assert!(refused.to_string().contains(&said), "{refused}");
            }
        }
    }

    #[test]
    fn a_file_of_the_older_version_is_converted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "apiVersion: k0smotron.io/v1beta1\nkind: Cluster\nmetadata: {name: mine}\n\
            spec: {service: {type: NodePort, apiPort: 30443}, persistence: {type: emptyDir}}\n";
        std::fs::write(file.path(), text).unwrap();
        let made = made(&format!("create --from {}", file.path().display()));
        assert_eq!(made["apiVersion"], "k0smotron.io/v1beta2");
        assert_eq!(made["spec"]["service"]["apiPort"], 30443);
    }

    #[test]
    fn a_file_that_holds_no_cluster_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, why) in [
            ("kind: Pod\napiVersion: v1\n", "holds a \"Pod\""),
            (
                "kind: Cluster\napiVersion: k0smotron.io/v1alpha1\n",
                "cannot be read as",
            ),
            (
                "kind: Cluster\napiVersion: cluster.x-k8s.io/v1beta1\n",
                "of \"cluster.x-k8s.io",
            ),
            ("a: [", "must be YAML"),
            (
                "a: 1\na: 2",
                "duplicate mapping key `a` is not allowed here",
            ),
            ("kind: Namespace\n---\nkind: Cluster\n", "holds 2 objects"),
            ("# nothing\n", "holds 0 objects"),
            (
                "kind: Cluster\napiVersion: k0smotron.io/v1beta2\nmetadata: {name: A}\n",
                "metadata.name: Invalid value: \"A\"",
            ),
        ] {
            std::fs::write(file.path(), text).unwrap();
            let args = flags(&format!("create --from {}", file.path().display()));
            let error = object(&args, None, "x").unwrap_err();
            assert_eq!(error.exit().code(), 2);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        let error = object(&flags("create demo --host-path /srv"), None, "x").unwrap_err();
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
