//! containerd, and the images that are put into `<data-dir>/images`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use tokio::process::Command;

use super::Context;
use crate::paths::{Paths, make_dir, text, write_file};
use crate::supervisor::Component;

/// The sandbox image unless the cluster or `K0S_STANDIN_PAUSE_IMAGE` names another.
const PAUSE_IMAGE: &str = "localhost/k0smotron/pause:3";
/// Drop-ins, as k0s has them.
const DROP_INS: &str = "/etc/k0s/containerd.d/*.toml";

/// The socket on which containerd listens.
pub fn socket(paths: &Paths) -> PathBuf {
    paths.run.join("containerd.sock")
}

/// containerd with its configuration written.
pub fn component(context: &Context, pause: Option<&str>) -> Result<Component> {
    let paths = &context.paths;
    let program = paths.component("containerd")?;
    let runc = paths.component("runc")?;
    let pause = pause.map_or_else(
        || std::env::var("K0S_STANDIN_PAUSE_IMAGE").unwrap_or_else(|_| PAUSE_IMAGE.into()),
        str::to_owned,
    );
    let file = paths.run.join("containerd.toml");
    write_file(&file, configuration(paths, &runc, &pause), 0o644)?;
    let args = vec![format!("--config={}", text(&file))];
    let mut component = Component::new("containerd", program, args);
    // The shim comes from where the components come from.
    let path = std::env::var("PATH").unwrap_or_default();
    component
        .env
        .push(("PATH", format!("{}:{path}", text(paths.data.join("bin")))));
    Ok(component)
}

fn configuration(paths: &Paths, runc: &Path, pause: &str) -> String {
    // JSON strings are TOML strings.
    let quoted = |path: PathBuf| serde_json::Value::from(text(path)).to_string();
    let root = quoted(paths.data.join("containerd"));
    let state = quoted(paths.run.join("containerd"));
    let address = quoted(socket(paths));
    let runc = quoted(runc.to_owned());
    let pause = serde_json::Value::from(pause);
    format!(
        r#"version = 3
root = {root}
state = {state}
imports = ["{DROP_INS}"]

[grpc]
address = {address}

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = {pause}

[plugins.'io.containerd.cri.v1.runtime']
# Lowering a score below the own needs CAP_SYS_RESOURCE, which a container may lack.
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/opt/cni/bin", "/usr/lib/cni"]
conf_dir = "/etc/cni/net.d"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = {runc}
SystemdCgroup = false
"#
    )
}

/// Imports archives from `<data-dir>/images`, again when they change.
pub struct Importer {
    dir: PathBuf,
    ctr: PathBuf,
    socket: PathBuf,
    done: BTreeMap<PathBuf, SystemTime>,
}

impl Importer {
    /// An importer that has done nothing yet.
    ///
    /// # Errors
    /// When there is no `ctr`.
    pub fn new(context: &Context) -> Result<Self> {
        let dir = context.paths.data.join("images");
        make_dir(&dir, 0o755)?;
        let ctr = context.paths.component("ctr")?;
        Ok(Self {
            dir,
            ctr,
            socket: socket(&context.paths),
            done: BTreeMap::new(),
        })
    }

    /// Imports what is new. What fails is tried again the next time.
    pub async fn import_all(&mut self) {
        for file in archives(&self.dir) {
            let Ok(changed) = std::fs::metadata(&file).and_then(|meta| meta.modified()) else {
                continue;
            };
            if self.done.get(&file) == Some(&changed) {
                continue;
            }
            self.until_listening().await;
            let output = Command::new(&self.ctr)
                .arg(format!("--address={}", text(&self.socket)))
                .args(["--namespace=k8s.io", "images", "import"])
                .arg(&file)
                .output()
                .await;
            match output {
                Ok(output) if output.status.success() => {
                    tracing::info!("imported images from {}", file.display());
                    self.done.insert(file, changed);
                }
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    tracing::error!("failed to import {}: {}", file.display(), said.trim());
                }
                Err(error) => tracing::error!("failed to import {}: {error}", file.display()),
            }
        }
    }

    async fn until_listening(&self) {
        while tokio::net::UnixStream::connect(&self.socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Imports what comes later.
    pub async fn watch(mut self) {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            self.import_all().await;
        }
    }
}

fn archives(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut archives: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "tar"))
        .collect();
    archives.sort();
    archives
}
