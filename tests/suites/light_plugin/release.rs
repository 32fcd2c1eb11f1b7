//! What `make release` makes: an archive that works where it is unpacked, and a manifest that krew
//! takes.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;
use mothership::components::Components;
use mothership::image;
use mothership::progress::Progress;
use serde_json::{Value, json};
use support::released::{Released, URL};
use tar::{Archive, EntryType};

use crate::person::Ended;

const FILES: [&str; 3] = ["checksums.txt", "k0smotron.yaml", "the archive"];

fn made() -> Result<Released> {
    Released::make(Some(&image::plugin(&Progress::new())?))
}

fn read(released: &Released, file: &str) -> Result<Vec<u8>> {
    let path = match file {
        "the archive" => released.archive(),
        name => released.path(name),
    };
    std::fs::read(&path).with_context(|| path.display().to_string())
}

/// The names of the files in an archive.
fn entries(archive: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in Archive::new(GzDecoder::new(File::open(archive)?)).entries()? {
        let entry = entry?;
        let header = entry.header();
        let name = entry.path()?.display().to_string();
        assert_eq!((header.uid()?, header.gid()?), (0, 0), "{name}");
        match header.entry_type() {
            EntryType::Directory => assert_eq!(header.mode()?, 0o755, "{name}"),
            // krew unpacks nothing but these two.
            EntryType::Regular => drop(names.insert(name)),
            other => bail!("{name} is a {other:?}"),
        }
    }
    Ok(names)
}

#[test]
fn the_same_program_makes_the_same_release() -> Result<()> {
    let (one, other) = (made()?, made()?);
    for file in FILES {
        assert!(read(&one, file)? == read(&other, file)?, "{file} differs");
    }
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "checksums.txt"])
        .current_dir(one.path(""))
        .output()?;
    assert!(checked.status.success(), "{checked:?}");
    Ok(())
}

#[test]
fn the_archive_works_in_a_fresh_path() -> Result<()> {
    let released = made()?;
    let home = tempfile::tempdir()?;
    released.unpack(home.path())?;
    let components = Components::light(&Progress::new())?;
    let kubectl = home.path().join("kubectl");
    std::os::unix::fs::symlink(components.path("kubectl")?, &kubectl)?;
    let run = |arguments: &[&str]| -> Result<Ended> {
        let output = Command::new(&kubectl)
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", home.path())
            .output()?;
        Ok(Ended::from(output).expect(0, &[]))
    };
    let version = run(&["k0smotron", "version", "--client"])?;
    assert!(
        version.stdout.contains(env!("CARGO_PKG_VERSION")),
        "{version:#?}"
    );
    let completed = run(&["__complete", "k0smotron", "sta"])?;
    assert!(completed.stdout.starts_with("status\t"), "{completed:#?}");

    let names = entries(&released.archive())?;
    for name in [
        "LICENSE",
        "kubectl-k0smotron",
        "kubectl_complete-k0smotron",
        "man/man1/kubectl-k0smotron.1",
        "man/man1/kubectl-k0smotron-token-list.1",
    ] {
        assert!(names.contains(name), "{names:?}");
    }
    Ok(())
}

#[test]
fn the_manifest_says_what_krew_asks_for() -> Result<()> {
    let released = made()?;
    let text = String::from_utf8(read(&released, "k0smotron.yaml")?)?;
    assert!(!text.contains('@'), "something was left open: {text}");
    let manifest: Value = serde_saphyr::from_str(&text)?;
    assert_eq!(
        manifest["apiVersion"],
        "krew.googlecontainertools.github.com/v1alpha2"
    );
    assert_eq!(manifest["kind"], "Plugin");
    assert_eq!(manifest["metadata"], json!({"name": "k0smotron"}));
    let spec = &manifest["spec"];
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    assert_eq!(spec["version"], version);
    let short = spec["shortDescription"]
        .as_str()
        .context("no short description")?;
    assert!(short.len() <= 50 && !short.ends_with('.'), "{short}");
    for field in ["description", "caveats"] {
        assert!(spec[field].is_string(), "{field}");
    }

    let platforms = spec["platforms"].as_array().context("no platforms")?;
    let [platform] = platforms.as_slice() else {
        panic!("one archive, {} platforms", platforms.len());
    };
    let archive = released.archive();
    let name = archive.file_name().context("no name")?.to_string_lossy();
    assert_eq!(platform["uri"], format!("{URL}/{name}"));
    let checksums = String::from_utf8(read(&released, "checksums.txt")?)?;
    let sum = platform["sha256"].as_str().context("no checksum")?;
    assert_eq!(checksums, format!("{sum}  {name}\n"));
    let labels = &platform["selector"]["matchLabels"];
    assert_eq!(labels["os"], "linux");
    assert!(name.ends_with(&format!(
        "_{}.tar.gz",
        labels["arch"].as_str().unwrap_or_default()
    )));
    let files = entries(&archive)?;
    assert_eq!(platform["bin"], "kubectl-k0smotron");
    for operation in platform["files"].as_array().context("no files")? {
        let from = operation["from"].as_str().context("no from")?;
        assert!(files.contains(from), "{from} is not in {files:?}");
        assert_eq!(operation["to"], ".");
    }
    Ok(())
}
