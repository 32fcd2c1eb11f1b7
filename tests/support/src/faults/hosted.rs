//! The hosted APIs of a run: what pods would serve, served without them.
//!
//! Its pods are called ready as a kubelet would call them, since there is no node to run them.
//! Each Cluster has a listener of its own at the address of its Service, with a certificate of the CA
//! that its pods would have read when they started. Behind all of them is one real API server, asked
//! through a proxy that faults can be done at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use mothership::pki::Authority;
use mothership::proxy::{Face, Listening, Proxy};
use mothership::{Access, Light, LightOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::history::{History, Objects};
use crate::light::children::{at, text};
use crate::light::scene::Scene;

/// What stands before the calls of these proxies.
pub const PLACE: &str = "hosted: ";

/// How often is looked at what should be served.
const LOOK: Duration = Duration::from_millis(50);

/// The API server behind all of them.
pub struct Backing {
    light: Light,
    admin: Client,
}

impl Backing {
    /// A second mothership, of which nothing but the API is used.
    pub async fn start() -> Result<Self> {
        let light = Light::start(LightOptions::default()).await?;
        let admin = light.admin().await?;
        Ok(Self { light, admin })
    }

    /// Where it is.
    pub fn access(&self) -> &Access {
        &self.light
    }

    /// Ends it.
    pub async fn end(self) -> Result<()> {
        self.light.down().await
    }
}

/// The Secret of the token with this id.
pub fn secret_name(id: &str) -> String {
    format!("bootstrap-token-{id}")
}

/// The secret half of a token.
pub fn secret_half(secret: &Secret) -> Option<String> {
    let half = secret.data.as_ref()?.get("token-secret")?;
    Some(String::from_utf8_lossy(&half.0).into_owned())
}

/// When an API began or ceased to be served.
type Times = Arc<Mutex<BTreeMap<String, Vec<(Instant, bool)>>>>;

/// The hosted APIs of one namespace.
pub struct Hosted {
    /// What stands before the API server.
    pub proxy: Arc<Proxy>,
    admin: Client,
    up: Arc<AtomicBool>,
    times: Times,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(times: &Times) -> MutexGuard<'_, BTreeMap<String, Vec<(Instant, bool)>>> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hosted {
    /// Serves what the history of a namespace asks for.
    pub async fn start(backing: &Backing, history: &Arc<History>, scene: &Scene) -> Result<Self> {
        let masters = ["system:masters"];
        let proxy = Proxy::before(PLACE, backing.access(), "hosted", &masters).await?;
        let proxy = Arc::new(proxy);
        let (up, times) = (Arc::new(AtomicBool::new(true)), Times::default());
        let serving = tokio::spawn(serve(
            Arc::clone(&proxy),
            Arc::clone(history),
            Api::namespaced(scene.admin.clone(), &scene.namespace),
            scene.namespace.clone(),
            Arc::clone(&up),
            Arc::clone(&times),
        ));
        Ok(Self {
            proxy,
            admin: backing.admin.clone(),
            up,
            times,
            serving,
        })
    }

    /// Ends all of them or lets them serve again, and waits until they do.
    pub async fn serves(&self, serves: bool) -> Result<()> {
        self.up.store(serves, Ordering::Relaxed);
        let all_do = || {
            let times = lock(&self.times);
            let mut all = times.values().filter_map(|times| times.last());
            !times.is_empty() && all.all(|(_, now)| *now == serves)
        };
        let done = async || {
            all_do()
                .then_some(())
                .ok_or_else(|| "they do not".to_owned())
        };
        let limit = Duration::from_secs(30);
        crate::light::until("hosted APIs are as they should be", limit, done).await?;
        Ok(())
    }

    /// Since when it is as it is at a moment, and whether it serves then.
    pub fn at(&self, cluster: &str, moment: Instant) -> Option<(Instant, bool)> {
        let times = lock(&self.times);
        let mut before = times.get(cluster)?.iter().rev();
        before.find(|(at, _)| *at <= moment).copied()
    }

    /// When each began and ceased to serve.
    pub fn times(&self) -> BTreeMap<String, Vec<(Instant, bool)>> {
        lock(&self.times).clone()
    }

    /// The names of the tokens that are valid there.
    pub async fn tokens(&self) -> Result<BTreeMap<String, Secret>> {
        let api: Api<Secret> = Api::namespaced(self.admin.clone(), "kube-system");
        let only = ListParams::default().fields("type=bootstrap.kubernetes.io/token");
        let all = api.list(&only).await.context("listing tokens")?;
        // Others' runs ask there too.
        let asked: BTreeSet<_> = self
            .proxy
            .records()
            .into_iter()
            .map(|record| record.call.name)
            .collect();
        Ok(all
            .into_iter()
            .map(|secret| (secret.name_any(), secret))
            .filter(|(name, _)| asked.contains(name))
            .collect())
    }
}

async fn serve(
    proxy: Arc<Proxy>,
    history: Arc<History>,
    pods: Api<Pod>,
    namespace: String,
    up: Arc<AtomicBool>,
    times: Times,
) {
    let mut served: BTreeMap<String, (String, Listening)> = BTreeMap::new();
    loop {
        let objects = history.objects(&namespace);
        // What fails is tried again with the next look.
        if waits_for_pods(&objects) {
            let _ = start_pods(&pods).await;
        }
        let wanted = if up.load(Ordering::Relaxed) {
            wanted(&objects)
        } else {
            BTreeMap::new()
        };
        served.retain(|cluster, (place, _)| {
            let stays = wanted.get(cluster) == Some(place);
            if !stays {
                note(&times, cluster, false);
            }
            stays
        });
        for (cluster, place) in wanted {
            if served.contains_key(&cluster) {
                continue;
            }
            // The address may still be held by a connection that ends, and an edited Secret is read by
            // pods when they start: there is another look soon.
            if let Ok(listening) = listen(&proxy, &objects, &cluster, &place).await {
                note(&times, &cluster, true);
                served.insert(cluster, (place, listening));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn waits_for_pods(objects: &Objects) -> bool {
    objects
        .iter()
        .filter(|(key, _)| key.starts_with("StatefulSet/"))
        .any(|(_, set)| at(set, "/spec/replicas") != at(set, "/status/readyReplicas"))
}

/// As a kubelet does whose containers are all ready.
async fn start_pods(pods: &Api<Pod>) -> Result<()> {
    for pod in pods.list(&ListParams::default()).await? {
        let status = pod.status.as_ref();
        if status.and_then(|status| status.phase.as_deref()) == Some("Running") {
            continue;
        }
        let ready = json!({"type": "Ready", "status": "True"});
        let status = json!({"status": {"phase": "Running", "conditions": [ready]}});
        pods.patch_status(
            &pod.name_any(),
            &PatchParams::default(),
            &Patch::Merge(status),
        )
        .await?;
    }
    Ok(())
}

fn note(times: &Times, cluster: &str, serves: bool) {
    let now = (Instant::now(), serves);
    lock(times).entry(cluster.to_owned()).or_default().push(now);
}

/// Clusters whose control plane has pods, and which pods at which address: others read the CA anew.
fn wanted(objects: &Objects) -> BTreeMap<String, String> {
    let clusters = objects
        .keys()
        .filter_map(|key| key.strip_prefix("Cluster/"));
    let mut all = BTreeMap::new();
    for cluster in clusters {
        let set = objects.get(&format!("StatefulSet/kmc-{cluster}"));
        let service = objects.get(&format!("Service/kmc-{cluster}"));
        let (Some(set), Some(service)) = (set, service) else {
            continue;
        };
        let port = at(service, "/spec/ports/0/port");
        let place = format!(
            "{}:{port} {}",
            text(service, "/spec/clusterIP"),
            text(set, "/metadata/uid")
        );
        if at(set, "/spec/replicas").as_i64() != Some(0) {
            all.insert(cluster.to_owned(), place);
        }
    }
    all
}

async fn listen(proxy: &Proxy, objects: &Objects, cluster: &str, place: &str) -> Result<Listening> {
    let secret = ca(objects, cluster).context("it has no CA yet")?;
    let authority =
        Authority::from_pem(&decoded(secret, "tls.crt")?, &decoded(secret, "tls.key")?)?;
    let (address, _) = place.split_once(' ').context("a place")?;
    let address: SocketAddr = address.parse()?;
    // Never an address that others could reach.
    let loopback = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets().first() == Ipv4Addr::LOCALHOST.octets().first(),
        std::net::IpAddr::V6(_) => false,
    };
    anyhow::ensure!(loopback, "{address} is not of this machine alone");
    proxy.listen(
        TcpListener::bind(address).await?,
        Face::of_api_server(&authority)?,
    )
}

/// The Secret that its pods would mount.
fn ca<'a>(objects: &'a Objects, cluster: &str) -> Option<&'a Value> {
    let named = objects.get(&format!("Cluster/{cluster}"))?;
    let mut refs = at(named, "/spec/certificateRefs")
        .as_array()
        .into_iter()
        .flatten();
    let name = refs.find(|named| text(named, "/type") == "ca").map_or_else(
        || format!("{cluster}-ca"),
        |named| text(named, "/name").to_owned(),
    );
    objects.get(&format!("Secret/{name}")).map(|found| &**found)
}

fn decoded(secret: &Value, key: &str) -> Result<String> {
    let data = at(secret, "/data").get(key).and_then(Value::as_str);
    Ok(String::from_utf8(
        STANDARD.decode(data.unwrap_or_default())?,
    )?)
}
