//! What is in a support bundle.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context as _, Result, ensure};

/// Its files, by path below its one folder.
pub fn unpacked(bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.display().to_string();
        let (folder, path) = path.split_once('/').context("a file without a folder")?;
        ensure!(folder.starts_with("k0smotron-support-"), "{folder}");
        let mut text = String::new();
        let read = entry.read_to_string(&mut text);
        read.with_context(|| format!("reading {path}"))?;
        files.insert(path.to_owned(), text);
    }
    Ok(files)
}
