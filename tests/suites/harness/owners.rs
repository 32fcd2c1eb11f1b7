//! Whoever started a mothership goes.

use std::path::Path;
use std::process::{Command, Stdio};

use mothership::{Full, FullOptions, Image, Light, LightOptions, WorkerOptions};

use crate::support::{mothership, stderr, wait_for, wait_until_gone};

/// Not a test: the owner that the next two tests kill.
#[tokio::test]
#[ignore = "started by the tests that kill it"]
async fn hold_a_mothership() {
    let Some(dir) = std::env::var_os("HOLD_DIR") else {
        return;
    };
    let dir = Some(dir.into());
    if std::env::var_os("HOLD_FULL").is_some() {
        let images = vec![Image::Pause, Image::Busybox];
        let options = FullOptions {
            dir: dir.clone(),
            images,
            ..FullOptions::default()
        };
        let full = Full::start(options).await.unwrap();
        let _worker = full.worker(WorkerOptions::new("held")).await.unwrap();
        std::future::pending::<()>().await;
    }
    let _light = Light::start(LightOptions {
        dir,
        ..LightOptions::default()
    })
    .await
    .unwrap();
    std::future::pending::<()>().await;
}

/// Kills the owner of a mothership in `dir` once `sign` exists.
fn kill_owner(dir: &Path, sign: &str, level: &str) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owners::hold_a_mothership", "--ignored"])
        .env("HOLD_DIR", dir)
        .env(level, "1")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| dir.join(sign).exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn a_light_mothership_ends_when_its_owner_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("held");
    kill_owner(&dir, "etcd/member", "HOLD_LIGHT");
    wait_until_gone(&dir);
}

#[test]
fn a_full_mothership_and_its_workers_end_when_their_owner_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("held");
    kill_owner(&dir, "worker/held/ctl.sock", "HOLD_FULL");
    wait_until_gone(&dir);
    assert!(
        !dir.join("machine/mothership/data/containerd").exists(),
        "containers are left"
    );
    assert!(dir.join("log/kube-apiserver.log").exists(), "logs are gone");
}

#[test]
fn an_interrupted_start_takes_down_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("interrupted");
    let child = mothership(&dir)
        .args(["up", "--light"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| dir.join("etcd/member").exists());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"));
    wait_until_gone(&dir);
    assert!(!dir.exists());
}
