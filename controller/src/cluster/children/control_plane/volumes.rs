//! What the control plane's pods mount.

use std::collections::BTreeMap;

use crds::names;
use crds::quantity::{canonical, canonical_volume};
use crds::v1beta2::{CertificateType, PersistenceType};
use crds::volumes::{TELEMETRY_DIR, folder};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource, KeyToPath,
    PersistentVolumeClaim, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::children::common::certificate_secret;
use crate::cluster::children::control_plane::k0s_config::{
    AUTHENTICATION, FILE, FOLDER, anonymous_health,
};
use crate::cluster::children::pod;
use crate::cluster::validate::ValidCluster;

/// The data directory of k0s.
pub(super) const DATA: &str = names::DATA_DIR;
/// Where the certificates are that are copied from at the start.
pub(super) const CERTIFICATES: &str = "/certs-init";

/// Files that k0s looks for, by the certificate that they come from.
pub(super) const PKI_FILES: [(CertificateType, &[(&str, &str)]); 5] = [
    (
        CertificateType::Ca,
        &[
            (names::TLS_CERT_KEY, "ca.crt"),
            (names::TLS_KEY_KEY, "ca.key"),
        ],
    ),
    (
        CertificateType::Sa,
        &[
            (names::TLS_CERT_KEY, "sa.pub"),
            (names::TLS_KEY_KEY, "sa.key"),
        ],
    ),
    (
        CertificateType::Proxy,
        &[
            (names::TLS_CERT_KEY, "front-proxy-ca.crt"),
            (names::TLS_KEY_KEY, "front-proxy-ca.key"),
        ],
    ),
    // Only the certificate: nothing in this pod signs for etcd.
    (
        CertificateType::Etcd,
        &[(names::TLS_CERT_KEY, "etcd-ca.crt")],
    ),
    (
        CertificateType::ApiserverEtcdClient,
        &[
            (names::TLS_CERT_KEY, "apiserver-etcd-client.crt"),
            (names::TLS_KEY_KEY, "apiserver-etcd-client.key"),
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
    let volumes = cluster.volumes();
    let mut mounts = vec![
        mount(&volumes.config, FOLDER, true),
        mount(&volumes.data, DATA, false),
    ];
    if let Some(endpoint) = &volumes.endpoint {
        let folder = folder(&names::endpoint_config(&cluster.name));
        mounts.push(mount(endpoint, &folder, true));
    }
    for user in &volumes.users {
        mounts.push(mount(&user.name, &user.path, user.read_only));
    }
    mounts.push(mount(&volumes.telemetry, TELEMETRY_DIR, true));
    for (name, path) in &volumes.scratch {
        mounts.push(mount(name, path, false));
    }
    mounts
}

/// With the configuration from this ConfigMap.
pub(super) fn volumes(cluster: &ValidCluster, config: String) -> Vec<Volume> {
    let inner = cluster.volumes();
    let config_map = |volume: &str, name: String, items: Option<Vec<KeyToPath>>| Volume {
        name: volume.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name,
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
        config_map(&inner.config, config, Some(files)),
        pod::projected(&inner.certificates, certificates),
    ];
    volumes.extend(data(cluster, &inner.data));
    if let Some(endpoint) = &inner.endpoint {
        let endpoint_config = names::endpoint_config(&cluster.name);
        volumes.push(config_map(endpoint, endpoint_config, None));
    }
    for user in &inner.users {
        volumes.push(Volume {
            name: user.name.clone(),
            ..canonical_volume(user.source.clone())
        });
    }
    let telemetry = names::telemetry_config(&cluster.name);
    volumes.push(config_map(&inner.telemetry, telemetry, None));
    for (name, _) in inner.scratch {
        volumes.push(Volume {
            name,
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Default::default()
        });
    }
    volumes
}

fn data(cluster: &ValidCluster, name: &str) -> Option<Volume> {
    let persistence = cluster.spec.persistence.clone().unwrap_or_default();
    let name = name.to_owned();
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
            name: Some(cluster.volumes().data),
            labels: (!metadata.labels.is_empty()).then_some(metadata.labels),
            annotations: (!metadata.annotations.is_empty()).then_some(metadata.annotations),
            ..Default::default()
        },
        spec,
        status: None,
    })
}
