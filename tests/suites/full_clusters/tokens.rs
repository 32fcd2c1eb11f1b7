//! Join tokens: when there is one, how long it is good for, and who knows of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, PostParams,
};
use kube::{Client, ResourceExt as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use support::full::reach::process_of;
use support::full::world::{CONTROLLER, PRODUCT, World};
use support::full::{clusters, hosted, tokens, until};

use crate::LEFT;
use crate::sharing::{self, WAITING};

/// The API server remembers a good token for 10 s; ten times that is a failure.
const REFUSED_WITHIN: Duration = Duration::from_secs(100);

/// A client of the shared cluster.
async fn left(world: &World) -> Result<Client> {
    clusters::ensure(world, LEFT, clusters::node_port()).await?;
    hosted::client(world, LEFT).await
}

/// The reason in a request's condition.
async fn reason(world: &World, cluster: &str, name: &str) -> Result<String> {
    let request = tokens::requests(world, cluster).get(name).await?;
    let conditions = request
        .status
        .into_iter()
        .flat_map(|found| found.conditions);
    Ok(conditions.map(|condition| condition.reason).collect())
}

/// Waits for a reason in a request's condition.
async fn says(world: &World, cluster: &str, name: &str, expected: &str) -> Result<()> {
    let what = format!("the reason {expected}");
    until(&what, Duration::from_secs(20), async || {
        match reason(world, cluster, name).await {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => Err(format!("it is {found:?}")),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await
}

/// The token's half in the hosted cluster.
async fn hosted_half(client: &Client, id: &str) -> Result<Option<Secret>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "kube-system");
    Ok(secrets.get_opt(&format!("bootstrap-token-{id}")).await?)
}

/// The cluster waits for an address and the token for the cluster; the address sets both going.
pub async fn a_token_waits_until_its_cluster_is_ready(world: &World) -> Result<()> {
    sharing::waiting(world).await?;
    tokens::request(world, WAITING, "early", "1h").await?;
    says(world, WAITING, "early", "ClusterNotReady").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let secret = tokens::secrets(world, WAITING).get_opt("early").await?;
    ensure!(
        secret.is_none(),
        "there is a token before there is a cluster"
    );
    let id = tokens::recorded_id(world, WAITING, "early").await?;
    ensure!(id.is_none(), "an id is recorded before there is a cluster");

    let services: Api<Service> = Api::namespaced(world.client.clone(), WAITING);
    let address = world.full.node_ip().to_string();
    let patch = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
    services
        .patch_status(
            &format!("kmc-{WAITING}-lb"),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await?;
    let cluster = clusters::available(world, WAITING).await?;
    let started = Instant::now();
    let external = cluster.status.and_then(|status| status.external_address);
    ensure!(
        external.as_ref() == Some(&address),
        "the address is {external:?}"
    );
    tokens::token(world, WAITING, "early", None).await?;
    world.say(format!(
        "token {:.1} s after the cluster became available",
        started.elapsed().as_secs_f64()
    ));
    clusters::discard(world, WAITING).await
}

/// A process that stands still until this is dropped.
struct Frozen(Pid);

impl Frozen {
    /// The API server in a pod.
    fn api_server(pod: &str) -> Result<Self> {
        let process = Pid::from_raw(process_of(pod, "kube-apiserver")?);
        kill(process, Signal::SIGSTOP)?;
        Ok(Self(process))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// Whoever waits for the id in the status may read the token then.
pub async fn a_token_is_shown_once_it_can_be_used(world: &World) -> Result<()> {
    let client = left(world).await?;
    let planes = clusters::pods(world, LEFT, "cluster").await?;
    let uid = planes.first().and_then(kube::ResourceExt::uid);
    let frozen = Frozen::api_server(&uid.context("no control-plane pod")?)?;
    tokens::request(world, LEFT, "shown", "1h").await?;
    says(world, LEFT, "shown", "HostedUnreachable").await?;
    let id = tokens::recorded_id(world, LEFT, "shown").await?;
    ensure!(
        id.is_none(),
        "the id {id:?} is shown before its token works"
    );
    let secret = tokens::secrets(world, LEFT).get_opt("shown").await?;
    ensure!(secret.is_none(), "the token is handed out before it works");
    drop(frozen);

    let id = until("an id", Duration::from_secs(90), async || {
        let id = tokens::recorded_id(world, LEFT, "shown").await;
        let id = id.map_err(|error| format!("{error:#}"))?;
        id.ok_or_else(|| "there is none".to_owned())
    })
    .await?;
    let secret = tokens::secrets(world, LEFT).get_opt("shown").await?;
    ensure!(
        secret.is_some(),
        "the id is shown before the Secret is there"
    );
    let (_, token) = tokens::token(world, LEFT, "shown", None).await?;
    let bearer = tokens::bearer(&token).await?;
    ensure!(
        bearer.as_deref() == Some(format!("system:bootstrap:{id}").as_str()),
        "the recorded id is {id}, the token makes its bearer {bearer:?}"
    );
    let half = hosted_half(&client, &id).await?;
    half.context("the hosted cluster has no such token")?;
    Ok(())
}

/// The Secret in the mothership is made again out of the hosted half.
pub async fn a_lost_token_secret_comes_back(world: &World) -> Result<()> {
    left(world).await?;
    tokens::request(world, LEFT, "lost", "1h").await?;
    let (uid, before) = tokens::token(world, LEFT, "lost", None).await?;
    let started = Instant::now();
    tokens::secrets(world, LEFT)
        .delete("lost", &DeleteParams::default())
        .await?;
    let (_, after) = tokens::token(world, LEFT, "lost", Some(&uid)).await?;
    let elapsed = started.elapsed();
    let same = if before == after {
        "the same"
    } else {
        "a fresh"
    };
    world.say(format!(
        "{same} token is back after {:.2} s",
        elapsed.as_secs_f64()
    ));
    ensure!(elapsed < Duration::from_secs(10), "back after {elapsed:?}");
    ensure!(
        tokens::bearer(&after).await?.is_some(),
        "the token that came back is refused"
    );
    Ok(())
}

pub async fn a_token_is_refused_after_its_expiry(world: &World) -> Result<()> {
    left(world).await?;
    tokens::request(world, LEFT, "short", "20s").await?;
    let (_, token) = tokens::token(world, LEFT, "short", None).await?;
    let request = tokens::requests(world, LEFT).get("short").await?;
    let expires = request.status.and_then(|status| status.expires_at);
    let expires = expires.context("no status.expiresAt")?.0;
    // The Secret outlives its token, so it says itself until when that is good.
    let secret = tokens::secrets(world, LEFT).get("short").await?;
    let noted = secret.annotations().get("k0smotron.io/not-after").cloned();
    ensure!(
        noted == Some(expires.to_string()),
        "the Secret says {noted:?}, the status {expires}"
    );
    ensure!(
        tokens::bearer(&token).await?.is_some(),
        "the token is refused from the start"
    );
    let left = expires.duration_since(Timestamp::now()).as_secs_f64();
    ensure!(
        (1.0..=21.0).contains(&left),
        "it ends in {left:.1} s, not in 20"
    );
    tokens::refused(&token, REFUSED_WITHIN).await?;
    let late = Timestamp::now().duration_since(expires).as_secs_f64();
    world.say(format!("refused {late:.1} s after its expiry"));
    ensure!(late > -1.0, "refused {:.1} s before its expiry", -late);
    says(world, LEFT, "short", "Expired").await
}

pub async fn a_token_is_revoked_with_its_request(world: &World) -> Result<()> {
    let client = left(world).await?;
    tokens::request(world, LEFT, "revoked", "1h").await?;
    let (uid, token) = tokens::token(world, LEFT, "revoked", None).await?;
    let id = tokens::recorded_id(world, LEFT, "revoked").await?;
    let id = id.context("no id is recorded")?;
    ensure!(
        hosted_half(&client, &id).await?.is_some(),
        "the hosted cluster has no token {id}"
    );
    let requests = tokens::requests(world, LEFT);
    requests.delete("revoked", &DeleteParams::default()).await?;
    until(
        "the request's end",
        Duration::from_secs(20),
        async || match requests.get_opt("revoked").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is still there".to_owned()),
            Err(error) => Err(error.to_string()),
        },
    )
    .await?;
    ensure!(
        hosted_half(&client, &id).await?.is_none(),
        "the request is gone and its token is not"
    );
    let started = Instant::now();
    tokens::refused(&token, REFUSED_WITHIN).await?;
    world.say(format!(
        "refused {:.1} s after the request was gone",
        started.elapsed().as_secs_f64()
    ));

    // A script of upstream's version makes one of the same name again.
    let resource = GroupVersionKind::gvk("k0smotron.io", "v1beta1", "JoinTokenRequest");
    let resource = ApiResource::from_gvk(&resource);
    let old: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), LEFT, &resource);
    let cluster = json!({"name": LEFT, "namespace": LEFT});
    let again = DynamicObject::new("revoked", &resource)
        .data(json!({"spec": {"clusterRef": cluster, "expiry": "1h"}}));
    old.create(&PostParams::default(), &again).await?;
    let (_, token) = tokens::token(world, LEFT, "revoked", Some(&uid)).await?;
    let new = tokens::recorded_id(world, LEFT, "revoked").await?;
    ensure!(new.is_some_and(|new| new != id), "it is the old token");
    ensure!(
        tokens::bearer(&token).await?.is_some(),
        "the token that was made again is refused"
    );
    Ok(())
}

/// The cluster's authority is its user's, so that nothing is known of it when a controller starts;
/// and one request was deleted while none ran.
pub async fn a_restart_loses_no_token_and_writes_nothing_to_those_that_stay(
    world: &World,
) -> Result<()> {
    const NAMED: &str = "named";
    clusters::namespace(&world.client, NAMED).await?;
    let dir = tempfile::tempdir()?;
    mothership::pki::Authority::create(dir.path(), "ca")?;
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name));
    let authority = json!({"tls.crt": read("ca.crt")?, "tls.key": read("ca.key")?});
    secret(world, NAMED, "my-ca", &authority).await?;
    let mut spec = clusters::node_port();
    if let Some(fields) = spec.as_object_mut() {
        let named = json!([{"type": "ca", "name": "my-ca"}]);
        fields.insert("certificateRefs".to_owned(), named);
    }
    clusters::ensure(world, NAMED, spec).await?;
    let client = hosted::client(world, NAMED).await?;
    for name in ["stays", "ends"] {
        tokens::request(world, NAMED, name, "0s").await?;
        tokens::token(world, NAMED, name, None).await?;
    }
    secret(world, NAMED, "db", &json!({"password": "x"})).await?;
    tokens::request(world, NAMED, "db", "0s").await?;
    says(world, NAMED, "db", "NameTaken").await?;
    let all: Api<Secret> = Api::namespaced(client.clone(), "kube-system");
    let tokens_of = ListParams::default().fields("type=bootstrap.kubernetes.io/token");
    let made = all.list(&tokens_of).await?.items.len();
    ensure!(made == 2, "{made} tokens for two requests");
    let ends = tokens::recorded_id(world, NAMED, "ends").await?;
    let ends = ends.context("no id is recorded")?;

    let mark = world.full.audit().mark();
    let scale = async |replicas: &str| {
        let namespace = ["--namespace", PRODUCT];
        let scale = ["scale", "deployment/k0smotron-controller-manager", replicas];
        world.kubectl(&[&namespace[..], &scale].concat()).await
    };
    scale("--replicas=0").await?;
    let gone = ["wait", "pods", "--for=delete", "--namespace", PRODUCT];
    let which = [
        "--selector=control-plane=controller-manager",
        "--timeout=1m",
    ];
    world.kubectl(&[&gone[..], &which].concat()).await?;
    let requests = tokens::requests(world, NAMED);
    requests.delete("ends", &DeleteParams::default()).await?;
    scale("--replicas=2").await?;
    until(
        "the end of a request",
        REFUSED_WITHIN,
        async || match requests.get_opt("ends").await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.status)),
            Err(error) => Err(error.to_string()),
        },
    )
    .await?;
    ensure!(
        hosted_half(&client, &ends).await?.is_none(),
        "the request is gone and its token is not"
    );
    clusters::available(world, NAMED).await?;
    // What would be written is written now, or at the first answer of the hosted API.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let writes: Vec<_> = world
        .full
        .audit()
        .since(mark)?
        .into_iter()
        .filter(|entry| entry.is_by(CONTROLLER) && entry.is_write())
        .filter_map(|entry| Some((entry.verb, entry.object_ref?)))
        .filter(|(_, object)| object.name == "stays")
        .collect();
    ensure!(writes.is_empty(), "{writes:?}");
    clusters::discard(world, NAMED).await
}

async fn secret(
    world: &World,
    namespace: &str,
    name: &str,
    data: &serde_json::Value,
) -> Result<()> {
    let secret = json!({"metadata": {"name": name}, "stringData": data});
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), namespace);
    let (params, secret) = (PostParams::default(), serde_json::from_value(secret)?);
    secrets.create(&params, &secret).await?;
    Ok(())
}
