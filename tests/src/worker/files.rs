//! Files of a worker machine, from outside.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;

use super::Worker;

impl Worker {
    /// Writes a file of the machine, with the folders that lead to it.
    pub async fn put(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let mode = format!("{mode:04o}");
        let mut command = self.machine.command("install")?;
        command
            .args(["-D", "-m", &mode, "/dev/stdin", path])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .context("entering the machine")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(bytes).await.context("sending the file")?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("writing {path} of {}: {}", self.name(), why.trim());
        }
        Ok(())
    }
}
