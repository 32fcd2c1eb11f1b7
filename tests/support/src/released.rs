//! What `make release` makes, in a folder of its own, and programs as images have them, but
//! optimised.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use mothership::paths;

/// Where the archives of a release that nobody publishes would lie.
pub const URL: &str = "https://releases.example.org/v0";

/// A program of the workspace, optimised.
pub fn program(name: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(paths::workspace())
        .args([
            "build",
            "--quiet",
            "--release",
            "--workspace",
            "--bin",
            name,
        ])
        .stdin(Stdio::null())
        .status()
        .context("running cargo")?;
    ensure!(status.success(), "cargo build: {status}");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| paths::workspace().join("target"), PathBuf::from);
    Ok(target.join("release").join(name))
}

/// A release.
pub struct Released {
    folder: tempfile::TempDir,
}

impl Released {
    /// Packs a program that is built, or else builds it as it is released.
    pub fn make(program: Option<&Path>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(paths::workspace().join(".ci/release"));
        command
            .env("OUT", folder.path())
            .env("RELEASE_URL", URL)
            .stdin(Stdio::null());
        // What cargo tells a test about itself would have build scripts run again.
        for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
            let kept = ["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&name.as_str());
            if name.starts_with("CARGO") && !kept {
                command.env_remove(name);
            }
        }
        if let Some(program) = program {
            command.env("PLUGIN", program);
        }
        let output = command.output().context("running .ci/release")?;
        ensure!(
            output.status.success(),
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Self { folder })
    }

    /// A file of the release.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The archive for this machine.
    pub fn archive(&self) -> PathBuf {
        let version = env!("CARGO_PKG_VERSION");
        let arch = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        self.path(&format!("kubectl-k0smotron_v{version}_linux_{arch}.tar.gz"))
    }

    /// Unpacks the archive as somebody would who downloaded it.
    pub fn unpack(&self, into: &Path) -> Result<()> {
        let status = Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(self.archive())
            .arg("--directory")
            .arg(into)
            .status()
            .context("running tar")?;
        ensure!(status.success(), "tar: {status}");
        Ok(())
    }
}
