//! kubectl, as the person runs it who owns a kubeconfig.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

/// Runs it; its standard output.
pub async fn kubectl<A: AsRef<OsStr>>(
    program: &Path,
    kubeconfig: &Path,
    args: &[A],
) -> Result<String> {
    let output = tokio::process::Command::new(program)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .await
        .context("running kubectl")?;
    if !output.status.success() {
        let words: Vec<_> = args
            .iter()
            .map(|arg| arg.as_ref().to_string_lossy())
            .collect();
        bail!(
            "kubectl {} failed: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
