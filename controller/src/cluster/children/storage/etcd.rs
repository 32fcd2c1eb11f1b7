//! etcd: its members and where they learn of each other.

use std::collections::BTreeMap;

use crds::labels::{self, Component};
use crds::names;
use crds::quantity::{canonical, canonical_resources};
use crds::v1beta2::{CertificateType, EtcdSpec};
use crds::validation::{etcd_flag, is_etcds_own};
use crds::volumes::PKI_DIR;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Lifecycle,
    LifecycleHandler, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, SleepAction, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use self::services::{CLIENT_PORT, PEER_PORT};
use crate::apply::desired::Desired;
use crate::cluster::children::common::{
    all_exist, certificate_exists, certificate_secret, map, metadata, public_keys,
};
use crate::cluster::children::{pod, storage};
use crate::cluster::dereference::{INITIAL_TOKEN, knows_token};
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

pub mod certificates;
pub mod claims;
pub mod initial;
pub mod network_policy;
pub mod services;
#[cfg(test)]
mod tests;

/// Where the members' health is asked for, without a certificate and without data.
const HEALTH: i32 = 2381;
/// The claim of a member.
const CLAIM: &str = names::ETCD_DATA_VOLUME;
const CERTIFICATES: &str = "/var/lib/k0s/pki/etcd/";
const DATA: &str = "/var/lib/k0s/etcd";
const INITIAL_CLUSTER: &str = "ETCD_INITIAL_CLUSTER";
const INITIAL_STATE: &str = "ETCD_INITIAL_CLUSTER_STATE";
/// The group that owns a member's volume.
const GROUP: i64 = 1001;

/// How many members serve.
pub fn ready_members(cluster: &ValidCluster) -> i32 {
    let status = cluster.etcd.as_ref().and_then(|set| set.status.as_ref());
    status
        .and_then(|status| status.ready_replicas)
        .unwrap_or_default()
}

/// How k0s reaches it.
pub fn k0s_config(cluster: &ValidCluster) -> Value {
    json!({"type": "etcd", "etcd": {"externalCluster": {
        "endpoints": [format!(
            "https://{}:{}",
            names::etcd_client_service(&cluster.name),
            CLIENT_PORT
        )],
        "etcdPrefix": cluster.name,
        "caFile": format!("{PKI_DIR}/etcd-ca.crt"),
        "clientCertFile": format!("{PKI_DIR}/apiserver-etcd-client.crt"),
        "clientKeyFile": format!("{PKI_DIR}/apiserver-etcd-client.key"),
    }}})
}

/// The members; `None` until what they mount is there, and nothing is in the way.
pub fn stateful_set(cluster: &ValidCluster) -> Option<Desired> {
    let config = names::etcd_config(&cluster.name);
    let certificates = [
        CertificateType::Etcd,
        CertificateType::EtcdServer,
        CertificateType::EtcdPeer,
    ];
    if storage::in_the_way(cluster).is_some()
        || !all_exist(cluster, [config.as_str()].into_iter())
        || !certificates
            .iter()
            .all(|type_| certificate_exists(cluster, *type_))
    {
        return None;
    }
    let settings = &cluster.spec.storage.etcd;
    let name = names::etcd(&cluster.name);
    let labels = labels::etcd_selector(&cluster.name);
    let size = canonical(&settings.persistence.size.0);
    let class = settings.persistence.storage_class.clone();
    let mut set = StatefulSet {
        metadata: ObjectMeta {
            annotations: public_keys(cluster),
            ..metadata(cluster, name.clone(), Component::Etcd)
        },
        spec: Some(StatefulSetSpec {
            replicas: Some(cluster.etcd_members),
            service_name: Some(name),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(pod::rolling_update()),
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                ..Default::default()
            },
            persistent_volume_claim_retention_policy: Some(pod::retention(
                settings.auto_delete_pvcs,
            )),
            volume_claim_templates: Some(vec![PersistentVolumeClaim {
                metadata: ObjectMeta {
                    name: Some(CLAIM.to_owned()),
                    labels: Some(map([(labels::CLUSTER_UID, &cluster.uid)])),
                    ..Default::default()
                },
                spec: Some(PersistentVolumeClaimSpec {
                    access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                    storage_class_name: class.filter(|class| !class.is_empty()),
                    resources: Some(VolumeResourceRequirements {
                        requests: Some([("storage".to_owned(), Quantity(size))].into()),
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                status: None,
            }]),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::etcd_pod(&cluster.name)),
                    ..Default::default()
                }),
                spec: Some(pod_spec(cluster, settings, &labels)),
            },
            ..Default::default()
        }),
        status: None,
    };
    pod::keep_immutable(&mut set, cluster.etcd.as_ref());
    pod::leave_account(&mut set);
    Some(Desired::declared(Kind::StatefulSet, set))
}

fn pod_spec(
    cluster: &ValidCluster,
    settings: &EtcdSpec,
    labels: &BTreeMap<String, String>,
) -> PodSpec {
    PodSpec {
        automount_service_account_token: Some(false),
        service_account_name: cluster.spec.service_account.clone(),
        affinity: Some(pod::apart(labels, false)),
        topology_spread_constraints: pod::spread(cluster),
        security_context: Some(PodSecurityContext {
            fs_group: Some(GROUP),
            seccomp_profile: Some(pod::runtime_default()),
            ..Default::default()
        }),
        termination_grace_period_seconds: Some(30),
        containers: vec![container(cluster, settings)],
        volumes: Some(vec![pod::projected(
            "certs",
            [
                pod::secret_files(
                    &certificate_secret(cluster, CertificateType::Etcd),
                    &[(names::TLS_CERT_KEY, "ca.crt")],
                ),
                pod::secret_files(
                    &certificate_secret(cluster, CertificateType::EtcdServer),
                    &[
                        (names::TLS_CERT_KEY, "server.crt"),
                        (names::TLS_KEY_KEY, "server.key"),
                    ],
                ),
                pod::secret_files(
                    &certificate_secret(cluster, CertificateType::EtcdPeer),
                    &[
                        (names::TLS_CERT_KEY, "peer.crt"),
                        (names::TLS_KEY_KEY, "peer.key"),
                    ],
                ),
            ],
        )]),
        ..Default::default()
    }
}

