//! Ports and addresses that are found out.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use support::light::children::{at, text};
use support::light::scene::{Scene, wrote};

fn services(scene: &Scene) -> Api<Service> {
    Api::namespaced(scene.admin.clone(), &scene.namespace)
}

fn node_port(api: i32, konnectivity: i32) -> Value {
    json!({
        "service": {"type": "NodePort", "apiPort": api, "konnectivityPort": konnectivity},
        "externalAddress": "192.0.2.1",
    })
}

/// Port, target port and node port of both, which have to be one number each.
async fn ports(scene: &Scene, cluster: &str) -> Result<(i64, i64)> {
    let service = scene
        .get("Service", &format!("kmc-{cluster}-nodeport"))
        .await?
        .context("no Service")?;
    let number = |name: &str| -> Result<i64> {
        let ports = at(&service, "/spec/ports").as_array().context("no ports")?;
        let port = ports
            .iter()
            .find(|port| text(port, "/name") == name)
            .context("no port")?;
        let number = at(port, "/nodePort").as_i64().context("no number")?;
        for field in ["/port", "/targetPort"] {
            ensure!(at(port, field).as_i64() == Some(number), "{name}: {port}");
        }
        Ok(number)
    };
    Ok((number("api")?, number("konnectivity")?))
}

async fn recorded(scene: &Scene, cluster: &str) -> Result<(i64, i64)> {
    let status = scene
        .clusters()
        .get(cluster)
        .await?
        .status
        .context("no status")?;
    let ports = status.ports.context("no ports in the status")?;
    Ok((ports.api.into(), ports.konnectivity.into()))
}

pub async fn of_two_clusters_with_the_same_node_ports_the_second_says_so(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    scene.complete("first", node_port(31443, 31132)).await?;
    scene.create("second", node_port(31443, 31132)).await?;
    let message = scene
        .says("second", "Applied", "False", "ChildRefused")
        .await?;
    scene.say(&message);
    for part in [
        "kmc-second-nodeport",
        "provided port is already allocated",
        "31443",
    ] {
        ensure!(message.contains(part), "{part:?} is not in {message:?}");
    }
    ensure!(
        scene.get("StatefulSet", "kmc-second").await?.is_none(),
        "it starts without a Service"
    );
    ensure!(
        ports(scene, "first").await? == (31443, 31132),
        "the first lost its ports"
    );

    scene
        .change(
            "second",
            json!({"spec": {"service": {"apiPort": 0, "konnectivityPort": 0}}}),
        )
        .await?;
    scene.completed("second").await?;
    scene.says("second", "Applied", "True", "Applied").await?;
    let found = ports(scene, "second").await?;
    ensure!(found.0 != 31443 && found.1 != 31132, "{found:?}");
    ensure!(
        found == recorded(scene, "second").await?,
        "{found:?} are not recorded"
    );

    // Nobody tells the third when the first gives its ports back: it finds out.
    scene.create("third", node_port(31443, 31132)).await?;
    scene
        .says("third", "Applied", "False", "ChildRefused")
        .await?;
    scene
        .clusters()
        .delete("first", &DeleteParams::default())
        .await?;
    scene.completed("third").await?;
    scene.says("third", "Applied", "True", "Applied").await?;
    controller.stop().await
}

