//! What the harness takes from the machine and where that comes from.
//!
//! `requirements.txt` lists it, so that `.ci/packages` can install what is missing before anything
//! is built. The harness asks again for what it starts itself, since it can be started by hand.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::image::TARGET;
use crate::paths;

/// To build programs that run in an image.
pub const IMAGES: &[&str] = &["build", "images"];
/// To build the components, for both levels.
pub const LIGHT: &[&str] = &["light"];
/// To run the full level, besides root.
pub const FULL: &[&str] = &["full"];
/// For people and clouds to get into worker machines, which borrow these programs.
pub const GUEST: &[&str] = &["guest"];

const LIST: &str = include_str!("../requirements.txt");

/// Something that a machine needs and where it comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requirement {
    /// Name looked up in `PATH`, or an absolute path.
    pub program: &'static str,
    /// Debian and Ubuntu packages, a web page or a command.
    pub source: &'static str,
}

/// What is wanted for one of the purposes of [`LIST`].
fn wanted(purpose: &str) -> impl Iterator<Item = Requirement> {
    LIST.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(move |line| {
            let (program, source) = line.strip_prefix(purpose)?.trim().split_once(' ')?;
            let source = source.trim();
            Some(Requirement { program, source })
        })
}

/// Rust's standard library for images, without which cargo fails at the end of a long run.
const STD: Requirement = Requirement {
    program: TARGET,
    source: "rustup target add",
};

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

/// Asks the compiler that cargo would use, whoever installed it.
fn has_std() -> bool {
    let output = Command::new("rustc")
        .current_dir(paths::workspace())
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let folder = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    folder
        .and_then(std::fs::read_dir)
        .is_ok_and(|mut entries| entries.next().is_some())
}

/// An error that names everything for these purposes that is not installed.
pub fn check(purposes: &[&str]) -> Result<(), Failure> {
    let mut missing: Vec<Requirement> = purposes
        .iter()
        .flat_map(|purpose| wanted(purpose))
        .filter(|requirement| find(requirement.program).is_none())
        .collect();
    if purposes.contains(&"images") && !has_std() {
        missing.push(STD);
    }
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
    fn the_list_says_of_each_line_what_it_is_for_and_where_it_is_from() {
        let purposes = ["build", "images", "light", "full", "guest", "shells"];
        let all: Vec<Requirement> = purposes.into_iter().flat_map(wanted).collect();
        let lines = LIST.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(all.len(), lines);
        assert!(all.contains(&Requirement {
            program: "cc",
            source: "gcc libc6-dev"
        }));
    }
}
