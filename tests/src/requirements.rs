//! Every program that the harness takes from the machine, and the Debian package that holds it.
//!
//! `mothership requirements` prints this list, so that the Makefile can install what is missing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A program and where it comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requirement {
    /// Name looked up in `PATH`, or an absolute path.
    pub program: &'static str,
    /// Debian and Ubuntu package.
    pub package: &'static str,
}

const fn needs(program: &'static str, package: &'static str) -> Requirement {
    Requirement { program, package }
}

/// To build the components, for both levels.
pub const BUILD: &[Requirement] = &[needs("go", "golang-go")];

/// To run the full level, besides root.
pub const FULL: &[Requirement] = &[
    needs("nsenter", "util-linux"),
    needs("mount", "mount"),
    needs("ip", "iproute2"),
    needs("iptables", "iptables"),
    needs("conntrack", "conntrack"),
    needs("runc", "runc"),
    needs("/usr/lib/cni/ptp", "containernetworking-plugins"),
    needs("/usr/lib/cni/portmap", "containernetworking-plugins"),
    needs("busybox", "busybox-static"),
    needs("/bin/bash-static", "bash-static"),
    needs("/usr/bin/tini-static", "tini"),
];

/// For people and clouds to get into worker machines, which borrow these programs.
pub const GUEST: &[Requirement] = &[
    needs("/usr/sbin/sshd", "openssh-server"),
    needs("ssh", "openssh-client"),
    needs("ssh-keygen", "openssh-client"),
    needs("cloud-init", "cloud-init"),
];

/// Shells in which somebody completes commands, besides bash.
pub const SHELLS: &[Requirement] = &[needs("zsh", "zsh"), needs("fish", "fish")];

/// To build what goes into the images.
pub const IMAGES: &[Requirement] = &[needs("cargo", "cargo (or https://rustup.rs)")];

/// The path of a program, or nothing when it is not installed.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return is_executable(Path::new(program)).then(|| PathBuf::from(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A user's PATH often lacks the sbin folders in which Debian keeps ip, iptables and runc.
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// An error that names everything in `wanted` that is not installed.
pub fn check(wanted: &[Requirement]) -> Result<(), Failure> {
    let missing: Vec<Requirement> = wanted
        .iter()
        .copied()
        .filter(|requirement| find(requirement.program).is_none())
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Failure::Missing(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_named_with_its_package() {
        let wanted = [needs("sh", "dash"), needs("no-such-program", "nothing")];
        let Err(Failure::Missing(missing)) = check(&wanted) else {
            panic!("found")
        };
        assert_eq!(missing, [needs("no-such-program", "nothing")]);
    }
}
