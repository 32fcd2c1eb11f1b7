//! How a machine comes to be: this program started again, three times.
//!
//! The first stays on the host and tidies up when the machine has ended, however that came. It
//! starts the second, which joins the cgroups, leaves the host's namespaces and starts the third:
//! process 1 in the new ones, which arranges the mounts and then serves.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::wait;

use super::cgroup::{self, Version};
use super::{INIT, SPEC, Spec, init_process, root};
use crate::supervisor::{self, Process};

pub(super) const NONE: Option<&str> = None;

fn spec(dir: &Path) -> Result<Spec> {
    let path = dir.join(SPEC);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// The first process.
pub(crate) fn keep(dir: &Path, tied: bool) -> Result<()> {
    let spec = spec(dir)?;
    nix::unistd::setsid().context("leaving the terminal")?;
    // Process 1 is a grandchild; this makes it ours once its parent has ended.
    nix::sys::prctl::set_child_subreaper(true).context("becoming a reaper")?;
    let mut second = Command::new(std::env::current_exe()?);
    second.arg("--dir").arg(dir).arg("machine-init");
    if tied {
        second.arg("--tied");
    }
    let status = second.status().context("starting the machine")?;
    while wait().is_ok() {}
    cgroup::remove(&spec.cgroup)?;
    if tied {
        // Gigabytes of containers; the logs stay.
        for name in [
            "layer",
            "data/containerd",
            "data/kubelet",
            "data/k0s",
            "data/tmp",
            "bin",
        ] {
            let _ = fs::remove_dir_all(dir.join(name));
        }
    }
    if !status.success() {
        bail!("the machine did not start");
    }
    Ok(())
}

/// The second process. Must run before any thread exists.
pub(crate) fn become_init(dir: &Path, tied: bool) -> Result<()> {
    let spec = spec(dir)?;
    cgroup::create_and_join(&spec.cgroup)?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWCGROUP,
    )
    .context("making namespaces")?;
    let _ = fs::remove_file(dir.join(INIT));
    let mut second = Command::new(std::env::current_exe()?);
    second
        .arg("--dir")
        .arg(dir)
        .arg("machine-serve")
        .stdin(Stdio::inherit());
    if tied {
        second.arg("--tied");
    }
    let child = second.spawn().context("starting process 1")?;
    let pid = i32::try_from(child.id()).context("a process id")?;
    let Some(process) = Process::of(pid) else {
        bail!("process 1 ended at once")
    };
    let scratch = dir.join(".init");
    fs::write(&scratch, serde_json::to_string(&process)?)
        .and_then(|()| fs::rename(&scratch, dir.join(INIT)))
        .context("recording process 1")
}

/// The third process, which is process 1 of the new namespaces.
pub(crate) fn serve(dir: &Path, tied: bool) -> Result<()> {
    let spec = spec(dir)?;
    is_recorded(dir)?;
    arrange_mounts(dir, &spec)?;
    nix::unistd::sethostname(&spec.hostname).context("setting the host name")?;
    for file in &spec.files {
        if let Some(folder) = file.path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        // Often a symbolic link into a folder that this machine does not have.
        let _ = fs::remove_file(&file.path);
        fs::write(&file.path, &file.text)
            .with_context(|| format!("writing {}", file.path.display()))?;
    }
    for link in &spec.links {
        let _ = fs::remove_file(&link.target);
        std::os::unix::fs::symlink(&link.source, &link.target)
            .with_context(|| format!("linking {}", link.target.display()))?;
    }
    for copy in &spec.copies {
        let _ = fs::remove_file(&copy.target);
        fs::copy(&copy.source, &copy.target)
            .with_context(|| format!("copying {}", copy.target.display()))?;
    }
    // A machine routes between its pods and the outside.
    let _ = fs::write("/proc/sys/net/ipv4/ip_forward", "1");
    supervisor::serve(dir, tied)
}

