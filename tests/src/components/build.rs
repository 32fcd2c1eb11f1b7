//! `go build` into the cache.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::Module;
use crate::progress::Progress;
use crate::{paths, requirements};

/// The folder with the module's programs, built if need be.
pub(super) fn ensure(module: Module, progress: &Progress) -> Result<PathBuf> {
    let cache = paths::cache()?;
    let dir = cache.join(format!("{}-{}", module.name(), key(module)));
    let bin = dir.join("bin");
    if bin.is_dir() {
        return Ok(bin);
    }
    requirements::check(requirements::LIGHT)?;
    std::fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;

    // Two suites that start at once must not build the same thing twice.
    let lock_path = cache.join(format!("{}.lock", module.name()));
    let lock =
        File::create(&lock_path).with_context(|| format!("creating {}", lock_path.display()))?;
    if lock.try_lock().is_err() {
        progress.say(format!(
            "another process builds {}; waiting for it",
            module.name()
        ));
        let _beat = progress.beat(format!("waiting for {}", module.name()));
        lock.lock().context("waiting for the other build")?;
    }
    if bin.is_dir() {
        return Ok(bin);
    }
    build(module, &dir, progress)?;
    Ok(bin)
}

/// Everything that changes what comes out.
fn key(module: Module) -> String {
    let (go_mod, go_sum) = module.files();
    let mut digest = Sha256::new();
    for part in [go_mod, go_sum, &module.ldflags(), "CGO_ENABLED=0 -trimpath"] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    for command in module.commands() {
        digest.update(command.package.as_bytes());
        digest.update(command.program.as_bytes());
    }
    let mut hex = format!("{:x}", digest.finalize());
    hex.truncate(12);
    hex
}

fn build(module: Module, dir: &Path, progress: &Progress) -> Result<()> {
    let started = Instant::now();
    progress.say(format!(
        "building {} (once; kept in {})",
        module.name(),
        dir.display()
    ));
    // Renamed into place as a whole, so that an interrupted build is never taken for a built one.
    let mut scratch = dir.as_os_str().to_owned();
    scratch.push(format!(".tmp{}", std::process::id()));
    let scratch = PathBuf::from(scratch);
    let source = scratch.join("source");
    let bin = scratch.join("bin");
    for folder in [&source, &bin] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("creating {}", folder.display()))?;
    }
    let outcome = go_build(module, &source, &bin, progress);
    if outcome.is_err() {
        let _ = std::fs::remove_dir_all(&scratch);
        return outcome;
    }
    std::fs::rename(&scratch, dir).with_context(|| format!("renaming to {}", dir.display()))?;
    progress.say(format!(
        "built {} in {:.0} s",
        module.name(),
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn go_build(module: Module, source: &Path, bin: &Path, progress: &Progress) -> Result<()> {
    let (go_mod, go_sum) = module.files();
    std::fs::write(source.join("go.mod"), go_mod)?;
    std::fs::write(source.join("go.sum"), go_sum)?;
    for command in module.commands() {
        let started = Instant::now();
        let beat = progress.beat(format!("  building {}", command.program));
        let output = Command::new("go")
            .current_dir(source)
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .args([
                "build",
                "-mod=readonly",
                "-buildvcs=false",
                "-trimpath",
                "-ldflags",
            ])
            .arg(module.ldflags())
            .arg("-o")
            .arg(bin.join(command.program))
            .arg(command.package)
            .output()
            .context("running go")?;
        drop(beat);
        if !output.status.success() {
            bail!(
                "go build {} failed:\n{}",
                command.package,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        progress.say(format!(
            "  {} {:.0} s",
            command.program,
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(())
}
