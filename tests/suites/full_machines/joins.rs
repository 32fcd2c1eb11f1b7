//! Machines that join as the plugin makes them.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use mothership::image;
use mothership::progress::Progress;
use mothership::worker::{K0S_ARGS, SPARE_K0S};
use serde_json::json;
use support::full::world::World;
use support::full::{clusters, hosted, until};
use tempfile::TempDir;
use tokio::process::Command;

use crate::joined::{self, CLUSTER};
use crate::ssh::key;

/// Where a machine that joins is written to.
const KEPT: [&str; 5] = [
    "find",
    "/etc/k0s",
    "/var/lib/k0s",
    "/etc/init.d",
    "/usr/local/bin",
];

/// Runs the plugin as somebody whose kubeconfig leads to the mothership.
async fn plugin(world: &World, words: &[&str]) -> Result<Output> {
    let program = tokio::task::spawn_blocking(|| image::plugin(&Progress::new())).await??;
    let mut command = Command::new(program);
    command
        .args(words)
        .args(["--namespace", CLUSTER])
        .env("KUBECONFIG", world.full.admin_kubeconfig()?)
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(180), command.output())
        .await
        .with_context(|| format!("{words:?} does not end"))?
        .context("running the plugin")
}

/// What real k0s needs on these machines besides.
fn worker_args() -> String {
    K0S_ARGS.join(" ")
}

pub async fn two_machines_join_over_ssh_side_by_side(world: &World) -> Result<()> {
    let (first, _) = joined::machine(world, "ssh-one").await?;
    let (second, _) = joined::machine(world, "ssh-two").await?;
    let outcome = Box::pin(side_by_side(world, [&first, &second])).await;
    let ended = joined::end(world, first, Ok(())).await;
    joined::end(world, second, outcome).await?;
    ended
}

