//! The control plane's StatefulSet.

use crds::labels::{self, Component};
use crds::names;
use crds::quantity::canonical_resources;
use crds::v1beta2::StatusPorts;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, ContainerPort, HTTPGetAction, Lifecycle, LifecycleHandler,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::apply::desired::Desired;
use crate::cluster::children::common::{all_exist, certificate_exists, metadata, public_keys};
use crate::cluster::children::control_plane::k0s_config::{FILE, FOLDER, PKI, anonymous_health};
use crate::cluster::children::pod;
use crate::cluster::validate::{Address, ValidCluster};
use crate::kubernetes::store::Kind;

pub mod k0s_config;
mod nodes;
pub mod revision;
mod volumes;

use self::nodes::{Nodes, OWN_NODES_ABOVE};
use self::volumes::{CERTIFICATES, DATA, PKI_FILES, claim, mount, mounts, volumes};

/// Annotation of the pod template: what k0s reads only at its start.
const CONFIG_DIGEST: &str = "k0smotron.io/config-digest";
/// What k0s is known to need: it changes owners of files and runs its components as users of
/// their own.
const CAPABILITIES: [&str; 6] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "SETGID",
    "SETUID",
];
/// Longer than a mothership takes to send nobody here any more: new connections go elsewhere
/// before the API server stops.
const DRAIN_SECONDS: i64 = 5;
/// k0s stops its components one after another; the API server alone may take 20 s.
const GRACE_SECONDS: i64 = 60;

/// The control plane; `None` until what it mounts is there and its address is known.
pub fn stateful_set(cluster: &ValidCluster) -> Option<Desired> {
    let mut set = nodes::decided(cluster, |nodes| on(cluster, nodes))?;
    pod::leave_account(&mut set);
    Some(Desired::declared(Kind::StatefulSet, set))
}

fn on(cluster: &ValidCluster, nodes: Nodes) -> Option<StatefulSet> {
    let ports = cluster.ports?;
    let digest = k0s_config::static_digest(cluster)?;
    let config = revision::mounted(cluster)?;
    let telemetry = names::telemetry_config(&cluster.name);
    let endpoint = names::endpoint_config(&cluster.name);
    let exposed = matches!(cluster.address, Address::External(_));
    let mounted = [config.as_str(), telemetry.as_str()]
        .into_iter()
        .chain(exposed.then_some(endpoint.as_str()));
    if !all_exist(cluster, mounted)
        || !PKI_FILES
            .iter()
            .all(|(type_, _)| certificate_exists(cluster, *type_))
    {
        return None;
    }
    let name = names::control_plane(&cluster.name);
    let selector = labels::control_plane_selector(&cluster.name);
    let persistence = cluster.spec.persistence.clone().unwrap_or_default();
    let mut metadata = metadata(cluster, name, Component::ControlPlane);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(labels::CONTROL_PLANE.to_owned(), "true".to_owned());
    metadata.annotations = public_keys(cluster);
    if let Some(above) = nodes.above {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(OWN_NODES_ABOVE.to_owned(), above.to_string());
    }
    let apart = pod::apart(&selector, nodes.own);
    let mut set = StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(cluster.replicas()),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(pod::rolling_update()),
            selector: LabelSelector {
                match_labels: Some(selector.clone()),
                ..Default::default()
            },
            persistent_volume_claim_retention_policy: Some(pod::retention(
                persistence.auto_delete_pvcs,
            )),
            volume_claim_templates: claim(cluster).map(|claim| vec![claim]),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::control_plane_pod(&cluster.name)),
                    annotations: Some([(CONFIG_DIGEST.to_owned(), digest)].into()),
                    ..Default::default()
                }),
                spec: Some(pod_spec(cluster, ports, apart, config)),
            },
            ..Default::default()
        }),
        status: None,
    };
    pod::keep_immutable(&mut set, cluster.control_plane.as_ref());
    Some(set)
}

