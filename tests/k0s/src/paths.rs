//! Where things are: k0s's layout of its data and run directories, components, system users.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::unistd::{Uid, User};

/// k0s's data directory unless `--data-dir` says otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/k0s";

/// The directories of one k0s instance.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `--data-dir`.
    pub data: PathBuf,
    /// `/run/k0s` for root, `<data-dir>/run` for everybody else.
    pub run: PathBuf,
    /// The status socket, `<run>/status.sock` unless `--status-socket` says otherwise.
    pub status_socket: PathBuf,
}

impl Paths {
    /// Lays out an instance; `None` stands for k0s's default.
    pub fn new(data: Option<PathBuf>, run: Option<PathBuf>, socket: Option<PathBuf>) -> Self {
        let data = data.unwrap_or_else(|| DEFAULT_DATA_DIR.into());
        let run = run.unwrap_or_else(|| {
            if Uid::effective().is_root() {
                "/run/k0s".into()
            } else {
                data.join("run")
            }
        });
        let status_socket = socket.unwrap_or_else(|| run.join("status.sock"));
        Self {
            data,
            run,
            status_socket,
        }
    }

    /// A file in `pki`.
    pub fn pki(&self, file: &str) -> PathBuf {
        self.data.join("pki").join(file)
    }

    /// The kubeconfig of the cluster's admin.
    pub fn admin_conf(&self) -> PathBuf {
        self.pki("admin.conf")
    }

    /// Parent of the manifest stacks.
    pub fn manifests(&self) -> PathBuf {
        self.data.join("manifests")
    }

    /// The configuration that the running controller works with, defaults filled in.
    pub fn runtime_config(&self) -> PathBuf {
        self.run.join("k0s.yaml")
    }

    /// The socket on which konnectivity-server listens for the API server.
    pub fn konnectivity_socket(&self) -> PathBuf {
        self.run
            .join("konnectivity-server")
            .join("konnectivity-server.sock")
    }

    /// The kubelet's root directory.
    pub fn kubelet_root(&self) -> PathBuf {
        self.data.join("kubelet")
    }

    /// The kubelet's own kubeconfig, written by its TLS bootstrap.
    pub fn kubelet_conf(&self) -> PathBuf {
        self.data.join("kubelet.conf")
    }

    /// Finds a component in `<data-dir>/bin`, then in `PATH`.
    ///
    /// # Errors
    /// When it is in neither.
    pub fn component(&self, name: &str) -> Result<PathBuf> {
        let bin = self.data.join("bin").join(name);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::iter::once(bin)
            .chain(std::env::split_paths(&path).map(|dir| dir.join(name)))
            .find(|candidate| is_executable(candidate));
        match found {
            Some(found) => Ok(found),
            None => bail!(
                "{name} is neither in {} nor in PATH",
                self.data.join("bin").display()
            ),
        }
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Text of a path for a command line or a configuration file.
pub fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// Makes a directory with this mode, parents included.
///
/// # Errors
/// When the file system refuses.
pub fn make_dir(path: &Path, mode: u32) -> Result<()> {
    std::fs::create_dir_all(path)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .with_context(|| format!("failed to create directory {}", path.display()))
}

/// Writes a file with this mode, never leaving half of it behind.
///
/// # Errors
/// When the file system refuses.
pub fn write_file(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    std::fs::write(&temporary, content)
        .and_then(|()| std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(mode)))
        .and_then(|()| std::fs::rename(&temporary, path))
        .with_context(|| format!("failed to write {}", path.display()))
}

/// The id of the system user that k0s runs a component as; `None` (stay as we are) for those who
/// are not root and where the user is missing, as k0s has it.
pub fn user(name: &str) -> Option<u32> {
    if !Uid::effective().is_root() {
        return None;
    }
    let found = User::from_name(name)
        .ok()
        .flatten()
        .map(|user| user.uid.as_raw());
    if found.is_none() {
        tracing::debug!("no user {name} on this machine, its component runs as root");
    }
    found
}

/// Gives a file to a system user, if there is one.
///
/// # Errors
/// When the file system refuses.
pub fn chown(path: &Path, user: Option<u32>) -> Result<()> {
    if user.is_some() {
        std::os::unix::fs::chown(path, user, None)
            .with_context(|| format!("failed to chown {}", path.display()))?;
    }
    Ok(())
}

/// The machine's host name as a node name: lower case.
///
/// # Errors
/// When the kernel does not say.
pub fn node_name() -> Result<String> {
    let name = nix::unistd::gethostname().context("failed to read the host name")?;
    Ok(name.to_string_lossy().trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_come_from_the_data_dir_first() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(dir.path().into()), None, None);
        assert!(paths.component("no-such-program").is_err());
        assert_ne!(paths.component("sh").unwrap(), dir.path().join("bin/sh"));
        make_dir(&dir.path().join("bin"), 0o755).unwrap();
        write_file(&dir.path().join("bin/sh"), "#!", 0o750).unwrap();
        assert_eq!(paths.component("sh").unwrap(), dir.path().join("bin/sh"));
    }
}
