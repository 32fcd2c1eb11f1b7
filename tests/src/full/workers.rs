//! The worker machines of a mothership.

use std::path::{Path, PathBuf};

/// The folders of all of them, running or not.
pub(super) fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.join("worker")) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}
