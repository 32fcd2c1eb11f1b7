//! Commands that wait.

use std::time::Duration;

use anyhow::Result;
use crds::v1beta2::Cluster;
use kube::api::{Api, Patch, PatchParams};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::person::{Ended, Person};
use crate::scene::{condition, installed, run_blocking, set_status, until};

#[tokio::test(flavor = "multi_thread")]
async fn waits_end_well_in_time_by_ctrl_c_or_when_there_is_no_hope() -> Result<()> {
    let (light, admin) = installed().await?;
    let admin = std::sync::Arc::new(admin);
    let clusters: Api<Cluster> = Api::namespaced(light.admin().await?, "default");
    let made = async |name: &str| until(async || Ok(clusters.get_opt(name).await?)).await;

    let wait = run_blocking(&admin, "create good --wait");
    made("good").await?;
    let waiting = condition(
        "Available",
        "False",
        "EtcdNotReady",
        "0 of 1 members are ready",
    );
    set_status(&clusters, "good", &json!({"conditions": [waiting]})).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ready = condition("Available", "True", "Available", "");
    let ready = json!({"conditions": [ready], "endpoint": "https://10.9.8.7:6443"});
    set_status(&clusters, "good", &ready).await?;
    let ended = wait.await??;
    let told = [
        "EtcdNotReady: 0 of 1 members",
        "good is available at https://10.9.8.7:6443",
    ];
    let ended = ended.expect(0, &told);
    assert_eq!(
        ended.stderr.matches("EtcdNotReady").count(),
        1,
        "{ended:#?}"
    );

    let late = admin.runs("create late --wait --timeout 1s")?;
    late.expect(
        7,
        &[
            "timed out after",
            "hint: follow it: kubectl k0smotron status late",
        ],
    );
    assert!(
        clusters.get_opt("late").await?.is_some(),
        "what was made stays"
    );

    let wait = run_blocking(&admin, "create hopeless --wait");
    let generation = made("hopeless").await?.metadata.generation;
    let refusal = condition(
        "Accepted",
        "False",
        "NotImplemented",
        "spec.ingress is not supported",
    );
    let refusal = json!({"conditions": [refusal], "observedGeneration": generation});
    set_status(&clusters, "hopeless", &refusal).await?;
    wait.await??
        .expect(9, &["NotImplemented: spec.ingress is not supported"]);

    // Before the mothership has answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let text = std::fs::read_to_string(&admin.kubeconfig)?;
    let server = format!("https://{}", silent.local_addr()?);
    let nobody = Person::new(admin.file("silent", &text.replace(light.server(), &server))?)?;
    let create = nobody.starts("create early --wait")?;
    let _held = silent.accept()?;
    create.interrupted()?.expect(
        130,
        &["interrupted: cluster default/early may have been created"],
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let name = format!("stopped-{}", signal.as_str().to_lowercase());
        let child = admin.starts(&format!("create {name} --wait"))?;
        made(&name).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        child.signal(signal)?;
        child.ends()?.expect(
            130,
            &[
                "was created and goes on starting",
                "hint: follow it:",
                "hint: take it back:",
            ],
        );
        let left = made(&name).await?;
        assert_eq!(
            left.metadata.finalizers, None,
            "the plugin leaves nothing of its own"
        );
    }
    light.down().await
}

/// Interrupts a command after a while.
async fn interrupted(admin: &Person, line: &str) -> Result<Ended> {
    let child = admin.starts(line)?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    child.interrupted()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_wait_says_what_stays_and_how_to_go_on() -> Result<()> {
    let (light, admin) = installed().await?;
    let clusters: Api<Cluster> = Api::namespaced(light.admin().await?, "default");
    admin.runs("create demo")?.expect(0, &[]);

    let ended = interrupted(&admin, "kubeconfig demo --wait").await?;
    ended.expect(
        130,
        &["interrupted: nothing was changed", "hint: see how far the"],
    );
    let ended = interrupted(&admin, "join demo --name mine").await?;
    ended.expect(
        130,
        &[
            "interrupted: ",
            "hint: read the token later",
            "hint: take it back",
        ],
    );

    let held = Patch::Merge(json!({"metadata": {"finalizers": ["example.org/held"]}}));
    clusters
        .patch("demo", &PatchParams::default(), &held)
        .await?;
    let hangs = admin.runs("delete demo --wait --timeout 1s")?;
    hangs.expect(
        7,
        &[
            "held by example.org/held",
            "hint: a deletion cannot be undone",
        ],
    );
    let ended = interrupted(&admin, "delete demo --wait").await?;
    ended.expect(130, &["interrupted: ", "hint: a deletion cannot be undone"]);
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_a_status_sees_changes_and_asks_for_nothing_between_them() -> Result<()> {
    let (light, admin) = installed().await?;
    let clusters: Api<Cluster> = Api::namespaced(light.admin().await?, "default");
    admin.runs("create demo")?.expect(0, &[]);
    let (seen, asked) = (admin.file("seen", "")?, admin.file("asked", "")?);
    let mut command = admin.command("status demo --watch -v")?;
    command
        .stdout(std::fs::File::create(&seen)?)
        .stderr(std::fs::File::create(&asked)?);
    let mut watch = command.spawn()?;
    let shows = async |what: &str| {
        until(async || Ok(std::fs::read_to_string(&seen)?.contains(what).then_some(()))).await
    };
    let requests = || -> Result<usize> { Ok(std::fs::read_to_string(&asked)?.lines().count()) };
    shows("Cluster/demo").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = requests()?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(requests()?, before, "{}", std::fs::read_to_string(&asked)?);

    let waiting = condition(
        "Available",
        "False",
        "EtcdNotReady",
        "0 of 1 members are ready",
    );
    set_status(&clusters, "demo", &json!({"conditions": [waiting]})).await?;
    shows("EtcdNotReady").await?;
    admin.runs("delete demo --wait")?.expect(0, &[]);
    // What is watched is gone.
    let ended = tokio::task::spawn_blocking(move || watch.wait()).await??;
    assert_eq!(ended.code(), Some(3));
    light.down().await
}
