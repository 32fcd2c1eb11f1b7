//! What somebody may write who has one namespace, and what it does to whoever looks after the
//! clusters: nothing of it is run, opened, dialled, or shown as it is.

use std::io::{ErrorKind, Read as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use crds::v1beta2::{Cluster, ClusterPolicy, JoinTokenRequest};
use k8s_openapi::api::core::v1::{Event, Node, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use nix::pty::{Winsize, openpty};
use serde_json::{Value, json};

use crate::person::Person;
use crate::scene::{condition, installed, packed, secret, set_status, token_kubeconfig, until};

/// What a terminal must not get: a title, a colour that is not ours, an erased line, the eight-bit
/// form of the same, and text that is read backwards.
const ORDERS: &str = "\u{1b}]0;owned\u{7}\u{1b}[8mhidden\u{1b}[2K\r\u{9b}2Jok\u{202e}ko";
const SHOWN: &str = "^[]0;owned^G^[[8mhidden^[[2K^M\\u009b2Jok\\u202eko";

/// What is set up for somebody to walk into.
struct Trap {
    /// Exists once a program was run.
    marker: PathBuf,
    /// Sees who dials.
    listener: TcpListener,
    /// A file that is nobody else's business.
    private: PathBuf,
}

impl Trap {
    fn new(person: &Person) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            marker: person.home.path().join("pwned"),
            listener,
            private: person.file("private", "c2VjcmV0")?,
        })
    }

    fn run(&self) -> Value {
        let program = format!("date >>{}", self.marker.display());
        json!({"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "sh", "args": ["-c", program]})
    }

    /// A kubeconfig that leads to the listener, with one field besides.
    fn kubeconfig(&self, place: &str, field: &str, value: &Value) -> Result<String> {
        let server = format!("https://{}", self.listener.local_addr()?);
        let mut tree = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "abc"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        tree.pointer_mut(place).context("no such place")?[field] = value.clone();
        Ok(tree.to_string())
    }

    fn nobody_was_caught(&self, line: &str) -> Result<()> {
        ensure!(!self.marker.exists(), "{line}: a program was run");
        match self.listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            caught => anyhow::bail!("{line}: somebody dialled: {caught:?}"),
        }
    }
}