pub async fn allocated_node_ports_are_recorded_first_and_stay(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let mark = scene.mark().await;
    let names = ["left", "right"];
    for name in names {
        scene.create(name, node_port(0, 0)).await?;
    }
    let mut all = Vec::new();
    for name in names {
        scene.completed(name).await?;
        let found = ports(scene, name).await?;
        ensure!(
            found == recorded(scene, name).await?,
            "{found:?} are not recorded"
        );
        all.extend([found.0, found.1]);
        let config = scene
            .get("ConfigMap", &format!("kmc-{name}-config"))
            .await?;
        let config = config.context("no configuration")?;
        let config: Value = serde_saphyr::from_str(text(&config, "/data/K0SMOTRON_K0S_YAML"))?;
        let listens = (
            at(&config, "/spec/api/port").as_i64().context("no port")?,
            at(&config, "/spec/konnectivity/agentPort")
                .as_i64()
                .context("no port")?,
        );
        ensure!(
            listens == found,
            "k0s listens on {listens:?}, the Service has {found:?}"
        );
    }
    scene.say(format!("allocated: {all:?}"));
    let mut distinct = all.clone();
    distinct.sort_unstable();
    distinct.dedup();
    ensure!(distinct.len() == 4, "{all:?}");

    let entries = scene.audit().since(mark)?;
    for name in names {
        let first = |resource: &str, object: &str| {
            entries
                .iter()
                .filter(|entry| entry.is_by(&scene.user) && wrote(entry, resource, object))
                .filter(|entry| {
                    let object = entry.object_ref.as_ref();
                    resource != "clusters"
                        || object.is_some_and(|object| object.subresource == "status")
                })
                .map(|entry| (entry.request_received_timestamp, entry.stage_timestamp))
                .min()
                .with_context(|| format!("{resource} {object} was never written"))
        };
        let (_, status) = first("clusters", name)?;
        for (resource, object) in [
            ("configmaps", format!("kmc-{name}-config")),
            ("statefulsets", format!("kmc-{name}")),
        ] {
            let (written, _) = first(resource, &object)?;
            ensure!(
                status < written,
                "{object} was written before the ports were recorded"
            );
        }
    }

    for name in names {
        let before = ports(scene, name).await?;
        let set = scene
            .get("StatefulSet", &format!("kmc-{name}"))
            .await?
            .context("no pods")?;
        services(scene)
            .delete(&format!("kmc-{name}-nodeport"), &DeleteParams::default())
            .await?;
        scene
            .appears("Service", &format!("kmc-{name}-nodeport"))
            .await?;
        scene.settled().await?;
        ensure!(
            ports(scene, name).await? == before,
            "a Service made anew has other ports"
        );
        let now = scene
            .get("StatefulSet", &format!("kmc-{name}"))
            .await?
            .context("no pods")?;
        ensure!(
            at(&set, "/spec") == at(&now, "/spec"),
            "a Service made anew rolls the pods"
        );
    }
    controller.stop().await
}

pub async fn a_load_balancer_is_waited_for_and_holds_up_nobody(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let spec = json!({"service": {"type": "LoadBalancer"}});
    scene.create("waits", spec).await?;
    for type_ in ["ControlPlaneExposed", "Available"] {
        let message = scene
            .says("waits", type_, "False", "WaitingForLoadBalancer")
            .await?;
        ensure!(message.contains("load balancer"), "{message}");
    }
    scene
        .complete("other", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    // Everything that does not need the address is there; what is written once and for all is not.
    let children = scene.children().await?;
    for (key, expected) in [
        ("Service/kmc-waits-lb", true),
        ("StatefulSet/kmc-waits-etcd", true),
        ("Secret/waits-ca", true),
        ("ConfigMap/kmc-waits-config", false),
        ("ConfigMap/kmc-waits-endpoint", false),
        ("Secret/waits-kubeconfig", false),
        ("StatefulSet/kmc-waits", false),
    ] {
        ensure!(
            children.contains_key(key) == expected,
            "{key}: {:?}",
            children.keys()
        );
    }
    let status = scene
        .clusters()
        .get("waits")
        .await?
        .status
        .context("no status")?;
    ensure!(status.endpoint.is_none(), "{:?}", status.endpoint);

    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}});
    services(scene)
        .patch_status(
            "kmc-waits-lb",
            &PatchParams::default(),
            &Patch::Merge(address),
        )
        .await?;
    let cluster = scene.completed("waits").await?;
    let status = cluster.status.context("no status")?;
    let endpoint = "https://192.0.2.9:30443";
    ensure!(
        status.endpoint.as_deref() == Some(endpoint),
        "{:?}",
        status.endpoint
    );
    ensure!(
        status.external_address.as_deref() == Some("192.0.2.9"),
        "{status:?}"
    );
    scene
        .says(
            "waits",
            "ControlPlaneExposed",
            "True",
            "ClusterWithExternalAddress",
        )
        .await?;
    let config = scene
        .get("ConfigMap", "kmc-waits-config")
        .await?
        .context("no configuration")?;
    let config: Value = serde_saphyr::from_str(text(&config, "/data/K0SMOTRON_K0S_YAML"))?;
    ensure!(
        text(&config, "/spec/api/externalAddress") == "192.0.2.9",
        "{config}"
    );
    let sans = at(&config, "/spec/api/sans")
        .as_array()
        .context("no names")?;
    ensure!(sans.contains(&json!("192.0.2.9")), "{sans:?}");
    if scene
        .get("ConfigMap", "kmc-waits-endpoint")
        .await?
        .is_none()
    {
        bail!("the hosted cluster is not told its address");
    }
    controller.stop().await
}