async fn side_by_side(world: &World, machines: [&mothership::Worker; 2]) -> Result<()> {
    let keys = TempDir::new()?;
    let public = key(keys.path(), "right").await?;
    let (one, two) = (
        machines[0].start_sshd(&public).await?,
        machines[1].start_sshd(&public).await?,
    );
    let known = keys.path().join("known");
    std::fs::write(
        &known,
        format!("{}\n{}\n", one.known_host(), two.known_host()),
    )?;
    let hosts = format!(
        "root@127.0.0.1:{},root@127.0.0.1:{}",
        one.address.port(),
        two.address.port()
    );
    let identity = keys.path().join("right");
    let (identity, known) = (
        identity.to_str().context("no text")?,
        known.to_str().context("no text")?,
    );
    let further = worker_args();
    let base = |hosts: &str, known: &str| -> Vec<String> {
        [
            "join",
            CLUSTER,
            "--ssh",
            hosts,
            "--identity",
            identity,
            "--known-hosts",
            known,
            "--timeout",
            "2m",
        ]
        .into_iter()
        .map(str::to_owned)
        .chain([format!("--worker-args={further}")])
        .collect()
    };
    let run = async |hosts: &str, known: &str| {
        let words = base(hosts, known);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        plugin(world, &words).await
    };

    // Somebody else's key under this name: nothing is sent there.
    let strange = keys.path().join("strange");
    let wrong = one.known_host().replace(&one.host_key, &two.host_key);
    std::fs::write(&strange, wrong + "\n")?;
    let strange = strange.to_str().context("no text")?;
    let host = format!("root@127.0.0.1:{}", one.address.port());
    let before = machines[0].output(&KEPT).await?;
    let refused = run(&host, strange).await?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success(), "{said}");
    ensure!(said.contains("host key"), "{said}");
    let after = machines[0].output(&KEPT).await?;
    ensure!(
        after == before,
        "something was left: {after}, before {before}"
    );

    // Nobody listens there.
    let away = run("root@127.0.0.1:1", known).await?;
    let said = String::from_utf8_lossy(&away.stderr).into_owned();
    ensure!(away.status.code() == Some(5), "{said}");
    ensure!(said.contains("it cannot be reached: "), "{said}");
    ensure!(said.contains("hint: is the machine up"), "{said}");
    // The request goes once its controller has taken the token out of the cluster.
    until("the token is gone", Duration::from_secs(30), async || {
        let left = plugin(world, &["token", "list", "--output", "name"]).await;
        let left = left.map_err(|error| error.to_string())?;
        let left = String::from_utf8_lossy(&left.stdout).into_owned();
        let there = left.contains("machines-worker-");
        if there { Err(left) } else { Ok(()) }
    })
    .await?;

    let started = std::time::Instant::now();
    let joined = run(&hosts, known).await?;
    let said = String::from_utf8_lossy(&joined.stderr).into_owned();
    ensure!(joined.status.success(), "{said}");
    world.say(format!(
        "two machines joined over ssh after {:.1} s\n{}",
        started.elapsed().as_secs_f64(),
        String::from_utf8_lossy(&joined.stdout)
    ));
    for machine in machines {
        joined::ready(world, machine.name()).await?;
    }

    let again = run(&host, known).await?;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(again.status.code() == Some(8), "{said}");
    ensure!(said.contains("joined"), "{said}");

    let nodes = plugin(world, &["node", "list", CLUSTER, "--output", "name"]).await?;
    let nodes = String::from_utf8_lossy(&nodes.stdout).into_owned();
    ensure!(nodes.contains("node/ssh-one\nnode/ssh-two\n"), "{nodes}");
    // What nobody has moved elsewhere is not taken along without a word.
    let pods: Api<Pod> = Api::default_namespaced(hosted::client(world, CLUSTER).await?);
    let left = json!({"metadata": {"name": "left"}, "spec": {"nodeName": "ssh-two",
        "containers": [{"name": "a", "image": "localhost/nowhere"}]}});
    let left = serde_json::from_value(left)?;
    pods.create(&PostParams::default(), &left).await?;
    let remove = ["node", "remove", CLUSTER, "ssh-two", "--yes"];
    let refused = plugin(world, &remove).await?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(8), "{refused:?}");
    ensure!(said.contains("-- kubectl drain ssh-two"), "{said}");
    let remove = [&remove[..], &["--no-drain"]].concat();
    let removed = plugin(world, &remove).await?;
    let said = String::from_utf8_lossy(&removed.stderr).into_owned();
    ensure!(removed.status.success(), "{said}");
    ensure!(removed.stdout == b"node/ssh-two removed\n", "{removed:?}");
    Ok(())
}

pub async fn a_machine_that_nobody_waits_for_joins_all_the_same(world: &World) -> Result<()> {
    let (machine, _) = joined::machine(world, "unawaited").await?;
    let outcome = Box::pin(unawaited(world, &machine)).await;
    joined::end(world, machine, outcome).await
}

async fn unawaited(world: &World, machine: &mothership::Worker) -> Result<()> {
    let keys = TempDir::new()?;
    let public = key(keys.path(), "right").await?;
    let sshd = machine.start_sshd(&public).await?;
    let known = keys.path().join("known");
    std::fs::write(&known, sshd.known_host() + "\n")?;
    let host = format!("root@127.0.0.1:{}", sshd.address.port());
    let identity = format!("--identity={}", keys.path().join("right").display());
    let known = format!("--known-hosts={}", known.display());
    let further = format!("--worker-args={}", worker_args());
    let words = [
        "join",
        CLUSTER,
        "--ssh",
        &host,
        "--no-wait",
        &identity,
        &known,
        &further,
    ];
    let started = plugin(world, &words).await?;
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    ensure!(started.status.success(), "{said}");
    joined::ready(world, machine.name()).await?;
    ensure!(said.contains("it stays until its end"), "{said}");
    Ok(())
}

