//! `kubectl k0smotron` as a person types it, against a real API server. Where a command waits for
//! the controller, the test plays the controller's part and writes what it would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::v1beta2::{Cluster, JoinTokenRequest};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use mothership::components::Components;
use mothership::progress::Progress;
use mothership::{Light, LightOptions, paths};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Long enough for a busy machine; a test that works never waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The plugin, built once.
fn program() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        if let Some(named) = std::env::var_os("K0SMOTRON_PLUGIN") {
            return Ok(PathBuf::from(named));
        }
        let root = paths::workspace();
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--package", "plugin", "--target-dir"])
            .arg(&target)
            .current_dir(&root)
            .status();
        match status {
            Ok(status) if status.success() => Ok(target.join("debug/kubectl-k0smotron")),
            Ok(status) => Err(format!("building the plugin: {status}")),
            Err(error) => Err(format!("building the plugin: {error}")),
        }
    });
    built.clone().map_err(anyhow::Error::msg)
}

/// Somebody with a kubeconfig and a home of their own.
struct Person {
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
}

/// What a command came to.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Ends the test unless the command ended with this code and said these things on stderr.
    #[track_caller]
    fn expect(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for part in said {
            assert!(
                self.stderr.contains(part),
                "stderr lacks {part:?}: {self:#?}"
            );
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        if code != 0 {
            let errors = self
                .stderr
                .lines()
                .filter(|line| line.starts_with("error: "))
                .count();
            assert_eq!(errors, 1, "one line says what is wrong: {self:#?}");
        }
        self
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("{self:#?}"))
    }
}

impl Person {
    fn new(kubeconfig: PathBuf) -> Result<Self> {
        Ok(Self {
            home: tempfile::tempdir()?,
            kubeconfig,
        })
    }