async fn plant(secrets: &Api<Secret>, name: &str, key: &str, text: &str) -> Result<()> {
    let patch = Patch::Apply(secret(name, key, text)?);
    secrets
        .patch(name, &PatchParams::apply("tenant").force(), &patch)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_uses_more_of_a_tenants_kubeconfig_than_an_address_and_credentials() -> Result<()>
{
    let (light, admin) = installed().await?;
    let secrets: Api<Secret> = Api::namespaced(light.admin().await?, "default");
    let trap = Trap::new(&admin)?;
    admin
        .runs("create demo --service NodePort --version v1.36.3-k0s.2")?
        .expect(0, &[]);
    let own = std::fs::read_to_string(&admin.kubeconfig)?;
    let out = admin.home.path().join("written");
    let field = "Secret default/demo-kubeconfig cannot be used: users[0].user.exec: is forbidden; \
                 only client-certificate-data, client-key-data, token may be there";
    // With a token besides nobody would ask the program.
    let text = trap.kubeconfig("/users/0", "user", &json!({"exec": trap.run()}))?;
    plant(&secrets, "demo-kubeconfig", "value", &text).await?;
    for line in [
        "node list demo",
        "kubeconfig demo",
        "kubeconfig demo --wait",
        "kubeconfig demo -o json",
        "kubeconfig demo --merge",
        "kubeconfig demo --as-user alice",
        "kubeconfig demo --in-cluster",
        "kubeconfig demo --server https://api.example.org:6443",
        &format!("kubeconfig demo --output {}", out.display()),
        &format!("connect demo --kubeconfig-file {}", out.display()),
        "connect demo -- date",
        "exec demo -- date",
        "exec demo --via tunnel -- date",
        "node remove demo node-1 --yes",
        "join demo --ssh node-1",
    ] {
        let ended = admin.runs(line)?;
        trap.nobody_was_caught(line)?;
        let ended = ended.expect(
            6,
            &[
                field,
                "hint: who may write Secrets in namespace default may have changed it",
                "kubectl get secret demo-kubeconfig -o yaml -n default",
            ],
        );
        ensure!(ended.stdout.is_empty(), "{line}: {ended:#?}");
        ensure!(!out.exists(), "{line}: a file was written");
    }
    ensure!(std::fs::read_to_string(&admin.kubeconfig)? == own, "merged");
    // What looks at all clusters goes on, and says which one it could not look into.
    let bundle = "support-bundle -A --dry-run";
    admin
        .runs(bundle)?
        .expect(0, &["not in it: ", "users[0].user.exec: is forbidden"]);
    for line in ["status demo", "list", "versions demo", bundle] {
        admin.runs(line)?.expect(0, &[]);
        trap.nobody_was_caught(line)?;
    }

    let file = json!(trap.private);
    let proxy = json!(format!("http://{}", trap.listener.local_addr()?));
    let provider = json!({"name": "gcp", "config": {"cmd-path": trap.private}});
    let (user, cluster) = ("/users/0/user", "/clusters/0/cluster");
    for (place, name, value) in [
        (user, "auth-provider", &provider),
        (user, "tokenFile", &file),
        (user, "client-certificate", &file),
        (user, "client-key", &file),
        (user, "username", &json!("root")),
        (user, "as", &json!("root")),
        (user, "as-groups", &json!(["system:masters"])),
        (user, "token", &json!("a\r\nImpersonate-User: root")),
        (user, "client-key-data", &file),
        (user, "a\nhint: sh", &json!("x")),
        (cluster, "certificate-authority", &file),
        (cluster, "proxy-url", &proxy),
        (cluster, "insecure-skip-tls-verify", &json!(true)),
        (cluster, "tls-server-name", &json!("../x")),
        (cluster, "server", &proxy),
        (cluster, "server", &json!("https://a/{b,c}")),
        (cluster, "server", &json!("https://a/\\033[8m")),
        (cluster, "extensions", &json!([{"name": "k0smotron.io"}])),
        (
            "/contexts/0/context",
            "extensions",
            &json!([{"name": "k0smotron.io"}]),
        ),
        ("/contexts/0/context", "namespace", &json!("../..")),
    ] {
        let text = trap.kubeconfig(place, name, value)?;
        plant(&secrets, "demo-kubeconfig", "value", &text).await?;
        let field = format!("{}.{name}: ", place.trim_start_matches('/'));
        let field = field.replace("/0/", "[0].").replace('\n', " ");
        for line in ["kubeconfig demo", "exec demo -- date", "node list demo"] {
            let ended = admin.runs(line)?.expect(6, &[&field]);
            ensure!(ended.stdout.is_empty(), "{line}: {ended:#?}");
            trap.nobody_was_caught(line)?;
        }
    }
    for text in ["\0\u{1}", "[", "just text", &"x".repeat(700_000)] {
        plant(&secrets, "demo-kubeconfig", "value", text).await?;
        let ended = admin
            .runs("kubeconfig demo")?
            .expect(6, &["cannot be used"]);
        ensure!(ended.stderr.len() < 2000, "{ended:#?}");
    }
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_is_written_anew_for_whoever_pipes_it() -> Result<()> {
    let (light, admin) = installed().await?;
    let secrets: Api<Secret> = Api::namespaced(light.admin().await?, "default");
    admin.runs("create demo")?.expect(0, &[]);
    let text = "# kubectl would read on\napiVersion: v1\nkind: Config\ncurrent-context: c\n\
                clusters: [{name: c, cluster: &a {server: 'https://10.0.0.7:31443'}}]\n\
                users:\n- name: u\n  user: {token: abc, exec: null, as-groups: []}\n\
                contexts: [{name: c, context: {cluster: c, user: u}}]\n";
    plant(&secrets, "demo-kubeconfig", "value", text).await?;
    let printed = admin.runs("kubeconfig demo")?.expect(0, &[]);
    let anew = "apiVersion: v1\nclusters:\n- cluster:\n    server: https://10.0.0.7:31443\n  \
                name: c\ncontexts:\n- context:\n    cluster: c\n    user: u\n  name: c\n\
                current-context: c\nkind: Config\npreferences: {}\nusers:\n- name: u\n  \
                user:\n    token: abc\n";
    assert_eq!(printed.stdout, anew);
    let inside = admin.runs("exec demo --via direct -- sh -c cat<\"$KUBECONFIG\"");
    let inside = inside?.expect(0, &[]);
    assert_eq!(inside.stdout, anew);
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_machine_gets_a_token_that_names_a_program() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let trap = Trap::new(&admin)?;
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);
    let mut hostile: Value = serde_json::from_str(&token_kubeconfig())?;
    hostile["users"][0]["user"]["exec"] = trap.run();
    let token = packed(&hostile.to_string())?;
    for form in [
        "token create demo",
        "join demo",
        "join demo -o script",
        "join demo -o json",
    ] {
        let running = admin.starts(&format!("{form} --name asked"))?;
        until(async || Ok(requests.get_opt("asked").await?)).await?;
        plant(&secrets, "asked", "token", &token).await?;
        let status = Patch::Merge(json!({"status": {"tokenID": "a1b2c3"}}));
        requests
            .patch_status("asked", &PatchParams::default(), &status)
            .await?;
        let ended = tokio::task::spawn_blocking(|| running.ends()).await??;
        let ended = ended.expect(
            6,
            &[
                "the token in Secret default/asked cannot be used: users[0].user.exec: is forbidden",
                "kubectl k0smotron token revoke asked -n default",
            ],
        );
        ensure!(ended.stdout.is_empty(), "{form}: {ended:#?}");
        requests.delete("asked", &DeleteParams::default()).await?;
        secrets.delete("asked", &DeleteParams::default()).await?;
        trap.nobody_was_caught(form)?;
    }
    light.down().await
}

/// What somebody sees who runs this in a terminal.
fn seen(person: &Person, line: &str) -> Result<(i32, String)> {
    seen_in(50, 2000, person, line)
}

fn seen_in(rows: u16, columns: u16, person: &Person, line: &str) -> Result<(i32, String)> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None)?;
    let mut command = person.command(line)?;
    command
        .env("TERM", "xterm")
        .stdout(Stdio::from(pty.slave.try_clone()?))
        .stderr(Stdio::from(pty.slave.try_clone()?));
    let mut child = command.spawn()?;
    drop((command, pty.slave));
    let reader = std::thread::spawn(move || read(pty.master));
    let code = child.wait()?.code().unwrap_or(-1);
    let seen = reader.join().map_err(|_| anyhow::anyhow!("no reader"))?;
    Ok((code, String::from_utf8(seen)?))
}

