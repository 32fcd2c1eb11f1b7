//! Machines that are joined over ssh. A program in ssh's place runs the script here, below a
//! directory in place of `/`; k0s and the machine's own programs are played, and the nodes are
//! objects that the test writes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use crds::v1beta2::JoinTokenRequest;
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use mothership::Light;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::person::{Ended, Person, Running};
use crate::scene::{installed, packed, secret, token_kubeconfig, unpacked, until};

const SSH: &str = r#"#!/bin/sh
for word; do machine=$command; command=$word; done
[ "$machine" != gone ] || { echo "ssh: connect to host gone port 22: Connection refused" >&2; exit 255; }
[ "$machine" != slow ] || exec sleep 60
mkdir -p "DIR/$machine"
sed "s|^root=''|root='DIR/$machine'|" >"DIR/$machine/join.sh"
echo $$ >"DIR/$machine/pid"
export MACHINE=$machine
[ "$machine" = lost ] || exec sh "DIR/$machine/join.sh"
sh "DIR/$machine/join.sh"
echo "Connection to lost closed by remote host." >&2
exit 255
"#;

const K0S: &str = r#"#!/bin/sh
case $1 in
version) echo v1.36.3+k0s.2 ;;
install) mkdir -p "DIR/$MACHINE/etc/systemd/system"; : >"DIR/$MACHINE/etc/systemd/system/k0sworker.service" ;;
esac
"#;

pub struct Machines {
    dir: tempfile::TempDir,
}

