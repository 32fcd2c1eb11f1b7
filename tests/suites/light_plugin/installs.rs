//! Installing the product and removing it again.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use crds::v1beta2::Cluster;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use mothership::progress::Progress;
use mothership::{Light, LightOptions, image, paths};
use nix::pty::openpty;
use serde_json::json;
use support::light::process::Process;
use support::light::webhook::USER;
use support::light::world::{PLAIN, disregard_webhook, install};

use crate::person::{Ended, Person, Running};
use crate::scene::until;

const INSTALL: &str = "install --registry registry.example.org/k0smotron";

#[tokio::test(flavor = "multi_thread")]
async fn the_product_is_installed_brought_up_to_date_and_removed() -> Result<()> {
    let light = Light::start(LightOptions::default()).await?;
    let admin = Person::new(light.admin_kubeconfig()?)?;
    let client = light.admin().await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "k0smotron");
    let controller = "k0smotron-controller-manager";

    let tried = admin
        .runs(&format!("{INSTALL} --dry-run=server"))?
        .expect(0, &[]);
    assert!(
        tried
            .stdout
            .contains("customresourcedefinition/clusters.k0smotron.io created (server dry run)\n")
    );
    assert!(deployments.get_opt(controller).await?.is_none());
    admin.runs("list")?.expect(10, &["hint: "]);

    let made = admin.runs(INSTALL)?.expect(0, &[]);
    assert!(!made.stderr.contains("runed"), "{made:#?}");
    assert!(
        made.stdout.lines().all(|line| line.ends_with(" created")),
        "{made:#?}"
    );
    let image = async || -> Result<Option<String>> {
        let spec = deployments.get(controller).await?.spec;
        let pod = spec.and_then(|spec| spec.template.spec);
        Ok(pod.and_then(|pod| pod.containers.into_iter().next()?.image))
    };
    let installed = image().await?.unwrap_or_default();
    assert!(
        installed.starts_with("registry.example.org/k0smotron/controller:"),
        "{installed}"
    );

    let again = admin.runs(INSTALL)?.expect(0, &[]);
    assert!(
        again
            .stdout
            .lines()
            .all(|line| line.ends_with(" unchanged")),
        "{again:#?}"
    );
    // An earlier release has left one, and somebody has another one of the same labels.
    let roles: Api<ClusterRole> = Api::all(client.clone());
    for (name, manager) in [
        ("k0smotron-earlier", "kubectl-k0smotron"),
        ("mine", "kubectl"),
    ] {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "k0smotron",
                "app.kubernetes.io/part-of": "k0smotron"}}, "rules": []});
        let parameters = PatchParams::apply(manager);
        roles.patch(name, &parameters, &Patch::Apply(role)).await?;
    }
    let pruned = "clusterrole/k0smotron-earlier pruned";
    let trial = admin.runs(&format!("{INSTALL} --dry-run=server"))?;
    let trial = trial.expect(0, &[]);
    let tried = format!("{pruned} (server dry run)\n");
    assert!(trial.stdout.ends_with(&tried), "{trial:#?}");
    // Nothing runs the pods here, and the old ones may need it.
    let early = admin.runs(INSTALL)?.expect(
            0,
            &["Not pruned until all pods are available and of this release: clusterrole/k0smotron-earlier;"],
        );
    assert!(!early.stdout.contains("pruned"), "{early:#?}");
    assert!(roles.get_opt("k0smotron-earlier").await?.is_some());

    let moved = admin
        .runs("install --registry mirror.example.org/k0s")?
        .expect(0, &[]);
    let configured: Vec<&str> = moved
        .stdout
        .lines()
        .filter(|line| line.ends_with(" configured"))
        .collect();
    assert_eq!(
        configured,
        [
            "deployment/k0smotron-controller-manager configured",
            "deployment/k0smotron-webhook configured",
        ]
    );
    // Nothing runs the pods here.
    admin
        .runs(&format!("{INSTALL} --wait --timeout 2s"))?
        .expect(7, &["deployment/k0smotron-", "hint: "]);

    let tried = admin.runs("uninstall --dry-run")?.expect(0, &[]);
    assert!(
        tried.stdout.ends_with(&format!("{pruned} (dry run)\n")),
        "{tried:#?}"
    );
    let ended = admin
        .runs("uninstall --yes")?
        .expect(0, &["k0smotron is gone"]);
    assert!(ended.stdout.ends_with(&format!("{pruned}\n")), "{ended:#?}");
    assert!(roles.get_opt("k0smotron-earlier").await?.is_none());
    assert!(roles.get_opt("mine").await?.is_some());
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_and_what_belongs_to_others_is_not_removed() -> Result<()> {
    let light = Light::start(LightOptions::default()).await?;
    let admin = Person::new(light.admin_kubeconfig()?)?;
    let client = light.admin().await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "k0smotron");
    let controller = "k0smotron-controller-manager";
    admin
        .runs("uninstall --yes")?
        .expect(0, &["k0smotron is not installed there"]);
    // All of it, whoever reads along.
    admin.runs_unread(INSTALL)?.expect(0, &[]);

    // Nobody answers for the webhook here.
    for kind in ["mutating", "validating"] {
        let path =
            format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/k0smotron");
        let request = http::Request::delete(path).body(Vec::new())?;
        client.request_text(request).await?;
    }
    let clusters: Api<Cluster> = Api::namespaced(client, "default");
    let demo: Cluster = serde_json::from_value(json!({"metadata": {"name": "demo"}, "spec": {}}))?;
    clusters.create(&PostParams::default(), &demo).await?;
    admin
        .runs("uninstall --yes")?
        .expect(8, &["there are clusters: default/demo", "hint: "]);
    assert!(deployments.get_opt(controller).await?.is_some());
    clusters.delete("demo", &DeleteParams::default()).await?;

    // Somebody makes one while the question is read.
    let terminal = openpty(None, None)?;
    let mut asked = admin.command("uninstall")?;
    let asked = Running::start(asked.stdin(Stdio::from(terminal.slave)))?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    clusters.create(&PostParams::default(), &demo).await?;
    std::fs::File::from(terminal.master).write_all(b"y\n")?;
    let said = ["Remove it? [y/N]", "there are clusters: default/demo"];
    asked.ends()?.expect(8, &said);
    assert!(deployments.get_opt(controller).await?.is_some());
    clusters.delete("demo", &DeleteParams::default()).await?;

    let ours = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/command",
        "value": ["/manager"]}]);
    let patch = Patch::<()>::Json(serde_json::from_value(ours)?);
    deployments
        .patch(controller, &PatchParams::default(), &patch)
        .await?;
    for line in [INSTALL, "uninstall --yes"] {
        admin.runs(line)?.expect(8, &["belongs to another product"]);
    }
    admin
        .runs(&format!("{INSTALL} --take-over"))?
        .expect(0, &[]);

    let tried = admin.runs("uninstall --dry-run")?.expect(0, &[]);
    assert!(
        tried
            .stdout
            .contains(&format!("deployment/{controller} deleted (dry run)"))
    );
    assert!(deployments.get_opt(controller).await?.is_some());
    // Whoever pipes an answer is not heard.
    let mut piped = admin.command("uninstall")?;
    let (answers, mut from) = std::io::pipe()?;
    from.write_all(b"n\n")?;
    drop(from);
    let piped = Running::start(piped.stdin(answers))?;
    piped.ends()?.expect(2, &["--yes is required", "hint: "]);
    assert!(deployments.get_opt(controller).await?.is_some());
    let terminal = openpty(None, None)?;
    std::fs::File::from(terminal.master.try_clone()?).write_all(b"n\n")?;
    let mut asked = admin.command("uninstall")?;
    let asked = Running::start(asked.stdin(Stdio::from(terminal.slave)))?;
    let said = [
        "every ClusterPolicy",
        "Remove it? [y/N]",
        "nothing was removed",
    ];
    asked.ends()?.expect(1, &said);
    assert!(deployments.get_opt(controller).await?.is_some());
    let ended = admin
        .runs("uninstall --keep-crds --yes")?
        .expect(0, &["k0smotron is gone"]);
    let first = ended.stdout.lines().next().unwrap_or_default();
    assert!(
        first.contains("webhookconfiguration/k0smotron deleted"),
        "{ended:#?}"
    );
    assert!(
        !ended.stdout.contains("customresourcedefinition"),
        "{ended:#?}"
    );
    assert!(deployments.get_opt(controller).await?.is_none());
    admin.runs("list")?.expect(0, &["No clusters found"]);
    let rest = admin
        .runs("uninstall --yes")?
        .expect(0, &["k0smotron is gone"]);
    assert_eq!(rest.stdout.lines().count(), 3, "the definitions: {rest:#?}");
    admin.runs("list")?.expect(10, &["hint: "]);
    light.down().await
}

