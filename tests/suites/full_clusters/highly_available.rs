//! Three replicas and three members: the loss of any one, a planned restart and a new version.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Config, ResourceExt as _};
use mothership::components::K0sVersion;
use serde_json::{Value, json};
use support::full::asker::{Report, while_asking};
use support::full::world::World;
use support::full::{clusters, hosted, until};

const NAME: &str = "ha";
/// The promise: the API is never without an answer for longer. An election of etcd alone takes two
/// seconds of that, and more where its members wait for a processor; ten times that is a failure.
const SILENCE: Duration = Duration::from_secs(3);

pub async fn three_replicas_answer_through_loss_restart_and_upgrade(world: &World) -> Result<()> {
    let mut spec = clusters::node_port();
    // Two real releases are needed to go from one to the other.
    let real = |name: &str| std::env::var_os(name).is_some_and(|path| !path.is_empty());
    let upgrades = real("K0S_BIN") == real("K0S_BIN_PREVIOUS");
    let before = if upgrades {
        K0sVersion::Previous
    } else {
        world.say("SKIP the upgrade: K0S_BIN and K0S_BIN_PREVIOUS go together");
        K0sVersion::Current
    };
    let fields = spec.as_object_mut().context("no object")?;
    fields.insert("replicas".to_owned(), json!(3));
    fields.insert("version".to_owned(), json!(clusters::version(before)?));
    clusters::ensure(world, NAME, spec).await?;
    let planes = clusters::pods_ready(world, NAME, "cluster", 3).await?;
    clusters::pods_ready(world, NAME, "etcd", 3).await?;
    let config = hosted::config(world, NAME).await?;
    ensure!(
        serving(&config, 1).await? == [kubernetes(before)?],
        "not the version that was asked for"
    );

    let victim = planes.first().context("no pod")?.name_any();
    let report = lose(world, &config, "cluster", &victim, true).await?;
    silence(world, "a killed control-plane pod", &report)?;

    let leader = etcd_leader(world).await?;
    let report = lose(world, &config, "etcd", &leader, true).await?;
    silence(world, "a killed etcd leader", &report)?;
    let follower = (0..3)
        .map(|index| format!("kmc-{NAME}-etcd-{index}"))
        .find(|name| *name != leader)
        .context("no follower")?;
    let report = lose(world, &config, "etcd", &follower, true).await?;
    silence(world, "a killed etcd member", &report)?;

    let victim = planes.last().context("no pod")?.name_any();
    let report = lose(world, &config, "cluster", &victim, false).await?;
    silence(world, "a planned restart of a control-plane pod", &report)?;
    drained(&report)?;

    if upgrades {
        Box::pin(upgrade(world, &config)).await?;
    }
    clusters::discard(world, NAME).await
}

/// The Kubernetes part of a version, as `/version` shows it.
fn kubernetes(version: K0sVersion) -> Result<String> {
    let release = mothership::image::K0s::release(version)?;
    let number = release.split(['+', '-']).next().context("no version")?;
    Ok(number.to_owned())
}

/// The versions that answer, asked over new connections.
async fn serving(config: &Config, times: usize) -> Result<Vec<String>> {
    let mut versions = Vec::new();
    for _ in 0..times {
        let version = Client::try_from(config.clone())?
            .apiserver_version()
            .await?;
        let number = version.git_version.split('+').next().unwrap_or_default();
        versions.push(number.to_owned());
    }
    versions.sort();
    versions.dedup();
    Ok(versions)
}

