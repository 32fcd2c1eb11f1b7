use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use mothership::load::{self, Load};
use serde_json::json;
use support::light::PRODUCT;
use support::light::scene::Scene;
use support::released;

use super::reviews::{policies, review};

const CLUSTERS: usize = 1000;
/// What is promised, and ten times of which fails.
const P99_AT_RATE: Duration = Duration::from_millis(5);
const P99_LARGE: Duration = Duration::from_millis(50);
const P99_SATURATED: Duration = Duration::from_millis(10);
const READY: Duration = Duration::from_millis(300);
const RESIDENT_MIB: f64 = 40.0;

/// Fills the API server with Clusters and policies, past a webhook that is not there yet.
async fn fill(scene: &Scene) -> Result<()> {
    scene.place.unpoint().await?;
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk("k0smotron.io", "v1beta2", "Cluster"));
    let clusters: Api<DynamicObject> =
        Api::namespaced_with(scene.admin.clone(), &scene.namespace, &resource);
    let spec = json!({"version": "v1.36.3-k0s.2", "service": {"type": "ClusterIP"}});
    futures::stream::iter(0..CLUSTERS)
        .map(|index| {
            let mut object = DynamicObject::new(&format!("stored-{index}"), &resource);
            object.data = json!({ "spec": spec });
            let clusters = clusters.clone();
            async move { clusters.create(&PostParams::default(), &object).await }
        })
        .buffer_unordered(32)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": policies()});
    let said = scene
        .kubectl(
            &["apply", "--server-side", "--filename", "-"],
            &list.to_string(),
        )
        .await?;
    ensure!(said.well, "{said:?}");
    scene.install().await?;
    scene.place.point().await
}

/// Resident memory of a process.
fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("no VmRSS")?
        .parse()?;
    Ok(kib / 1024.0)
}

/// Lets a process, or this one, run on these processors only.
fn pin(pid: u32, to: &[usize]) -> Result<()> {
    use nix::sched::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    for cpu in to {
        set.set(*cpu)?;
    }
    let tasks = Path::new("/proc").join(pid.to_string()).join("task");
    for task in std::fs::read_dir(tasks)?.flatten() {
        let id = task.file_name().to_string_lossy().parse()?;
        // A thread may have ended meanwhile.
        let _ = sched_setaffinity(nix::unistd::Pid::from_raw(id), &set);
    }
    Ok(())
}

pub async fn admission_under_load(scene: &Scene) -> Result<()> {
    let program = tokio::task::spawn_blocking(|| released::program("k0smotron-webhook")).await??;
    fill(scene).await?;
    // The certificate is made by the first start, which is not measured.
    let place = scene.place.clone().with_program(program);
    place.start(&[]).await?.stop().await?;
    let started = Instant::now();
    let webhook = place.start_only(&[]).await?;
    let ready = started.elapsed();
    scene.say(format!(
        "start to ready with {CLUSTERS} Clusters and 100 policies: {ready:?} (promised {READY:?})"
    ));
    scene.say(format!(
        "resident: {:.1} MiB (promised {RESIDENT_MIB})",
        resident(webhook.id())?
    ));
    place.answers().await?;

    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), PRODUCT);
    let secret = secrets.get("k0smotron-webhook-certificate").await?;
    let data = secret.data.context("an empty Secret")?;
    let authority = String::from_utf8(data.get("ca.crt").context("no authority")?.0.clone())?;

    let bodies = |bytes, is_new| {
        (0..100)
            .map(|number| review(&scene.namespace, number, bytes, is_new).into())
            .collect::<Vec<_>>()
    };
    let base = Load {
        address: place.address,
        name: "127.0.0.1".to_owned(),
        path: "/validate".to_owned(),
        bodies: bodies(4096, true),
        connections: 50,
        rate: None,
        duration: Duration::from_secs(10),
    };
    let mut worst = Vec::new();
    let mut measure = async |what: &str, load: &Load, p99: Duration| -> Result<()> {
        let report = load::run(load, &authority).await?;
        scene.say(format!("{what}: {} (p99 promised {p99:?})", report.line()));
        ensure!(report.failures.is_empty(), "{what}: {:?}", report.failures);
        if report.quantile(0.99) > p99 * 10 {
            worst.push(format!("{what}: p99 {:?}", report.quantile(0.99)));
        }
        Ok(())
    };
    let me = std::process::id();
    pin(webhook.id(), &[0])?;
    pin(me, &[1])?;
    for (path, is_new) in [("/validate", true), ("/validate", false), ("/mutate", true)] {
        let load = Load {
            path: path.to_owned(),
            bodies: bodies(4096, is_new),
            rate: Some(2000.0),
            duration: Duration::from_secs(if path == "/validate" && is_new {
                60
            } else {
                20
            }),
            ..base.clone()
        };
        let operation = if is_new { "create" } else { "update" };
        let what = format!("{path} of a {operation}, 4 KB, 2,000/s, one core, 100 policies");
        measure(&what, &load, P99_AT_RATE).await?;
    }
    let large = Load {
        bodies: bodies(256 * 1024, false),
        rate: Some(50.0),
        ..base.clone()
    };
    measure(
        "/validate of an update, 256 KB, 50/s, one core, 100 policies",
        &large,
        P99_LARGE,
    )
    .await?;
    // Upstream, which is measured against here, has no policies.
    let said = scene
        .kubectl(&["delete", "clusterpolicies", "--all"], "")
        .await?;
    ensure!(said.well, "{said:?}");
    let both: Vec<usize> = (0..2).collect();
    pin(webhook.id(), &both)?;
    pin(me, &both)?;
    for path in ["/validate", "/mutate"] {
        let load = Load {
            path: path.to_owned(),
            ..base.clone()
        };
        let what = format!("{path}, 4 KB, saturated, two shared cores, no policies");
        measure(&what, &load, P99_SATURATED).await?;
    }
    let after = resident(webhook.id())?;
    scene.say(format!("resident after all that: {after:.1} MiB"));
    ensure!(worst.is_empty(), "{worst:?}");
    ensure!(ready < READY * 10, "ready after {ready:?}");
    ensure!(after < RESIDENT_MIB * 10.0, "{after} MiB");
    webhook.stop().await
}
