//! Commands that change a cluster which others write at the same time, or which end early.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use crds::v1beta2::Cluster;
use kube::api::{Api, Patch, PatchParams};
use nix::pty::openpty;
use serde_json::{Value, json};

use crate::person::{Person, Running};
use crate::scene::{condition, installed, set_status, until};

/// Opens a cluster in an editor that waits until the file `go` is there, then asks for 3 replicas.
struct Editing {
    person: Person,
}

impl Editing {
    fn new(person: Person) -> Result<Self> {
        let home = person.home.path().display().to_string();
        let script = format!(
            "touch {home}/open\n\
             i=0; while [ ! -e {home}/go ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i+1)); done\n\
             sed -i 's/replicas: 1/replicas: 3/' \"$1\"\n"
        );
        person.file("editor.sh", &script)?;
        Ok(Self { person })
    }

    fn starts(&self) -> Result<Running> {
        let home = self.person.home.path();
        for left in ["open", "go"] {
            let _ = std::fs::remove_file(home.join(left));
        }
        let mut command = self.person.command("edit demo")?;
        command.env(
            "KUBE_EDITOR",
            format!("sh {}", home.join("editor.sh").display()),
        );
        Running::start(&mut command)
    }

    async fn is_open(&self) -> Result<()> {
        let open = self.person.home.path().join("open");
        until(async || Ok(open.exists().then_some(()))).await
    }

    fn is_saved(&self) -> Result<()> {
        self.person.file("go", "").map(drop)
    }
}

async fn write(clusters: &Api<Cluster>, change: Value) -> Result<Cluster> {
    let changed = clusters
        .patch("demo", &PatchParams::default(), &Patch::Merge(change))
        .await?;
    Ok(changed)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_keeps_what_others_wrote_meanwhile_and_overwrites_none_of_it() -> Result<()> {
    let (light, admin) = installed().await?;
    let clusters: Api<Cluster> = Api::namespaced(light.admin().await?, "default");
    admin
        .runs("create demo --service ClusterIP --version v1.36.2-k0s.0")?
        .expect(0, &[]);
    let editing = Editing::new(admin)?;

    // What the controller does with every new cluster, and a colleague who upgrades it.
    let edit = editing.starts()?;
    editing.is_open().await?;
    let finalizer = json!(["k0smotron.io/finalizer"]);
    write(&clusters, json!({"metadata": {"finalizers": finalizer}})).await?;
    let starting = condition("Available", "False", "Starting", "not yet");
    set_status(&clusters, "demo", &json!({"conditions": [starting]})).await?;
    write(&clusters, json!({"spec": {"version": "v1.36.3-k0s.2"}})).await?;
    editing.is_saved()?;
    let ended = edit.ends()?.expect(0, &[]);
    assert_eq!(ended.stdout, "cluster.k0smotron.io/demo edited\n");
    let edited = clusters.get("demo").await?;
    assert_eq!(edited.spec.replicas, 3);
    assert_eq!(edited.spec.version.as_deref(), Some("v1.36.3-k0s.2"));
    assert_eq!(json!(edited.metadata.finalizers), finalizer);
    assert!(
        edited
            .status
            .is_some_and(|status| !status.conditions.is_empty())
    );

    // Somebody else decides about the same field.
    write(&clusters, json!({"spec": {"replicas": 1}})).await?;
    let edit = editing.starts()?;
    editing.is_open().await?;
    write(&clusters, json!({"spec": {"replicas": 5}})).await?;
    editing.is_saved()?;
    let ended = edit.ends()?.expect(
        8,
        &[
            "it was changed by somebody else since you looked at it",
            "What you edited is in ",
            "hint: look at it again",
        ],
    );
    assert_eq!(clusters.get("demo").await?.spec.replicas, 5);
    let kept = ended
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("What you edited is in "));
    let kept = kept.expect("the file is named");
    assert!(std::fs::read_to_string(kept)?.contains("replicas: 3"));
    std::fs::remove_file(kept)?;
    write(&clusters, json!({"metadata": {"finalizers": null}})).await?;
    light.down().await
}

/// A cluster that is well and runs v1.36.2.
async fn running(person: &Person, clusters: &Api<Cluster>) -> Result<()> {
    person
        .runs("create demo --service ClusterIP --version v1.36.2-k0s.0")?
        .expect(0, &[]);
    let available = condition("Available", "True", "Available", "");
    let status = json!({"version": "v1.36.2-k0s.0", "conditions": [available],
        "observedGeneration": clusters.get("demo").await?.metadata.generation});
    set_status(clusters, "demo", &status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_upgrade_says_whether_it_goes_on() -> Result<()> {
    let (light, admin) = installed().await?;
    let clusters: Api<Cluster> = Api::namespaced(light.admin().await?, "default");
    running(&admin, &clusters).await?;
    let asked_for = async || {
        Ok::<_, anyhow::Error>(clusters.get("demo").await?.spec.version.unwrap_or_default())
    };

    // Before the mothership has answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let text = std::fs::read_to_string(&admin.kubeconfig)?;
    let server = format!("https://{}", silent.local_addr()?);
    let nobody = Person::new(admin.file("silent", &text.replace(light.server(), &server))?)?;
    let upgrade = nobody.starts("upgrade demo --to v1.36.3")?;
    let _held = silent.accept()?;
    upgrade
        .interrupted()?
        .expect(130, &["interrupted: nothing was changed"]);

    // At the question.
    let terminal = openpty(None, None)?;
    let mut command = admin.command("upgrade demo --to v1.36.3")?;
    let upgrade = Running::start(command.stdin(Stdio::from(terminal.slave)))?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    upgrade.interrupted()?.expect(
        130,
        &["Upgrade it? [y/N]", "interrupted: nothing was changed"],
    );
    assert_eq!(asked_for().await?, "v1.36.2-k0s.0");
    drop(terminal.master);

    // While it is followed.
    let upgrade = admin.starts("upgrade demo --to v1.36.3 --yes")?;
    until(async || Ok((asked_for().await? != "v1.36.2-k0s.0").then_some(()))).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    upgrade.interrupted()?.expect(
        130,
        &[
            "interrupted: cluster default/demo goes on from v1.36.2-k0s.0 to v1.36.3+k0s.2",
            "hint: follow it: kubectl k0smotron wait demo --for upgraded",
            "hint: go back while it has not ended: kubectl k0smotron upgrade demo --to v1.36.2",
        ],
    );
    assert_eq!(asked_for().await?, "v1.36.3+k0s.2");
    light.down().await
}
