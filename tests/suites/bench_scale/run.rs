//! One measurement from a new mothership on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, ListParams};
use mothership::components::Components;
use mothership::supervisor::Process;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::figures::{Beside, Figures, Restart};
use super::observe::{KINDS, Trail, api, count};
use super::place::{Place, Subject};
use super::process::{cpu, cpu_of_threads, memory};

/// The number of a Cluster that is alone at first.
const ALONE: usize = 90_000;
/// How long nothing is written when all is done.
const QUIET: Duration = Duration::from_secs(5);
/// When there is nothing more to say of a Cluster whose pods do not start, after all is written.
const TOLD: Duration = Duration::from_secs(75);
/// How long the repair of a child is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Makes so many Clusters at once, and looks at what comes after.
pub async fn burst(
    subject: &Subject,
    components: &Components,
    size: usize,
    idle: Duration,
) -> Result<Figures> {
    ensure!(
        (1..ALONE).contains(&size),
        "--sizes: must be from 1 to 89999"
    );
    let place = Place::start(subject, components).await?;
    let mut trail = Trail::new(&place);
    for namespace in ["alone", "scale"] {
        place.namespace(namespace).await?;
    }
    alone(&place, &mut trail, ALONE).await?;
    let (_, children) = trail.of_clusters.get(&ALONE).context("no child at all")?;
    let children: BTreeMap<_, _> = children
        .iter()
        .map(|(kind, names)| (*kind, names.len()))
        .collect();
    let mut base = BTreeMap::new();
    for kind in KINDS {
        base.insert(kind, count(&place.admin, kind, "scale").await?);
    }
    trail.take_tally();

    let pid = place.pid()?;
    let (cpu_before, others_before) = (cpu(pid)?, place.others().await?);
    let began = Timestamp::now();
    let everything = async {
        let limit = Duration::from_secs(100 + u64::try_from(size)?);
        while began.duration_until(now()).unsigned_abs() < limit {
            let mut are_there = true;
            for (kind, each) in &children {
                let wanted = base.get(kind).unwrap_or(&0) + each * size;
                are_there &= count(&place.admin, kind, "scale").await? >= wanted;
                if !are_there {
                    break;
                }
            }
            if are_there {
                break;
            }
            place.pid()?;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        cpu(place.pid()?)
    };
    let (made, cpu_after) =
        futures::future::join(place.clusters("scale", "ClusterIP", 0..size), everything).await;
    made?;
    let cpu_after = cpu_after?;
    trail.rest(QUIET, Duration::from_secs(300)).await?;
    let settled = (cpu(pid)?, trail.tally.last_write);
    // What is said of Clusters that do not start is said by then.
    tokio::time::sleep(TOLD).await;
    trail.rest(QUIET, Duration::from_secs(300)).await?;
    let tally = trail.take_tally();
    let each: usize = children.values().sum();
    let mut complete: Vec<f64> = (0..size)
        .filter_map(|number| trail.of_clusters.get(&number))
        .filter(|(_, has)| has.values().map(Vec::len).sum::<usize>() >= each)
        .map(|(last, _)| seconds(began, *last))
        .collect();
    complete.sort_by(f64::total_cmp);
    let others = place.others().await?.into_iter().zip(others_before);
    let mut figures = Figures {
        operator: subject.who,
        clusters: size,
        children: children.clone(),
        cluster_ips: cluster_ips(&place).await?,
        half_after: complete.get(size / 2).copied(),
        all_after: complete.get(size - 1).copied(),
        settled_after: settled.1.map_or(0.0, |last| seconds(began, last)),
        cpu: cpu_after - cpu_before,
        cpu_settled: settled.0 - cpu_before,
        cpu_others: others
            .map(|((name, after), (_, before))| (name, after - before))
            .collect(),
        peak_mib: 0.0,
        settled_mib: 0.0,
        settled_pss_mib: 0.0,
        requests: tally
            .requests
            .iter()
            .map(|(what, times)| (what.clone(), share(*times, size)))
            .collect(),
        requests_each: share(tally.requests.values().sum(), size),
        refused: tally.refused.clone(),
        idle_cpu: 0.0,
        idle_requests: 0.0,
        repaired_after: BTreeMap::new(),
        restart: Restart::default(),
    };
    (figures.idle_cpu, figures.idle_requests) = nothing(&place, &mut trail, idle).await?;
    figures.settled(memory(pid)?);
    for kind in ["configmaps", "services", "statefulsets"] {
        let repaired = repair(&place, &trail, size / 2, kind).await?;
        figures.repaired_after.insert(kind, repaired);
    }
    trail.rest(QUIET, Duration::from_secs(60)).await?;
    figures.restart = restart(&place, &mut trail, size / 3).await?;
    place.end().await?;
    Ok(figures)
}

/// Makes a normal Cluster beside others that wait for the address of a load balancer.
pub async fn beside(subject: &Subject, components: &Components, pending: usize) -> Result<Beside> {
    let place = Place::start(subject, components).await?;
    let mut trail = Trail::new(&place);
    for namespace in ["alone", "scale"] {
        place.namespace(namespace).await?;
    }
    // The first one finds nothing warm.
    alone(&place, &mut trail, ALONE).await?;
    let single = middle(&place, &mut trail, ALONE + 1).await?;
    let began = Timestamp::now();
    place.clusters("scale", "LoadBalancer", 0..pending).await?;
    let made = Timestamp::now();
    place
        .clusters("alone", "ClusterIP", ALONE + 10..ALONE + 11)
        .await?;
    trail.rest(QUIET, Duration::from_secs(300)).await?;
    let last = |trail: &Trail, number| trail.of_clusters.get(&number).map(|(last, _)| *last);
    let together = last(&trail, ALONE + 10).map(|last| seconds(made, last));
    ensure!(
        (0..pending).any(|number| last(&trail, number).is_some_and(|last| last > began)),
        "nothing was made for those that wait"
    );
    let (idle_cpu, idle_requests) = nothing(&place, &mut trail, Duration::from_secs(20)).await?;
    let later = middle(&place, &mut trail, ALONE + 20).await?;
    place.end().await?;
    Ok(Beside {
        operator: subject.who,
        pending,
        alone: single,
        together,
        later: Some(later),
        idle_cpu,
        idle_requests,
    })
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    from.duration_until(to).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn share(times: usize, of: usize) -> f64 {
    times as f64 / of as f64
}

/// How long the children of one Cluster take while nothing else is made.
async fn alone(place: &Place, trail: &mut Trail, number: usize) -> Result<f64> {
    let began = Timestamp::now();
    place
        .clusters("alone", "ClusterIP", number..number + 1)
        .await?;
    let started = Instant::now();
    while !trail.of_clusters.contains_key(&number) {
        ensure!(
            started.elapsed() < Duration::from_secs(120),
            "nothing is made"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
        trail.read()?;
    }
    trail.rest(QUIET, Duration::from_secs(120)).await?;
    let (last, _) = trail.of_clusters.get(&number).context("no child at all")?;
    Ok(seconds(began, *last))
}

/// The same of the middle one of three.
async fn middle(place: &Place, trail: &mut Trail, first: usize) -> Result<f64> {
    let mut times = Vec::new();
    for number in first..first + 3 {
        times.push(alone(place, trail, number).await?);
    }
    times.sort_by(f64::total_cmp);
    times.get(1).copied().context("three times")
}

/// Addresses that a Cluster takes.
async fn cluster_ips(place: &Place) -> Result<f64> {
    let services: Api<Service> = Api::namespaced(place.admin.clone(), "alone");
    let found = services.list(&ListParams::default()).await?;
    let with_address = found
        .iter()
        .filter_map(|service| service.spec.as_ref()?.cluster_ip.as_deref())
        .filter(|address| !matches!(*address, "" | "None"));
    Ok(share(with_address.count(), 1))
}

/// Share of a processor, and requests a minute, while nothing happens.
async fn nothing(place: &Place, trail: &mut Trail, during: Duration) -> Result<(f64, f64)> {
    let pid = place.pid()?;
    trail.read()?;
    trail.take_tally();
    let (began, before) = (Instant::now(), cpu_of_threads(pid)?);
    tokio::time::sleep(during).await;
    let took = began.elapsed();
    let used = cpu_of_threads(pid)?.saturating_sub(before);
    trail.read()?;
    let requests = share(trail.take_tally().all, 1) * 60.0 / took.as_secs_f64();
    Ok((used.as_secs_f64() / took.as_secs_f64(), requests))
}

fn child(trail: &Trail, number: usize, kind: &str) -> Result<String> {
    let (_, children) = trail.of_clusters.get(&number).context("no such Cluster")?;
    let names = children.get(kind).and_then(|names| names.iter().max());
    names.cloned().with_context(|| format!("it has no {kind}"))
}

/// From the deletion of a child to another one in its place.
async fn repair(place: &Place, trail: &Trail, number: usize, kind: &str) -> Result<Option<f64>> {
    let api = api(&place.admin, kind, "scale");
    let name = child(trail, number, kind)?;
    let uid = api.get_metadata(&name).await?.metadata.uid;
    let began = Instant::now();
    api.delete(&name, &DeleteParams::default()).await?;
    while began.elapsed() < PATIENCE {
        let found = api.get_metadata_opt(&name).await?;
        if found.is_some_and(|found| found.metadata.uid != uid) {
            return Ok(Some(began.elapsed().as_secs_f64()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(None)
}

/// Ends the operator, deletes a child, and starts it again.
async fn restart(place: &Place, trail: &mut Trail, number: usize) -> Result<Restart> {
    let api = api(&place.admin, "configmaps", "scale");
    let name = child(trail, number, "configmaps")?;
    stop(place).await?;
    api.delete(&name, &DeleteParams::default()).await?;
    trail.read()?;
    trail.take_tally();
    let began = Instant::now();
    place.operator.restart()?;
    let pid = place.pid()?;
    let since = || Some(began.elapsed().as_secs_f64());
    let mut restart = Restart::default();
    let (mut looked, mut used) = (began, Duration::ZERO);
    let mut busy = began;
    loop {
        if restart.ready_after.is_none() && is_ready(place).await {
            restart.ready_after = since();
        }
        if restart.repaired_after.is_none() && api.get_metadata_opt(&name).await?.is_some() {
            restart.repaired_after = since();
        }
        // More than a tenth of a processor.
        if looked.elapsed() > Duration::from_millis(200) {
            let now = cpu_of_threads(pid)?;
            if now.saturating_sub(used) > looked.elapsed() / 10 {
                busy = Instant::now();
                restart.synced_after = since();
                restart.cpu = cpu(pid)?;
            }
            (looked, used) = (Instant::now(), now);
        }
        let is_late = began.elapsed() > Duration::from_secs(300);
        let is_repaired = restart.repaired_after.is_some() || began.elapsed() > PATIENCE * 3;
        if is_late || (is_repaired && busy.elapsed() > QUIET) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    trail.read()?;
    let repair = usize::from(restart.repaired_after.is_some());
    restart.writes = trail.take_tally().writes.saturating_sub(repair);
    Ok(restart)
}

/// As a new version is put in place of an old one: a lease is given back, and not waited for.
async fn stop(place: &Place) -> Result<()> {
    let process = Process::of(i32::try_from(place.pid()?)?).context("the operator does not run")?;
    process.signal(Signal::SIGTERM);
    let began = Instant::now();
    while process.is_alive() && began.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    place.operator.kill();
    Ok(())
}

async fn is_ready(place: &Place) -> bool {
    let Some(address) = place.health else {
        return false;
    };
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    ask.await.unwrap_or(false)
}
