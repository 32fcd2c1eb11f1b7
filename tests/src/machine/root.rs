//! A root of its own for a machine: what is installed in it is on nobody else's disk.
//!
//! Below is what the host has, which is only read; above is a layer in the machine's folder. The
//! file systems that the host mounts below its root get a layer each. `/run`, `/tmp` and the
//! folders that containers need as plain ones are not layered, nor is `/dev`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use super::Spec;
use super::init::{NONE, attach};

/// File systems that hold files that somebody installed.
const KEPT: [&str; 8] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "overlay",
];
/// Below these nothing of the host's is seen.
const OWN: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/tmp"];

/// Makes the root and enters it. `/proc` and `/sys` are still to be mounted.
pub(super) fn enter(dir: &Path, spec: &Spec) -> Result<()> {
    let layer = dir.join("layer");
    make(&layer)?;
    // Neither can be the upper layer of the other.
    let kind = statfs(&layer).with_context(|| format!("looking at {}", layer.display()))?;
    if kind.filesystem_type() == OVERLAYFS_SUPER_MAGIC {
        tmpfs(&layer)?;
    }
    let new = layer.join("root");
    make(&new)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    for (index, place) in layered(&mounts, dir).iter().enumerate() {
        let (upper, work) = (
            layer.join(format!("{index}-upper")),
            layer.join(format!("{index}-work")),
        );
        make(&upper)?;
        make(&work)?;
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            place.display(),
            upper.display(),
            work.display()
        );
        let target = within(&new, place);
        attach(
            Some("overlay"),
            &target,
            Some("overlay"),
            MsFlags::empty(),
            Some(&options),
        )?;
    }
    bind(Path::new("/dev"), &new.join("dev"), MsFlags::MS_REC)?;
    make(&new.join("run"))?;
    tmpfs(&new.join("run"))?;
    for entry in &spec.binds {
        // What is not of the machine's own folder is the host's, and is seen through a layer like
        // the rest of it: what is written there stays in the machine.
        let source = if entry.source.starts_with(dir) {
            entry.source.clone()
        } else {
            within(&new, &entry.source)
        };
        bind(&source, &within(&new, &entry.target), MsFlags::empty())?;
    }
    fs::set_permissions(
        new.join("tmp"),
        std::os::unix::fs::PermissionsExt::from_mode(0o1777),
    )?;
    let mut exposed: Vec<&PathBuf> = spec.exposed.iter().filter(|path| path.exists()).collect();
    // One may lie in another.
    exposed.sort();
    for path in exposed {
        let target = within(&new, path);
        bind(path, &target, MsFlags::empty())?;
        if path != dir {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            attach(NONE, &target, NONE, flags, NONE)?;
        }
    }
    // The old root lies on the new one for a moment, so it needs no folder there.
    std::env::set_current_dir(&new).context("entering the new root")?;
    nix::unistd::pivot_root(".", ".").context("changing the root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leaving the old root")?;
    std::env::set_current_dir("/").context("entering the new root")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    Ok(())
}

/// The mount points that get a layer, outer ones first.
fn layered(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let place = Path::new(before.split(' ').nth(4)?);
            let kind = after.split(' ').next()?;
            let seen = KEPT.contains(&kind)
                && place.is_dir()
                && !place.starts_with(dir)
                && !OWN.iter().any(|own| place.starts_with(own));
            seen.then(|| place.to_owned())
        })
        .collect();
    // A path sorts before those below it.
    places.sort();
    places.dedup();
    places
}

fn within(new: &Path, path: &Path) -> PathBuf {
    new.join(path.strip_prefix("/").unwrap_or(path))
}

fn make(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))
}

fn tmpfs(target: &Path) -> Result<()> {
    attach(
        Some("tmpfs"),
        target,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
}

fn bind(source: &Path, target: &Path, further: MsFlags) -> Result<()> {
    make(target)?;
    let source = source.to_str().context("a path is no text")?;
    attach(Some(source), target, NONE, MsFlags::MS_BIND | further, NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_files_gets_a_layer_and_devices_do_not() {
        let mounts = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 254:1 / /usr rw,relatime shared:3 - xfs /dev/vdb rw
31 22 254:2 / /etc/passwd rw - ext4 /dev/vdc rw
32 22 254:2 / /tmp rw - ext4 /dev/vdd rw
33 22 0:28 / /var/lib rw - tmpfs tmpfs rw
";
        let found = layered(mounts, Path::new("/nowhere"));
        assert_eq!(found, [PathBuf::from("/"), PathBuf::from("/usr")]);
    }
}