impl Machines {
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let programs = [
            ("ssh", SSH),
            ("k0s", K0S),
            ("id", "#!/bin/sh\necho 0\n"),
            // The cluster takes the token: the one that it is asked with is played as well.
            (
                "curl",
                "#!/bin/sh\ncat >/dev/null\n\
                 [ \"$MACHINE\" != asks ] || { echo $$ >DIR/sleeper; exec sleep 60; }\necho 200\n",
            ),
            (
                "uname",
                "#!/bin/sh\n[ \"$1\" = -m ] && echo x86_64 || echo \"$MACHINE\"\n",
            ),
        ];
        fs::create_dir(dir.path().join("bin"))?;
        for (name, text) in programs {
            let path = dir.path().join("bin").join(name);
            fs::write(&path, text.replace("DIR", &dir.path().to_string_lossy()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { dir })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, person: &Person, line: &str) -> Result<Command> {
        let path = std::env::var("PATH")?;
        let path = format!("{}:{path}", self.file("bin").display());
        let mut command = person.command(line)?;
        command.env("PATH", path);
        Ok(command)
    }

    fn starts(&self, person: &Person, line: &str) -> Result<Running> {
        Running::start(&mut self.command(person, line)?)
    }
}

/// The controller's part: the token of the request that is there.
pub async fn make_token(light: &Light) -> Result<String> {
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    let request = until(async || {
        let found = requests.list(&ListParams::default()).await?;
        Ok(found.items.into_iter().next())
    })
    .await?;
    assert_eq!(request.spec.expiry, "1h0m0s");
    let name = request.metadata.name.context("no name")?;
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let token = packed(&token_kubeconfig())?;
    secrets
        .create(&PostParams::default(), &secret(&name, "token", &token)?)
        .await?;
    let status = Patch::Merge(json!({"status": {"tokenID": "a1b2c3"}}));
    requests
        .patch_status(&name, &PatchParams::default(), &status)
        .await?;
    Ok(name)
}

pub async fn says(nodes: &Api<Node>, name: &str, ready: &str, at: &str) -> Result<()> {
    let condition = json!({"type": "Ready", "status": ready, "reason": "Kubelet",
        "message": "no network yet", "lastHeartbeatTime": at, "lastTransitionTime": at});
    let status = Patch::Merge(json!({"status": {"conditions": [condition]}}));
    nodes
        .patch_status(name, &PatchParams::default(), &status)
        .await?;
    Ok(())
}

pub async fn ends(running: Running) -> Result<Ended> {
    tokio::task::spawn_blocking(|| running.ends()).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_join_over_ssh_and_are_waited_for_until_their_nodes_are_ready() -> Result<()> {
    let (light, admin) = installed().await?;
    let machines = Machines::new()?;
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    let nodes: Api<Node> = Api::all(client.clone());
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);
    let kubeconfig = fs::read_to_string(&admin.kubeconfig)?;
    let mut nowhere: serde_json::Value = serde_json::from_str(&kubeconfig)?;
    nowhere["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    let unreachable = secret("demo-kubeconfig", "value", &nowhere.to_string())?;
    secrets.create(&PostParams::default(), &unreachable).await?;
    let join = machines.starts(&admin, "join demo --ssh node-1,node-2")?;
    ends(join).await?.expect(
        5,
        &[
            "2 of 2 machines have not joined: the hosted API at",
            "hint: join without waiting for the nodes: --no-wait",
        ],
    );
    assert!(!machines.file("node-1").exists());
    assert!(
        requests
            .list(&ListParams::default())
            .await?
            .items
            .is_empty()
    );
    secrets
        .delete("demo-kubeconfig", &DeleteParams::default())
        .await?;
    // The mothership is its own hosted cluster here.
    let kubeconfig = secret("demo-kubeconfig", "value", &kubeconfig)?;
    secrets.create(&PostParams::default(), &kubeconfig).await?;
    let node = |name: &str| serde_json::from_value::<Node>(json!({"metadata": {"name": name}}));
    // One node is left over from an earlier life of its machine, and still looks Ready.
    nodes
        .create(&PostParams::default(), &node("node-2")?)
        .await?;
    says(&nodes, "node-2", "True", "2026-01-01T00:00:00Z").await?;

    let review = machines.starts(&admin, "join demo --ssh root@node-1 --print")?;
    let review = ends(review).await?.expect(0, &[]);
    assert!(
        review
            .stdout
            .starts_with("ssh -T -o BatchMode=yes -o StrictHostKeyChecking=yes "),
        "{review:#?}"
    );
    assert!(review.stdout.contains("\ntoken='<token>'\n"));
    assert!(
        requests
            .list(&ListParams::default())
            .await?
            .items
            .is_empty()
    );

    let line = "join demo --ssh root@node-1,root@node-2 -o json --timeout 60s";
    let join = machines.starts(&admin, line)?;
    make_token(&light).await?;
    until(async || {
        Ok(machines
            .file("node-1/etc/systemd/system/k0sworker.service")
            .exists()
            .then_some(()))
    })
    .await?;
    nodes
        .create(&PostParams::default(), &node("node-1")?)
        .await?;
    says(&nodes, "node-1", "False", "2026-02-01T00:00:00Z").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    says(&nodes, "node-1", "True", "2026-02-01T00:00:10Z").await?;
    says(&nodes, "node-2", "True", "2026-02-01T00:00:10Z").await?;
    let ended = ends(join).await?.expect(
        0,
        &[
            "root@node-1: connecting",
            "root@node-1: installing the service",
            "root@node-1: waiting for node node-1: no network yet",
            "root@node-2: waiting for node node-2: it is there from before and has not come back",
            "root@node-2: Ready",
        ],
    );
    for (index, name) in ["node-1", "node-2"].into_iter().enumerate() {
        let machine = &ended.json()?["machines"][index];
        assert_eq!(machine["state"], "ready", "{ended:#?}");
        assert_eq!(machine["node"], name);
        let token =
            fs::read_to_string(machines.file(&format!("{name}/etc/k0s/demo-worker.token")))?;
        assert!(unpacked(&token)?.contains("token: a1b2c3.x\n"));
        assert!(!ended.stderr.contains(token.trim()));
    }
    let left = requests.list(&ListParams::default()).await?;
    assert!(left.items.is_empty(), "the token was not revoked");

    for (machine, code, said) in [
        (
            "node-1",
            8,
            "1 of 1 machines have not joined: this machine is joined already",
        ),
        ("gone", 5, "hint: is the machine up"),
        ("node-1,gone", 1, "2 of 2 machines have not joined"),
    ] {
        let join = machines.starts(&admin, &format!("join demo --ssh {machine}"))?;
        make_token(&light).await?;
        let ended = ends(join).await?.expect(code, &[said]);
        assert!(ended.stdout.starts_with("MACHINE"), "{ended:#?}");
        let left = requests.list(&ListParams::default()).await?;
        assert!(left.items.is_empty(), "the token was not revoked");
    }
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_stays_as_long_as_machines_may_still_join_with_it() -> Result<()> {
    let (light, admin) = installed().await?;
    let machines = Machines::new()?;
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);
    // The mothership is its own hosted cluster here, and no node comes.
    crate::access::hosted_here(&light, &admin.kubeconfig).await?;
    for (line, code, state) in [
        ("--ssh node-1 --no-wait", 0, "started"),
        ("--ssh node-2 --role controller", 0, "started"),
        ("--ssh node-3 --start-command true", 0, "started"),
        ("--ssh node-4 --keep-token --no-wait", 0, "started"),
        ("--ssh node-5 --timeout 6s", 7, "failed"),
        ("--ssh lost", 5, "failed"),
        ("--ssh node-6,gone --no-wait", 5, "started"),
    ] {
        let join = machines.starts(&admin, &format!("join demo {line}"))?;
        let name = make_token(&light).await?;
        let ended = ends(join).await?.expect(
            code,
            &[
                "Machines may still be joining with the token: it stays until its end.",
                "Token a1b2c3 (",
                " of default/demo) is valid until 2",
                &format!("Revoke it: kubectl k0smotron token revoke {name} -n default"),
            ],
        );
        assert!(ended.stdout.contains(state), "{line}: {ended:#?}");
        let left = requests.get_opt(&name).await?;
        assert!(left.is_some(), "{line}: the token was revoked");
        requests.delete(&name, &DeleteParams::default()).await?;
    }
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_takes_back_a_token_that_no_machine_needs_and_tells_what_each_was_at()
-> Result<()> {
    let (light, admin) = installed().await?;
    let machines = Machines::new()?;
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    let asked_for = async || {
        until(async || {
            let found = requests.list(&ListParams::default()).await?;
            Ok((!found.items.is_empty()).then_some(()))
        })
        .await
    };
    let taken_back = async || {
        let left = requests.list(&ListParams::default()).await?.items;
        anyhow::ensure!(left.is_empty(), "left is {left:?}");
        Ok(())
    };
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);

    // Before the mothership has answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let text = fs::read_to_string(&admin.kubeconfig)?;
    let server = format!("https://{}", silent.local_addr()?);
    let nobody = Person::new(admin.file("silent", &text.replace(light.server(), &server))?)?;
    let join = machines.starts(&nobody, "join demo --ssh node-1 --no-wait")?;
    let _held = silent.accept()?;
    join.interrupted()?
        .expect(130, &["interrupted: nothing was changed"]);

    // While the token is waited for.
    let join = machines.starts(&admin, "join demo --ssh node-1 --no-wait")?;
    asked_for().await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    join.interrupted()?.expect(
        130,
        &["revoking the token", "interrupted: no machine was touched"],
    );
    taken_back().await?;

    // While the machines are at it: before k0s is started there, and while it may be up already.
    let sleeper = machines.file("sleeper");
    let start = format!("echo $$ >{}; exec sleep 60", sleeper.display());
    let undone = "hint: a machine on which k0s was being installed may go on by itself";
    let revoke = "hint: revoke the token: kubectl k0smotron token revoke demo-worker-";
    let gone = "error: interrupted: gone: failed: it cannot be reached";
    for (machine, at, stays) in [
        ("asks", "; asks: trying the token at https://", false),
        ("node-1", "; node-1: running the start command", true),
    ] {
        let line = format!("join demo --ssh gone,{machine} --start-command");
        let join = Running::start(machines.command(&admin, &line)?.arg(&start))?;
        make_token(&light).await?;
        until(async || Ok(sleeper.exists().then_some(()))).await?;
        // What the machines say has to get here.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let asked = Instant::now();
        join.signal(Signal::SIGINT)?;
        let ended = ends(join).await?.expect(130, &[gone, at, undone]);
        assert!(asked.elapsed() < Duration::from_secs(10), "{ended:#?}");
        assert_eq!(ended.stderr.contains(revoke), stays, "{ended:#?}");
        if stays {
            let left = requests.list(&ListParams::default()).await?.items;
            anyhow::ensure!(left.len() == 1, "left is {left:?}");
            let all = ListParams::default();
            requests
                .delete_collection(&DeleteParams::default(), &all)
                .await?;
        } else {
            taken_back().await?;
        }
        let pid = machines.file(&format!("{machine}/pid"));
        let pid: i32 = fs::read_to_string(pid)?.trim().parse()?;
        // Who is killed is there until somebody has taken note of it; the wait is half of the sleep.
        until(async || Ok(kill(Pid::from_raw(pid), None).is_err().then_some(()))).await?;
        let sleeping: i32 = fs::read_to_string(&sleeper)?.trim().parse()?;
        kill(Pid::from_raw(sleeping), Signal::SIGKILL)?;
        fs::remove_file(&sleeper)?;
    }

    // While a node is waited for. The mothership is its own hosted cluster here.
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let kubeconfig = secret("demo-kubeconfig", "value", &text)?;
    secrets.create(&PostParams::default(), &kubeconfig).await?;
    for (node, signal) in [("node-2", Signal::SIGTERM), ("node-3", Signal::SIGHUP)] {
        let join = machines.starts(&admin, &format!("join demo --ssh {node}"))?;
        make_token(&light).await?;
        let service = format!("{node}/etc/systemd/system/k0sworker.service");
        let service = machines.file(&service);
        until(async || Ok(service.exists().then_some(()))).await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        join.signal(signal)?;
        let said = format!("error: interrupted: {node}: waiting for node {node}");
        let stays = "it stays until its end";
        let hint = "hint: revoke the token: kubectl k0smotron token revoke demo-worker-";
        ends(join).await?.expect(130, &[stays, &said, hint]);
        // Its kubelet gets a certificate with the token, and nobody takes k0s away there.
        let left = requests.list(&ListParams::default()).await?.items;
        anyhow::ensure!(left.len() == 1, "left is {left:?}");
        for name in left.iter().filter_map(|left| left.metadata.name.as_deref()) {
            requests.delete(name, &DeleteParams::default()).await?;
        }
    }
    light.down().await
}
