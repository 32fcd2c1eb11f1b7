//! The k0s version that the stand-in reports.
//!
//! The harness packs several versions into images from one build of this program, so the number
//! comes from outside: `K0S_STANDIN_VERSION`, then [`VERSION_FILE`], then `k0s.version` beside the
//! executable, then [`DEFAULT`].

use std::path::Path;

use semver::Version;

/// Where an image says which k0s version it stands for.
pub const VERSION_FILE: &str = "/etc/k0s-standin/version";

const DEFAULT: &str = "v1.36.3+k0s.2";

/// The k0s version, as in `v1.36.3+k0s.2`.
pub fn k0s() -> String {
    let beside = std::env::current_exe()
        .ok()
        .map(|exe| exe.with_extension("version"));
    std::env::var("K0S_STANDIN_VERSION")
        .ok()
        .or_else(|| read(Path::new(VERSION_FILE)))
        .or_else(|| beside.as_deref().and_then(read))
        .filter(|version| !version.trim().is_empty())
        .map_or_else(|| DEFAULT.to_owned(), |version| version.trim().to_owned())
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `1.36` of `v1.36.3+k0s.2`.
pub fn minor(version: &str) -> String {
    parse(version).map_or_else(|| "0.0".into(), |v| format!("{}.{}", v.major, v.minor))
}

/// The Kubernetes version of a k0s version: `1.36.3` of `v1.36.3+k0s.2`.
pub fn kubernetes(version: &str) -> String {
    parse(version).map_or_else(
        || version.to_owned(),
        |v| format!("{}.{}.{}", v.major, v.minor, v.patch),
    )
}

/// Whether a k0s version is at least another, the build after `+k0s.` included.
pub fn at_least(version: &str, floor: &str) -> bool {
    match (parse(version), parse(floor)) {
        (Some(version), Some(floor)) => version >= floor,
        _ => false,
    }
}

fn parse(version: &str) -> Option<Version> {
    Version::parse(version.trim_start_matches('v')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("v1.36.3+k0s.2", "v1.36.3+k0s.1", true)]
    #[case("v1.36.3+k0s.0", "v1.36.3+k0s.1", false)]
    #[case("v1.36.3+k0s.10", "v1.36.3+k0s.9", true)]
    #[case("v1.35.1+k0s.0", "v1.36.0+k0s.0", false)]
    #[case("v1.37.0-rc.1+k0s.0", "v1.36.3+k0s.1", true)]
    fn versions_compare_with_their_build(#[case] a: &str, #[case] b: &str, #[case] expected: bool) {
        assert_eq!(at_least(a, b), expected);
    }

    #[test]
    fn parts_of_a_version() {
        assert_eq!(minor("v1.36.3+k0s.2"), "1.36");
        assert_eq!(kubernetes("v1.36.3+k0s.2"), "1.36.3");
    }
}
