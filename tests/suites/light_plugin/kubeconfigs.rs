//! Kubeconfigs of hosted clusters.

use std::process::Command;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use mothership::components::Components;
use mothership::progress::Progress;
use serde_json::{Value, json};

use crate::person::{Ended, Person};
use crate::scene::{installed, secret};

fn hosted_kubeconfig(server: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "demo-admin@demo-k0s",
        "clusters": [{"name": "demo-k0s", "cluster": {"server": server}}],
        "users": [{"name": "demo-admin", "user": {"token": "abc"}}],
        "contexts": [{"name": "demo-admin@demo-k0s",
            "context": {"cluster": "demo-k0s", "user": "demo-admin"}}],
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_is_printed_written_and_merged_without_loss() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    admin.runs("create demo")?.expect(0, &[]);
    let early = admin.runs("kubeconfig demo")?;
    early.expect(3, &["it is not there yet", "hint: wait for it with --wait"]);
    let text = hosted_kubeconfig("https://10.0.0.7:31443");
    secrets
        .create(
            &PostParams::default(),
            &secret("demo-kubeconfig", "value", &text)?,
        )
        .await?;

    let printed = admin.runs("kubeconfig demo --wait")?.expect(0, &[]);
    assert!(
        printed
            .stdout
            .contains("current-context: demo-admin@demo-k0s\n")
    );
    let shaped = admin.runs("kubeconfig demo --server https://x:1 --context-name p -o json")?;
    let shaped = shaped.expect(0, &[]).json()?;
    assert_eq!(shaped["clusters"][0]["cluster"]["server"], "https://x:1");
    assert_eq!(shaped["current-context"], "p");

    let out = admin.home.path().join("out");
    let write = format!("kubeconfig demo --output {}", out.display());
    admin.runs(&write)?.expect(0, &["Wrote "]);
    assert_eq!(std::fs::read_to_string(&out)?, printed.stdout);
    std::fs::write(&out, "something else")?;
    admin
        .runs(&write)?
        .expect(8, &["the file exists", "hint: add --force"]);

    // Into the very kubeconfig that leads to the mothership: it still does afterwards.
    let mine = std::fs::read_to_string(&admin.kubeconfig)?;
    let person = Person::new(admin.file("config", &mine)?)?;
    let merged = person
        .runs("kubeconfig demo --merge")?
        .expect(0, &["Merged context \"demo\""]);
    assert_eq!(merged.stdout, "");
    person.runs("list")?.expect(0, &[]);
    let components = Components::light(&Progress::new())?;
    let seen = Command::new(components.path("kubectl")?)
        .args(["config", "view", "--raw", "-o", "json", "--kubeconfig"])
        .arg(&person.kubeconfig)
        .output()?;
    let seen: Value = serde_json::from_slice(&seen.stdout)?;
    let names: Vec<&str> = seen["contexts"]
        .as_array()
        .context("no contexts")?
        .iter()
        .filter_map(|context| context["name"].as_str())
        .collect();
    // kubectl sorts what it shows.
    assert_eq!(names, ["demo", "mothership"]);
    assert_eq!(seen["current-context"], "mothership");
    person
        .runs("kubeconfig demo --merge")?
        .expect(0, &["has context \"demo\" already"]);
    person
        .runs("kubeconfig demo --merge --use")?
        .expect(0, &["Use it: kubectl get nodes"]);

    let taken = mine.replace("mothership", "demo");
    let person = Person::new(admin.file("taken", &taken)?)?;
    let refused = person.runs("kubeconfig demo --merge")?;
    refused.expect(
        8,
        &[
            "has a cluster entry \"demo\" already",
            "hint: choose another name",
        ],
    );
    assert_eq!(std::fs::read_to_string(&person.kubeconfig)?, taken);
    person
        .runs("kubeconfig demo --merge --context-name other")?
        .expect(0, &[]);
    several(&admin, &mine, &taken)?;
    locked_away(&admin, &mine)?;
    light.down().await
}