pub async fn a_machine_without_k0s_downloads_it_from_a_mirror_and_joins(
    world: &World,
) -> Result<()> {
    let cluster = Box::pin(clusters::ensure(world, CLUSTER, clusters::node_port())).await?;
    let mut options = mothership::WorkerOptions::new("by-download");
    options.allow = hosted::allowed(&cluster)?;
    options.bare = true;
    let machine = Box::pin(world.full.worker(options)).await?;
    let outcome = Box::pin(downloads(world, &machine)).await;
    joined::end(world, machine, outcome).await
}

async fn downloads(world: &World, machine: &mothership::Worker) -> Result<()> {
    let at = async |program: &str| machine.output(&["sh", "-c", program]).await;
    ensure!(at("command -v k0s").await.is_err(), "there is k0s already");
    let further = format!("--worker-args={}", worker_args());
    let mirror = "--download-url=http://127.0.0.1:8080/{arch}/k0s-{version}";
    let sum = format!(
        "--k0s-sha256={}",
        at(&format!("sha256sum <{SPARE_K0S} | cut -c1-64")).await?
    );
    let script = async |sum: &str| -> Result<Output> {
        let words = ["join", CLUSTER, "--output", "script", &further, mirror, sum];
        let made = plugin(world, &words).await?;
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        ensure!(made.status.success(), "{said}");
        Ok(made)
    };
    let made = script(sum.trim()).await?;
    machine.put("/root/join.sh", &made.stdout, 0o600).await?;

    // Nobody serves it yet: the machine stays as it was.
    let before = machine.output(&KEPT).await?;
    let failed = at("sh /root/join.sh 2>&1; echo ended with $?").await?;
    ensure!(failed.ends_with("ended with 5\n"), "{failed}");
    ensure!(
        failed.contains("error: the download of http://127.0.0.1:8080/"),
        "{failed}"
    );
    let after = machine.output(&KEPT).await?;
    ensure!(after == before, "left is {after}, before it was {before}");

    let version = String::from_utf8_lossy(&made.stdout)
        .lines()
        .find_map(|line| {
            Some(
                line.strip_prefix("version='")?
                    .trim_end_matches('\'')
                    .to_owned(),
            )
        })
        .context("no version")?;
    let serve = format!(
        "arch=amd64; [ $(uname -m) = x86_64 ] || arch=arm64; mkdir -p /srv/$arch && \
         ln -s {SPARE_K0S} /srv/$arch/k0s-{version} && busybox httpd -p 127.0.0.1:8080 -h /srv"
    );
    at(&serve).await?;
    let wrong = script(&format!("--k0s-sha256={}", "0".repeat(64))).await?;
    machine.put("/root/wrong.sh", &wrong.stdout, 0o600).await?;
    let refused = at("sh /root/wrong.sh 2>&1; echo ended with $?").await?;
    ensure!(refused.ends_with("ended with 5\n"), "{refused}");
    ensure!(
        refused.contains("error: what came is not the k0s that is wanted"),
        "{refused}"
    );
    let after = machine.output(&KEPT).await?;
    ensure!(after == before, "left is {after}, before it was {before}");
    at("sh /root/join.sh").await?;
    joined::ready(world, machine.name()).await?;
    let there = at("command -v k0s").await?;
    ensure!(there == "/usr/local/bin/k0s\n", "k0s is at {there}");
    Ok(())
}

pub async fn a_token_that_is_wrong_or_has_ended_changes_nothing(world: &World) -> Result<()> {
    let (machine, _) = joined::machine(world, "no-entry").await?;
    let outcome = Box::pin(no_entry(world, &machine)).await;
    joined::end(world, machine, outcome).await
}

