//! What the controller asks of the API server.

use anyhow::{Context as _, Result, ensure};
use kube::api::Api;
use mothership::audit::Counts;
use serde_json::{Value, json};
use support::light::children::{Children, at, differences, text};
use support::light::scene::{Scene, by_resource};

/// The promised figure for one replica, ClusterIP and etcd, from create to Available. The last of
/// them, when the pods are ready, are not sent here.
const REQUESTS: usize = 20;

const PLAIN: [&str; 16] = [
    "ConfigMap/kmc-one-config",
    "ConfigMap/kmc-one-etcd-config",
    "ConfigMap/kmc-one-telemetry-config",
    "Secret/one-apiserver-etcd-client",
    "Secret/one-ca",
    "Secret/one-etcd",
    "Secret/one-etcd-peer",
    "Secret/one-etcd-server",
    "Secret/one-kubeconfig",
    "Secret/one-proxy",
    "Secret/one-sa",
    "Service/kmc-one",
    "Service/kmc-one-etcd",
    "Service/kmc-one-etcd-client",
    "StatefulSet/kmc-one",
    "StatefulSet/kmc-one-etcd",
];

pub async fn creating_a_cluster_takes_at_most_20_requests(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene.settled().await?;
    let mark = scene.mark().await;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let asked = scene.asked(mark).await?;
    scene.say(format!(
        "{} requests until the first status:",
        asked.total()
    ));
    scene.say(by_resource(&asked));
    let made: Vec<String> = scene.children().await?.into_keys().collect();
    ensure!(made == PLAIN, "the children are {made:?}");
    ensure!(asked.total() <= REQUESTS, "too many:\n{asked}");
    // Nothing is asked twice but the status, and nothing is refused.
    for (key, count) in &asked.0 {
        ensure!(
            *count == 1 || key.subresource == "status",
            "{count} times {key:?}\n{asked}"
        );
        ensure!(
            (200..300).contains(&key.code),
            "answered with {}: {key:?}",
            key.code
        );
    }
    controller.stop().await
}

/// What the pods are made from and found by.
fn pods(children: &Children) -> Vec<(String, Value)> {
    children
        .iter()
        .filter_map(|(key, object)| {
            let spec = at(object, "/spec");
            match key.split('/').next()? {
                "StatefulSet" => Some((
                    key.clone(),
                    json!({"generation": at(object, "/metadata/generation"), "spec": spec}),
                )),
                "Service" => Some((key.clone(), at(spec, "/selector").clone())),
                _ => None,
            }
        })
        .collect()
}

pub async fn a_touched_cluster_costs_nothing_and_a_label_only_metadata(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let before = scene.children().await?;

    let mark = scene.mark().await;
    for value in ["1", "2"] {
        scene
            .change(
                "one",
                json!({"metadata": {"annotations": {"touched": value}}}),
            )
            .await?;
        scene.settled().await?;
    }
    // Its pods, that nobody starts here, are asked for now and then, whatever happens to it.
    let entries = scene.audit().since(mark)?;
    let asked = Counts::of(&entries, |entry| {
        let object = entry.object_ref.as_ref();
        entry.is_by(&scene.user) && object.is_none_or(|object| object.resource != "pods")
    });
    ensure!(
        asked.total() == 0,
        "touching the Cluster twice cost\n{asked}"
    );
    for (key, object) in scene.children().await? {
        ensure!(Some(&object) == before.get(&key), "{key} changed");
    }

    for (value, what) in [(json!("blue"), "a label"), (Value::Null, "taking it off")] {
        let mark = scene.mark().await;
        scene
            .change("one", json!({"metadata": {"labels": {"team": value}}}))
            .await?;
        scene.settled().await?;
        let asked = scene.asked(mark).await?;
        scene.say(format!("{what} costs {} requests:", asked.total()));
        scene.say(by_resource(&asked));
        let after = scene.children().await?;
        for (key, object) in &after {
            // Certificates carry nothing but the label by which Cluster API finds them.
            let inherits = !key.starts_with("Secret/") || key.ends_with("-kubeconfig");
            let expected = if inherits { &value } else { &Value::Null };
            let found = at(object, "/metadata/labels/team");
            ensure!(found == expected, "{key} has the label {found}");
        }
        ensure!(asked.total() <= after.len(), "more than one each:\n{asked}");
        for key in asked.0.keys() {
            ensure!(key.verb == "patch" || key.verb == "get", "{key:?}");
            ensure!(key.resource != "clusters", "{key:?}");
        }
        let found = differences(&json!(pods(&before)), &json!(pods(&after)));
        ensure!(
            found.is_empty(),
            "{what} reached pods or selectors: {found:#?}"
        );
    }
    controller.stop().await
}

