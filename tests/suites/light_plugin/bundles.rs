//! What is handed to those who help: everything but secrets.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::v1beta2::{Cluster, JoinTokenRequest};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, ServiceAccount};
use k8s_openapi::serde::de::DeserializeOwned;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::NamespaceResourceScope;
use mothership::{Light, LightOptions};
use serde_json::{Value, json};
use support::bundle::unpacked;

use crate::person::Person;
use crate::scene::{condition, installed, secret, set_status, until};

/// Stands wherever a secret does.
const PLANTED: &str = "Pl4ntedS3cret";
/// Asked of the mothership for a bundle of one Cluster.
const REQUESTS: usize = 40;

async fn make<K>(client: &Client, object: Value) -> Result<()>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned + k8s_openapi::serde::Serialize,
{
    let api: Api<K> = Api::namespaced(client.clone(), "default");
    let object: K = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

/// A Cluster and its children with a secret in every place where somebody may have put one.
async fn plant(client: &Client) -> Result<()> {
    let url = format!("postgres://kine:{PLANTED}@db.local:5432/kine");
    let encoded = STANDARD.encode(format!("-----BEGIN EC PRIVATE KEY-----\n{PLANTED}\n"));
    let applied = json!({"spec": {"anything": PLANTED}}).to_string();
    let labels = json!({"app": "k0smotron", "cluster": "demo", "component": "cluster",
        "app.kubernetes.io/component": "control-plane"});
    make::<Cluster>(
        client,
        json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
            "metadata": {"name": "demo", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": applied,
                "example.org/note": format!("its database is {url}"),
                "example.org/api-token": PLANTED,
            }},
            "spec": {
                "service": {"type": "NodePort"},
                "storage": {"type": "kine", "kine": {"dataSourceURL": url}},
                "controlPlaneFlags": ["--debug", "--token", PLANTED],
                "k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig",
                    "spec": {"extensions": {"helm": {"charts": [{"name": "x", "chartname": "a/x", "namespace": "x",
                        "values": format!("auth:\n  password: {PLANTED} and more\n")}]}}}},
            },
        }),
    )
    .await?;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), "default");
    let waiting = condition("Available", "False", "Kine", &format!("cannot dial {url}"));
    set_status(&clusters, "demo", &json!({"conditions": [waiting]})).await?;
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n    token: {PLANTED}\n    \
         client-key-data: {encoded}\n"
    );
    make::<ConfigMap>(
        client,
        json!({"metadata": {"name": "kmc-demo-config", "labels": labels}, "data": {
            "kubeconfig": kubeconfig, "token": format!("H4sIAAAAAAAC/{PLANTED}+{PLANTED}=="),
            "key.pem": format!("-----BEGIN RSA PRIVATE KEY-----\n{PLANTED}\n-----END RSA PRIVATE KEY-----"),
            "k0s.yaml": format!("spec:\n  storage:\n    kine:\n      dataSource: {url}\n"),
        }}),
    )
    .await?;
    make::<Secret>(
        client,
        json!({"metadata": {"name": "demo-ca", "labels": {"cluster.x-k8s.io/cluster-name": "demo"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}},
            "type": "cluster.x-k8s.io/secret", "stringData": {"tls.key": PLANTED}}),
    )
    .await?;
    let container = json!({"name": "controller", "image": "k0s",
        "args": ["controller", "--api-token", PLANTED, format!("--kine={url}")],
        "env": [{"name": "DB_PASSWORD", "value": PLANTED}, {"name": "DATABASE", "value": url},
            {"name": "PLAIN", "value": "kept"}]});
    make::<ServiceAccount>(client, json!({"metadata": {"name": "default"}}))
        .await
        .ok();
    make::<Pod>(
        client,
        json!({"metadata": {"name": "kmc-demo-0", "labels": labels},
            "spec": {"containers": [container]}}),
    )
    .await?;
    make::<StatefulSet>(
        client,
        json!({"metadata": {"name": "kmc-demo", "labels": labels},
            "spec": {"serviceName": "kmc-demo", "replicas": 0,
                // Not those of the pod, which would be one too many.
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [container]}}}}),
    )
    .await?;
    make::<JoinTokenRequest>(
        client,
        json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
            "metadata": {"name": "mine", "annotations": {"example.org/password": PLANTED}},
            "spec": {"clusterName": "demo"}}),
    )
    .await?;
    make::<Event>(
        client,
        json!({"metadata": {"name": "demo.1", "namespace": "default"},
            "involvedObject": {"kind": "Cluster", "name": "demo", "namespace": "default"},
            "type": "Warning", "reason": "Refused", "lastTimestamp": "2026-01-01T00:00:00Z",
            "message": format!("answered 401 to Authorization: Bearer {PLANTED}; token={PLANTED}")}),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_holds_everything_but_secrets() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    plant(&client).await?;
    // Its own API, as far as the bundle can tell.
    let hosted = std::fs::read_to_string(&admin.kubeconfig)?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    let kubeconfig = secret("demo-kubeconfig", "value", &hosted)?;
    secrets.create(&PostParams::default(), &kubeconfig).await?;
    let node = serde_json::from_value(json!({"metadata": {"name": "worker-1"}}))?;
    let nodes: Api<Node> = Api::all(client);
    nodes.create(&PostParams::default(), &node).await?;

    let path = admin.home.path().join("bundle.tar.gz");
    let line = format!("support-bundle demo --output {}", path.display());
    let told = [
        "index.md says what each is",
        "look it through before you send it",
    ];
    let ended = admin.runs(&line)?.expect(0, &told);
    assert_eq!(ended.stdout, format!("{}\n", path.display()));
    assert!(!ended.stderr.contains(PLANTED), "{ended:#?}");
    let mode = std::fs::metadata(&path)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = unpacked(&std::fs::read(&path)?)?;
    let encoded = STANDARD.encode(PLANTED);
    for (name, text) in &files {
        let has = |secret: &str| text.contains(secret);
        assert!(!has(PLANTED) && !has(&encoded), "{name}: {text}");
    }
    let file = |name: &str| {
        let place = format!("clusters/default/demo/{name}");
        files
            .get(&place)
            .or_else(|| files.get(name))
            .map_or("", String::as_str)
    };
    for (name, part) in [
        ("cluster.yaml", "postgres://[redacted]@db.local:5432/kine"),
        ("status.txt", "Cluster/demo"),
        ("configmaps.yaml", "kmc-demo-config"),
        ("pods.yaml", "value: kept"),
        ("statefulsets.yaml", "kmc-demo"),
        ("secrets.yaml", "tls.key: 13"),
        ("jointokenrequests.yaml", "clusterName: demo"),
        ("events.yaml", "answered 401"),
        ("nodes.yaml", "name: worker-1"),
        ("versions.yaml", "gitVersion: v1."),
        ("doctor.txt", "clusters.k0smotron.io is there"),
        ("index.md", "cluster.yaml"),
    ] {
        assert!(
            file(name).contains(part),
            "{name} lacks {part:?}: {}",
            file(name)
        );
    }
    let index: Value = serde_json::from_str(file("index.json"))?;
    let indexed = index["files"].as_array().context("no files")?;
    // The two indexes are in none.
    assert_eq!(indexed.len() + 2, files.len());

    admin.runs(&line)?.expect(8, &["the file exists", "hint: "]);
    only(&admin, &["bundle.tar.gz"])?;

    let piped = admin.command("support-bundle -A --output -")?.output()?;
    let files = unpacked(&piped.stdout)?;
    assert!(files.contains_key("clusters/default/demo/cluster.yaml"));

    let counted = Person::new(light.kubeconfig("counted", &["system:masters"])?)?;
    let mark = light.audit().mark();
    let dry = counted.runs("support-bundle demo --since 1h --dry-run")?;
    let dry = dry.expect(0, &["none was written"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = light.audit().count("counted", mark)?;
    ensure!(asked.total() <= REQUESTS, "too many:\n{asked}");
    assert!(
        dry.stdout.contains("clusters/default/demo/secrets.yaml"),
        "{dry:#?}"
    );
    assert!(
        !dry.stdout.contains("demo/events.yaml"),
        "they are old: {dry:#?}"
    );

    admin
        .runs("support-bundle dmo")?
        .expect(3, &["did you mean demo?"]);
    admin
        .runs("support-bundle demo -A")?
        .expect(2, &["cannot be used with"]);
    let nowhere = admin.runs("support-bundle demo --output /does/not/exist/b.tar.gz")?;
    nowhere.expect(1, &["cannot write /does/not/exist/b.tar.gz"]);
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_installed_or_may_be_seen_the_bundle_says_so() -> Result<()> {
    let light = Light::start(LightOptions::default()).await?;
    let admin = Person::new(light.admin_kubeconfig()?)?;
    for line in ["support-bundle --dry-run", "support-bundle demo --dry-run"] {
        let ended = admin
            .runs(line)?
            .expect(0, &["does not know the resource (k0smotron.io/v1beta2)"]);
        assert!(ended.stdout.contains("doctor.txt"), "{ended:#?}");
    }
    let limited = Person::new(light.kubeconfig("limited", &[])?)?;
    let path = limited.home.path().join("bundle.tar.gz");
    let line = format!("support-bundle demo --output {}", path.display());
    limited
        .runs(&line)?
        .expect(0, &["not in it: no permission to "]);
    let files = unpacked(&std::fs::read(&path)?)?;
    let errors = files.get("errors.txt").context("no errors.txt")?;
    for what in ["get cluster default/demo", "list pods"] {
        assert!(errors.contains(what), "{errors}");
    }
    assert!(files.contains_key("versions.yaml"));
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_support_bundle_leaves_no_file() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    admin.runs("create demo --service NodePort")?.expect(0, &[]);
    // A hosted API that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("https://{}", silent.local_addr()?)}}],
        "users": [{"name": "u", "user": {"token": "abc"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let kubeconfig = secret("demo-kubeconfig", "value", &kubeconfig.to_string())?;
    secrets.create(&PostParams::default(), &kubeconfig).await?;

    let path = admin.home.path().join("bundle.tar.gz");
    let child = admin.starts(&format!("support-bundle demo --output {}", path.display()))?;
    until(async || Ok((!files(&admin)?.is_empty()).then_some(()))).await?;
    child
        .interrupted()?
        .expect(130, &["interrupted: no file was written"]);
    only(&admin, &[])?;
    light.down().await
}

fn files(person: &Person) -> Result<Vec<String>> {
    let folder: &Path = person.home.path();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

fn only(person: &Person, expected: &[&str]) -> Result<()> {
    let names = files(person)?;
    ensure!(names == expected, "{names:?} are left");
    Ok(())
}