/// KUBECONFIG names several files.
fn several(admin: &Person, mine: &str, taken: &str) -> Result<()> {
    let folder = admin.home.path().join("several");
    std::fs::create_dir(&folder)?;
    let file = |name: &str| folder.join(name);
    let runs = |files: &[&str], line: &str| -> Result<Ended> {
        let files: Vec<_> = files.iter().map(|name| file(name)).collect();
        let mut command = admin.command(line)?;
        command.env("KUBECONFIG", std::env::join_paths(files)?);
        Ok(command.output()?.into())
    };
    std::fs::write(file("mine"), mine)?;
    std::fs::write(file("taken"), taken)?;

    // What is not there yet is not made, and what another file has is not shadowed.
    let merge = "kubeconfig demo --merge";
    runs(&["absent", "mine"], merge)?.expect(0, &["/mine.", "Use it: kubectl --context demo"]);
    assert!(!file("absent").exists());
    std::fs::write(file("mine"), mine)?;
    runs(&["mine", "taken"], merge)?.expect(
        8,
        &[
            "cannot merge into",
            "/taken: it has a cluster entry \"demo\" already",
        ],
    );
    assert_eq!(std::fs::read_to_string(file("mine"))?, mine);
    assert_eq!(std::fs::read_to_string(file("taken"))?, taken);

    // It stays in the file that it is in, whatever the order.
    std::fs::write(file("clusters"), "")?;
    let clusters = || std::fs::read_to_string(file("clusters"));
    let use_it = "Use it: kubectl --context demo";
    runs(&["clusters", "mine"], merge)?.expect(0, &["/clusters.", use_it]);
    // The file that comes first must not send whoever has it elsewhere.
    let clean = clusters()?;
    assert!(!clean.contains("current-context"), "{clean}");
    runs(&["clusters", "mine"], "list")?.expect(0, &[]);

    // An earlier release has merged whatever was in the Secret.
    let planted = "    exec: {command: sh}\n    token: abc\n";
    std::fs::write(file("clusters"), clean.replace("    token: abc\n", planted))?;
    assert_ne!(clusters()?, clean);
    runs(&["clusters", "mine"], merge)?.expect(
        0,
        &["Dropped what was in its entries and does not come from the cluster: user.exec."],
    );
    assert_eq!(clusters()?, clean);
    runs(&["mine", "clusters"], merge)?.expect(0, &["/clusters has context \"demo\" already"]);
    // The current context is where kubectl writes it: in the first file that there is.
    runs(&["mine", "clusters"], "kubeconfig demo --merge --use")?
        .expect(0, &["Use it: kubectl get nodes"]);
    assert_eq!(clusters()?, clean);
    let switched: Value = serde_json::from_str(&std::fs::read_to_string(file("mine"))?)?;
    assert_eq!(switched.get("current-context"), Some(&json!("demo")));
    let away = "It was the current context";
    runs(
        &["mine", "clusters"],
        "kubeconfig demo --remove --context mothership",
    )?
    .expect(0, &["from ", "/clusters.", away]);
    std::fs::write(file("mine"), mine)?;
    runs(&["mine", "clusters"], "kubeconfig demo --remove")?
        .expect(0, &["has nothing of cluster default/demo"]);
    assert_eq!(std::fs::read_to_string(file("mine"))?, mine);

    // What was merged into each alone goes out of both.
    std::fs::write(file("clusters"), mine)?;
    for name in ["mine", "clusters"] {
        runs(&[name], merge)?.expect(0, &["Merged context \"demo\""]);
    }
    runs(&["mine", "clusters"], "kubeconfig demo --remove")?.expect(0, &["/mine.", "/clusters."]);
    for name in ["mine", "clusters"] {
        let left = std::fs::read_to_string(file(name))?;
        assert!(!left.contains("\"demo\""), "{left}");
    }
    Ok(())
}

/// The folder of the kubeconfig cannot be written to, not even by root.
fn locked_away(admin: &Person, mine: &str) -> Result<()> {
    let folder = admin.home.path().join("locked");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("config"), mine)?;
    let immutable = |flag: &str| Command::new("chattr").arg(flag).arg(&folder).status();
    if !immutable("+i").is_ok_and(|status| status.success()) {
        // Not every file system knows that; root may write everywhere else.
        return Ok(());
    }
    let person = Person::new(folder.join("config"))?;
    let refused = person.runs("kubeconfig demo --merge");
    immutable("-i")?;
    refused?.expect(6, &["/locked", "hint: "]);
    assert_eq!(std::fs::read_to_string(folder.join("config"))?, mine);
    assert_eq!(std::fs::read_dir(&folder)?.count(), 1);
    Ok(())
}
