//! Addresses that the mothership offers, and takes back.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use support::light::children::{at, text};
use support::light::scene::Scene;

async fn balance(scene: &Scene, service: &str, addresses: &[&str]) -> Result<()> {
    let ingress: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let status = json!({"status": {"loadBalancer": {"ingress": ingress}}});
    let services: Api<Service> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let params = PatchParams::default();
    services
        .patch_status(service, &params, &Patch::Merge(status))
        .await?;
    Ok(())
}

async fn generation(scene: &Scene) -> Result<Value> {
    let set = scene.get("StatefulSet", "kmc-one").await?;
    Ok(at(&set.context("no set")?, "/metadata/generation").clone())
}

async fn waits_for_a_balancer(scene: &Scene) -> Result<()> {
    let spec = json!({"service": {"type": "LoadBalancer"}});
    scene.create("one", spec).await?;
    let (exposed, why) = ("ControlPlaneExposed", "WaitingForLoadBalancer");
    scene.says("one", exposed, "False", why).await?;
    Ok(())
}

/// Some balancers list nodes, and list them anew when one goes and comes.
pub async fn the_order_of_a_balancers_addresses_changes_nothing(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    waits_for_a_balancer(scene).await?;
    balance(scene, "kmc-one-lb", &["192.0.2.8", "192.0.2.9"]).await?;
    scene.completed("one").await?;
    let before = generation(scene).await?;
    balance(scene, "kmc-one-lb", &["192.0.2.9", "192.0.2.8"]).await?;
    scene.settled().await?;
    ensure!(generation(scene).await? == before, "the pods roll");
    let status = scene.clusters().get("one").await?.status;
    let address = status.and_then(|status| status.external_address);
    ensure!(address.as_deref() == Some("192.0.2.8"), "{address:?}");
    controller.stop().await
}

/// Nobody has joined at the balancer's address: it does not outlive the type, and a node that comes
/// later is found.
pub async fn a_cluster_that_waits_for_a_node_finds_the_first(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    waits_for_a_balancer(scene).await?;
    balance(scene, "kmc-one-lb", &["192.0.2.8"]).await?;
    scene.completed("one").await?;
    let ports = json!({"type": "NodePort", "apiPort": 31743, "konnectivityPort": 31744});
    scene
        .change("one", json!({"spec": {"service": ports}}))
        .await?;
    scene
        .says("one", "ControlPlaneExposed", "False", "NoNodeAddress")
        .await?;
    scene.settled().await?;

    let nodes: Api<Node> = Api::all(scene.admin.clone());
    let name = format!("node-of-{}", scene.namespace);
    let node: Node = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    nodes.create(&PostParams::default(), &node).await?;
    let addresses = json!([{"type": "InternalIP", "address": "192.0.2.77"}]);
    let status = Patch::Merge(json!({"status": {"addresses": addresses}}));
    nodes
        .patch_status(&name, &PatchParams::default(), &status)
        .await?;
    let said = scene
        .says(
            "one",
            "ControlPlaneExposed",
            "True",
            "ClusterWithExternalAddress",
        )
        .await;
    nodes.delete(&name, &DeleteParams::default()).await?;
    let message = said?;
    ensure!(message.contains("192.0.2.77"), "{message}");
    controller.stop().await
}

/// What workers and users are told, and what the API server's certificate is valid for.
pub async fn an_external_address_that_changes_reaches_all_that_names_it(
    scene: &Scene,
) -> Result<()> {
    let (old, new) = ("192.0.2.1", "api.example.org");
    let controller = scene.controller().await?;
    let ports = json!({"type": "NodePort", "apiPort": 31843, "konnectivityPort": 31844});
    let spec = json!({"service": ports, "externalAddress": old});
    scene.complete("one", spec).await?;
    let told = async |address: &str, before: &str| -> Result<()> {
        let config = scene.appears("ConfigMap", "kmc-one-config").await?;
        let config: Value = serde_saphyr::from_str(text(&config, "/data/K0SMOTRON_K0S_YAML"))?;
        ensure!(
            text(&config, "/spec/api/externalAddress") == address,
            "{config}"
        );
        let names = at(&config, "/spec/api/sans").as_array();
        ensure!(
            names.is_some_and(|names| names.contains(&json!(address))),
            "{config}"
        );
        let endpoint = scene.appears("ConfigMap", "kmc-one-endpoint").await?;
        let endpoint = at(&endpoint, "/data").to_string();
        ensure!(
            endpoint.contains(address) && !endpoint.contains(before),
            "{endpoint}"
        );
        let kubeconfig = scene.appears("Secret", "one-kubeconfig").await?;
        let kubeconfig = BASE64_STANDARD.decode(text(&kubeconfig, "/data/value"))?;
        let kubeconfig: Value = serde_saphyr::from_str(std::str::from_utf8(&kubeconfig)?)?;
        let server = text(&kubeconfig, "/clusters/0/cluster/server");
        ensure!(server == format!("https://{address}:31843"), "{server}");
        let status = scene.clusters().get("one").await?.status;
        let endpoint = status.and_then(|status| status.endpoint);
        ensure!(endpoint.as_deref() == Some(server), "{endpoint:?}");
        Ok(())
    };
    told(old, new).await?;
    scene
        .change("one", json!({"spec": {"externalAddress": new}}))
        .await?;
    scene.settled().await?;
    told(new, old).await?;
    controller.stop().await
}
