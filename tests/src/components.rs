//! The parts of Kubernetes that the harness runs, built once from Go modules.
//!
//! Each module has a `go.mod` and `go.sum` of its own below `components/`, since their dependency
//! graphs do not fit together. What was built is kept in the cache folder under a digest of those
//! two files, the Go version and the build flags, so that a second run builds nothing.

mod build;
mod catalogue;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
pub use catalogue::{K0sVersion, Module};

use crate::progress::Progress;

/// Where each built program is.
#[derive(Clone, Debug)]
pub struct Components {
    programs: BTreeMap<String, PathBuf>,
}

impl Components {
    /// Builds what is not in the cache yet. Progress goes to standard error.
    pub fn ensure(modules: &[Module], progress: &Progress) -> Result<Self> {
        let mut programs = BTreeMap::new();
        for module in modules {
            let dir = build::ensure(*module, progress)
                .with_context(|| format!("building {}", module.name()))?;
            for command in module.commands() {
                // A later module replaces programs of the same name.
                programs.insert(command.program.to_owned(), dir.join(command.program));
            }
        }
        Ok(Self { programs })
    }

    /// What the light level needs: etcd and Kubernetes.
    pub fn light(progress: &Progress) -> Result<Self> {
        Self::ensure(&[Module::Etcd, Module::Kubernetes], progress)
    }

    /// What the full level needs for itself.
    pub fn full(progress: &Progress) -> Result<Self> {
        Self::ensure(
            &[
                Module::Etcd,
                Module::Kubernetes,
                Module::Containerd,
                Module::Coredns,
            ],
            progress,
        )
    }

    /// What runs inside hosted control planes and on their workers: the Kubernetes parts carry the
    /// version string that k0s of that version gives them.
    pub fn hosted(version: K0sVersion, progress: &Progress) -> Result<Self> {
        Self::ensure(
            &[
                Module::Etcd,
                Module::Konnectivity,
                Module::Containerd,
                Module::Kubernetes,
                Module::Hosted(version),
            ],
            progress,
        )
    }

    /// The path of a program that was asked for.
    pub fn path(&self, program: &str) -> Result<&Path> {
        self.programs
            .get(program)
            .map(PathBuf::as_path)
            .with_context(|| format!("{program} is not among the built components"))
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.programs
            .iter()
            .map(|(name, path)| (name.as_str(), path.as_path()))
    }
}