    fn command(&self, line: &str) -> Result<Command> {
        let mut command = Command::new(program()?);
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null());
        Ok(command)
    }

    fn runs(&self, line: &str) -> Result<Ended> {
        Ok(self.command(line)?.output()?.into())
    }

    fn starts(&self, line: &str) -> Result<std::process::Child> {
        let mut command = self.command(line)?;
        Ok(command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.home.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// A mothership with the product's kinds, and its administrator.
async fn installed() -> Result<(Light, Person)> {
    let light = Light::start(LightOptions::default()).await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(light.admin().await?);
    for definition in crds::definitions::all() {
        let name = definition
            .metadata
            .name
            .clone()
            .context("a definition without a name")?;
        definitions
            .create(&PostParams::default(), &definition)
            .await?;
        let established = kube::runtime::wait::conditions::is_crd_established();
        let wait = kube::runtime::wait::await_condition(definitions.clone(), &name, established);
        tokio::time::timeout(PATIENCE, wait).await??;
    }
    let person = Person::new(light.admin_kubeconfig()?)?;
    Ok((light, person))
}

async fn until<T>(mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

async fn set_status(api: &Api<Cluster>, name: &str, status: &Value) -> Result<()> {
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

fn run_blocking(
    person: &std::sync::Arc<Person>,
    line: &'static str,
) -> tokio::task::JoinHandle<Result<Ended>> {
    let person = person.clone();
    tokio::task::spawn_blocking(move || person.runs(line))
}

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
    assert_eq!(version["api"], json!(["v1beta2"]));
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_is_told_with_its_field() -> Result<()> {
    let (light, admin) = installed().await?;
    let refused = admin.runs("create demo --service ClusterIP --api-port 0")?;
    refused.expect(9, &["refused it: spec.service.apiPort:", "hint: "]);
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

    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let name = format!("stopped-{}", signal.as_str().to_lowercase());
        let child = admin.starts(&format!("create {name} --wait"))?;
        made(&name).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        kill(Pid::from_raw(child.id().try_into()?), signal)?;
        let ended = Ended::from(child.wait_with_output()?);
        ended.expect(
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

    let held = Patch::Merge(json!({"metadata": {"finalizers": ["example.org/held"]}}));
    clusters
        .patch("late", &PatchParams::default(), &held)
        .await?;
    let hangs = admin.runs("delete late --wait --timeout 1s")?;
    hangs.expect(
        7,
        &[
            "held by example.org/held",
            "hint: a deletion cannot be taken back",
        ],
    );
    light.down().await
}

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

fn secret(name: &str, key: &str, value: &str) -> Result<Secret> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name}, "data": {key: STANDARD.encode(value)},
    }))?)
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
    assert_eq!(printed.stdout, text);
    let shaped = admin.runs("kubeconfig demo --server https://x:1 --context-name p -o json")?;
    let shaped = shaped.expect(0, &[]).json()?;
    assert_eq!(shaped["clusters"][0]["cluster"]["server"], "https://x:1");
    assert_eq!(shaped["current-context"], "p");

    let out = admin.home.path().join("out");
    let write = format!("kubeconfig demo --output {}", out.display());
    admin.runs(&write)?.expect(0, &["Wrote "]);
    assert_eq!(std::fs::read_to_string(&out)?, text);
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
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_is_asked_for_awaited_and_explained() -> Result<()> {
    let (light, admin) = installed().await?;
    let admin = std::sync::Arc::new(admin);
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);

    let late = admin.runs("join demo --timeout 1s --name late")?;
    late.expect(
        7,
        &[
            "timed out",
            "hint: read the token later",
            "hint: take it back",
        ],
    );
    admin
        .runs("join demo --name late")?
        .expect(8, &["already exists", "hint: leave --name out"]);

    let join = run_blocking(&admin, "join demo --ttl 90m");
    let request = until(async || {
        let found = requests.list(&ListParams::default()).await?;
        Ok(found
            .items
            .into_iter()
            .find(|request| request.metadata.name.as_deref() != Some("late")))
    })
    .await?;
    assert_eq!(request.spec.expiry, "1h30m0s");
    let name = request.metadata.name.context("no name")?;
    assert!(name.starts_with("demo-worker-"), "{name}");
    let status = json!({"status": {"tokenID": "a1b2c3", "expiresAt": "2099-01-01T00:00:00Z"}});
    requests
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    secrets
        .create(&PostParams::default(), &secret(&name, "token", "H4sIAAAA")?)
        .await?;
    let ended = join.await??;
    let ended = ended.expect(
        0,
        &[
            "Token a1b2c3 (worker of default/demo) is valid until 2099-01-01T00:00:00Z",
            "Revoke it",
        ],
    );
    assert_eq!(ended.stdout.lines().count(), 1);
    assert!(
        ended.stdout.contains("K0S_VERSION=v1.36.3+k0s.2"),
        "{ended:#?}"
    );
    assert!(
        ended.stdout.contains("k0s install worker --token-file"),
        "{ended:#?}"
    );

    for (output, expected) in [("token", "H4sIAAAA\n"), ("cloud-init", "#cloud-config\n")] {
        let line: &'static str = format!("join demo --name as-{output} -o {output}").leak();
        let join = run_blocking(&admin, line);
        let name = format!("as-{output}");
        until(async || Ok(requests.get_opt(&name).await?)).await?;
        secrets
            .create(&PostParams::default(), &secret(&name, "token", "H4sIAAAA")?)
            .await?;
        let status = Patch::Merge(json!({"status": {"tokenID": "a1b2c3"}}));
        requests
            .patch_status(&name, &PatchParams::default(), &status)
            .await?;
        let ended = join.await??.expect(0, &[]);
        assert!(ended.stdout.starts_with(expected), "{ended:#?}");
    }
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_has_its_line_its_hint_and_its_exit_code() -> Result<()> {
    let light = Light::start(LightOptions::default()).await?;
    let admin = Person::new(light.admin_kubeconfig()?)?;
    for line in [
        "list",
        "status demo",
        "create demo",
        "delete demo",
        "kubeconfig demo",
    ] {
        let ended = admin.runs(line)?;
        if line == "kubeconfig demo" {
            ended.expect(10, &["k0smotron.io/v1beta2", "hint: install k0smotron"]);
        } else {
            ended.expect(
                10,
                &["does not know the resource", "hint: install k0smotron"],
            );
        }
    }
    let version = admin.runs("version")?.expect(0, &[]);
    assert!(
        version.stdout.contains("k0smotron.io is not installed"),
        "{version:#?}"
    );

    let limited = Person::new(light.kubeconfig("limited", &[])?)?;
    for line in [
        "list",
        "list -A",
        "status demo",
        "create demo",
        "join demo",
        "kubeconfig demo",
    ] {
        let ended = limited.runs(line)?;
        ended.expect(
            4,
            &[
                "no permission to ",
                "\"limited\"",
                "hint: ask the mothership's",
            ],
        );
    }
    let as_admin = admin.runs("list --as limited")?;
    as_admin.expect(4, &["User \"limited\" cannot list resource"]);

    let admin_text = std::fs::read_to_string(&admin.kubeconfig)?;
    let elsewhere = |server: &str| admin_text.replace(light.server(), server);
    let nobody = Person::new(admin.file("nobody", &elsewhere("https://127.0.0.1:1"))?)?;
    let refused = nobody.runs("list")?;
    refused.expect(
        5,
        &[
            "https://127.0.0.1:1: Connection refused",
            "hint: is the mothership",
        ],
    );
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let server = format!("https://{}", silent.local_addr()?);
    let silent = Person::new(admin.file("silent", &elsewhere(&server))?)?;
    let started = Instant::now();
    let ended = silent.runs("list --request-timeout 1s")?;
    ended.expect(5, &["no answer within 1s"]);
    assert!(started.elapsed() < Duration::from_secs(5));
    let unknown = Person::new(admin.file("unknown", &elsewhere("https://nowhere.invalid"))?)?;
    unknown
        .runs("list")?
        .expect(5, &["https://nowhere.invalid", "hint: is the host name"]);
    let mut proxied = silent.command("list")?;
    let proxied = proxied.env("HTTPS_PROXY", "http://127.0.0.1:1").output()?;
    Ended::from(proxied).expect(
        5,
        &["through the proxy http://127.0.0.1:1", "hint: is the proxy"],
    );
    let plain = Person::new(admin.file("plain", &elsewhere(&light.server().replace("s:", ":")))?)?;
    let ended = plain.runs("list")?;
    assert!([1, 5, 9].contains(&ended.code), "{ended:#?}");

    kubeconfigs(&admin, &admin_text)?;
    readers_that_leave(&admin, &light).await?;
    light.down().await
}