fn container(cluster: &ValidCluster, settings: &EtcdSpec) -> Container {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..Default::default()
    };
    Container {
        name: "etcd".to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        // An argument vector and no shell: the kubelet fills in $(POD_NAME).
        command: Some(vec!["etcd".to_owned()]),
        args: Some(arguments(cluster, settings)),
        env: Some(environment(cluster)),
        ports: Some(vec![
            container_port("client", CLIENT_PORT),
            container_port("peer", PEER_PORT),
        ]),
        volume_mounts: Some(vec![
            mount("certs", CERTIFICATES, true),
            mount(CLAIM, DATA, false),
        ]),
        resources: settings.resources.clone().map(canonical_resources),
        // Asked every second until it answers once: nobody reaches a member before that.
        startup_probe: Some(health(1, 900)),
        // A member that has not caught up, or has lost its leader, is not ready.
        readiness_probe: Some(health(5, 2)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: 3 }),
                ..Default::default()
            }),
            ..Default::default()
        }),
        security_context: Some(pod::confined(&[])),
        ..Default::default()
    }
}

fn health(period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/readyz".to_owned()),
            port: IntOrString::Int(HEALTH),
            scheme: Some("HTTP".to_owned()),
            ..Default::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Default::default()
    }
}

fn arguments(cluster: &ValidCluster, settings: &EtcdSpec) -> Vec<String> {
    let service = names::etcd(&cluster.name);
    let mut args: Vec<String> = [
        "--name=$(POD_NAME)",
        &format!("--listen-client-urls=https://0.0.0.0:{CLIENT_PORT}"),
        &format!("--listen-peer-urls=https://0.0.0.0:{PEER_PORT}"),
        &format!("--listen-metrics-urls=http://0.0.0.0:{HEALTH}"),
        &format!("--advertise-client-urls=https://$(POD_NAME).{service}:{CLIENT_PORT}"),
        &format!("--initial-advertise-peer-urls=https://$(POD_NAME).{service}:{PEER_PORT}"),
        "--client-cert-auth=true",
        "--tls-min-version=TLS1.2",
        &format!("--trusted-ca-file={CERTIFICATES}ca.crt"),
        &format!("--cert-file={CERTIFICATES}server.crt"),
        &format!("--key-file={CERTIFICATES}server.key"),
        "--peer-client-cert-auth=true",
        &format!("--peer-trusted-ca-file={CERTIFICATES}ca.crt"),
        &format!("--peer-cert-file={CERTIFICATES}peer.crt"),
        &format!("--peer-key-file={CERTIFICATES}peer.key"),
        "--enable-pprof=false",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=5m",
        "--snapshot-count=10000",
    ]
    .map(str::to_owned)
    .into();
    let theirs = theirs(&args, &settings.args);
    args.extend(theirs);
    args.push(format!("--data-dir={DATA}"));
    args
}

/// The user's arguments without those by which members find and trust each other, which an older
/// release or another program has let in: of two the last one would count.
fn theirs(ours: &[String], args: &[String]) -> Vec<String> {
    let is_set = |flag| is_etcds_own(flag) && ours.iter().any(|arg| etcd_flag(arg) == Some(flag));
    let mut args = args.iter().peekable();
    let mut kept = Vec::new();
    while let Some(arg) = args.next() {
        if !etcd_flag(arg).is_some_and(is_set) {
            kept.push(arg.clone());
        } else if !arg.contains('=') {
            // Its value follows, unless it is a switch.
            args.next_if(|next| !next.starts_with('-'));
        }
    }
    kept
}

fn environment(cluster: &ValidCluster) -> Vec<EnvVar> {
    let service = names::etcd(&cluster.name);
    let plain = |name: &str, value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        ..Default::default()
    };
    let from_config = |key: &str| EnvVar {
        name: key.to_owned(),
        value_from: Some(EnvVarSource {
            config_map_key_ref: Some(ConfigMapKeySelector {
                name: names::etcd_config(&cluster.name),
                key: key.to_owned(),
                optional: None,
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut all = vec![
        pod::name_variable(),
        plain("SVC_NAME", service),
        // For a person who looks into the pod: etcdctl works without a flag.
        plain(
            "ETCDCTL_ENDPOINTS",
            format!("https://127.0.0.1:{CLIENT_PORT}"),
        ),
        plain("ETCDCTL_CACERT", format!("{CERTIFICATES}ca.crt")),
        plain("ETCDCTL_CERT", format!("{CERTIFICATES}server.crt")),
        plain("ETCDCTL_KEY", format!("{CERTIFICATES}server.key")),
        from_config(INITIAL_CLUSTER),
        from_config(INITIAL_STATE),
    ];
    // Members that have started never read it, and one more variable would roll them.
    if cluster.etcd.as_ref().is_none_or(knows_token) {
        all.push(from_config(INITIAL_TOKEN));
    }
    all
}

fn container_port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    }
}
