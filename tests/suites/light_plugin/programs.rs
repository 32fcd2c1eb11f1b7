//! A program that brings credentials is asked once by a command, and by none that asks nobody.

use anyhow::{Result, ensure};

use crate::access::hosted_here;
use crate::failures::{credential, with_plugin};
use crate::scene::installed;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_asks_once_who_somebody_is_and_only_where_that_matters() -> Result<()> {
    let (light, admin) = installed().await?;
    admin.runs("create demo --service NodePort")?.expect(0, &[]);
    hosted_here(&light, &admin.kubeconfig).await?;
    let runs = admin.home.path().join("runs");
    let brought = credential(&std::fs::read_to_string(&admin.kubeconfig)?)?;
    let script = format!(
        "#!/bin/sh\necho run >>'{}'\ncat <<'END'\n{brought}\nEND\n",
        runs.display()
    );
    let person = with_plugin(&admin, "counted", &script)?;
    let written = |name: &str| admin.home.path().join(name).display().to_string();
    let merged = written("merged");
    for (line, times) in [
        ("list", 1),
        ("node list demo --via direct", 1),
        (&format!("kubeconfig demo --merge --output {merged}"), 1),
        (&format!("kubeconfig demo --remove --output {merged}"), 0),
        (
            &format!(
                "kubeconfig demo --as-user alice --via direct --output {}",
                written("alice")
            ),
            1,
        ),
        (
            &format!("support-bundle demo --output {}.tar.gz", written("bundle")),
            1,
        ),
        ("create other --dry-run=client", 0),
    ] {
        let _ = std::fs::remove_file(&runs);
        let ended = person.runs(line)?.expect(0, &[]);
        let asked = std::fs::read_to_string(&runs).unwrap_or_default();
        ensure!(asked.lines().count() == times, "{line}: {asked}{ended:#?}");
        ensure!(
            !line.contains("--remove") || ended.stderr.contains("Removed what --merge brought"),
            "{ended:#?}"
        );
    }
    light.down().await
}
