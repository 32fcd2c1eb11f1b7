//! What the tests of the harness share.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub fn mothership(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mothership"));
    command.arg("--dir").arg(dir);
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Ends the test unless the command ended with this code and one line that says all of this.
#[track_caller]
pub fn fails(output: &Output, code: i32, said: &[&str]) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(output.stdout.is_empty(), "data without success: {output:?}");
    assert!(
        !told.contains("panicked") && !told.contains("backtrace"),
        "{told}"
    );
    let errors: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("mothership: "))
        .collect();
    assert_eq!(errors.len(), 1, "one line says what is wrong: {told}");
    for part in said {
        assert!(errors[0].contains(part), "it lacks {part:?}: {told}");
    }
}

/// Processes, mounts, cgroups, interfaces and routes that have to do with a state folder.
pub fn traces(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let own = entry.file_name().to_str() == Some(&std::process::id().to_string());
        if line.contains(dir) && !own {
            found.push(format!("process {}: {line}", entry.file_name().display()));
        }
        let mounts = std::fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        found.extend(
            mounts
                .lines()
                .filter(|line| line.contains(dir))
                .map(|l| format!("mount {l}")),
        );
    }
    // Machines have folders, and so names, of their own.
    let machines = ["", "/machine/mothership", "/worker/apart", "/worker/held"];
    let ids: Vec<String> = machines
        .iter()
        .map(|below| id(&format!("{dir}{below}")))
        .collect();
    for command in [
        "find /sys/fs/cgroup -maxdepth 2 -name mothership-*",
        "ip link",
        "ip route",
    ] {
        let mut words = command.split(' ');
        let output = Command::new(words.next().unwrap())
            .args(words)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        found.extend(
            text.lines()
                .filter(|line| ids.iter().any(|id| line.contains(id)))
                .map(str::to_owned),
        );
    }
    found
}

/// The part of names that the harness derives from a folder.
fn id(dir: &str) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), dir.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .chars()
        .take(8)
        .collect()
}

pub fn wait_until_gone(dir: &Path) {
    let started = Instant::now();
    while !traces(dir).is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "left behind: {:#?}",
            traces(dir)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn pod(name: &str, script: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
            "name": "main",
            "image": mothership::image::BUSYBOX,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script],
            "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
        }]},
    }))
    .unwrap()
}

pub async fn ready(pods: &Api<Pod>, name: &str) -> Pod {
    let started = Instant::now();
    loop {
        let pod = pods.get(name).await.unwrap();
        let conditions = pod
            .status
            .clone()
            .unwrap_or_default()
            .conditions
            .unwrap_or_default();
        if conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
        {
            return pod;
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "pod {name}: {:?}",
            pod.status
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub async fn exec(pods: &Api<Pod>, name: &str, script: &str) -> String {
    let mut attached = pods
        .exec(name, ["sh", "-c", script], &AttachParams::default())
        .await
        .unwrap();
    let mut text = String::new();
    attached
        .stdout()
        .unwrap()
        .read_to_string(&mut text)
        .await
        .unwrap();
    attached.join().await.unwrap();
    text
}

pub fn wait_for(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < Duration::from_secs(600),
            "waited ten minutes in vain"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The body that an HTTP server on the node gives; empty when it gives none.
pub async fn page(node: std::net::Ipv4Addr, port: i32) -> String {
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect((node, u16::try_from(port)?)).await?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        anyhow::Ok(text)
    };
    let text = tokio::time::timeout(Duration::from_secs(2), ask).await;
    let text = text.ok().and_then(Result::ok).unwrap_or_default();
    text.split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default()
}
