//! Images that a real k0s worker wants and cannot pull.
//!
//! A real k0s runs parts of itself as pods on its workers. Those images are put together here from
//! the built components, under the names that `k0s airgap list-images` prints, and imported by k0s
//! from its images folder. The stand-in needs none of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::layer::Layer;
use super::recipe::{PATH, Recipe, base};
use super::sources::real;
use crate::components::{Components, K0sVersion, Module};
use crate::progress::Progress;
use crate::requirements;

/// One of those images, known by the last part of its repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AirgapImage {
    /// The agent that carries `logs` and `exec`.
    Konnectivity,
    /// The node's Service rules.
    KubeProxy,
    /// The hosted cluster's DNS.
    Coredns,
    /// Only something that stays alive: there is no module to build it from.
    MetricsServer,
}

impl AirgapImage {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Konnectivity,
        Self::KubeProxy,
        Self::Coredns,
        Self::MetricsServer,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Konnectivity => "apiserver-network-proxy-agent",
            Self::KubeProxy => "kube-proxy",
            Self::Coredns => "coredns",
            Self::MetricsServer => "metrics-server",
        }
    }

    pub(super) fn reference(self, version: K0sVersion) -> Result<String> {
        listed(version, self.name())?
            .with_context(|| format!("k0s airgap list-images has no {}", self.name()))
    }

    pub(super) fn recipe(self, progress: &Progress) -> Result<Recipe> {
        let mut recipe = Recipe {
            layers: vec![base()?],
            env: vec![PATH],
            ..Recipe::default()
        };
        match self {
            Self::Konnectivity => {
                let parts = Components::ensure(&[Module::Konnectivity], progress)?;
                let agent = parts.path("konnectivity-agent")?;
                recipe
                    .layers
                    .push(Layer::default().program("proxy-agent", agent));
                recipe.entrypoint = vec!["/proxy-agent"];
                // The kubelet refuses it otherwise: k0s says that it must not run as root.
                recipe.user = "65532";
            }
            Self::KubeProxy => {
                let parts = Components::ensure(&[Module::Kubernetes], progress)?;
                let program = parts.path("kube-proxy")?;
                recipe.layers.push(firewall()?);
                recipe
                    .layers
                    .push(Layer::default().program("usr/local/bin/kube-proxy", program));
                recipe.entrypoint = vec!["/usr/local/bin/kube-proxy"];
            }
            Self::Coredns => {
                let parts = Components::ensure(&[Module::Coredns], progress)?;
                let program = parts.path("coredns")?;
                recipe
                    .layers
                    .push(Layer::default().program("coredns", program));
                recipe.entrypoint = vec!["/coredns"];
            }
            Self::MetricsServer => {
                recipe.layers.push(Layer::default().text(
                    "metrics-server",
                    0o755,
                    "#!/bin/sh\nexec sleep 2147483647\n",
                ));
                recipe.entrypoint = vec!["/metrics-server"];
            }
        }
        Ok(recipe)
    }
}

/// The full name of the image with this last part, as a real k0s of that version lists it; nothing
/// with the stand-in.
pub(super) fn listed(version: K0sVersion, name: &str) -> Result<Option<String>> {
    let Some(program) = real(version) else {
        return Ok(None);
    };
    let output = Command::new(&program)
        .args(["airgap", "list-images"])
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    Ok(find(&String::from_utf8_lossy(&output.stdout), name))
}

fn find(list: &str, name: &str) -> Option<String> {
    list.lines()
        .map(str::trim)
        .find(|line| {
            line.rsplit('/')
                .next()
                .and_then(|last| last.split([':', '@']).next())
                .is_some_and(|last| last == name)
        })
        .map(str::to_owned)
}

/// iptables and conntrack of this machine, with the libraries that they load.
fn firewall() -> Result<Layer> {
    let iptables = requirements::find("iptables").context("iptables is not installed")?;
    let iptables = iptables.canonicalize().context("looking up iptables")?;
    let conntrack = requirements::find("conntrack").context("conntrack is not installed")?;
    let mut files = vec![iptables.clone(), conntrack];
    for program in files.clone() {
        files.extend(libraries(&program)?);
    }
    // Its matches and targets are loaded by name.
    for folder in [
        "/usr/lib/x86_64-linux-gnu/xtables",
        "/usr/lib/aarch64-linux-gnu/xtables",
    ] {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files.dedup();
    let mut layer = Layer::default();
    for file in &files {
        let inside = file.to_string_lossy();
        layer = layer.program(inside.trim_start_matches('/'), file);
    }
    let target = iptables.display().to_string();
    for family in ["iptables", "ip6tables"] {
        for ending in ["", "-save", "-restore"] {
            layer = layer.link(&format!("usr/local/bin/{family}{ending}"), &target);
        }
    }
    Ok(layer)
}

fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("running ldd")?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_the_last_part_of_its_repository() {
        let list = "quay.io/k0sproject/kube-proxy:v1.36.3-1\nquay.io/k0sproject/pause:3.10.2-0\n";
        assert_eq!(
            find(list, "pause").as_deref(),
            Some("quay.io/k0sproject/pause:3.10.2-0")
        );
        assert_eq!(find(list, "proxy"), None);
    }
}
