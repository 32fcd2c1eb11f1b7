//! Commands that change a cluster which others write at the same time, or which end early.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use crds::v1beta2::Cluster;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::{Api, PostParams};
use nix::pty::openpty;
use serde_json::json;

use crate::person::{Person, Running};
use crate::scene::{condition, installed, set_status, until};

/// A cluster that is well and runs v1.36.2.
async fn running(person: &Person, clusters: &Api<Cluster>) -> Result<()> {
    person
        .runs("create demo --service ClusterIP --version v1.36.2-k0s.0")?
        .expect(0, &[]);
    let available = condition("Available", "True", "Available", "");
    let status = json!({"version": "v1.36.2-k0s.0", "conditions": [available],
        "observedGeneration": clusters.get("demo").await?.metadata.generation});
    set_status(clusters, "demo", &status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_upgrade_says_whether_it_goes_on() -> Result<()> {
    let (light, admin) = installed().await?;
    let clusters: Api<Cluster> = Api::namespaced(light.admin().await?, "default");
    running(&admin, &clusters).await?;
    let asked_for = async || {
        Ok::<_, anyhow::Error>(clusters.get("demo").await?.spec.version.unwrap_or_default())
    };

    // Before the mothership has answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let text = std::fs::read_to_string(&admin.kubeconfig)?;
    let server = format!("https://{}", silent.local_addr()?);
    let nobody = Person::new(admin.file("silent", &text.replace(light.server(), &server))?)?;
    let upgrade = nobody.starts("upgrade demo --to v1.36.3")?;
    let _held = silent.accept()?;
    upgrade
        .interrupted()?
        .expect(130, &["interrupted: nothing was changed"]);

    // At the question.
    let terminal = openpty(None, None)?;
    let mut command = admin.command("upgrade demo --to v1.36.3")?;
    let upgrade = Running::start(command.stdin(Stdio::from(terminal.slave)))?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    upgrade.interrupted()?.expect(
        130,
        &["Upgrade it? [y/N]", "interrupted: nothing was changed"],
    );
    assert_eq!(asked_for().await?, "v1.36.2-k0s.0");
    drop(terminal.master);

    // While it is followed.
    let upgrade = admin.starts("upgrade demo --to v1.36.3 --yes")?;
    until(async || Ok((asked_for().await? != "v1.36.2-k0s.0").then_some(()))).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    upgrade.interrupted()?.expect(
        130,
        &[
            "interrupted: cluster default/demo goes on from v1.36.2-k0s.0 to v1.36.3+k0s.2",
            "hint: follow it: kubectl k0smotron wait demo --for upgraded",
            "hint: go back while it is under way: kubectl k0smotron upgrade demo --to v1.36.2",
        ],
    );
    assert_eq!(asked_for().await?, "v1.36.3+k0s.2");
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_warns_of_is_said_once() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), "default");
    running(&admin, &clusters).await?;
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": "fridays"},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["k0smotron.io"],
                "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["*"]}]},
            "validations": [{"expression": "false", "message": "not on \"Fridays\""}],
        },
    }))?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": "fridays"},
        "spec": {"policyName": "fridays", "validationActions": ["Warn"]},
    }))?;
    let parameters = PostParams::default();
    Api::all(client.clone())
        .create(&parameters, &policy)
        .await?;
    Api::all(client).create(&parameters, &binding).await?;
    until(async || {
        let tried = admin.runs("create other --dry-run=server")?.expect(0, &[]);
        Ok(tried.stderr.contains("warning: ").then_some(()))
    })
    .await?;
    for (line, code) in [
        ("create other", 0),
        ("scale demo --replicas 3", 0),
        ("upgrade demo --to v1.36.3 --yes --wait=false", 0),
        ("token create demo --timeout 1s", 7),
    ] {
        let ended = admin.runs(line)?;
        assert_eq!(ended.code, code, "{line}: {ended:#?}");
        let warned = ended
            .stderr
            .lines()
            .filter(|said| said.starts_with("warning: ") && said.ends_with("not on \"Fridays\""));
        assert_eq!(warned.count(), 1, "{line}: {ended:#?}");
    }
    light.down().await
}
