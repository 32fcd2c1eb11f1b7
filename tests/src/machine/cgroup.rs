//! A machine's place in every cgroup hierarchy, old (v1) and new (v2).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// One mounted hierarchy.
#[derive(Clone, Debug)]
pub(super) struct Hierarchy {
    pub mount_point: PathBuf,
    pub version: Version,
}

/// What it controls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Version {
    /// The mount options that select it, such as `cpu,cpuacct` or `name=systemd`.
    One(String),
    Two,
}

/// All hierarchies that are mounted here.
pub(super) fn hierarchies() -> Result<Vec<Hierarchy>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    Ok(parse(&text))
}

fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mount_point = PathBuf::from(before.split(' ').nth(4)?);
            let mut after = after.split(' ');
            match after.next()? {
                "cgroup2" => Some(Hierarchy {
                    mount_point,
                    version: Version::Two,
                }),
                "cgroup" => {
                    let options = after.nth(1)?;
                    let chosen: Vec<&str> = options
                        .split(',')
                        .filter(|option| {
                            !matches!(*option, "rw" | "ro" | "xattr" | "clone_children")
                                && !option.starts_with("release_agent")
                        })
                        .collect();
                    Some(Hierarchy {
                        mount_point,
                        version: Version::One(chosen.join(",")),
                    })
                }
                _ => None,
            }
        })
        .collect()
}

/// Whether version 2 is the only one, and so carries the controllers.
pub(super) fn is_unified(hierarchies: &[Hierarchy]) -> bool {
    hierarchies
        .iter()
        .all(|hierarchy| hierarchy.version == Version::Two)
}

/// Makes the machine's cgroup in every hierarchy and moves this process there.
pub(super) fn create_and_join(name: &str) -> Result<()> {
    let all = hierarchies()?;
    if is_unified(&all)
        && let Some(root) = all.first()
    {
        enable_controllers(&root.mount_point);
    }
    for hierarchy in &all {
        let dir = hierarchy.mount_point.join(name);
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        // A new cpuset of version 1 has no CPUs and no memory, and lets nobody in.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = hierarchy.mount_point.join(file);
            if matches!(hierarchy.version, Version::One(_)) && parent.exists() {
                std::fs::write(dir.join(file), std::fs::read(&parent)?)
                    .with_context(|| format!("setting {file} of {name}"))?;
            }
        }
        join(&dir)?;
    }
    Ok(())
}

/// Moves this process into the cgroups of a machine that runs.
pub(super) fn join_existing(name: &str) -> Result<()> {
    let all = hierarchies()?;
    for hierarchy in &all {
        let dir = hierarchy.mount_point.join(name);
        // With version 2 alone, processes may only be in the leaves.
        join(&if is_unified(&all) {
            dir.join("init")
        } else {
            dir
        })?;
    }
    Ok(())
}

fn join(dir: &Path) -> Result<()> {
    std::fs::write(dir.join("cgroup.procs"), std::process::id().to_string())
        .with_context(|| format!("joining {}", dir.display()))
}

/// Hands every controller down. One that cannot be is left out; the kubelet says what it misses.
pub(super) fn enable_controllers(dir: &Path) {
    let controllers = std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = std::fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Removes the machine's cgroups, deepest first, once their last process is gone.
pub(super) fn remove(name: &str) -> Result<()> {
    let started = Instant::now();
    for hierarchy in hierarchies()? {
        let dir = hierarchy.mount_point.join(name);
        while dir.exists() {
            remove_tree(&dir);
            // The kernel lets go of a cgroup a moment after its last process.
            if dir.exists() {
                if started.elapsed() > Duration::from_secs(15) {
                    bail!("cgroup {} is still in use", dir.display());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    Ok(())
}

fn remove_tree(dir: &Path) {
    if let Ok(entries) = std::fs::read_dir(dir) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&entry.path());
            }
        }
    }
    let _ = std::fs::remove_dir(dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
22 27 0:21 / /proc rw,relatime - proc proc rw
";

    #[test]
    fn hierarchies_are_told_apart_by_their_options() {
        let found = parse(HYBRID);
        let versions: Vec<&Version> = found.iter().map(|hierarchy| &hierarchy.version).collect();
        assert_eq!(
            versions,
            [
                &Version::One("cpu,cpuacct".to_owned()),
                &Version::One("name=systemd".to_owned()),
                &Version::Two
            ]
        );
        assert!(!is_unified(&found));
    }

    #[test]
    fn version_two_alone_is_unified() {
        let found = parse("30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate");
        assert!(is_unified(&found));
    }
}
