//! What k0s's commands print, and how they end.

use anyhow::{Result, ensure};
use mothership::components::K0sVersion;
use mothership::image::K0s;
use serde_json::{Value, json};
use support::full::hosted;
use support::full::world::World;

use crate::plane;

pub async fn version_is_one_line_on_standard_output(world: &World) -> Result<()> {
    let ran = plane::run(world, &["k0s", "version"]).await?;
    ensure!(
        ran.code == 0 && ran.output == format!("{}\n", K0s::release(K0sVersion::Current)?),
        "{ran:?}"
    );
    Ok(())
}

pub async fn status_is_told_by_a_running_instance_only(world: &World) -> Result<()> {
    let release = K0s::release(K0sVersion::Current)?;
    let told = plane::exec(world, &["k0s", "status"]).await?;
    for line in [
        format!("Version: {release}"),
        "Role: controller".to_owned(),
        "Workloads: false".to_owned(),
        "SingleNode: false".to_owned(),
    ] {
        ensure!(
            told.lines().any(|told| told == line),
            "no {line:?} in {told}"
        );
    }
    let told = plane::exec(world, &["k0s", "status", "--out", "json"]).await?;
    let told: Value = serde_json::from_str(&told)?;
    ensure!(
        told.get("Version") == Some(&json!(release))
            && told.get("Role") == Some(&json!("controller")),
        "{told}"
    );

    let ran = plane::run_idle(world, &["k0s", "status"]).await?;
    ensure!(
        ran.code == 1 && ran.output.is_empty() && ran.error.starts_with("Error: "),
        "{ran:?}"
    );
    Ok(())
}

pub async fn kubeconfigs_are_for_the_external_address(world: &World) -> Result<()> {
    let it = plane::plane(world).await?;
    let server = format!("https://{}:{}/", it.address, it.api);
    let create = "k0s kubeconfig create somebody --groups first --certificate-expires-after 1h";
    for (command, user) in [
        (create, "somebody"),
        ("k0s kubeconfig admin", "kubernetes-admin"),
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let text = plane::exec(world, &words).await?;
        let config = hosted::parse(&text).await?;
        ensure!(
            config.cluster_url.to_string() == server,
            "{command} names {}, not {server}",
            config.cluster_url
        );
        let reviewed = support::full::tokens::user(config).await?;
        ensure!(
            reviewed.as_deref() == Some(user),
            "{command} makes {reviewed:?}"
        );
    }
    Ok(())
}

pub async fn a_configuration_with_a_mistake_is_refused_by_name(world: &World) -> Result<()> {
    for (file, named) in [
        ("section", "apis"),
        ("field", "agentPorts"),
        ("type", "api"),
        ("value", "floppy"),
    ] {
        let config = format!("--config=/etc/k0s/{file}.yaml");
        let command = ["timeout", "20", "k0s", "controller", &config];
        let ran = plane::run_idle(world, &command).await?;
        ensure!(
            ran.code == 1 && ran.error.contains(named),
            "{file}.yaml: {ran:?}"
        );
    }
    Ok(())
}