/// Deletes a pod and asks until all are ready again.
async fn lose(
    world: &World,
    config: &Config,
    component: &str,
    name: &str,
    at_once: bool,
) -> Result<Report> {
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), NAME);
    let ((), report) = while_asking(config, async {
        // Answers before it happens, so that the silence has a beginning.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let uid = pods.get(name).await?.uid();
        let parameters = if at_once {
            DeleteParams::default().grace_period(0)
        } else {
            DeleteParams::default()
        };
        pods.delete(name, &parameters).await?;
        until(
            "another pod of the name",
            Duration::from_secs(120),
            async || match pods.get_opt(name).await {
                Ok(Some(pod)) if pod.uid() != uid => Ok(()),
                Ok(_) => Err("it is still the old one".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        )
        .await?;
        clusters::pods_ready(world, NAME, component, 3).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    })
    .await?;
    Ok(report)
}

fn silence(world: &World, what: &str, report: &Report) -> Result<()> {
    let missed = report.longest_gap() > SILENCE;
    let mark = if missed { " (MISSED)" } else { "" };
    world.say(format!(
        "{what}, {} s promised{mark}: {report}",
        SILENCE.as_secs()
    ));
    ensure!(
        report.longest_gap() < SILENCE * 10,
        "{what}: the API was silent for {:.2} s",
        report.longest_gap().as_secs_f64()
    );
    Ok(())
}

/// Nobody was sent to a server that had stopped: it stops only after all have heard.
fn drained(report: &Report) -> Result<()> {
    let refused: Vec<String> = report
        .failures()
        .filter(|failure| failure.contains("refused") || failure.contains("reset"))
        .collect();
    ensure!(refused.is_empty(), "sent to a stopped server: {refused:#?}");
    Ok(())
}

/// The pod of etcd's leader.
async fn etcd_leader(world: &World) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), NAME);
    let endpoints: Vec<String> = (0..3)
        .map(|index| format!("https://kmc-{NAME}-etcd-{index}.kmc-{NAME}-etcd:2379"))
        .collect();
    // The container's own environment names one member, and etcdctl refuses a flag beside it.
    let script = format!(
        "ETCDCTL_ENDPOINTS={} etcdctl endpoint status -w json",
        endpoints.join(",")
    );
    let words = ["sh", "-c", &script];
    let first = format!("kmc-{NAME}-etcd-0");
    let text = clusters::exec(&pods, &first, &words).await?;
    let members: Vec<Value> =
        serde_json::from_str(&text).with_context(|| format!("etcdctl says {text:?}"))?;
    for member in &members {
        let id = member.pointer("/Status/header/member_id");
        if id.is_some() && id == member.pointer("/Status/leader") {
            let endpoint = member.pointer("/Endpoint").and_then(Value::as_str);
            let host = endpoint.and_then(|url| url.strip_prefix("https://"));
            let name = host.and_then(|host| host.split('.').next());
            return name.map(str::to_owned).context("no name");
        }
    }
    anyhow::bail!("no leader among {members:?}")
}

/// Goes to the current version.
async fn upgrade(world: &World, config: &Config) -> Result<()> {
    let wanted = clusters::version(K0sVersion::Current)?;
    let change = Box::pin(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let patch = json!({"spec": {"version": wanted}});
        clusters::api(world, NAME)
            .patch(NAME, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        let limit = Duration::from_secs(240);
        clusters::wait_for(world, NAME, "up to date", limit, |cluster| {
            let status = cluster.status.as_ref();
            clusters::has_condition(cluster, "ControlPlaneUpToDate", "True")
                && clusters::has_condition(cluster, "Available", "True")
                && status.and_then(|status| status.version.as_ref()) == Some(&wanted)
        })
        .await?;
        clusters::pods_ready(world, NAME, "cluster", 3).await
    });
    let (_, report) = Box::pin(while_asking(config, change)).await?;
    silence(world, "a new version, pod by pod", &report)?;
    drained(&report)?;
    for pod in clusters::pods(world, NAME, "cluster").await? {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let images: Vec<&str> = containers.filter_map(|c| c.image.as_deref()).collect();
        ensure!(
            images
                .iter()
                .all(|image| image.ends_with(&format!(":{wanted}"))),
            "{} runs {images:?}",
            pod.name_any()
        );
    }
    let versions = serving(config, 9).await?;
    let expected = kubernetes(K0sVersion::Current)?;
    ensure!(versions == [expected], "/version says {versions:?}");
    Ok(())
}