fn pod_spec(
    cluster: &ValidCluster,
    ports: StatusPorts,
    apart: Affinity,
    config: String,
) -> PodSpec {
    PodSpec {
        automount_service_account_token: Some(false),
        service_account_name: cluster.spec.service_account.clone(),
        affinity: Some(apart),
        topology_spread_constraints: pod::spread(cluster),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(pod::runtime_default()),
            ..Default::default()
        }),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        init_containers: Some(vec![certificates_container(cluster)]),
        containers: vec![controller_container(cluster, ports)],
        volumes: Some(volumes(cluster, config)),
        ..Default::default()
    }
}

/// Copies CAs and keys into the data directory: k0s writes beside them. The text of its shell
/// is fixed; nothing of a user's gets in.
fn certificates_container(cluster: &ValidCluster) -> Container {
    let volumes = cluster.volumes();
    let script = format!(
        "set -e; mkdir -p {PKI}; rm -f {PKI}/server.*; cp -f {CERTIFICATES}/*.* {PKI}/; \
         chmod 0751 {PKI}"
    );
    Container {
        name: "certs-init".to_owned(),
        image: Some(cluster.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), script]),
        volume_mounts: Some(vec![
            mount(&volumes.certificates, CERTIFICATES, true),
            mount(&volumes.data, DATA, false),
        ]),
        security_context: Some(pod::confined(&["CHOWN", "DAC_OVERRIDE", "FOWNER"])),
        ..Default::default()
    }
}

fn controller_container(cluster: &ValidCluster, ports: StatusPorts) -> Container {
    let mut capabilities = CAPABILITIES.to_vec();
    if ports.api < 1024 || ports.konnectivity < 1024 {
        capabilities.push("NET_BIND_SERVICE");
        capabilities.sort_unstable();
    }
    let port = |name: &str, number: i32| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    };
    let probe = |period: i32, failures: i32| Probe {
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..readiness(cluster, ports.api)
    };
    Container {
        name: "controller".to_owned(),
        image: Some(cluster.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(
            ["/sbin/tini", "--", "k0s", "controller"]
                .map(str::to_owned)
                .into(),
        ),
        args: Some(arguments(cluster)),
        ports: Some(vec![
            port("api", ports.api),
            port("konnectivity", ports.konnectivity),
        ]),
        volume_mounts: Some(mounts(cluster)),
        resources: cluster.spec.resources.clone().map(canonical_resources),
        // Asked every second until it answers once, so that nobody waits for a fixed delay. k0s
        // restarts its own components: there is no liveness probe to do it a second time.
        startup_probe: Some(probe(1, 900)),
        readiness_probe: Some(probe(5, 2)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction {
                    seconds: DRAIN_SECONDS,
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
        security_context: Some(pod::confined(&capabilities)),
        ..Default::default()
    }
}

/// Asks the API server itself where it answers without a certificate, else only its port.
fn readiness(cluster: &ValidCluster, port: i32) -> Probe {
    if anonymous_health(cluster) {
        Probe {
            http_get: Some(HTTPGetAction {
                path: Some("/readyz".to_owned()),
                port: IntOrString::Int(port),
                scheme: Some("HTTPS".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        }
    } else {
        Probe {
            tcp_socket: Some(TCPSocketAction {
                port: IntOrString::Int(port),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

fn arguments(cluster: &ValidCluster) -> Vec<String> {
    let users: Vec<String> = cluster
        .spec
        .control_plane_flags
        .iter()
        // What does not parse was refused before anything was built.
        .flat_map(|flags| shell_words::split(flags).unwrap_or_default())
        .collect();
    let given = |flag: &str| {
        users
            .iter()
            .any(|user| user == flag || user.starts_with(&format!("{flag}=")))
    };
    let config = (!given("--config")).then(|| format!("--config={FOLDER}/{FILE}"));
    let dynamic = (!given("--enable-dynamic-config")).then(|| "--enable-dynamic-config".to_owned());
    // $(NAME) in an argument would be expanded by the kubelet; two dollars are one.
    let users = users.iter().map(|flag| flag.replace("$(", "$$("));
    users.chain(config).chain(dynamic).collect()
}
