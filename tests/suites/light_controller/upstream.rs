//! What upstream's clients and its conversion have stored, before anybody looked at it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, PostParams};
use serde_json::Value;
use support::light::scene::Scene;

pub async fn zeros_that_are_stored_are_taken_as_left_out(scene: &Scene) -> Result<()> {
    let clients = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat/clients");
    let names = ["zeros", "chosen", "config-kind"];
    for name in names {
        let text = std::fs::read_to_string(clients.join(format!("{name}.yaml")))
            .with_context(|| name.to_owned())?;
        let object: Value = serde_saphyr::from_str(&text)?;
        let object: DynamicObject = serde_json::from_value(object)?;
        scene
            .raw()
            .create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("storing {name}"))?;
    }
    let controller = scene.controller().await?;
    for name in names {
        scene
            .completed(name)
            .await
            .with_context(|| name.to_owned())?;
        scene.says(name, "Accepted", "True", "Accepted").await?;
        scene.says(name, "Applied", "True", "Applied").await?;
    }
    controller.stop().await
}
