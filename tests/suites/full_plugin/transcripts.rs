//! Each transcript on its own, with a home and a namespace of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, Patch, PatchParams};
use mothership::components::{Components, K0sVersion};
use mothership::progress::Progress;
use mothership::{WorkerOptions, image, paths};
use serde_json::json;
use support::full::world::World;
use support::full::{clusters, hosted, tokens};

/// Runs one transcript as somebody whose kubeconfig leads to the mothership.
async fn play(world: &World, name: &'static str) -> Result<()> {
    clusters::namespace(&world.client, name).await?;
    let progress = Progress::new();
    let plugin = tokio::task::spawn_blocking(move || image::plugin(&progress)).await??;
    let kubectl = Components::light(&Progress::new())?
        .path("kubectl")?
        .to_owned();
    let home = tempfile::tempdir().context("making a home")?;
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin)?;
    std::os::unix::fs::symlink(&plugin, bin.join("kubectl-k0smotron"))?;
    std::os::unix::fs::symlink(&kubectl, bin.join("kubectl"))?;
    let kubeconfig = home.path().join("config");
    std::fs::copy(world.full.admin_kubeconfig()?, &kubeconfig)?;
    let editor = bin.join("three-replicas");
    std::fs::write(
        &editor,
        "#!/bin/sh\nexec sed -i 's/replicas: 1/replicas: 3/' \"$1\"\n",
    )?;
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755))?;
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let file = paths::workspace()
        .join("tests/suites/full_plugin/transcripts")
        .join(format!("{name}.trycmd"));
    let previous = clusters::version(K0sVersion::Previous)?;
    let current = clusters::version(K0sVersion::Current)?;
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("reading {}", file.display()))?
        .replace("[PREVIOUS]", &previous)
        .replace("[CURRENT]", &current);
    let played = home.path().join(format!("{name}.trycmd"));
    std::fs::write(&played, text)?;
    // Where the commands run, and what they write goes.
    std::fs::create_dir(home.path().join(format!("{name}.in")))?;
    let (folder, cases_in) = (home.path().to_owned(), played.clone());
    let outcome = tokio::task::spawn_blocking(move || {
        let cases = trycmd::TestCases::new();
        cases
            .register_bin("kubectl", kubectl.as_path())
            .env("PATH", path)
            .env("HOME", folder.display().to_string())
            .env("KUBECONFIG", kubeconfig.display().to_string())
            .env("EDITOR", "three-replicas")
            .env("NO_COLOR", "1")
            .timeout(Duration::from_secs(180));
        cases.case(&cases_in);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cases.run()))
            .map_err(|_| "it went another way; see above".to_owned())
    })
    .await?;
    if std::env::var("TRYCMD").as_deref() == Ok("overwrite") {
        let seen = std::fs::read_to_string(&played)?
            .replace(&previous, "[PREVIOUS]")
            .replace(&current, "[CURRENT]");
        std::fs::write(&file, seen).with_context(|| format!("writing {}", file.display()))?;
    }
    if let Err(error) = outcome {
        bail!("{name}.trycmd: {error}");
    }
    Ok(())
}

pub async fn a_cluster_from_its_creation_to_its_deletion(world: &World) -> Result<()> {
    play(world, "life").await
}

pub async fn a_cluster_is_made_from_a_file_and_edited(world: &World) -> Result<()> {
    play(world, "file").await
}

pub async fn an_upgrade_is_planned_done_and_followed(world: &World) -> Result<()> {
    play(world, "upgrade").await
}

pub async fn somebody_is_let_in_with_few_rights(world: &World) -> Result<()> {
    play(world, "access").await
}

pub async fn a_control_plane_is_measured_and_gathered_for_those_who_help(
    world: &World,
) -> Result<()> {
    play(world, "inspect").await
}

pub async fn a_machine_is_let_in_drained_and_taken_out(world: &World) -> Result<()> {
    const NAME: &str = "joining";
    let cluster = Box::pin(clusters::ensure(world, NAME, clusters::node_port())).await?;
    tokens::request(world, NAME, "worker-1", "1h").await?;
    let mut options = WorkerOptions::new("worker-1");
    options.token = Some(tokens::token(world, NAME, "worker-1", None).await?.1);
    options.allow = hosted::allowed(&cluster)?;
    let worker = Box::pin(world.full.worker(options)).await?;
    let outcome = play(world, NAME).await;
    worker.down().await?;
    outcome
}

/// The last one: it takes the product away, and brings it back.
pub async fn the_product_is_removed_and_installed_again(world: &World) -> Result<()> {
    play(world, "product").await?;
    prunes(world).await
}

/// What an earlier release has left goes with the next install, when the pods are all of this one.
async fn prunes(world: &World) -> Result<()> {
    const NAME: &str = "k0smotron-earlier";
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": "k0smotron",
            "app.kubernetes.io/part-of": "k0smotron"}}, "rules": []});
    let parameters = PatchParams::apply("kubectl-k0smotron");
    roles.patch(NAME, &parameters, &Patch::Apply(role)).await?;
    let progress = Progress::new();
    let plugin = tokio::task::spawn_blocking(move || image::plugin(&progress)).await??;
    let home = tempfile::tempdir()?;
    let mut command = Command::new(plugin);
    command
        .args(["install", "--registry", "localhost/k0smotron"])
        .env("KUBECONFIG", world.full.admin_kubeconfig()?)
        .env("HOME", home.path());
    let ended = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&ended.stdout);
    ensure!(ended.status.success(), "{ended:?}");
    ensure!(
        said.ends_with(&format!("clusterrole/{NAME} pruned\n")),
        "{said}"
    );
    ensure!(said.matches(" pruned").count() == 1, "{said}");
    ensure!(said.matches(" unchanged").count() > 20, "{said}");
    ensure!(roles.get_opt(NAME).await?.is_none(), "it is there still");
    Ok(())
}
