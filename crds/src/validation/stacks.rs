//! Folders of manifests that k0s has for itself. It wants to write there, and cannot: what a user
//! mounts is read-only.

use super::Errors;
use crate::v1beta2::{Cluster, ClusterSpec};
use crate::{k0s_config, k0s_flags, volumes};

/// What k0s does about a folder that it cannot write to.
enum Then {
    /// It ends.
    Ends,
    /// It goes on without what it would put there.
    Misses,
    /// It has the folder no more, and reads nothing of it.
    Skips,
}

/// The folders of the minor versions from v1.31 on: name, what makes k0s leave it alone when it is
/// disabled, what it does with it, and up to which minor version it does.
const STACKS: &[(&str, &str, Then, u64)] = &[
    ("calico", "network-provider", Then::Ends, u64::MAX),
    ("kuberouter", "network-provider", Then::Ends, u64::MAX),
    ("coredns", "coredns", Then::Ends, u64::MAX),
    ("metricserver", "metrics-server", Then::Ends, u64::MAX),
    ("kubeproxy", "kube-proxy", Then::Misses, 33),
    ("kubeproxy", "kube-proxy", Then::Ends, u64::MAX),
    (
        "konnectivity",
        "konnectivity-server",
        Then::Misses,
        u64::MAX,
    ),
    ("helm", "helm", Then::Ends, 35),
    ("helm", "", Then::Skips, u64::MAX),
    ("autopilot", "autopilot", Then::Ends, 34),
    ("autopilot", "", Then::Skips, u64::MAX),
    ("windows", "network-provider", Then::Ends, 33),
    ("windows", "", Then::Skips, u64::MAX),
    ("bootstraprbac", "system-rbac", Then::Ends, 32),
    ("bootstraprbac", "", Then::Skips, u64::MAX),
    ("api-config", "", Then::Ends, 31),
    ("api-config", "", Then::Skips, u64::MAX),
];

pub(super) fn check(errors: &mut Errors, warnings: &mut Errors, cluster: &Cluster) {
    let spec = &cluster.spec;
    let Some(minor) = k0s_config::known_minor(cluster) else {
        return;
    };
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let manifests = volumes::manifests(name, spec).map(|(index, manifest)| {
        let path = format!("spec.manifests[{index}].name");
        (path, manifest.name.clone(), manifest.name.clone())
    });
    for (path, value, folder) in manifests.chain(mounts(spec)) {
        let Some((component, then)) = stack(spec, &folder, minor) else {
            continue;
        };
        let remedy = if component.is_empty() {
            "another name".to_owned()
        } else {
            format!("another name, or --disable-components={component} in spec.controlPlaneFlags")
        };
        match then {
            Then::Ends => errors.invalid(
                path,
                value,
                format!("must not be {folder}: k0s keeps manifests of its own there, and ends where it cannot write"),
            ),
            Then::Misses => warnings.warning(
                path,
                value,
                format!("keeps k0s from writing its own manifests of {folder}: they are never applied"),
            ),
            Then::Skips => warnings.warning(path, value, "is a folder that k0s does not read"),
        }
        .hint(remedy);
    }
}

/// Read-only mounts in the place of a manifest.
fn mounts(spec: &ClusterSpec) -> impl Iterator<Item = (String, String, String)> {
    let mounts = spec.mounts.iter().enumerate();
    let read_only = mounts.filter(|(_, mount)| volumes::is_read_only(mount));
    read_only.filter_map(|(index, mount)| {
        let path = format!("spec.mounts[{index}].path");
        Some((path, mount.path.clone(), volumes::manifest_at(&mount.path)?))
    })
}

fn stack(spec: &ClusterSpec, folder: &str, minor: u64) -> Option<(&'static str, &'static Then)> {
    if folder == "metrics" {
        let scrapes = k0s_flags::switch(spec, "--enable-metrics-scraper") == Some(true);
        return scrapes.then_some(("", &Then::Ends));
    }
    let mut stacks = STACKS.iter();
    let (_, component, then, _) =
        stacks.find(|(name, _, _, last)| *name == folder && minor <= *last)?;
    let is_off = k0s_flags::disables(spec, component)
        || *component == "konnectivity-server" && !k0s_flags::has_konnectivity(spec)
        || folder == "api-config" && minor == 31 && !k0s_flags::is_dynamic(spec);
    (!is_off).then_some((component, then))
}
