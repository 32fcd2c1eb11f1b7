//! How soon a cluster is there, and at what cost.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use mothership::audit::Counts;
use serde_json::json;
use support::full::clusters;
use support::full::world::{CONTROLLER, World};

const BARE: &str = "bare";
const ROUNDS: usize = 2;
/// The promised figure; a test fails on time at ten times that only.
const RATIO: f64 = 1.5;
const REQUESTS: usize = 20;

/// Creates a cluster and returns the time until it is available, and what the controller asked.
async fn hosted(world: &World, name: &str) -> Result<(Duration, Counts)> {
    let audit = world.full.audit();
    let mark = audit.mark();
    let started = Instant::now();
    let spec = json!({
        "service": {"type": "ClusterIP"},
        "storage": {"type": "etcd", "etcd": {"autoDeletePVCs": true}},
    });
    clusters::create(world, name, spec).await?;
    clusters::available(world, name).await?;
    let (elapsed, until) = (started.elapsed(), Timestamp::now());
    // A line of the log can come a little later than the answer.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let entries = audit.since(mark)?;
    let counts = Counts::of(&entries, |entry| {
        entry.is_by(CONTROLLER)
            && entry.request_received_timestamp <= until
            && !entry.is_lease_or_event()
            && !entry.is_list_or_watch()
    });
    Ok((elapsed, counts))
}

/// A pod of nothing but `k0s controller`, with image, arguments, rights and probes of the hosted
/// one and an etcd of its own inside.
async fn template(world: &World, name: &str) -> Result<(Pod, ConfigMap)> {
    let sets: Api<StatefulSet> = Api::namespaced(world.client.clone(), name);
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), name);
    let set = sets.get(&format!("kmc-{name}")).await?;
    let spec = set
        .spec
        .context("no spec")?
        .template
        .spec
        .context("no pod")?;
    let mut container = serde_json::to_value(spec.containers.first().context("no container")?)?;
    let fields = container.as_object_mut().context("no container")?;
    fields.remove("lifecycle");
    fields.insert(
        "volumeMounts".to_owned(),
        json!([
            {"name": "config", "mountPath": "/etc/k0smotron", "readOnly": true},
            {"name": "data", "mountPath": "/var/lib/k0s"},
            {"name": "run", "mountPath": "/run"},
            {"name": "tmp", "mountPath": "/tmp"},
        ]),
    );
    let config = maps.get(&format!("kmc-{name}-config")).await?;
    let authentication = config
        .data
        .and_then(|mut data| data.remove("authentication.yaml"));
    let mut api = json!({"port": 30443});
    if authentication.is_some() {
        api.as_object_mut().context("no object")?.insert(
            "extraArgs".to_owned(),
            json!({"authentication-config": "/etc/k0smotron/authentication.yaml"}),
        );
    }
    let k0s = json!({
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": {"api": api, "konnectivity": {"agentPort": 30132}},
    });
    let map = serde_json::from_value(json!({
        "metadata": {"name": BARE},
        "data": {"k0s.yaml": k0s.to_string(), "authentication.yaml": authentication},
    }))?;
    let empty = |name: &str| json!({"name": name, "emptyDir": {}});
    let pod = serde_json::from_value(json!({
        "metadata": {"name": BARE},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": spec.security_context,
            "containers": [container],
            "volumes": [
                {"name": "config", "configMap": {"name": BARE}},
                empty("data"), empty("run"), empty("tmp"),
            ],
        },
    }))?;
    Ok((pod, map))
}

/// Creates the bare pod and returns the time until it is ready.
async fn bare(world: &World, pod: &Pod, map: &ConfigMap) -> Result<Duration> {
    clusters::namespace(&world.client, BARE).await?;
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), BARE);
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), BARE);
    if maps.get_opt(BARE).await?.is_none() {
        maps.create(&PostParams::default(), map).await?;
    }
    let started = Instant::now();
    pods.create(&PostParams::default(), pod).await?;
    let ready = |pod: Option<&Pod>| pod.is_some_and(clusters::is_ready);
    tokio::time::timeout(
        Duration::from_secs(120),
        await_condition(pods.clone(), BARE, ready),
    )
    .await
    .context("the bare pod does not become ready")??;
    let elapsed = started.elapsed();
    let created = pods.get(BARE).await?;
    let uid = created.metadata.uid.context("no uid")?;
    pods.delete(BARE, &DeleteParams::default().grace_period(0))
        .await?;
    await_condition(pods, BARE, conditions::is_deleted(&uid)).await?;
    Ok(elapsed)
}

/// Two rounds of each, alternating, and the better time of each: what else runs on the machine
/// only ever makes them longer.
pub async fn one_replica_is_available_about_as_soon_as_a_bare_k0s_is_ready(
    world: &World,
) -> Result<()> {
    let (mut best_hosted, mut best_bare) = (Duration::MAX, Duration::MAX);
    let mut fewest = usize::MAX;
    for round in 1..=ROUNDS {
        let name = format!("solo-{round}");
        let (hosted, counts) = hosted(world, &name).await?;
        let (pod, map) = template(world, &name).await?;
        clusters::discard(world, &name).await?;
        let bare = bare(world, &pod, &map).await?;
        world.say(format!(
            "round {round}: Available after {:.1} s, a bare k0s ready after {:.1} s; requests of \
             the controller meanwhile:\n{counts}",
            hosted.as_secs_f64(),
            bare.as_secs_f64()
        ));
        fewest = fewest.min(counts.total());
        best_hosted = best_hosted.min(hosted);
        best_bare = best_bare.min(bare);
    }
    let ratio = best_hosted.as_secs_f64() / best_bare.as_secs_f64();
    world.say(format!(
        "ratio {ratio:.2} (promised {RATIO}): {:.1} s to {:.1} s",
        best_hosted.as_secs_f64(),
        best_bare.as_secs_f64()
    ));
    // A start that takes long has more to be told about, a status for each.
    let slow = usize::try_from(best_hosted.as_secs() / 10)?;
    ensure!(
        fewest <= REQUESTS + slow,
        "{fewest} requests made a cluster, {REQUESTS} were promised"
    );
    ensure!(ratio < 10.0 * RATIO, "{ratio:.2} times a bare k0s");
    Ok(())
}
