//! Clusters from their creation to their deletion.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use crds::v1beta2::Cluster;
use kube::api::Api;
use serde_json::json;

use crate::person::Person;
use crate::scene::{condition, installed, set_status};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_created_listed_shown_and_deleted() -> Result<()> {
    let (light, admin) = installed().await?;
    let clusters: Api<Cluster> = Api::namespaced(light.admin().await?, "default");

    let empty = admin
        .runs("list")?
        .expect(0, &["No clusters found in namespace \"default\"."]);
    assert_eq!(empty.stdout, "");

    // What is tried out is not kept, and the client's trial needs no server at all.
    let nowhere = Person::new(PathBuf::from("/does/not/exist"))?;
    let dry = nowhere
        .runs("create demo -n team-a --dry-run=client -o json")?
        .expect(0, &[]);
    assert_eq!(dry.json()?["metadata"]["namespace"], "team-a");
    let dry = admin
        .runs("create demo --dry-run=server -o json")?
        .expect(0, &["server dry run"]);
    let seen = dry.json()?;
    assert_eq!(seen["spec"]["service"]["apiPort"], 0);
    assert!(
        seen["spec"]["image"].is_string(),
        "the server's defaults show: {seen}"
    );
    assert!(clusters.get_opt("demo").await?.is_none());

    let made = admin.runs("create demo --replicas 3")?.expect(0, &[]);
    assert_eq!(made.stdout, "cluster.k0smotron.io/demo created\n");
    let again = admin.runs("create demo")?;
    again.expect(
        8,
        &[
            "cannot create cluster default/demo",
            "hint: ",
            "status demo",
        ],
    );
    let named = admin.runs("create second -o name")?.expect(0, &[]);
    assert_eq!(named.stdout, "cluster.k0smotron.io/second\n");

    let list = admin.runs("list")?.expect(0, &[]);
    let titles = list.stdout.lines().next().context("no titles")?;
    let titles: Vec<&str> = titles.split_whitespace().collect();
    let expected = [
        "NAME", "VERSION", "REPLICAS", "READY", "ENDPOINT", "STORAGE", "AGE",
    ];
    assert_eq!(titles, expected);
    assert_eq!(list.stdout.lines().count(), 3);
    let names = admin.runs("list -A -o name")?.expect(0, &[]);
    assert_eq!(
        names.stdout,
        "cluster.k0smotron.io/demo\ncluster.k0smotron.io/second\n"
    );
    let list = admin.runs("list -o json")?.expect(0, &[]).json()?;
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"][0]["kind"], "Cluster");
    let none = admin
        .runs("list -l tier=none")?
        .expect(0, &["No clusters found"]);
    assert_eq!(none.stdout, "");
    admin
        .runs("list -l (")?
        .expect(9, &["cannot list clusters"]);

    let waiting = condition(
        "Available",
        "False",
        "EtcdNotReady",
        "0 of 1 members are ready",
    );
    set_status(&clusters, "demo", &json!({"conditions": [waiting]})).await?;
    let status = admin.runs("status demo")?.expect(0, &[]);
    assert!(status.stdout.contains("Cluster/demo"), "{status:#?}");
    assert!(
        status.stdout.contains("0 of 1 members are ready"),
        "{status:#?}"
    );
    let status = admin.runs("status demo -o json")?.expect(0, &[]).json()?;
    assert_eq!(status["tree"]["reason"], "EtcdNotReady");
    assert_eq!(status["cluster"]["metadata"]["name"], "demo");
    let wide = admin.runs("list -o wide")?.expect(0, &[]);
    assert!(wide.stdout.contains("EtcdNotReady"), "{wide:#?}");

    let unknown = admin.runs("status dmeo")?;
    unknown.expect(
        3,
        &["there is no cluster \"dmeo\"", "hint: did you mean demo?"],
    );
    let elsewhere = admin.runs("status demo -n kube-system")?;
    elsewhere.expect(
        3,
        &["hint: there is one in namespace default: add -n default"],
    );
    for command in ["delete", "join", "kubeconfig", "status"] {
        admin
            .runs(&format!("{command} absent"))?
            .expect(3, &["there is no cluster \"absent\""]);
    }
    admin
        .runs("create demo -n nowhere")?
        .expect(3, &["\"nowhere\" not found", "hint: "]);

    let dry = admin.runs("delete demo --dry-run=server")?.expect(0, &[]);
    assert_eq!(
        dry.stdout,
        "cluster.k0smotron.io/demo deleted (server dry run)\n"
    );
    assert!(clusters.get_opt("demo").await?.is_some());
    // Standard input is no terminal, so nobody is asked.
    let gone = admin.runs("delete demo --wait")?.expect(0, &["is gone"]);
    assert_eq!(gone.stdout, "cluster.k0smotron.io/demo deleted\n");
    assert!(clusters.get_opt("demo").await?.is_none());
    admin.runs("delete demo --ignore-not-found")?.expect(0, &[]);

    let version = admin.runs("version -o json")?.expect(0, &[]).json()?;
    assert_eq!(version["api"], json!(["v1beta2", "v1beta1"]));
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_is_told_with_its_field() -> Result<()> {
    let (light, admin) = installed().await?;
    let refused = admin.runs("create demo --service ClusterIP --api-port 0")?;
    refused.expect(9, &["refused: spec.service.apiPort:", "hint: "]);
    let refused = admin.runs("create demo --persistence pvc --persistence-size much")?;
    refused.expect(9, &["spec.persistence", "hint: "]);
    let long = format!("create {}", "a".repeat(60));
    admin
        .runs(&long)?
        .expect(9, &["metadata.name", "50 characters"]);
    admin.runs("create demo --service Ingress")?;
    for line in [
        "create",
        "create Demo",
        "create demo --replicas x",
        "frobnicate",
        "list -o xml",
    ] {
        let ended = admin.runs(line)?;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{line}: {ended:#?}"
        );
        assert!(
            ended.stderr.contains("error: ") || line == "create",
            "{ended:#?}"
        );
    }
    let stray = admin.runs("create demo --host-path /srv")?;
    stray.expect(
        2,
        &["--host-path means nothing without --persistence hostPath"],
    );
    light.down().await
}