/// Waits until the second process has recorded this one: it has the same mounts, in which neither
/// `/proc` nor the folder is what it was once they are arranged.
fn is_recorded(dir: &Path) -> Result<()> {
    let started = Instant::now();
    while !dir.join(INIT).exists() {
        if started.elapsed() > Duration::from_secs(10) {
            bail!("process 1 is not recorded in {}", dir.display());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

pub(super) fn attach(
    source: Option<&str>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> Result<()> {
    mount(source, target, kind, flags, data)
        .with_context(|| format!("mounting {}", target.display()))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("creating {}", target.display()))?;
    mount(
        Some(source),
        target,
        NONE,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        NONE,
    )
    .with_context(|| format!("binding {} to {}", source.display(), target.display()))
}

fn arrange_mounts(dir: &Path, spec: &Spec) -> Result<()> {
    let root = Path::new("/");
    attach(
        NONE,
        root,
        NONE,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        NONE,
    )?;
    if spec.own_root {
        root::enter(dir, spec)?;
    } else {
        layer_folders(dir)?;
        bind_all(spec)?;
    }
    attach(
        Some("proc"),
        Path::new("/proc"),
        Some("proc"),
        MsFlags::empty(),
        NONE,
    )?;
    attach(
        Some("sysfs"),
        Path::new("/sys"),
        Some("sysfs"),
        MsFlags::empty(),
        NONE,
    )?;
    mount_cgroups()?;
    // Volumes that pods mount inside a container must be able to reach the kubelet's mounts.
    attach(NONE, root, NONE, MsFlags::MS_REC | MsFlags::MS_SHARED, NONE)
}

/// The host's root, with layers of its own where the harness writes.
fn layer_folders(dir: &Path) -> Result<()> {
    let root = Path::new("/");
    for name in ["etc", "opt", "var", "usr/local"] {
        let layer = dir.join("layer").join(name.replace('/', "-"));
        let (upper, work) = (layer.join("upper"), layer.join("work"));
        fs::create_dir_all(&upper)?;
        fs::create_dir_all(&work)?;
        let target = root.join(name);
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            target.display(),
            upper.display(),
            work.display()
        );
        attach(
            Some("overlay"),
            &target,
            Some("overlay"),
            MsFlags::empty(),
            Some(&options),
        )?;
    }
    attach(
        Some("tmpfs"),
        Path::new("/run"),
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
}

fn bind_all(spec: &Spec) -> Result<()> {
    // What lies in the host's /tmp is set aside while the machine gets a /tmp of its own.
    let aside = |index: usize| PathBuf::from(format!("/run/.aside{index}"));
    let hidden: Vec<&PathBuf> = spec
        .exposed
        .iter()
        .filter(|path| path.starts_with("/tmp") && path.exists())
        .collect();
    for (index, path) in hidden.iter().enumerate() {
        bind(path, &aside(index))?;
    }
    for entry in &spec.binds {
        let source = hidden
            .iter()
            .enumerate()
            .find_map(|(index, path)| {
                entry
                    .source
                    .strip_prefix(path)
                    .ok()
                    .map(|rest| aside(index).join(rest))
            })
            .unwrap_or_else(|| entry.source.clone());
        bind(&source, &entry.target)?;
    }
    for (index, path) in hidden.iter().enumerate() {
        let aside = aside(index);
        bind(&aside, path)?;
        umount2(&aside, MntFlags::MNT_DETACH)
            .with_context(|| format!("unmounting {}", aside.display()))?;
        fs::remove_dir(&aside)?;
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    fs::set_permissions("/tmp", std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    Ok(())
}

/// Mounts every hierarchy again, so that the machine sees its own cgroup as the root.
fn mount_cgroups() -> Result<()> {
    let text = fs::read_to_string("/proc/self/cgroup").context("reading the cgroups")?;
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .collect();
    let top = Path::new("/sys/fs/cgroup");
    if lines.iter().all(|controllers| controllers.is_empty()) {
        attach(
            Some("cgroup2"),
            top,
            Some("cgroup2"),
            MsFlags::empty(),
            NONE,
        )?;
        let leaf = top.join("init");
        fs::create_dir_all(&leaf)?;
        fs::write(leaf.join("cgroup.procs"), "1").context("moving process 1 into a leaf")?;
        cgroup::enable_controllers(top);
        return Ok(());
    }
    attach(
        Some("tmpfs"),
        top,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )?;
    for controllers in lines {
        let (version, name) = match controllers.strip_prefix("name=") {
            Some(name) => (Version::One(format!("none,{controllers}")), name),
            None if controllers.is_empty() => (Version::Two, "unified"),
            None => (Version::One(controllers.to_owned()), controllers),
        };
        let target = top.join(name);
        fs::create_dir_all(&target)?;
        match version {
            Version::Two => {
                attach(
                    Some("cgroup2"),
                    &target,
                    Some("cgroup2"),
                    MsFlags::empty(),
                    NONE,
                )?;
            }
            Version::One(options) => {
                attach(
                    Some("cgroup"),
                    &target,
                    Some("cgroup"),
                    MsFlags::empty(),
                    Some(&options),
                )?;
                for alias in name.split(',').filter(|alias| *alias != name) {
                    let _ = std::os::unix::fs::symlink(name, top.join(alias));
                }
            }
        }
    }
    Ok(())
}

/// Replaces this process by a command inside the machine of this folder.
pub(crate) fn enter(dir: &Path, argv: &[String]) -> Result<()> {
    let dir = dir
        .canonicalize()
        .with_context(|| format!("looking up {}", dir.display()))?;
    let spec = spec(&dir)?;
    let Some(init) = init_process(&dir) else {
        bail!("the machine in {} does not run", dir.display())
    };
    cgroup::join_existing(&spec.cgroup)?;
    let error = Command::new("nsenter")
        .arg(format!("--target={}", init.pid))
        // Without --wd, which takes a folder of the host: the kernel puts it into the root.
        .args([
            "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--",
        ])
        .args(argv)
        .exec();
    Err(error).context("running nsenter")
}
