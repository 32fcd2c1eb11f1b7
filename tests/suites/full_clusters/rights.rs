//! What the controller may do and what it did, over everything that the suite made it do.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use mothership::audit::{Counts, Entry};
use support::full::clusters;
use support::full::world::{CONTROLLER, PRODUCT, World};

pub async fn the_controller_is_restricted_and_asks_for_nothing_it_may_not(
    world: &World,
) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let namespace = namespaces.get(PRODUCT).await?;
    let level = namespace.labels().get("pod-security.kubernetes.io/enforce");
    ensure!(
        level.map(String::as_str) == Some("restricted"),
        "the namespace enforces {level:?}"
    );
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), PRODUCT);
    let selector = ListParams::default().labels("control-plane=controller-manager");
    let pods = pods.list(&selector).await?.items;
    ensure!(pods.len() == 2, "{} controller pods", pods.len());
    for pod in &pods {
        let name = pod.name_any();
        ensure!(clusters::is_ready(pod), "{name} is not ready");
        let status = pod.status.as_ref().context("no status")?;
        for container in status.container_statuses.iter().flatten() {
            let count = container.restart_count;
            ensure!(count == 0, "{name} restarted {count} times");
        }
    }

    let entries = world.full.audit().entries()?;
    let by_controller = Counts::of(&entries, |entry| entry.is_by(CONTROLLER));
    ensure!(by_controller.total() > 0, "the audit log has no controller");
    let forbidden = Counts::of(&entries, |entry| {
        let code = entry.response_status.as_ref().map(|status| status.code);
        entry.is_by(CONTROLLER) && matches!(code, Some(401 | 403))
    });
    ensure!(forbidden.total() == 0, "was forbidden:\n{forbidden}");
    let touched: BTreeSet<String> = entries
        .iter()
        .filter(|entry| entry.is_by(CONTROLLER))
        .filter_map(|entry| entry.object_ref.as_ref())
        .map(|object| match object.subresource.as_str() {
            "" => object.resource.clone(),
            below => format!("{}/{below}", object.resource),
        })
        .collect();
    world.say(format!("the controller asked for {touched:?}"));
    // It may see what keeps them from being ready, and nothing else of them.
    let pods: Vec<&Entry> = entries
        .iter()
        .filter(|entry| {
            let object = entry.object_ref.as_ref();
            entry.is_by(CONTROLLER)
                && object.is_some_and(|object| object.resource == "pods")
                && (entry.verb != "list" || object.is_some_and(|it| !it.subresource.is_empty()))
        })
        .collect();
    ensure!(pods.is_empty(), "the controller asked for {pods:?}");
    Ok(())
}