/// All that comes; where nobody writes any more a terminal answers with an error.
fn read(master: OwnedFd) -> Vec<u8> {
    let mut seen = Vec::new();
    let _ = std::fs::File::from(master).read_to_end(&mut seen);
    seen
}

fn obeys_nothing(line: &str, seen: &str) -> Result<()> {
    for order in ["\u{1b}]", "\u{7}", "\u{1b}[8m", "\u{9b}", "\u{202e}"] {
        ensure!(!seen.contains(order), "{line} shows {order:?}: {seen:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_shown_the_texts_of_others_and_obeys_none() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), "default");
    admin.runs("create demo --service NodePort")?.expect(0, &[]);
    let annotated = Patch::Merge(json!({"metadata": {"annotations": {"note": ORDERS}},
        "spec": {"k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig",
            "spec": {"api": {"note": ORDERS, "list": [ORDERS]}}}}}));
    let found = clusters
        .patch("demo", &PatchParams::default(), &annotated)
        .await?;
    let status = json!({"observedGeneration": found.metadata.generation, "conditions": [
        condition("Available", "False", "Odd", &format!("{ORDERS}\nerror: not ours"))]});
    set_status(&clusters, "demo", &status).await?;
    let event = json!({
        "metadata": {"name": "demo.1"}, "type": "Warning", "reason": ORDERS, "message": ORDERS,
        "involvedObject": {"kind": "Cluster", "name": "demo", "namespace": "default",
            "uid": found.metadata.uid},
        "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1,
    });
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    events
        .create(&PostParams::default(), &serde_json::from_value(event)?)
        .await?;
    // The mothership is its own hosted cluster here.
    let nodes: Api<Node> = Api::all(client);
    let node = json!({"metadata": {"name": "node-1"}});
    nodes
        .create(&PostParams::default(), &serde_json::from_value(node)?)
        .await?;
    let told = Patch::Merge(json!({"status": {"nodeInfo": {
        "kubeletVersion": ORDERS, "osImage": ORDERS, "architecture": "", "bootID": "",
        "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
        "machineID": "", "operatingSystem": "", "systemUUID": ""}}}));
    nodes
        .patch_status("node-1", &PatchParams::default(), &told)
        .await?;
    crate::access::hosted_here(&light, &admin.kubeconfig).await?;
    let rule = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy",
        "metadata": {"name": "strange"},
        "spec": {"rules": [{"name": "odd", "expression": format!("'{ORDERS}' == ''")}]}});
    let policies: Api<ClusterPolicy> = Api::all(light.admin().await?);
    policies
        .create(&PostParams::default(), &serde_json::from_value(rule)?)
        .await?;

    // Files of strangers are looked at before anything is done with them.
    let file = |name: &str, kind: &str, spec: Value| {
        let object = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": kind,
            "metadata": {"name": ORDERS}, "spec": spec});
        // YAML allows these in no other spelling.
        let text = object.to_string().replace('\u{9b}', "\\u009b");
        admin.file(name, &text)
    };
    let strange = file("strange", "Cluster", json!({}))?;
    let policy = file("policy", "ClusterPolicy", json!({"replicas": {"max": 1}}))?;
    let tested = format!(
        "policy test -f {} --policy {}",
        strange.display(),
        policy.display()
    );

    for (line, code) in [
        (tested.as_str(), 9),
        ("policy explain strange", 0),
        ("events demo", 0),
        ("status demo", 0),
        ("node list demo --via direct -o wide", 0),
        ("wait demo --timeout 1s", 7),
    ] {
        // Some terminals, such as those of a serial line, know no size.
        for (rows, columns) in [(50, 2000), (0, 0)] {
            let (ended, seen) = seen_in(rows, columns, &admin, line)?;
            ensure!(ended == code, "{line}: {ended}, {seen}");
            obeys_nothing(line, &seen)?;
            ensure!(seen.contains(SHOWN), "{line}: {seen:?}");
        }
    }
    // Programs read these, and get what was there, in their own notation.
    for line in [
        "events demo -o json",
        "status demo -o yaml",
        "list -o json -v=9",
    ] {
        let (ended, seen) = seen(&admin, line)?;
        ensure!(ended == 0, "{line}: {seen}");
        obeys_nothing(line, &seen)?;
    }
    let piped = admin.runs("events demo -o json")?.expect(0, &[]).json()?;
    assert_eq!(piped["items"][0]["message"], ORDERS);
    // A terminal is behind such a pipe.
    let explained = "policy explain strange --color always";
    for line in ["events demo", "events demo --color always", explained] {
        let piped = admin.runs(line)?.expect(0, &[]);
        obeys_nothing(line, &piped.stdout)?;
        ensure!(piped.stdout.contains(SHOWN), "{line}: {piped:#?}");
    }
    // No line of theirs is taken for one of ours.
    let late = admin.runs("wait demo --timeout 1s")?.expect(7, &[SHOWN]);
    obeys_nothing("wait", &late.stderr)?;
    light.down().await
}
