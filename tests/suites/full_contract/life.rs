//! How a controller starts, what it keeps where while it runs, and how it ends.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::wait::await_condition;
use support::full::world::World;
use support::full::{clusters, until};

use crate::plane::{self, ETCD, K0S, PLAIN, PREFIX};

/// Two seconds, but k0s's autopilot does not hear of it while it sets itself up: then 55 s.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

pub async fn it_comes_up_by_itself_when_its_etcd_comes_late(world: &World) -> Result<()> {
    let recovered = plane::plane(world).await?.recovered;
    world.say(format!(
        "ready {:.1} s after its etcd",
        recovered.as_secs_f64()
    ));
    ensure!(restarts(world, K0S).await? == 0, "it was restarted");
    // Three seconds on an idle machine; ten times that is a failure.
    ensure!(
        recovered < Duration::from_secs(30),
        "only after {recovered:?}"
    );
    Ok(())
}

async fn restarts(world: &World, name: &str) -> Result<i32> {
    let pod = plane::pods(world).get(name).await?;
    let statuses = pod.status.and_then(|status| status.container_statuses);
    Ok(statuses
        .into_iter()
        .flatten()
        .map(|status| status.restart_count)
        .sum())
}

pub async fn it_keeps_to_its_prefix_in_an_external_etcd(world: &World) -> Result<()> {
    plane::plane(world).await?;
    let command = ["etcdctl", "get", "--from-key", "", "--keys-only"];
    let keys = clusters::exec(&plane::pods(world), ETCD, &command).await?;
    let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
    let below = |key: &&&str| key.starts_with(&format!("{PREFIX}/"));
    let strays: Vec<&&str> = keys.iter().filter(|key| !below(key)).collect();
    ensure!(strays.is_empty(), "outside {PREFIX}: {strays:?}");
    ensure!(keys.len() > 50, "only {} keys", keys.len());
    Ok(())
}

pub async fn live_controllers_and_leaders_hold_leases(world: &World) -> Result<()> {
    let client = plane::client(world).await?;
    for (namespace, name) in [
        ("kube-node-lease", format!("k0s-ctrl-{K0S}")),
        ("kube-node-lease", "k0s-endpoint-reconciler".to_owned()),
        ("kube-system", "kube-controller-manager".to_owned()),
        ("kube-system", "kube-scheduler".to_owned()),
    ] {
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let what = format!("the lease {namespace}/{name}");
        until(&what, Duration::from_secs(60), async || {
            let lease = leases.get(&name).await.map_err(|error| error.to_string())?;
            let spec = lease.spec.ok_or("it has no spec")?;
            match spec.holder_identity.filter(|holder| !holder.is_empty()) {
                Some(_) if spec.renew_time.is_some() => Ok(()),
                _ => Err("nobody holds it".to_owned()),
            }
        })
        .await?;
    }
    Ok(())
}

/// Waits until a controller has written what it writes last: told to end before, k0s ends with 1.
async fn started(world: &World, name: &str) -> Result<()> {
    let what = format!("all that {name} writes");
    let list = "k0s kubectl get configmaps --namespace=kube-system --output=name";
    let command: Vec<&str> = list.split(' ').collect();
    until(&what, Duration::from_secs(60), async || {
        let ran = clusters::run(&plane::pods(world), name, &command).await;
        let ran = ran.map_err(|error| format!("{error:#}"))?;
        if ran.output.contains("/worker-config-default-1.") {
            Ok(())
        } else {
            Err(format!("{ran:?}"))
        }
    })
    .await
}

pub async fn it_ends_well_when_told_to(world: &World) -> Result<()> {
    plane::plain(world).await?;
    for name in [PLAIN, K0S] {
        let pods = plane::pods(world);
        plane::ready(world, name).await?;
        started(world, name).await?;
        clusters::exec(&pods, name, &["kill", "-TERM", "1"]).await?;
        let end = await_condition(pods, name, |pod: Option<&Pod>| plane::ended(pod).is_some());
        let pod = tokio::time::timeout(ENDS_WITHIN, end).await??;
        let code = plane::ended(pod.as_ref());
        ensure!(code == Some(0), "{name} ends with {code:?}");
    }
    Ok(())
}
