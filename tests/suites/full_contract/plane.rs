//! A control plane made by hand: a pod of k0s with an etcd pod of its own, reached at the node's
//! address, as the product makes them but without the product.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::api::{Api, DynamicObject, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Client, Config};
use mothership::pki::{self, Authority};
use serde_json::{Value, json};
use support::full::clusters::{self, Ran};
use support::full::hosted;
use support::full::world::World;
use tokio::sync::OnceCell;

use crate::bodies::{self, Use};

/// Namespace of all of it.
pub const NAMESPACE: &str = "contract";
/// The pod of k0s, whose configuration uses what the product uses.
pub const K0S: &str = "k0s";
/// Another one, with k0s's defaults: etcd inside, no authentication file.
pub const PLAIN: &str = "plain";
/// The same without k0s running.
pub const IDLE: &str = "idle";
/// The etcd of the first.
pub const ETCD: &str = "etcd";
/// Where that one's keys begin.
pub const PREFIX: &str = "/contract";
/// Further names of the API server.
pub const SANS: [&str; 2] = ["api.contract.example", "192.0.2.7"];
/// The API port of [`PLAIN`], in its pod.
pub const PLAIN_PORT: u16 = 6443;
/// How long k0s is without an etcd at first.
const LATE: Duration = Duration::from_secs(3);
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The running control plane.
#[derive(Debug)]
pub struct Plane {
    /// The port of the API, the same in the pod and at the node.
    pub api: u16,
    /// The port of konnectivity, the same.
    pub konnectivity: u16,
    /// The node's address.
    pub address: String,
    /// The authority that was given to it, PEM.
    pub ca: String,
    /// From its etcd being ready to itself being ready.
    pub recovered: Duration,
}

/// The control plane, made at the first call. When that fails it fails once for all cases.
pub async fn plane(world: &World) -> Result<&'static Plane> {
    static PLANE: OnceCell<Option<Plane>> = OnceCell::const_new();
    let mut failure = None;
    let made = PLANE.get_or_init(|| async {
        let made = start(world).await;
        made.map_err(|error| failure = Some(error)).ok()
    });
    match made.await {
        Some(plane) => Ok(plane),
        None => Err(failure.unwrap_or_else(|| anyhow!("there is no control plane"))),
    }
}

/// The pods of the namespace.
pub fn pods(world: &World) -> Api<Pod> {
    Api::namespaced(world.client.clone(), NAMESPACE)
}

/// Runs a command beside the running k0s.
pub async fn run(world: &World, command: &[&str]) -> Result<Ran> {
    plane(world).await?;
    clusters::run(&pods(world), K0S, command).await
}

/// Runs a command beside the running k0s that must end well; its standard output.
pub async fn exec(world: &World, command: &[&str]) -> Result<String> {
    plane(world).await?;
    clusters::exec(&pods(world), K0S, command).await
}

/// An administrator's client, from the kubeconfig that k0s makes.
pub async fn client(world: &World) -> Result<Client> {
    let command = [
        "k0s",
        "kubeconfig",
        "create",
        "root",
        "--groups",
        "system:masters",
    ];
    let config = hosted::parse(&exec(world, &command).await?).await?;
    Ok(Client::try_from(config)?)
}

