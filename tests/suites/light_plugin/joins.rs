//! Join tokens.

use std::time::Duration;

use anyhow::{Context as _, Result};
use crds::v1beta2::{Cluster, JoinTokenRequest};
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::person::Running;
use crate::scene::{
    installed, packed, run_blocking, secret, set_status, token_kubeconfig, unpacked, until,
};
use crate::ssh::{Machines, ends, make_token, says};

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_is_asked_for_awaited_and_explained() -> Result<()> {
    let (light, admin) = installed().await?;
    let admin = std::sync::Arc::new(admin);
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    let token = packed(&token_kubeconfig())?;
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);

    let late = admin.runs("join demo --timeout 1s --name late")?;
    late.expect(
        7,
        &[
            "timed out",
            "hint: read the token later",
            "hint: take it back",
        ],
    );
    admin
        .runs("join demo --name late")?
        .expect(8, &["already exists", "hint: leave --name out"]);

    let join = run_blocking(&admin, "join demo --ttl 90m");
    let request = until(async || {
        let found = requests.list(&ListParams::default()).await?;
        Ok(found
            .items
            .into_iter()
            .find(|request| request.metadata.name.as_deref() != Some("late")))
    })
    .await?;
    assert_eq!(request.spec.expiry, "1h30m0s");
    let name = request.metadata.name.context("no name")?;
    assert!(name.starts_with("demo-worker-"), "{name}");
    let status = json!({"status": {"tokenID": "a1b2c3", "expiresAt": "2099-01-01T00:00:00Z"}});
    requests
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    secrets
        .create(&PostParams::default(), &secret(&name, "token", &token)?)
        .await?;
    let ended = join.await??;
    let ended = ended.expect(
        0,
        &[
            "Token a1b2c3 (worker of default/demo) is valid until 2099-01-01T00:00:00Z",
            "Revoke it",
        ],
    );
    assert!(
        ended.stdout.lines().all(|line| line.len() < 80),
        "{ended:#?}"
    );
    let packed = ended.stdout.split('\'').nth(1).context("no script")?;
    let script = unpacked(&packed.replace('\n', ""))?;
    assert!(script.contains("\nversion='v1.36.3+k0s.2'\n"), "{script}");

    // A cluster of whose version nothing is known yet.
    admin.runs("create new")?.expect(0, &[]);
    admin.runs("join new -o script --print")?.expect(0, &[]);
    let join = run_blocking(&admin, "join new --name of-new -o script");
    until(async || Ok(requests.get_opt("of-new").await?)).await?;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), "default");
    set_status(&clusters, "new", &json!({"version": "v1.36.2-k0s.0"})).await?;
    secrets
        .create(&PostParams::default(), &secret("of-new", "token", &token)?)
        .await?;
    let status = Patch::Merge(json!({"status": {"tokenID": "a1b2c3"}}));
    requests
        .patch_status("of-new", &PatchParams::default(), &status)
        .await?;
    let ended = join.await??.expect(0, &[]);
    assert!(
        ended.stdout.contains("\nversion='v1.36.2+k0s.0'\n"),
        "{ended:#?}"
    );

    for (output, expected) in [("token", "H4sI"), ("cloud-init", "#cloud-config\n")] {
        let line: &'static str = format!("join demo --name as-{output} -o {output}").leak();
        let join = run_blocking(&admin, line);
        let name = format!("as-{output}");
        until(async || Ok(requests.get_opt(&name).await?)).await?;
        secrets
            .create(&PostParams::default(), &secret(&name, "token", &token)?)
            .await?;
        let status = Patch::Merge(json!({"status": {"tokenID": "a1b2c3"}}));
        requests
            .patch_status(&name, &PatchParams::default(), &status)
            .await?;
        let ended = join.await??.expect(0, &[]);
        assert!(ended.stdout.starts_with(expected), "{ended:#?}");
        if output == "token" {
            assert!(unpacked(&ended.stdout)?.contains("token: a1b2c3.x\n"));
        }
    }
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_not_ready_because_another_of_its_name_is() -> Result<()> {
    let (light, admin) = installed().await?;
    let machines = Machines::new()?;
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);
    // The mothership is its own hosted cluster here.
    crate::access::hosted_here(&light, &admin.kubeconfig).await?;
    let nodes: Api<Node> = Api::all(light.admin().await?);
    let node = json!({"metadata": {"name": "node-1"}});
    let node: Node = serde_json::from_value(node)?;
    nodes.create(&PostParams::default(), &node).await?;
    says(&nodes, "node-1", "True", "2026-01-01T00:00:00Z").await?;
    let says_where = async |boot: &str| -> Result<()> {
        let info = json!({"architecture": "", "bootID": boot, "containerRuntimeVersion": "",
            "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "",
            "operatingSystem": "", "osImage": "", "systemUUID": ""});
        let status = Patch::Merge(json!({"status": {"nodeInfo": info}}));
        let parameters = PatchParams::default();
        nodes.patch_status("node-1", &parameters, &status).await?;
        Ok(())
    };
    says_where("another").await?;
    let random = machines.file("node-1/proc/sys/kernel/random");
    std::fs::create_dir_all(&random)?;
    std::fs::write(random.join("boot_id"), "its-own\n")?;

    let mut join = machines.command(&admin, "join demo --ssh node-1 --timeout 60s")?;
    let join = Running::start(&mut join)?;
    make_token(&light).await?;
    let service = machines.file("node-1/etc/systemd/system/k0sworker.service");
    until(async || Ok(service.exists().then_some(()))).await?;
    // The other one goes on, as it always has.
    says(&nodes, "node-1", "True", "2026-02-01T00:00:00Z").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    says_where("its-own").await?;
    let said = "node-1: waiting for node node-1: it is another machine's, which has the same name";
    ends(join).await?.expect(0, &[said, "node-1: Ready"]);
    light.down().await
}