/// kubectl as the administrator.
fn kubectl(program: &Path, light: &Light, line: &str) -> Result<Ended> {
    let mut command = Command::new(program);
    command
        .arg("--kubeconfig")
        .arg(light.admin_kubeconfig()?)
        .args(line.split_whitespace())
        // Where the file is.
        .current_dir(paths::workspace());
    Ok(command.output()?.into())
}

async fn built(
    program: impl FnOnce(&Progress) -> Result<PathBuf> + Send + 'static,
) -> Result<PathBuf> {
    tokio::task::spawn_blocking(|| program(&Progress::new())).await?
}

/// Whoever compares an installation with its file again and again finds no difference.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_webhook_writes_is_no_difference_to_the_file() -> Result<()> {
    let light = Light::start(LightOptions::default()).await?;
    let program = install(&light, PLAIN, None).await?;
    let webhook = Process::start(
        "the webhook",
        &built(image::webhook).await?,
        &light.kubeconfig(USER, &[])?,
        light.dir().join("log/webhook.log"),
        &[
            "--listen=127.0.0.1:0",
            "--namespace=k0smotron",
            "--drain=1s",
        ],
    )
    .await?;
    let callers = "get crd,mutatingwebhookconfigurations,validatingwebhookconfigurations -o json";
    until(async || {
        let found = kubectl(&program, &light, callers)?.expect(0, &[]).stdout;
        let count = |field: &str| found.matches(&format!("\"{field}\": ")).count();
        let (callers, bundles) = (count("clientConfig"), count("caBundle"));
        Ok((callers > 0 && callers == bundles).then_some(()))
    })
    .await?;
    let line = "diff --server-side --filename deploy/install.yaml";
    let differs = kubectl(&program, &light, line)?.expect(0, &[]);
    assert_eq!(differs.stdout, "");
    webhook.stop().await?;
    light.down().await
}

