//! What a person at a terminal does and sees.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use mothership::paths;
use tokio::io::AsyncWriteExt as _;

use super::PRODUCT;
use super::scene::Scene;

/// What a command printed.
#[derive(Debug)]
pub struct Said {
    /// Whether it ended with 0.
    pub well: bool,
    /// Standard output.
    pub out: String,
    /// Standard error: warnings and errors.
    pub err: String,
}

impl Scene {
    /// kubectl as administrator in the scene's namespace, with
    /// this on its standard input.
    pub async fn kubectl(&self, args: &[&str], input: &str) -> Result<Said> {
        let mut child = tokio::process::Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(self.access.admin_kubeconfig()?)
            .args(["--namespace", &self.namespace])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("running kubectl")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said {
            well: output.status.success(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        })
    }

    /// `deploy/install.yaml` once more.
    pub async fn install(&self) -> Result<()> {
        let file = paths::workspace().join("deploy/install.yaml");
        let file = file.to_str().context("a path that is no text")?;
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename",
            file,
        ];
        let namespace = ["--namespace", PRODUCT];
        let said = self.kubectl(&[&namespace[..], &apply].concat(), "").await?;
        ensure!(said.well, "installing: {said:?}");
        Ok(())
    }
}
