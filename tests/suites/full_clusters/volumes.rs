//! What is in etcd's volumes is served whole or not at all.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use crds::v1beta2::Cluster;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use support::full::world::World;
use support::full::{clusters, hosted, until};

const PATIENCE: Duration = Duration::from_secs(120);

/// The ConfigMaps of a hosted cluster, over a connection of its own.
async fn maps(world: &World, name: &str) -> Result<Api<ConfigMap>> {
    let mut config = hosted::config(world, name).await?;
    config.connect_timeout = Some(Duration::from_secs(3));
    config.read_timeout = Some(Duration::from_secs(5));
    Ok(Api::default_namespaced(Client::try_from(config)?))
}

async fn write(world: &World, cluster: &str, name: &str) -> Result<()> {
    let map = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    let made = maps(world, cluster)
        .await?
        .create(&PostParams::default(), &map)
        .await;
    made.map(drop).context("writing into the hosted cluster")
}

/// Whether the hosted cluster has an object; an error where nobody answers.
async fn has(world: &World, cluster: &str, name: &str) -> Result<bool> {
    // A list without a version is read from etcd, not from what the API server remembers.
    let all = maps(world, cluster).await?;
    let all = all.list(&ListParams::default()).await?;
    Ok(all.iter().any(|map| map.name_any() == name))
}

async fn keeps(world: &World, cluster: &str, name: &str) -> Result<()> {
    until(
        &format!("{cluster} serves {name}"),
        PATIENCE,
        async || match has(world, cluster, name).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("it is not there".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        },
    )
    .await
}

