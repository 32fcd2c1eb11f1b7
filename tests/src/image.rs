//! Container images, packed without any daemon and kept in the cache.
//!
//! No image registry is needed: each image is put together from programs of this machine and from
//! the built [components](crate::components), as an archive that containerd imports.

mod airgap;
mod archive;
mod layer;
mod recipe;
mod sources;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use airgap::AirgapImage;
use anyhow::{Context as _, Result};
use recipe::Recipe;
pub use sources::{K0s, controller, plugin, webhook};
pub(crate) use sources::{PACKAGES, TARGET};

use crate::components::K0sVersion;
use crate::failure::Failure;
use crate::paths;
use crate::progress::Progress;

/// A shell command that prints `open` when a TCP port answers within 2 s, else `shut`. Runs in
/// every image here but the product's own, and in every [machine](crate::machine).
// With a plain redirection bash would connect in a child that outlives `timeout`.
pub fn probe(address: &str, port: u16) -> String {
    format!(
        "timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo shut"
    )
}

/// An image that the harness can pack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Image {
    /// The sandbox of every pod.
    Pause,
    /// busybox, for pods of the suites and the demo.
    Busybox,
    /// `quay.io/k0sproject/etcd`, with etcd, etcdctl and a shell.
    Etcd,
    /// `quay.io/k0sproject/k0s` in one of the versions there are.
    K0s(K0sVersion),
    /// The product's controller, built from this workspace.
    Controller,
    /// The product's admission webhook, built from this workspace.
    Webhook,
    /// What a real k0s of this version wants on its workers.
    Airgap(K0sVersion, AirgapImage),
}

/// Name of the sandbox image.
pub const PAUSE: &str = "localhost/k0smotron/pause:3";
/// The name under which k0s looks for it on its workers.
pub const PAUSE_OF_K0S: &str = "quay.io/k0sproject/pause:3.10.2-0";
/// Name of the workload image: busybox and bash. Debian's static busybox crashes in `wget -T`, and
/// its `nc` has no `-z`; [`probe`] needs neither.
/// Its pods must say `imagePullPolicy: IfNotPresent`.
pub const BUSYBOX: &str = "localhost/k0smotron/busybox:1";
/// Name of the etcd image. The tag is the version of the Go module it is built from.
pub const ETCD: &str = "quay.io/k0sproject/etcd:v3.7.1";

impl Image {
    /// What a mothership has from the start.
    pub const BASIC: [Self; 4] = [
        Self::Pause,
        Self::Busybox,
        Self::Etcd,
        Self::K0s(K0sVersion::Current),
    ];
    /// The product's own.
    pub const PRODUCT: [Self; 2] = [Self::Controller, Self::Webhook];
    /// Everything.
    pub const ALL: [Self; 7] = [
        Self::Pause,
        Self::Busybox,
        Self::Etcd,
        Self::K0s(K0sVersion::Current),
        Self::K0s(K0sVersion::Previous),
        Self::Controller,
        Self::Webhook,
    ];

    /// The short name that the command line takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Busybox => "busybox",
            Self::Etcd => "etcd",
            Self::K0s(K0sVersion::Current) => "k0s",
            Self::K0s(K0sVersion::Previous) => "k0s-previous",
            Self::Controller => "controller",
            Self::Webhook => "webhook",
            Self::Airgap(_, image) => image.name(),
        }
    }

    /// The full name, as a pod asks for it.
    pub fn reference(self) -> Result<String> {
        Ok(match self {
            Self::Pause => PAUSE.to_owned(),
            Self::Busybox => BUSYBOX.to_owned(),
            Self::Etcd => ETCD.to_owned(),
            Self::K0s(version) => {
                format!(
                    "quay.io/k0sproject/k0s:{}",
                    K0s::release(version)?.replace('+', "-")
                )
            }
            Self::Controller | Self::Webhook => {
                format!(
                    "localhost/k0smotron/{}:{}",
                    self.name(),
                    env!("CARGO_PKG_VERSION")
                )
            }
            Self::Airgap(version, image) => image.reference(version)?,
        })
    }

    /// Every name that the archive gives it, the full one first.
    fn names(self) -> Result<Vec<String>> {
        let mut names = vec![self.reference()?];
        if self == Self::Pause {
            names.push(PAUSE_OF_K0S.to_owned());
            for version in K0sVersion::ALL {
                names.extend(airgap::listed(version, "pause")?);
            }
            names.sort();
            names.dedup();
        }
        Ok(names)
    }

    /// The archive to import, packed if what goes into it has changed.
    pub fn archive(self, progress: &Progress) -> Result<PathBuf> {
        let reference = self.reference()?;
        let recipe = Recipe::of(self, progress)
            .with_context(|| format!("gathering what goes into {reference}"))?;
        let folder = paths::cache()?.join("images");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(format!(
            "{}-{}.tar",
            self.name(),
            recipe.key(&self.names()?)?
        ));
        if path.is_file() {
            return Ok(path);
        }
        let lock_path = folder.join(format!("{}.lock", self.name()));
        let lock = File::create(&lock_path)
            .with_context(|| format!("creating {}", lock_path.display()))?;
        lock.lock()
            .context("waiting for another process that packs the same image")?;
        if path.is_file() {
            return Ok(path);
        }
        let started = std::time::Instant::now();
        forget_older(&folder, self.name());
        archive::write(&recipe, &self.names()?, &path)
            .with_context(|| format!("packing {reference}"))?;
        progress.say(format!(
            "packed {reference} in {:.1} s",
            started.elapsed().as_secs_f64()
        ));
        Ok(path)
    }
}

/// Archives of the same image with other contents would pile up by the gigabyte.
fn forget_older(folder: &Path, name: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let file = entry.file_name();
        // One that another run packed just now may be about to be imported.
        let used = |path: &Path| {
            path.metadata()
                .and_then(|meta| meta.modified())
                .is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() < 3600))
        };
        let older = file
            .to_str()
            .and_then(|file| {
                file.strip_prefix(name)?
                    .strip_prefix('-')?
                    .strip_suffix(".tar")
            })
            .is_some_and(|key| !key.contains('-'));
        if older && !used(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

impl FromStr for Image {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Self::ALL
            .into_iter()
            .find(|image| image.name() == name)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|image| image.name()).collect();
                Failure::Usage(format!("no image {name}; there are {}", names.join(", ")))
            })
    }
}
