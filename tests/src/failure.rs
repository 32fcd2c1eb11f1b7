//! The mistakes a user can mend, each with the exit code that tells it apart.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::requirements::Requirement;

/// Anything else ends with exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A flag or argument that makes no sense (2).
    #[error("{0}")]
    Usage(String),
    /// Namespaces, cgroups and veth pairs are for root only (3).
    #[error("{what} needs root; run it again with sudo, or use --light")]
    NotRoot {
        /// What was asked for.
        what: String,
    },
    /// Programs, or Rust's target, that are not installed (4).
    #[error("{}", missing_line(.0))]
    Missing(Vec<Requirement>),
    /// No free port or address range (5).
    #[error("{what} is taken; {hint}")]
    Busy {
        /// The port or range.
        what: String,
        /// What to try.
        hint: String,
    },
    /// The state folder holds another run (6).
    #[error("{detail} in {}; end it with `mothership down --dir {}`", .dir.display(), .dir.display())]
    Leftovers {
        /// The state folder.
        dir: PathBuf,
        /// Whether that run is alive.
        detail: String,
    },
    /// A component ended by itself (7).
    #[error("{name} ended with {status}; the last lines of {}:\n{tail}", .log.display())]
    Died {
        /// The component.
        name: String,
        /// Its exit status in words.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of that log.
        tail: String,
    },
    /// Something that runs did not become ready (8).
    #[error("{what} was not ready after {seconds} s; look into {}", .log.display())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// Where to look.
        log: PathBuf,
    },
    /// Nothing runs in the state folder (9).
    #[error("no mothership in {}; start one with `mothership up --dir {}`", .0.display(), .0.display())]
    NotRunning(PathBuf),
    /// Ctrl-C or SIGTERM (130).
    #[error("interrupted; what had been started is ended")]
    Interrupted,
}

impl Failure {
    /// The exit code of `mothership` for this mistake.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NotRoot { .. } => 3,
            Self::Missing(_) => 4,
            Self::Busy { .. } => 5,
            Self::Leftovers { .. } => 6,
            Self::Died { .. } => 7,
            Self::Late { .. } => 8,
            Self::NotRunning(_) => 9,
            Self::Interrupted => 130,
        }
    }
}

fn missing_line(missing: &[Requirement]) -> String {
    let programs: Vec<&str> = missing.iter().map(|one| one.program).collect();
    let mut packages: Vec<&str> = Vec::new();
    let mut ways: Vec<String> = Vec::new();
    for Requirement { program, source } in missing {
        if source.starts_with("https:") {
            ways.push(format!("{program} from {source}"));
        } else if source.starts_with("rustup ") {
            ways.push(format!("{program} with `{source} {program}`"));
        } else if !packages.contains(source) {
            packages.push(source);
        }
    }
    if !packages.is_empty() {
        ways.insert(0, format!("`apt-get install {}`", packages.join(" ")));
    }
    format!(
        "not installed: {}; install them: {}",
        programs.join(" "),
        ways.join(", ")
    )
}

/// The last `count` lines of a log, indented, for an error message.
pub fn tail(log: &Path, count: usize) -> String {
    let Ok(bytes) = std::fs::read(log) else {
        return String::from("  (no log)");
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let skip = lines.len().saturating_sub(count);
    let mut out = String::new();
    for line in lines.iter().skip(skip) {
        let short: String = line.chars().take(400).collect();
        let _ = writeln!(out, "  {short}");
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_where_each_comes_from() {
        let missing = [
            ("unshare", "util-linux"),
            ("nsenter", "util-linux"),
            ("go", "https://go.dev"),
            ("some-target", "rustup target add"),
        ]
        .map(|(program, source)| Requirement { program, source });
        assert_eq!(
            Failure::Missing(missing.to_vec()).to_string(),
            "not installed: unshare nsenter go some-target; install them: `apt-get install \
             util-linux`, go from https://go.dev, some-target with `rustup target add some-target`"
        );
    }

    #[test]
    fn a_log_tail_is_the_end_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        std::fs::write(&log, "one\n\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&log, 2), "  two\n  three");
    }
}
