//! Terminals that are closed: a command ends as it does by SIGTERM.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::access::hosted_here;
use crate::person::Running;
use crate::scene::{installed, until};

/// The folder of temporary files has nothing in it.
fn is_empty(folder: &Path) -> Result<bool> {
    Ok(std::fs::read_dir(folder)?.next().is_none())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_is_closed_leaves_no_kubeconfig_behind() -> Result<()> {
    let (light, admin) = installed().await?;
    admin.runs("create demo --service NodePort")?.expect(0, &[]);
    hosted_here(&light, &admin.kubeconfig).await?;
    let folder = admin.home.path().join("tmp");
    std::fs::create_dir(&folder)?;
    for signal in [Signal::SIGHUP, Signal::SIGTERM] {
        let pid = admin.home.path().join(format!("pid-{signal}"));
        let mut command = admin.command("connect demo --via direct -- sh -c")?;
        command
            .env("TMPDIR", &folder)
            .arg(format!("echo $$ >{}; exec sleep 60", pid.display()));
        let running = Running::start(&mut command)?;
        let child: i32 = until(async || {
            let text = std::fs::read_to_string(&pid).unwrap_or_default();
            Ok(text.trim().parse().ok())
        })
        .await?;
        ensure!(
            !is_empty(&folder)?,
            "there is no kubeconfig for the command"
        );
        running.signal(signal)?;
        let ended = tokio::task::spawn_blocking(|| running.ends()).await??;
        ended.expect(130, &["interrupted"]);
        ensure!(is_empty(&folder)?, "{signal}: a kubeconfig is left");
        let child = Pid::from_raw(child);
        until(async || Ok(kill(child, None).is_err().then_some(()))).await?;
    }

    let file = admin.home.path().join("held");
    let held = admin.home.path().join("link");
    std::os::unix::fs::symlink("held", &held)?;
    let line = format!(
        "connect demo --via direct --kubeconfig-file {}",
        held.display()
    );
    let running = admin.starts(&line)?;
    until(async || Ok(held.exists().then_some(()))).await?;
    // It is there before its signals are watched.
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.signal(Signal::SIGHUP)?;
    let ended = tokio::task::spawn_blocking(|| running.ends()).await??;
    ended.expect(130, &["interrupted: the way is closed"]);
    ensure!(!file.exists(), "the kubeconfig is left");
    ensure!(
        held.is_symlink(),
        "the link is gone, which was there before"
    );

    // Who starts it with nohup wants it to stay.
    let mut nohup = Command::new("sh");
    let command = admin.command(&line)?;
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    nohup.arg(command.get_program()).args(command.get_args());
    nohup
        .env("KUBECONFIG", &admin.kubeconfig)
        .stdin(Stdio::null());
    let mut running = Running::start(&mut nohup)?;
    until(async || Ok(held.exists().then_some(()))).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.signal(Signal::SIGHUP)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    ensure!(
        !running.has_ended()?,
        "a signal that is ignored has ended it"
    );
    running.signal(Signal::SIGTERM)?;
    let ended = tokio::task::spawn_blocking(|| running.ends()).await??;
    ended.expect(130, &["interrupted: the way is closed"]);
    ensure!(!file.exists(), "the kubeconfig is left");

    // The same kubeconfig from before is somebody's.
    let printed = admin.runs("kubeconfig demo")?.expect(0, &[]).stdout;
    std::fs::write(&file, &printed)?;
    let running = admin.starts(&line)?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    running.signal(Signal::SIGTERM)?;
    let ended = tokio::task::spawn_blocking(|| running.ends()).await??;
    let said = format!(
        "interrupted: the way is closed; {} was there before",
        held.display()
    );
    ended.expect(130, &[&said]);
    assert_eq!(std::fs::read_to_string(&file)?, printed);
    light.down().await
}
