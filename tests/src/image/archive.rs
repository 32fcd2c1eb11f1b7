//! The archive format that `docker save` made common and containerd imports.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::Header;

use super::layer::Layer;
use super::recipe::Recipe;

pub(super) fn write(recipe: &Recipe, names: &[String], path: &Path) -> Result<()> {
    let mut scratch = path.as_os_str().to_owned();
    scratch.push(".tmp");
    let scratch = PathBuf::from(scratch);
    let layers = tempfile::tempdir_in(path.parent().unwrap_or_else(|| Path::new(".")))
        .context("making a temporary folder")?;

    let mut tar = tar::Builder::new(BufWriter::new(
        File::create(&scratch).with_context(|| format!("creating {}", scratch.display()))?,
    ));
    let mut digests = Vec::new();
    for (index, layer) in recipe.layers.iter().enumerate() {
        let file = layers.path().join(format!("{index}.tar"));
        let digest = pack(layer, &file)?;
        tar.append_path_with_name(&file, format!("{digest}.tar"))?;
        std::fs::remove_file(&file)?;
        digests.push(digest);
    }
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": recipe.entrypoint,
            "Cmd": recipe.command,
            "Env": recipe.env,
            "User": recipe.user,
            "WorkingDir": "/",
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": digests.iter().map(|digest| format!("sha256:{digest}")).collect::<Vec<_>>(),
        },
        "history": digests.iter().map(|_| json!({"created_by": "mothership"})).collect::<Vec<_>>(),
    }))?;
    let config_name = format!("{:x}.json", Sha256::digest(&config));
    append(&mut tar, &config_name, &config)?;
    let manifest = serde_json::to_vec(&json!([{
        "Config": config_name,
        "RepoTags": names,
        "Layers": digests.iter().map(|digest| format!("{digest}.tar")).collect::<Vec<_>>(),
    }]))?;
    append(&mut tar, "manifest.json", &manifest)?;
    tar.into_inner()?
        .into_inner()
        .context("writing the archive")?;
    std::fs::rename(&scratch, path).with_context(|| format!("writing {}", path.display()))
}

fn append(tar: &mut tar::Builder<BufWriter<File>>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(u64::try_from(bytes.len())?);
    tar.append_data(&mut header, name, bytes)?;
    Ok(())
}

fn pack(layer: &Layer, file: &Path) -> Result<String> {
    layer.write(BufWriter::with_capacity(1 << 20, File::create(file)?))?;
    // Hundreds of megabytes: the program uses the processor's own instructions, where an
    // unoptimised build of this one would take half a minute.
    let output = Command::new("sha256sum")
        .arg(file)
        .output()
        .context("running sha256sum")?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_whitespace().next() {
        Some(digest) if output.status.success() => Ok(digest.to_owned()),
        _ => bail!("sha256sum {} failed", file.display()),
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}