pub async fn a_restart_costs_nothing_beyond_lists_and_watches(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    for (name, spec) in [
        ("one", json!({"service": {"type": "ClusterIP"}})),
        (
            "three",
            json!({"replicas": 3, "service": {"type": "ClusterIP"}}),
        ),
        (
            "ports",
            json!({
                "service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0},
                "externalAddress": "192.0.2.1",
                "persistence": {"type": "hostPath", "hostPath": "/var/lib/x"},
            }),
        ),
        ("waits", json!({"service": {"type": "LoadBalancer"}})),
    ] {
        scene.create(name, spec).await?;
    }
    for name in ["one", "three", "ports"] {
        scene.completed(name).await?;
    }
    let before = scene.children().await?;
    controller.stop().await?;
    // What the others in the mothership still do with the objects is over.
    scene.settled().await?;
    let mark = scene.mark().await;
    let controller = scene.controller().await?;
    scene.settled().await?;
    let all = scene.audit().count(&scene.user, mark)?;
    let asked = scene.asked(mark).await?;
    scene.say(format!("{} lists and watches with 4 clusters", all.total()));
    ensure!(asked.total() == 0, "a restart costs\n{asked}");
    let after = scene.children().await?;
    let kept = before.iter().all(|(key, object)| {
        after
            .get(key)
            .is_some_and(|now| at(now, "/metadata/uid") == at(object, "/metadata/uid"))
    });
    ensure!(kept && before.len() == after.len(), "children changed");
    controller.stop().await
}

pub async fn of_a_cluster_only_status_and_finalizer_are_ever_written(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let spec = json!({
        "replicas": 1,
        "service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0},
        "externalAddress": "192.0.2.1",
        "k0sConfig": {"spec": {"telemetry": {"enabled": false}, "api": {"odd": [1, null, {"x": 1.5}]}}},
        "controlPlaneFlags": ["--debug"],
    });
    scene.create("one", spec).await?;
    let labels = json!({"labels": {"a": "b"}, "annotations": {"c": "d"}});
    scene.change("one", json!({"metadata": labels})).await?;
    let users = |object: &Value| {
        let mut part = json!({"spec": at(object, "/spec")});
        for field in ["labels", "annotations", "ownerReferences", "generation"] {
            let value = at(object, &format!("/metadata/{field}")).clone();
            part.as_object_mut()
                .map(|part| part.insert(field.to_owned(), value));
        }
        part
    };
    let read =
        async || -> Result<Value> { Ok(serde_json::to_value(scene.raw().get("one").await?)?) };
    let before = users(&read().await?);
    scene.completed("one").await?;
    // All that makes it work: a child gone, one edited, a spec changed and changed back.
    scene
        .edit("StatefulSet/kmc-one", &json!({"spec": {"replicas": 5}}))
        .await?;
    let services: Api<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(scene.admin.clone(), &scene.namespace);
    services
        .delete("kmc-one-nodeport", &kube::api::DeleteParams::default())
        .await?;
    scene.settled().await?;
    let object = read().await?;
    ensure!(
        users(&object) == before,
        "{:#?}",
        differences(&before, &users(&object))
    );
    // What it owns by the API server's own account.
    let mut owned = 0;
    for entry in at(&object, "/metadata/managedFields")
        .as_array()
        .context("no managers")?
    {
        if text(entry, "/manager") != "k0smotron-operator" {
            continue;
        }
        owned += 1;
        let fields = at(entry, "/fieldsV1").as_object().context("no fields")?;
        for (field, below) in fields {
            let is_finalizer = field == "f:metadata"
                && below
                    .as_object()
                    .is_some_and(|below| below.keys().all(|field| field == "f:finalizers"));
            ensure!(
                is_finalizer || field == "f:status",
                "it owns {field}: {below}"
            );
        }
    }
    ensure!(owned >= 2, "it owns nothing: {object}");
    controller.stop().await
}