fn kubeconfigs(admin: &Person, text: &str) -> Result<()> {
    let missing = Person::new(PathBuf::from("/does/not/exist"))?;
    missing
        .runs("list")?
        .expect(6, &["/does/not/exist does not exist", "hint: "]);
    missing
        .runs("list --kubeconfig /not/this")?
        .expect(6, &["/not/this"]);
    admin
        .runs("list --context mother-ship")?
        .expect(6, &["hint: did you mean mothership?"]);
    for (name, broken, told) in [
        ("broken", "clusters: [".to_owned(), "is no kubeconfig"),
        ("folder", String::new(), "cannot read the kubeconfig"),
        ("empty", String::new(), "no current context"),
        (
            "gone",
            text.replace(
                "\"current-context\": \"mothership\"",
                "\"current-context\": \"x\"",
            ),
            "current context \"x\" is not in it",
        ),
        (
            "key",
            text.replace("client-key-data\": \"", "client-key-data\": \"@"),
            "client key",
        ),
    ] {
        let path = admin.home.path().join(name);
        if name == "folder" {
            std::fs::create_dir(&path)?;
        } else {
            std::fs::write(&path, &broken)?;
        }
        let person = Person::new(path)?;
        person.runs("list")?.expect(6, &[told, "hint: "]);
    }
    let failing = with_plugin(
        admin,
        "failing",
        "#!/bin/sh\necho please log in >&2\nexit 3\n",
    )?;
    failing
        .runs("list")?
        .expect(4, &["not logged in", "please log in", "hint: log in again"]);
    let absent = with_plugin(admin, "absent", "")?;
    absent
        .runs("list")?
        .expect(6, &["credential plugin", "cannot be started"]);
    let certificate: Value = serde_json::from_str(text)?;
    let user = |field: &str| -> Result<String> {
        let encoded = certificate
            .pointer(&format!("/users/0/user/{field}"))
            .and_then(Value::as_str)
            .context("no credentials")?;
        Ok(String::from_utf8(STANDARD.decode(encoded)?)?)
    };
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {
            "clientCertificateData": user("client-certificate-data")?,
            "clientKeyData": user("client-key-data")?,
        },
    });
    let script = format!("#!/bin/sh\ncat <<'END'\n{credential}\nEND\n");
    let working = with_plugin(admin, "working", &script)?;
    working.runs("version")?.expect(0, &[]);
    Ok(())
}

/// The administrator's kubeconfig with a credential plugin in place of the certificate.
fn with_plugin(admin: &Person, name: &str, script: &str) -> Result<Person> {
    let program = admin.home.path().join(format!("{name}.sh"));
    if !script.is_empty() {
        std::fs::write(&program, script)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode)?;
    }
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&admin.kubeconfig)?)?;
    let exec = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": program, "interactiveMode": "Never",
    }});
    *config.pointer_mut("/users/0/user").context("no user")? = exec;
    Person::new(admin.file(&format!("with-{name}"), &config.to_string())?)
}

async fn readers_that_leave(admin: &Person, light: &Light) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(light.admin().await?);
    ensure!(
        !namespaces
            .list(&ListParams::default())
            .await?
            .items
            .is_empty()
    );
    for line in ["version", "--help", "create demo --dry-run=client"] {
        let mut child = admin.starts(line)?;
        drop(child.stdout.take());
        let ended = Ended::from(child.wait_with_output()?);
        assert_eq!(ended.code, 0, "{line}: {ended:#?}");
        assert!(!ended.stderr.contains("panicked"), "{line}: {ended:#?}");
    }
    let help = admin.runs("--help")?.expect(0, &[]);
    assert!(help.stdout.contains("kubectl k0smotron"), "{help:#?}");
    assert!(Path::new(&admin.kubeconfig).exists());
    Ok(())
}