/// The way to an API server for somebody it does not know.
pub async fn stranger(server: &str, ca: &str) -> Result<Config> {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let kubeconfig = json!({
        "clusters": [{"name": "it", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
        "current-context": "it",
    });
    hosted::parse(&kubeconfig.to_string()).await
}

/// Waits until a pod is ready; what it said is in the error.
pub async fn ready(world: &World, name: &str) -> Result<Pod> {
    let settled = |pod: Option<&Pod>| pod.is_some_and(clusters::is_ready) || ended(pod).is_some();
    let waiting = await_condition(pods(world), name, settled);
    let pod = match tokio::time::timeout(READY_WITHIN, waiting).await {
        Ok(pod) => pod?,
        Err(_) => None,
    };
    if let Some(pod) = pod.filter(clusters::is_ready) {
        return Ok(pod);
    }
    let tail = LogParams {
        tail_lines: Some(30),
        ..LogParams::default()
    };
    let log = pods(world).logs(name, &tail).await;
    bail!(
        "the pod {name} does not become ready\n{}",
        log.unwrap_or_else(|error| error.to_string())
    )
}

/// The exit code that a pod's container ended with.
pub fn ended(pod: Option<&Pod>) -> Option<i32> {
    let statuses = pod?.status.as_ref()?.container_statuses.as_ref()?;
    let state = statuses.first()?.state.as_ref()?;
    Some(state.terminated.as_ref()?.exit_code)
}

/// Creates an object in the namespace.
async fn create<K>(world: &World, body: Value) -> Result<K>
where
    K: serde::de::DeserializeOwned
        + serde::Serialize
        + Clone
        + std::fmt::Debug
        + kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    let object: K = serde_json::from_value(body)?;
    let api: Api<K> = Api::namespaced(world.client.clone(), NAMESPACE);
    Ok(api.create(&PostParams::default(), &object).await?)
}

async fn start(world: &World) -> Result<Plane> {
    clusters::namespace(&world.client, NAMESPACE).await?;
    let named = |name: &str| json!({"name": name, "port": name.len(), "targetPort": name});
    let service: Service = create(
        world,
        json!({
            "metadata": {"name": K0S},
            "spec": {
                "type": "NodePort",
                "selector": {"app": K0S},
                "ports": [named("api"), named("konnectivity")],
            },
        }),
    )
    .await?;
    create::<Service>(
        world,
        json!({
            "metadata": {"name": ETCD},
            "spec": {"selector": {"app": ETCD}, "ports": [{"port": 2379}]},
        }),
    )
    .await?;
    let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
    let mut ports = ports.iter().filter_map(|port| port.node_port);
    let mut port = || -> Result<u16> { Ok(u16::try_from(ports.next().context("no port")?)?) };
    let (api, konnectivity) = (port()?, port()?);
    let address = world.full.node_ip().to_string();
    let authorities = authorities()?;
    let ca = authorities.get("ca.crt").context("no CA")?.clone();
    create::<Secret>(
        world,
        json!({"metadata": {"name": K0S}, "stringData": authorities}),
    )
    .await?;
    create::<ConfigMap>(world, bodies::configurations(&address, api, konnectivity)).await?;
    create::<Pod>(world, bodies::k0s(K0S, Use::Whole { api, konnectivity })?).await?;

    let runs = |pod: Option<&Pod>| {
        let status = pod.and_then(|pod| pod.status.as_ref());
        status.is_some_and(|status| status.phase.as_deref() == Some("Running"))
    };
    tokio::time::timeout(READY_WITHIN, await_condition(pods(world), K0S, runs))
        .await
        .context("the pod of k0s does not run")??;
    tokio::time::sleep(LATE).await;
    create::<Pod>(world, bodies::etcd()).await?;
    ready(world, ETCD).await?;
    let started = Instant::now();
    ready(world, K0S).await?;
    Ok(Plane {
        api,
        konnectivity,
        address,
        ca,
        recovered: started.elapsed(),
    })
}

/// Creates the other control plane and waits until its API answers; its pod.
pub async fn plain(world: &World) -> Result<Pod> {
    plane(world).await?;
    if pods(world).get_opt(PLAIN).await?.is_none() {
        create::<Pod>(world, bodies::k0s(PLAIN, Use::Plain)?).await?;
    }
    ready(world, PLAIN).await
}

/// Runs a command where no k0s runs.
pub async fn run_idle(world: &World, command: &[&str]) -> Result<Ran> {
    plane(world).await?;
    if pods(world).get_opt(IDLE).await?.is_none() {
        create::<Pod>(world, bodies::k0s(IDLE, Use::Idle)?).await?;
    }
    ready(world, IDLE).await?;
    clusters::run(&pods(world), IDLE, command).await
}

/// Certificate authorities and the key for service accounts, by file name.
fn authorities() -> Result<BTreeMap<String, String>> {
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    for name in ["ca", "front-proxy-ca"] {
        Authority::create(folder.path(), name)?;
    }
    pki::service_account_key(folder.path())?;
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder.path())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, std::fs::read_to_string(entry.path())?);
    }
    Ok(files)
}

/// Objects of k0s's own kind in the hosted cluster.
pub fn cluster_configs(client: Client) -> Api<DynamicObject> {
    let kind = kube::api::GroupVersionKind::gvk("k0s.k0sproject.io", "v1beta1", "ClusterConfig");
    let resource = kube::api::ApiResource::from_gvk(&kind);
    Api::namespaced_with(client, "kube-system", &resource)
}
