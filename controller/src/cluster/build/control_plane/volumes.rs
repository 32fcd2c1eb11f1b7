//! What the control plane's pods mount.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource, KeyToPath,
        PersistentVolumeClaim, Volume, VolumeMount,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crds::{
    names,
    v1beta2::{CertificateType, PersistenceType},
};

use super::super::{
    super::validate::{Address, ValidCluster},
    certificate_secret,
    k0s_config::{AUTHENTICATION, FILE, FOLDER, anonymous_health},
    pod,
    quantity::{canonical, canonical_volume},
};

/// The data directory of k0s.
pub(super) const DATA: &str = "/var/lib/k0s";
/// Where the certificates are that are copied from at the start.
pub(super) const CERTIFICATES: &str = "/certs-init";

/// Files that k0s looks for, by the certificate that they come from.
pub(super) const PKI_FILES: [(CertificateType, &[(&str, &str)]); 5] = [
    (
        CertificateType::Ca,
        &[("tls.crt", "ca.crt"), ("tls.key", "ca.key")],
    ),
    (
        CertificateType::Sa,
        &[("tls.crt", "sa.pub"), ("tls.key", "sa.key")],
    ),
    (
        CertificateType::Proxy,
        &[
            ("tls.crt", "front-proxy-ca.crt"),
            ("tls.key", "front-proxy-ca.key"),
        ],
    ),
    // Only the certificate: nothing in this pod signs for etcd.
    (CertificateType::Etcd, &[("tls.crt", "etcd-ca.crt")]),
    (
        CertificateType::ApiserverEtcdClient,
        &[
            ("tls.crt", "apiserver-etcd-client.crt"),
            ("tls.key", "apiserver-etcd-client.key"),
        ],
    ),
];

pub(super) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..Default::default()
    }
}

/// The data directory is the second mount: other tools find it by its place.
pub(super) fn mounts(cluster: &ValidCluster) -> Vec<VolumeMount> {
    let manifest =
        |volume: &str, stack: &str| mount(volume, &format!("{DATA}/manifests/{stack}"), true);
    let mut mounts = vec![
        mount(&names::config(&cluster.name), FOLDER, true),
        mount(&cluster.data_volume(), DATA, false),
    ];
    if matches!(cluster.address, Address::External(_)) {
        let endpoint = names::endpoint_config(&cluster.name);
        mounts.push(manifest(&endpoint, &endpoint));
    }
    for volume in manifests(cluster) {
        mounts.push(manifest(&volume.name, &volume.name));
    }
    for user in &cluster.spec.mounts {
        let read_only =
            user.read_only || user.volume.config_map.is_some() || user.volume.secret.is_some();
        mounts.push(mount(
            &names::mount_volume(&user.path),
            &user.path,
            read_only,
        ));
    }
    mounts.push(manifest(
        &names::telemetry_config(&cluster.name),
        "k0s-telemetry",
    ));
    for (name, path) in scratch(cluster) {
        mounts.push(mount(name, path, false));
    }
    mounts
}

/// The user's manifests. Upstream writes its own into the spec as well: that one is added anyway.
fn manifests(cluster: &ValidCluster) -> impl Iterator<Item = &Volume> {
    let endpoint = names::endpoint_config(&cluster.name);
    cluster
        .spec
        .manifests
        .iter()
        .filter(move |volume| volume.name != endpoint)
}

/// Folders that k0s writes outside its data directory, less those that the user mounts.
fn scratch(cluster: &ValidCluster) -> impl Iterator<Item = (&'static str, &'static str)> {
    [("run", "/run"), ("tmp", "/tmp")]
        .into_iter()
        .filter(|(_, path)| {
            !cluster
                .spec
                .mounts
                .iter()
                .any(|user| user.path.trim_end_matches('/') == *path)
        })
}

pub(super) fn volumes(cluster: &ValidCluster) -> Vec<Volume> {
    let config = names::config(&cluster.name);
    let telemetry = names::telemetry_config(&cluster.name);
    let config_map = |name: &str, items: Option<Vec<KeyToPath>>| Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: name.to_owned(),
            items,
            ..Default::default()
        }),
        ..Default::default()
    };
    let file = |key: &str, path: &str| KeyToPath {
        key: key.to_owned(),
        path: path.to_owned(),
        mode: None,
    };
    let mut files = vec![file(names::K0S_CONFIG_KEY, FILE)];
    if anonymous_health(cluster) {
        files.push(file(AUTHENTICATION, AUTHENTICATION));
    }
    let certificates: Vec<_> = PKI_FILES
        .iter()
        .map(|(type_, files)| pod::secret_files(&certificate_secret(cluster, *type_), files))
        .collect();
    let mut volumes = vec![
        config_map(&config, Some(files)),
        pod::projected("certs", certificates),
    ];
    volumes.extend(data(cluster));
    if matches!(cluster.address, Address::External(_)) {
        volumes.push(config_map(&names::endpoint_config(&cluster.name), None));
    }
    volumes.extend(manifests(cluster).cloned().map(canonical_volume));
    for user in &cluster.spec.mounts {
        volumes.push(Volume {
            name: names::mount_volume(&user.path),
            ..canonical_volume(user.volume.clone())
        });
    }
    volumes.push(config_map(&telemetry, None));
    for (name, _) in scratch(cluster) {
        volumes.push(Volume {
            name: name.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Default::default()
        });
    }
    volumes
}

fn data(cluster: &ValidCluster) -> Option<Volume> {
    let persistence = cluster.spec.persistence.clone().unwrap_or_default();
    let name = cluster.data_volume();
    match persistence.type_ {
        PersistenceType::EmptyDir | PersistenceType::Other(_) => Some(Volume {
            name,
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Default::default()
        }),
        PersistenceType::HostPath => Some(Volume {
            name,
            host_path: Some(HostPathVolumeSource {
                path: persistence.host_path.unwrap_or_default(),
                type_: None,
            }),
            ..Default::default()
        }),
        PersistenceType::Pvc => None,
    }
}

pub(super) fn claim(cluster: &ValidCluster) -> Option<PersistentVolumeClaim> {
    let persistence = cluster.spec.persistence.as_ref()?;
    if persistence.type_ != PersistenceType::Pvc {
        return None;
    }
    let given = persistence.persistent_volume_claim.as_ref()?;
    let metadata = given.metadata.clone().unwrap_or_default();
    let mut spec = given.spec.clone();
    let quantities = spec
        .as_mut()
        .and_then(|spec| spec.resources.as_mut())
        .map(|resources| {
            [resources.requests.as_mut(), resources.limits.as_mut()]
                .into_iter()
                .flatten()
        });
    for quantity in quantities
        .into_iter()
        .flatten()
        .flat_map(BTreeMap::values_mut)
    {
        quantity.0 = canonical(&quantity.0);
    }
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(cluster.data_volume()),
            labels: (!metadata.labels.is_empty()).then_some(metadata.labels),
            annotations: (!metadata.annotations.is_empty()).then_some(metadata.annotations),
            ..Default::default()
        },
        spec,
        status: None,
    })
}
