//! What goes into each image.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::layer::Layer;
use super::sources::{K0s, controller, webhook};
use super::{Image, Progress};
use crate::components::{Components, Module};
use crate::requirements;

/// An image, ready to be packed. Layers that several images share come first.
#[derive(Clone, Debug, Default)]
pub(super) struct Recipe {
    pub layers: Vec<Layer>,
    pub entrypoint: Vec<&'static str>,
    pub command: Vec<&'static str>,
    pub env: Vec<&'static str>,
    pub user: &'static str,
}

pub(super) const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The system users that k0s runs its parts as; their numbers are Alpine's first free ones.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
etcd:x:100:65533:etcd:/:/sbin/nologin
kube-apiserver:x:101:65533:kube-apiserver:/:/sbin/nologin
kube-scheduler:x:102:65533:kube-scheduler:/:/sbin/nologin
konnectivity-server:x:103:65533:konnectivity-server:/:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
";
const GROUP: &str = "root:x:0:\nnogroup:x:65533:\nnobody:x:65534:\n";
const ENTRYPOINT: &str = "#!/bin/sh\nexec \"$@\"\n";

impl Recipe {
    pub(super) fn of(image: Image, progress: &Progress) -> Result<Self> {
        match image {
            Image::Pause => Ok(Self {
                layers: vec![base()?],
                entrypoint: vec!["/bin/busybox", "sleep", "2147483647"],
                env: vec![PATH],
                ..Self::default()
            }),
            Image::Busybox => Ok(Self {
                layers: vec![base()?],
                command: vec!["sh"],
                env: vec![PATH],
                ..Self::default()
            }),
            Image::Etcd => {
                let parts = Components::ensure(&[Module::Etcd], progress)?;
                let layer = Layer::default()
                    .program("usr/local/bin/etcd", parts.path("etcd")?)
                    .program("usr/local/bin/etcdctl", parts.path("etcdctl")?);
                Ok(Self {
                    layers: vec![base()?, layer],
                    env: vec![PATH],
                    ..Self::default()
                })
            }
            Image::K0s(version) => {
                let k0s = K0s::find(version, progress)?;
                let mut layers = vec![base()?];
                if k0s.is_stand_in {
                    let parts = Components::hosted(version, progress)?;
                    layers.push(programs(
                        &parts,
                        &["etcd", "konnectivity-server", "kubectl"],
                    )?);
                    layers.push(programs(
                        &parts,
                        &[
                            "kube-apiserver",
                            "kube-controller-manager",
                            "kube-scheduler",
                        ],
                    )?);
                }
                layers.push(
                    Layer::default()
                        .program("sbin/tini", Path::new("/usr/bin/tini-static"))
                        .text("entrypoint.sh", 0o755, ENTRYPOINT)
                        .folder("etc/k0s-standin/", 0o755, 0)
                        .text(
                            "etc/k0s-standin/version",
                            0o644,
                            &format!("{}\n", k0s.release),
                        )
                        .program("usr/local/bin/k0s", &k0s.program),
                );
                Ok(Self {
                    layers,
                    entrypoint: vec!["/sbin/tini", "--", "/entrypoint.sh"],
                    env: vec![PATH, "KUBECONFIG=/var/lib/k0s/pki/admin.conf"],
                    ..Self::default()
                })
            }
            Image::Airgap(_, part) => part.recipe(progress),
            Image::Controller => Ok(Self::alone(
                "k0smotron-controller",
                "/k0smotron-controller",
                &controller(progress)?,
            )),
            Image::Webhook => Ok(Self::alone(
                "k0smotron-webhook",
                "/k0smotron-webhook",
                &webhook(progress)?,
            )),
        }
    }

    /// A static program and nothing else.
    fn alone(name: &str, entrypoint: &'static str, program: &Path) -> Self {
        Self {
            layers: vec![Layer::default().program(name, program)],
            entrypoint: vec![entrypoint],
            user: "65532:65532",
            ..Self::default()
        }
    }

    /// Stands for everything that goes into the image.
    pub(super) fn key(&self, names: &[String]) -> Result<String> {
        let mut digest = Sha256::new();
        for layer in &self.layers {
            layer.digest(&mut digest)?;
            digest.update("layer");
        }
        for name in names {
            digest.update(name);
            digest.update([0]);
        }
        for word in std::iter::once(&self.user)
            .chain(&self.entrypoint)
            .chain(&self.command)
            .chain(&self.env)
        {
            digest.update(word);
            digest.update([0]);
        }
        let mut key = format!("{:x}", digest.finalize());
        key.truncate(16);
        Ok(key)
    }
}

/// busybox with all its names, bash (which opens `/dev/tcp/ADDRESS/PORT`), users, and the folders that programs expect.
pub(super) fn base() -> Result<Layer> {
    let busybox = requirements::find("busybox").context("busybox is not installed")?;
    let output = Command::new(&busybox)
        .arg("--list")
        .output()
        .context("running busybox")?;
    let mut layer = Layer::default();
    for folder in [
        "bin/",
        "sbin/",
        "etc/",
        "root/",
        "run/",
        "usr/",
        "usr/local/",
        "usr/local/bin/",
        "var/",
        "var/lib/",
        "var/log/",
    ] {
        layer = layer.folder(folder, 0o755, 0);
    }
    layer = layer
        .folder("tmp/", 0o1777, 0)
        .text("etc/passwd", 0o644, PASSWD)
        .text("etc/group", 0o644, GROUP)
        .program("bin/bash", Path::new("/bin/bash-static"))
        .program("bin/busybox", &busybox);
    // Its own name must not become a link to itself.
    for name in String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|name| *name != "busybox")
    {
        layer = layer.link(&format!("bin/{name}"), "busybox");
    }
    Ok(layer)
}

fn programs(parts: &Components, names: &[&str]) -> Result<Layer> {
    let mut layer = Layer::default();
    for name in names {
        layer = layer.program(&format!("usr/local/bin/{name}"), parts.path(name)?);
    }
    Ok(layer)
}
