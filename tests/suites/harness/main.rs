//! The harness itself: what it starts works, what it ends is gone, and its errors help.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod support;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use mothership::{Full, FullOptions, Image, Light, LightOptions, WorkerOptions};
use serde_json::json;

use support::{exec, mothership, page, pod, ready, stderr, wait_for, wait_until_gone};

#[tokio::test]
async fn a_light_mothership_serves_tells_users_apart_and_ends_without_trace() {
    let light = Light::start(LightOptions::default()).await.unwrap();
    let dir = light.dir().to_owned();
    eprintln!(
        "light mothership ready after {:.1} s",
        light.ready_after.as_secs_f64()
    );

    let client = light.client("somebody", &["system:masters"]).await.unwrap();
    let mark = light.audit().mark();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "one"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    maps.create(
        &PostParams {
            dry_run: true,
            ..PostParams::default()
        },
        &map,
    )
    .await
    .unwrap_err();
    maps.get("one").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let counts = light.audit().count("somebody", mark).unwrap();
    assert_eq!(counts.total(), 3, "{counts}");
    assert_eq!(
        light
            .audit()
            .count_writes("somebody", mark)
            .unwrap()
            .total(),
        1
    );
    assert_eq!(light.audit().count("nobody", mark).unwrap().total(), 0);

    drop(light);
    wait_until_gone(&dir);
    assert!(!dir.exists(), "{} is left", dir.display());
}

#[tokio::test]
async fn two_light_motherships_live_side_by_side() {
    let (one, two) = tokio::join!(
        Light::start(LightOptions::default()),
        Light::start(LightOptions::default())
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.server(), two.server());
    one.admin()
        .await
        .unwrap()
        .apiserver_version()
        .await
        .unwrap();
    two.admin()
        .await
        .unwrap()
        .apiserver_version()
        .await
        .unwrap();
}

/// Not a test: the owner that the next two tests kill.
#[tokio::test]
#[ignore = "started by the tests that kill it"]
async fn hold_a_mothership() {
    let Some(dir) = std::env::var_os("HOLD_DIR") else {
        return;
    };
    let dir = Some(dir.into());
    if std::env::var_os("HOLD_FULL").is_some() {
        let images = vec![Image::Pause, Image::Busybox];
        let options = FullOptions {
            dir: dir.clone(),
            images,
            ..FullOptions::default()
        };
        let full = Full::start(options).await.unwrap();
        let _worker = full.worker(WorkerOptions::new("held")).await.unwrap();
        std::future::pending::<()>().await;
    }
    let _light = Light::start(LightOptions {
        dir,
        ..LightOptions::default()
    })
    .await
    .unwrap();
    std::future::pending::<()>().await;
}

/// Kills the owner of a mothership in `dir` once `sign` exists.
fn kill_owner(dir: &Path, sign: &str, level: &str) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_a_mothership", "--ignored"])
        .env("HOLD_DIR", dir)
        .env(level, "1")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| dir.join(sign).exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn a_light_mothership_ends_when_its_owner_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("held");
    kill_owner(&dir, "etcd/member", "HOLD_LIGHT");
    wait_until_gone(&dir);
}

#[test]
fn a_full_mothership_and_its_workers_end_when_their_owner_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("held");
    kill_owner(&dir, "worker/held/ctl.sock", "HOLD_FULL");
    wait_until_gone(&dir);
    assert!(
        !dir.join("machine/mothership/data/containerd").exists(),
        "containers are left"
    );
    assert!(dir.join("log/kube-apiserver.log").exists(), "logs are gone");
}

#[test]
fn an_interrupted_start_takes_down_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("interrupted");
    let child = mothership(&dir)
        .args(["up", "--light"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| dir.join("etcd/member").exists());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"));
    wait_until_gone(&dir);
    assert!(!dir.exists());
}

#[test]
fn a_second_start_and_a_killed_one_are_told_apart_and_cleaned() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("m");
    assert!(
        mothership(&dir)
            .args(["up", "--light"])
            .output()
            .unwrap()
            .status
            .success()
    );

    let again = mothership(&dir).args(["up", "--light"]).output().unwrap();
    assert_eq!(again.status.code(), Some(6));
    assert!(
        stderr(&again).contains("a mothership runs already"),
        "{}",
        stderr(&again)
    );

    let record = std::fs::read_to_string(dir.join("processes.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let pid = i32::try_from(record["supervisor"]["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    wait_for(|| {
        let again = mothership(&dir).args(["up", "--light"]).output().unwrap();
        assert_eq!(again.status.code(), Some(6));
        stderr(&again).contains("the last run left things behind")
    });

    assert!(
        mothership(&dir)
            .arg("down")
            .output()
            .unwrap()
            .status
            .success()
    );
    wait_until_gone(&dir);
    assert!(!dir.exists());
}

#[test]
fn a_folder_that_holds_something_else_is_neither_used_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter"), "dear").unwrap();
    let up = mothership(folder.path())
        .args(["up", "--light"])
        .output()
        .unwrap();
    assert_eq!(up.status.code(), Some(2), "{}", stderr(&up));
    let down = mothership(folder.path()).arg("down").output().unwrap();
    assert_eq!(down.status.code(), Some(9), "{}", stderr(&down));
    assert!(folder.path().join("letter").exists());
}

#[test]
fn missing_programs_are_named_with_their_packages() {
    let folder = tempfile::tempdir().unwrap();
    let output = mothership(&folder.path().join("m"))
        .arg("up")
        .env("PATH", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("apt-get install"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn without_root_the_full_level_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // A copy that everybody can reach.
    let program = folder.path().join("mothership");
    std::fs::copy(env!("CARGO_BIN_EXE_mothership"), &program).unwrap();
    Command::new("chmod")
        .args(["755"])
        .arg(folder.path())
        .status()
        .unwrap();
    let output = Command::new(&program)
        .args(["--dir", "/nonexistent/m", "up"])
        .env("HOME", "/nonexistent")
        .uid(65_534)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("sudo"), "{}", stderr(&output));
}

#[test]
fn a_component_that_dies_is_named_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("m");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = LightOptions {
        dir: Some(dir.clone()),
        api_flags: vec!["--no-such-flag".to_owned()],
        ..LightOptions::default()
    };
    let error = runtime.block_on(Light::start(options)).unwrap_err();
    let failure = error
        .downcast_ref::<mothership::failure::Failure>()
        .unwrap();
    assert_eq!(failure.exit_code(), 7);
    assert!(
        failure
            .to_string()
            .contains("kube-apiserver ended with exit code 1"),
        "{failure}"
    );
    assert!(failure.to_string().contains("no-such-flag"), "{failure}");
    wait_until_gone(&dir);
}

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
