//! `k0s reset`: what undoes an install.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::service::{installed, need_root, runs, uninstall};
use crate::cli::ResetArgs;
use crate::paths::{Paths, text};
use crate::status;

/// `k0s reset`: removes the service, what runs in containers, and the data.
pub fn reset(args: &ResetArgs) -> Result<()> {
    need_root()?;
    let paths = args.common.paths();
    let answers = status::ask(&paths.status_socket, "status").is_ok();
    let runs = answers || (installed().is_some() && runs()?);
    ensure!(
        !runs,
        "k0s seems to be running! please stop k0s before reset."
    );
    end_containers(&paths);
    uninstall();
    let kubelet = args
        .kubelet_root_dir
        .clone()
        .unwrap_or_else(|| paths.kubelet_root());
    for folder in [&kubelet, &paths.data, &paths.run] {
        unmount_below(folder)?;
        empty(folder)?;
    }
    super::say("k0s cleanup operations done.");
    super::say("To ensure a full reset, a node reboot is recommended.");
    Ok(())
}

/// Every process as its id, its parent's and its command line.
fn processes() -> Vec<(i32, i32, Vec<u8>)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (_, rest) = stat.rsplit_once(')')?;
            let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            Some((pid, parent, line))
        })
        .collect()
}

/// Ends the containers that a stopped k0s leaves running: those whose shim belongs to its
/// containerd.
fn end_containers(paths: &Paths) {
    let socket = text(&paths.run);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        let all = processes();
        let shims: Vec<i32> = all
            .iter()
            .filter(|(_, _, line)| {
                let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
                let is_shim = words
                    .first()
                    .is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"));
                is_shim && words.iter().any(|word| word.starts_with(socket.as_bytes()))
            })
            .map(|(pid, _, _)| *pid)
            .collect();
        if shims.is_empty() {
            return;
        }
        for (pid, _, _) in all
            .iter()
            .filter(|(pid, parent, _)| shims.contains(parent) || shims.contains(pid))
        {
            kill(Pid::from_raw(*pid), Signal::SIGKILL).ok();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Unmounts everything below a folder, what was mounted last first; not the folder itself, which
/// may be a disk.
fn unmount_below(folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context("failed to read mounts")?;
    let mounts: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4).map(PathBuf::from))
        .filter(|mount| mount.starts_with(folder) && mount != folder)
        .collect();
    for mount in mounts.iter().rev() {
        umount2(mount, MntFlags::MNT_DETACH)
            .with_context(|| format!("failed to unmount {}", mount.display()))?;
    }
    Ok(())
}

/// Removes a folder, or all that is in it when it is a disk of its own.
fn empty(folder: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let removed = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.with_context(|| format!("failed to remove {}", path.display()))?;
    }
    std::fs::remove_dir(folder).ok();
    Ok(())
}