async fn no_entry(world: &World, machine: &mothership::Worker) -> Result<()> {
    let script = async |more: &[&str]| -> Result<String> {
        let words = [&["join", CLUSTER, "--output", "script"], more].concat();
        let made = plugin(world, &words).await?;
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        ensure!(made.status.success(), "{said}");
        Ok(String::from_utf8(made.stdout)?)
    };
    let refused = async |machine: &mothership::Worker, script: &str, code: &str, why: &str| {
        let before = machine.output(&KEPT).await?;
        machine
            .put("/root/join.sh", script.as_bytes(), 0o600)
            .await?;
        let run = "sh /root/join.sh 2>&1; echo ended with $?";
        let said = machine.output(&["sh", "-c", run]).await?;
        ensure!(said.ends_with(&format!("ended with {code}\n")), "{said}");
        ensure!(said.contains(why), "{said}");
        let after = machine.output(&KEPT).await?;
        ensure!(after == before, "left is {after}, before it was {before}");
        anyhow::Ok(())
    };

    let good = script(&[]).await?;
    let word = good
        .lines()
        .find_map(|line| line.strip_prefix("token='")?.strip_suffix('\''))
        .context("no token")?;
    let cut = good.replace(word, &word[..word.len() / 2]);
    refused(machine, &cut, "7", "error: the join token is not whole").await?;
    let ended = "error: the cluster does not take the join token: it has expired or was revoked";
    let short = script(&["--ttl", "5s"]).await?;
    let revoked = script(&["--name", "revoked"]).await?;
    let revoke = plugin(world, &["token", "revoke", "revoked", "--yes"]).await?;
    ensure!(revoke.status.success(), "{revoke:?}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    refused(machine, &short, "7", ended).await?;
    refused(machine, &revoked, "7", ended).await?;

    // No port is open for it.
    let options = mothership::WorkerOptions::new("far-away");
    let away = Box::pin(world.full.worker(options)).await?;
    let said = "error: this machine does not reach the cluster's API at https://";
    let outcome = refused(&away, &good, "8", said).await;
    joined::end(world, away, outcome).await?;
    Ok(())
}

pub async fn a_script_and_user_data_each_make_a_machine_join(world: &World) -> Result<()> {
    let (first, _) = joined::machine(world, "by-script").await?;
    let (second, _) = joined::machine(world, "by-user-data").await?;
    let outcome = Box::pin(printed(world, &first, &second)).await;
    let ended = joined::end(world, first, Ok(())).await;
    joined::end(world, second, outcome).await?;
    ended
}

async fn printed(
    world: &World,
    first: &mothership::Worker,
    second: &mothership::Worker,
) -> Result<()> {
    let further = format!("--worker-args={}", worker_args());
    let form = async |form: &str| -> Result<String> {
        let made = plugin(world, &["join", CLUSTER, "--output", form, &further]).await?;
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        ensure!(made.status.success(), "{said}");
        Ok(String::from_utf8(made.stdout)?)
    };
    let script = form("script").await?;
    first.put("/root/join.sh", script.as_bytes(), 0o600).await?;
    let command = form("command").await?;
    first.output(&["sh", "-c", &command]).await?;
    // Behind a part of somebody's own that has lists of the same names.
    let own = "#cloud-config\nwrite_files: [{path: /root/own, content: own}]\n\
        runcmd: [[touch, /root/ran]]\n";
    let part = |text: &str| format!("--x\nContent-Type: text/cloud-config\n\n{text}\n");
    let parts = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"x\"\n\n{}{}--x--\n",
        part(own),
        part(&form("cloud-init").await?)
    );
    let booted = second.cloud_init(&parts).await?;
    ensure!(booted.errors.is_empty(), "{booted:?}");
    second.output(&["ls", "/root/own", "/root/ran"]).await?;
    // What has the token in it went with its use.
    let left = second.output(&["sh", "-c", "ls /etc/k0s-join-*.sh"]).await;
    ensure!(left.is_err(), "left is {left:?}");
    for machine in [first, second] {
        joined::ready(world, machine.name()).await?;
    }
    // The script a second time: the machine is a node already, and stays as it is.
    let again = first.output(&["sh", "/root/join.sh"]).await;
    ensure!(again.is_err(), "it joined twice: {again:?}");
    Ok(())
}
