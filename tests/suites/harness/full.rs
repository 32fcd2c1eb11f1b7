//! The full level.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use mothership::{Full, FullOptions, Image, WorkerOptions};
use serde_json::json;

use crate::support::{exec, page, pod, ready, wait_until_gone};

#[tokio::test]
async fn a_full_mothership_runs_pods_keeps_workers_apart_and_ends_without_trace() {
    let options = FullOptions {
        images: vec![Image::Pause, Image::Busybox],
        ..Default::default()
    };
    let full = Full::start(options).await.unwrap();
    let dir = full.dir().to_owned();
    eprintln!(
        "full mothership ready after {:.1} s",
        full.ready_after.as_secs_f64()
    );
    let client = full.admin().await.unwrap();

    // A pod, its log and a NodePort from the host.
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let script =
        "echo hello; mkdir /tmp/w; echo page >/tmp/w/index.html; httpd -f -p 8080 -h /tmp/w";
    pods.create(&PostParams::default(), &pod("web", script))
        .await
        .unwrap();
    let services: Api<Service> = Api::default_namespaced(client.clone());
    for (name, extra) in [
        ("web", json!({"type": "NodePort"})),
        ("web-dns", json!({"clusterIP": "None"})),
    ] {
        let mut service = json!({
            "metadata": {"name": name},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        for (key, value) in extra.as_object().unwrap() {
            service["spec"][key] = value.clone();
        }
        let service: Service = serde_json::from_value(service).unwrap();
        services
            .create(&PostParams::default(), &service)
            .await
            .unwrap();
    }
    let web = ready(&pods, "web").await;
    let address = web.status.unwrap().pod_ip.unwrap();
    assert_eq!(
        pods.logs("web", &LogParams::default()).await.unwrap(),
        "hello\n"
    );
    let spec = services.get("web").await.unwrap().spec.unwrap();
    let service_address = spec.cluster_ip.unwrap();
    let node_port = spec.ports.unwrap()[0].node_port.unwrap();
    let started = Instant::now();
    while page(full.node_ip(), node_port).await != "page\n" {
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "NodePort {node_port} has no page"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // Names both ways, and a Service, from a pod.
    pods.create(&PostParams::default(), &pod("client", "sleep 10000"))
        .await
        .unwrap();
    ready(&pods, "client").await;
    assert_eq!(
        exec(&pods, "client", "wget -qO- http://web/").await,
        "page\n"
    );
    let names = exec(
        &pods,
        "client",
        &format!("nslookup {address}; nslookup web-dns"),
    )
    .await;
    assert!(
        names.contains("web-dns.default.svc.cluster.local"),
        "{names}"
    );
    assert!(names.contains(&address), "{names}");

    // A worker machine reaches nothing but the port that it may.
    let worker = full.worker(WorkerOptions::new("apart")).await.unwrap();
    let node = full.node_ip().to_string();
    let node_port = u16::try_from(node_port).unwrap();
    assert!(!worker.reaches(&node, 6443).await.unwrap());
    worker.allow(6443).await.unwrap();
    assert!(worker.reaches(&node, 6443).await.unwrap());
    assert!(!worker.reaches(&node, node_port).await.unwrap());
    assert!(!worker.reaches(&address, 8080).await.unwrap());
    assert!(!worker.reaches(&service_address, 80).await.unwrap());
    worker.allow(node_port).await.unwrap();
    assert!(worker.reaches(&node, node_port).await.unwrap());

    // And no pod reaches the worker.
    let own = worker.address().to_string();
    let mut listener = worker
        .machine()
        .command("busybox")
        .unwrap()
        .args(["httpd", "-f", "-p", "7777"])
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !worker.reaches(&own, 7777).await.unwrap() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "no listener in the worker"
        );
    }
    let probe = |port| mothership::image::probe(&own, port);
    assert_eq!(exec(&pods, "client", &probe(7777)).await, "shut\n");
    let open = mothership::image::probe(&node, node_port);
    assert_eq!(
        exec(&pods, "client", &open).await,
        "open\n",
        "the probe itself works"
    );
    listener.kill().unwrap();
    listener.wait().unwrap();
    worker.down().await.unwrap();

    pods.delete("client", &DeleteParams::default())
        .await
        .unwrap();
    drop(full);
    wait_until_gone(&dir);
    assert!(!dir.exists(), "{} is left", dir.display());
}
