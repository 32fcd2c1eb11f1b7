//! Ending what runs or was left in a state folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{host_interface, machine_dir};
use crate::machine::{self, net};
use crate::state::State;
use crate::worker;

/// Ends the machines of these folders, one after the other.
pub(super) async fn machines(folders: &[PathBuf]) -> Result<()> {
    let folders = folders.to_vec();
    tokio::task::spawn_blocking(move || {
        folders.iter().try_for_each(|folder| machine::sweep(folder))
    })
    .await?
}

/// Ends all machines of a state folder: the workers, whose links end in the mothership, first.
pub(super) async fn all(dir: &Path) -> Result<()> {
    let mut folders = worker::folders(dir);
    folders.push(machine_dir(dir));
    machines(&folders).await?;
    // The kernel takes its time with a namespace that nobody is in; the link goes with it.
    net::unlink(&host_interface(dir)).await;
    Ok(())
}

/// Ends whatever runs or was left in a full state folder, then removes the folder.
pub(crate) async fn clean(dir: &Path) -> Result<()> {
    State::read(dir)?;
    all(dir).await?;
    let owned = dir.to_owned();
    tokio::task::spawn_blocking(move || std::fs::remove_dir_all(owned))
        .await?
        .with_context(|| format!("removing {}", dir.display()))
}