/// What members without data are told.
async fn told(world: &World, cluster: &str, key: &str, begins: &str) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), cluster);
    until(&format!("{key} {begins}"), PATIENCE, async || {
        let map = maps.get(&format!("kmc-{cluster}-etcd-config")).await;
        let data = map.map_err(|error| error.to_string())?.data;
        match data.unwrap_or_default().get(key) {
            Some(value) if value.starts_with(begins) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

fn pods(world: &World, cluster: &str) -> Api<Pod> {
    Api::namespaced(world.client.clone(), cluster)
}

fn claims(world: &World, cluster: &str) -> Api<PersistentVolumeClaim> {
    Api::namespaced(world.client.clone(), cluster)
}

/// Ends members at once and waits until others of their names are there.
async fn end(world: &World, cluster: &str, members: &[i32]) -> Result<()> {
    let pods = pods(world, cluster);
    for index in members {
        let name = format!("kmc-{cluster}-etcd-{index}");
        pods.delete(&name, &DeleteParams::default().grace_period(0))
            .await?;
    }
    Ok(())
}

/// Takes a member's volume away: another, empty one takes its place.
async fn empty(world: &World, cluster: &str, index: i32) -> Result<()> {
    let name = format!("etcd-data-kmc-{cluster}-etcd-{index}");
    let claims = claims(world, cluster);
    let uid = claims.get(&name).await?.uid();
    claims.delete(&name, &DeleteParams::default()).await?;
    end(world, cluster, &[index]).await?;
    until("another volume", PATIENCE, async || {
        match claims.get_opt(&name).await {
            Ok(Some(claim)) if claim.uid() != uid => Ok(()),
            Ok(_) => {
                // The pod that was made anew in between holds the old one.
                let _ = end(world, cluster, &[index]).await;
                Err("it is still the old one".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// Waits until a member has ended with an error.
async fn refuses(world: &World, cluster: &str, index: i32) -> Result<()> {
    let name = format!("kmc-{cluster}-etcd-{index}");
    until(&format!("{name} does not start"), PATIENCE, async || {
        let pod = pods(world, cluster).get_opt(&name).await;
        let pod = pod.map_err(|error| error.to_string())?.ok_or("no pod")?;
        let all = pod.status.and_then(|status| status.container_statuses);
        let states = all.iter().flatten();
        let mut failed = states.map(|container| {
            let last = container.last_state.clone().unwrap_or_default();
            last.terminated.map_or(0, |ended| ended.exit_code)
        });
        match failed.next() {
            Some(code) if code != 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

fn has_reason(cluster: &Cluster, type_: &str, reason: &str) -> bool {
    clusters::has_condition(cluster, type_, "False") && clusters::reason(cluster, type_) == reason
}

pub async fn an_emptied_etcd_is_never_served(world: &World) -> Result<()> {
    const NAME: &str = "emptied";
    clusters::ensure(world, NAME, clusters::node_port()).await?;
    told(world, NAME, "ETCD_INITIAL_CLUSTER_STATE", "existing").await?;
    write(world, NAME, "precious").await?;

    // What restarts with its data goes on.
    end(world, NAME, &[0]).await?;
    clusters::pods_ready(world, NAME, "etcd", 1).await?;
    keeps(world, NAME, "precious").await?;

    empty(world, NAME, 0).await?;
    let started = Instant::now();
    let (mut answers, mut silences, mut restarted) = (0, 0, false);
    while started.elapsed() < Duration::from_secs(40) {
        match has(world, NAME, "precious").await {
            Ok(true) => answers += 1,
            Ok(false) => bail!(
                "an empty cluster is served {:.1} s after the volume was lost{}",
                started.elapsed().as_secs_f64(),
                if restarted {
                    ", by a new API server"
                } else {
                    ""
                }
            ),
            Err(_) => silences += 1,
        }
        if !restarted && started.elapsed() > Duration::from_secs(15) {
            let name = format!("kmc-{NAME}-0");
            pods(world, NAME)
                .delete(&name, &DeleteParams::default().grace_period(0))
                .await?;
            restarted = true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    world.say(format!(
        "asked for 40 s: {answers} answers with all that was written, {silences} times none"
    ));
    refuses(world, NAME, 0).await?;
    let said = clusters::wait_for(
        world,
        NAME,
        "said to be without etcd",
        PATIENCE,
        |cluster| {
            has_reason(cluster, "ControlPlaneFunctional", "EtcdNotReady")
                && has_reason(cluster, "Available", "EtcdNotReady")
        },
    )
    .await?;
    world.say(clusters::describe(Some(&said)));
    clusters::discard(world, NAME).await
}

async fn held_up(world: &World, name: &str) -> Result<Cluster> {
    let cluster = clusters::wait_for(world, name, "held up", PATIENCE, |cluster| {
        has_reason(cluster, "Applied", "LeftoverClaims")
    })
    .await?;
    let left = pods(world, name).list(&ListParams::default()).await?.items;
    ensure!(left.is_empty(), "pods were made");
    Ok(cluster)
}

fn kept(replicas: i32) -> Result<Value> {
    let mut spec = clusters::node_port();
    let fields = spec.as_object_mut().context("no object")?;
    fields.remove("storage");
    fields.insert("replicas".to_owned(), json!(replicas));
    Ok(spec)
}

pub async fn what_was_left_is_served_on_purpose_only_and_a_lost_member_is_replaced(
    world: &World,
) -> Result<()> {
    const NAME: &str = "lives";
    clusters::ensure(world, NAME, kept(1)?).await?;
    write(world, NAME, "first-life").await?;
    clusters::delete(world, NAME).await?;

    // One member's data and two members to be.
    let cluster = clusters::create(world, NAME, kept(3)?).await?;
    held_up(world, NAME).await?;
    // Gone on with, by as many members as there were.
    let claim = format!("etcd-data-kmc-{NAME}-etcd-0");
    let uid = cluster.uid().context("no uid")?;
    let label = json!({"metadata": {"labels": {"k0smotron.io/cluster-uid": uid}}});
    let merge = PatchParams::default();
    claims(world, NAME)
        .patch(&claim, &merge, &Patch::Merge(&label))
        .await?;
    until("the number of members is said", PATIENCE, async || {
        let cluster = clusters::api(world, NAME).get(NAME).await;
        let text = clusters::describe(cluster.ok().as_ref());
        text.contains("spec.replicas to 1")
            .then_some(())
            .ok_or(text)
    })
    .await?;
    held_up(world, NAME).await?;
    let one = json!({"spec": {"replicas": 1}});
    clusters::api(world, NAME)
        .patch(NAME, &merge, &Patch::Merge(&one))
        .await?;
    clusters::available(world, NAME).await?;
    keeps(world, NAME, "first-life").await?;
    clusters::delete(world, NAME).await?;

    // And the other way: without what was left.
    clusters::create(world, NAME, kept(3)?).await?;
    held_up(world, NAME).await?;
    claims(world, NAME)
        .delete(&claim, &DeleteParams::default())
        .await?;
    clusters::available(world, NAME).await?;
    clusters::pods_ready(world, NAME, "etcd", 3).await?;
    ensure!(!has(world, NAME, "first-life").await?, "it is served");
    write(world, NAME, "second-life").await?;
    told(world, NAME, "ETCD_INITIAL_CLUSTER_STATE", "existing").await?;
    told(world, NAME, "ETCD_INITIAL_CLUSTER", "members-are-added").await?;

    end(world, NAME, &[0, 1, 2]).await?;
    clusters::pods_ready(world, NAME, "etcd", 3).await?;
    keeps(world, NAME, "second-life").await?;

    Box::pin(replace(world, NAME)).await?;
    clusters::discard(world, NAME).await?;
    let all = DeleteParams::default();
    claims(world, NAME)
        .delete_collection(&all, &ListParams::default())
        .await?;
    Ok(())
}

/// A member that has lost its data stays away until it is added by hand.
async fn replace(world: &World, name: &str) -> Result<()> {
    empty(world, name, 2).await?;
    refuses(world, name, 2).await?;
    keeps(world, name, "second-life").await?;
    let (pods, lost) = (pods(world, name), format!("kmc-{name}-etcd-2"));
    let first = format!("kmc-{name}-etcd-0");
    let etcdctl =
        async |words: &[&str]| clusters::exec(&pods, &first, &[&["etcdctl"], words].concat()).await;
    let list: Value = serde_json::from_str(&etcdctl(&["member", "list", "-w", "json"]).await?)?;
    let members = list.get("members").and_then(Value::as_array);
    let member = members
        .into_iter()
        .flatten()
        .find(|member| member.get("name").and_then(Value::as_str) == Some(&lost));
    let id = member.and_then(|member| member.get("ID")?.as_u64());
    let id = format!("{:x}", id.context("the lost member is not known")?);
    let address = format!("--peer-urls=https://{lost}.kmc-{name}-etcd:2380");
    for change in [
        &["member", "remove", &id] as &[&str],
        &["member", "add", &lost, &address],
    ] {
        // etcd refuses it until all other members have been connected for some seconds.
        until(&change.join(" "), PATIENCE, async || {
            let changed = etcdctl(change).await;
            changed.map(drop).map_err(|error| format!("{error:#}"))
        })
        .await?;
    }
    let added = json!({"metadata": {"annotations": {"k0smotron.io/etcd-member-added": "true"}}});
    claims(world, name)
        .patch(
            &format!("etcd-data-{lost}"),
            &PatchParams::default(),
            &Patch::Merge(&added),
        )
        .await?;
    told(world, name, "ETCD_INITIAL_CLUSTER", "kmc-").await?;
    // The kubelet tries what fails ever later; a new pod it starts at once.
    end(world, name, &[2]).await?;
    clusters::pods_ready(world, name, "etcd", 3).await?;
    told(world, name, "ETCD_INITIAL_CLUSTER", "members-are-added").await?;
    keeps(world, name, "second-life").await
}
