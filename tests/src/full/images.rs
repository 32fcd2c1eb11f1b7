//! Importing archives into a machine's containerd.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::components::Components;
use crate::image::Image;
use crate::machine::Machine;

pub(super) async fn import(
    machine: &Machine,
    components: &Components,
    image: Image,
    archive: &Path,
) -> Result<()> {
    let ctr = components.path("ctr")?.display().to_string();
    let archive = archive.display().to_string();
    machine
        .output(&[
            &ctr, "-n", "k8s.io", "images", "import", "--local", &archive,
        ])
        .await
        .with_context(|| format!("importing the image {}", image.name()))?;
    Ok(())
}
