//! Volumes of the control-plane pods, ours and the user's: they share names and places. Rule and
//! builder both go by this.
//!
//! A place that is taken cannot be had. A name can: it is inner, and who comes later gets another
//! one. Ours come first, and before them the claim's, which the user chooses and which stays for
//! ever. What meets nobody keeps its name, for another one would restart every pod that has it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Volume;

use crate::names;
use crate::v1beta2::{ClusterSpec, Mount, PersistenceType, ServiceType};

/// Folder of the k0s configuration. Not `/etc/k0s`: users mount their own there.
pub const CONFIG_DIR: &str = "/etc/k0smotron";
/// Folder of the manifest that tells the hosted cluster what hosts it.
pub const TELEMETRY_DIR: &str = "/var/lib/k0s/manifests/k0s-telemetry";

/// Folder of certificates and keys, into which those of the Cluster are copied at the start.
pub const PKI_DIR: &str = "/var/lib/k0s/pki";

/// The names of a control plane's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volumes<'a> {
    /// The data directory.
    pub data: String,
    /// The k0s configuration.
    pub config: String,
    /// The CAs and the keys of service accounts, before they are copied.
    pub certificates: String,
    /// The manifest with the cluster's own address; none where it has none outside.
    pub endpoint: Option<String>,
    /// The manifest that tells what hosts the cluster.
    pub telemetry: String,
    /// Folders that k0s writes outside its data directory, less those that the user mounts: name and
    /// place.
    pub scratch: Vec<(String, &'static str)>,
    /// `spec.manifests` and `spec.mounts`.
    pub users: Vec<UserVolume<'a>>,
}

/// A volume of the user's.
#[derive(Clone, Debug, PartialEq)]
pub struct UserVolume<'a> {
    /// Its name in the pod.
    pub name: String,
    /// Where the container sees it.
    pub path: String,
    /// Whether the container may not write to it.
    pub read_only: bool,
    /// What is in it.
    pub source: &'a Volume,
}

impl Eq for UserVolume<'_> {}

impl<'a> Volumes<'a> {
    /// The volumes of a Cluster.
    pub fn new(cluster: &str, spec: &'a ClusterSpec) -> Self {
        let mut names = Names::default();
        let data = names.take(&data(cluster, spec));
        let config = names.take(&names::config(cluster));
        let certificates = names.take("certs");
        let endpoint = is_exposed(spec).then(|| names.take(&names::endpoint_config(cluster)));
        let telemetry = names.take(&names::telemetry_config(cluster));
        let scratch = [("run", "/run"), ("tmp", "/tmp")]
            .into_iter()
            .filter(|(_, at)| spec.mounts.iter().all(|mount| place(&mount.path) != *at))
            .map(|(name, at)| (names.take(name), at))
            .collect();
        let manifests = manifests(cluster, spec).map(|(_, source)| UserVolume {
            name: names.take(&source.name),
            path: folder(&source.name),
            read_only: true,
            source,
        });
        let mut users: Vec<_> = manifests.collect();
        users.extend(spec.mounts.iter().map(|mount| UserVolume {
            name: names.take(&names::mount_volume(&mount.path)),
            path: mount.path.clone(),
            read_only: is_read_only(mount),
            source: &mount.volume,
        }));
        Self {
            data,
            config,
            certificates,
            endpoint,
            telemetry,
            scratch,
            users,
        }
    }
}

/// The volume with the data directory: the claim's name where there is one.
pub fn data(cluster: &str, spec: &ClusterSpec) -> String {
    let persistence = spec.persistence.as_ref();
    persistence
        .filter(|persistence| persistence.type_ == PersistenceType::Pvc)
        .and_then(|persistence| persistence.persistent_volume_claim.as_ref())
        .and_then(|claim| claim.metadata.as_ref()?.name.clone())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| names::control_plane(cluster))
}

/// The folder of nodes that is the data directory, in the one way to write it.
pub fn host_path(spec: &ClusterSpec) -> Option<String> {
    let persistence = spec.persistence.as_ref()?;
    let path = persistence.host_path.as_deref()?;
    let is_there = persistence.type_ == PersistenceType::HostPath && !path.is_empty();
    is_there.then(|| place(path))
}

/// The user's manifests, with their numbers. Upstream writes the endpoint's into the spec as well:
/// that one is added anyway.
pub(crate) fn manifests<'a>(
    cluster: &str,
    spec: &'a ClusterSpec,
) -> impl Iterator<Item = (usize, &'a Volume)> {
    let endpoint = names::endpoint_config(cluster);
    let manifests = spec.manifests.iter().enumerate();
    manifests.filter(move |(_, volume)| volume.name != endpoint)
}

/// Where the volumes that are not the user's are, and what they are.
pub(crate) fn own_places(cluster: &str, spec: &ClusterSpec) -> Vec<(String, &'static str)> {
    let mut places = vec![
        (names::DATA_DIR.to_owned(), "the data directory"),
        (CONFIG_DIR.to_owned(), "the k0s configuration"),
        (TELEMETRY_DIR.to_owned(), "the telemetry manifest"),
    ];
    if is_exposed(spec) {
        let folder = folder(&names::endpoint_config(cluster));
        places.push((folder, "the endpoint manifest"));
    }
    places
}

/// What a mount at a place would hide of what the product puts below its own places.
pub(crate) fn hidden_by(place: &str, cluster: &str, spec: &ClusterSpec) -> Option<&'static str> {
    let own = own_places(cluster, spec).into_iter();
    let closed = own.filter(|(own, _)| own != names::DATA_DIR);
    let below = |folder: &str| {
        let rest = place.strip_prefix(folder);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let pki = (place == PKI_DIR || below(PKI_DIR)).then_some("the certificates and keys");
    pki.or_else(|| {
        closed
            .into_iter()
            .find_map(|(own, what)| below(&own).then_some(what))
    })
}

/// Whether the container may not write to a mount of the user's.
pub(crate) fn is_read_only(mount: &Mount) -> bool {
    mount.read_only || mount.volume.config_map.is_some() || mount.volume.secret.is_some()
}

/// The manifest whose folder this is.
pub(crate) fn manifest_at(path: &str) -> Option<String> {
    let place = place(path);
    let name = place
        .strip_prefix(names::MANIFESTS_DIR)?
        .strip_prefix('/')?;
    (!name.contains('/')).then(|| name.to_owned())
}

/// The folder of a manifest.
pub fn folder(manifest: &str) -> String {
    format!("{}/{manifest}", names::MANIFESTS_DIR)
}

/// The place that a path means: one can be written in many ways.
pub(crate) fn place(path: &str) -> String {
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

/// Whether the cluster has, or will have, an address outside the mothership.
fn is_exposed(spec: &ClusterSpec) -> bool {
    spec.service.type_ != ServiceType::ClusterIP || spec.asked_host().is_some()
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// The name, or where it is no name or somebody has it already, one that is made from it.
    fn take(&mut self, name: &str) -> String {
        let mut free = names::volume(name, 0);
        let mut turn = 0;
        while !self.0.insert(free.clone()) {
            turn += 1;
            free = names::volume(name, turn);
        }
        free
    }
}

#[cfg(test)]
mod tests;