/// The way out that docs/troubleshooting.md names.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_deletion_with_clusters_there_it_is_applied_twice() -> Result<()> {
    let light = Light::start(LightOptions::default()).await?;
    let program = install(&light, PLAIN, None).await?;
    let line = |line: &str| kubectl(&program, &light, line).map(|ended| ended.expect(0, &[]));
    let client = light.admin().await?;
    // Nobody answers for the webhook here.
    disregard_webhook(&client).await?;
    let name = "system:serviceaccount:k0smotron:k0smotron-controller-manager";
    let (controller, user) = (
        built(image::controller).await?,
        light.kubeconfig(name, &[])?,
    );
    let log = light.dir().join("log/controller.log");
    let start = || Process::start("the controller", &controller, &user, log.clone(), &[]);
    let running = start().await?;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), "default");
    let demo: Cluster = serde_json::from_value(
        json!({"metadata": {"name": "demo"}, "spec": {"service": {"type": "ClusterIP"}}}),
    )?;
    clusters.create(&PostParams::default(), &demo).await?;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), "default");
    until(async || Ok(sets.get_opt("kmc-demo").await?)).await?;
    running.stop().await?;

    line("delete --ignore-not-found --wait=false --filename deploy/install.yaml")?;
    line("wait --for=delete --timeout=1m namespace/k0smotron")?;
    let apply = "apply --server-side --filename deploy/install.yaml";
    line(apply)?;
    let kept = sets.get_opt("kmc-demo").await?;
    assert!(kept.is_some(), "nobody was there to end it");
    let running = start().await?;
    // There was no request to end: the definition of those went at once, and is a new one by now.
    line("wait --for=delete --timeout=1m crd/clusters.k0smotron.io")?;
    until(async || Ok(sets.get_opt("kmc-demo").await?.is_none().then_some(()))).await?;
    running.stop().await?;
    line(apply)?;
    line("wait --for=condition=Established --timeout=1m crd/clusters.k0smotron.io")?;
    disregard_webhook(&client).await?;
    // The API server learns of both a moment later.
    until(async || Ok(clusters.create(&PostParams::default(), &demo).await.ok())).await?;
    light.down().await
}
