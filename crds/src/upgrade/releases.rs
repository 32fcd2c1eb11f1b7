//! The releases of k0s that are known; another one is worth a warning.

use std::sync::LazyLock;

use crate::version::K0sVersion;

/// The final releases of k0s from v1.31 on, oldest first. One that came out later than this list
/// is no less good, and so a version that is not in it is worth a warning and no more.
const RELEASES: [&str; 67] = [
    "v1.31.1+k0s.0",
    "v1.31.1+k0s.1",
    "v1.31.2+k0s.0",
    "v1.31.3+k0s.0",
    "v1.31.5+k0s.0",
    "v1.31.6+k0s.0",
    "v1.31.7+k0s.0",
    "v1.31.8+k0s.0",
    "v1.31.9+k0s.0",
    "v1.31.10+k0s.0",
    "v1.31.11+k0s.0",
    "v1.31.12+k0s.0",
    "v1.31.13+k0s.0",
    "v1.31.14+k0s.0",
    "v1.32.1+k0s.0",
    "v1.32.2+k0s.0",
    "v1.32.3+k0s.0",
    "v1.32.4+k0s.0",
    "v1.32.5+k0s.0",
    "v1.32.5+k0s.1",
    "v1.32.6+k0s.0",
    "v1.32.7+k0s.0",
    "v1.32.8+k0s.0",
    "v1.32.10+k0s.0",
    "v1.32.11+k0s.0",
    "v1.32.12+k0s.0",
    "v1.32.12+k0s.1",
    "v1.32.13+k0s.0",
    "v1.33.1+k0s.0",
    "v1.33.1+k0s.1",
    "v1.33.2+k0s.0",
    "v1.33.3+k0s.0",
    "v1.33.4+k0s.0",
    "v1.33.6+k0s.0",
    "v1.33.7+k0s.0",
    "v1.33.8+k0s.0",
    "v1.33.8+k0s.1",
    "v1.33.9+k0s.0",
    "v1.33.10+k0s.0",
    "v1.33.11+k0s.0",
    "v1.33.12+k0s.0",
    "v1.33.13+k0s.0",
    "v1.33.13+k0s.1",
    "v1.34.1+k0s.0",
    "v1.34.1+k0s.1",
    "v1.34.2+k0s.0",
    "v1.34.3+k0s.0",
    "v1.34.4+k0s.0",
    "v1.34.5+k0s.0",
    "v1.34.6+k0s.0",
    "v1.34.7+k0s.0",
    "v1.34.8+k0s.0",
    "v1.34.9+k0s.0",
    "v1.34.10+k0s.0",
    "v1.35.1+k0s.0",
    "v1.35.1+k0s.1",
    "v1.35.2+k0s.0",
    "v1.35.3+k0s.0",
    "v1.35.4+k0s.0",
    "v1.35.5+k0s.0",
    "v1.35.6+k0s.0",
    "v1.35.7+k0s.0",
    "v1.36.1+k0s.0",
    "v1.36.2+k0s.0",
    "v1.36.3+k0s.0",
    "v1.36.3+k0s.1",
    "v1.36.3+k0s.2",
];

static KNOWN: LazyLock<Vec<K0sVersion>> = LazyLock::new(|| {
    RELEASES
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
});

/// Every known release, oldest first.
pub fn known() -> &'static [K0sVersion] {
    &KNOWN
}

/// The newest known release of a minor version.
pub fn newest(minor: u64) -> Option<&'static K0sVersion> {
    KNOWN.iter().rfind(|version| version.minor() == minor)
}

/// The newest known build of this Kubernetes version.
pub fn newest_build(version: &K0sVersion) -> Option<&'static K0sVersion> {
    KNOWN
        .iter()
        .rfind(|known| known.kubernetes() == version.kubernetes())
}

/// The known release that is closest: the newest one of its minor version that is not newer, else
/// the oldest one of it, else the nearest of another.
pub fn nearest(version: &K0sVersion) -> Option<&'static K0sVersion> {
    let same = || {
        KNOWN
            .iter()
            .filter(|known| known.minor() == version.minor())
    };
    same()
        .rfind(|known| !version.is_older_than(known))
        .or_else(|| same().next())
        .or_else(|| KNOWN.iter().find(|known| version.is_older_than(known)))
        .or_else(|| KNOWN.last())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{K0sVersion, KNOWN, RELEASES, nearest, newest, newest_build};
    use crate::version::DEFAULT_VERSION;

    #[test]
    fn every_known_release_is_a_version_and_they_are_in_order() {
        assert_eq!(KNOWN.len(), RELEASES.len());
        assert!(KNOWN.is_sorted_by(K0sVersion::is_older_than));
        assert!(KNOWN.contains(&DEFAULT_VERSION.parse().unwrap()));
    }

    #[rstest]
    #[case::between("v1.31.4+k0s.0", "v1.31.3+k0s.0")]
    #[case::before_the_first_of_its_minor("v1.36.0+k0s.0", "v1.36.1+k0s.0")]
    #[case::after_the_last("v1.39.0", "v1.36.3+k0s.2")]
    #[case::before_the_first("v1.27.9-k0s.0", "v1.31.1+k0s.0")]
    fn the_nearest_known_release_is_named(#[case] version: &str, #[case] wanted: &str) {
        let found = nearest(&version.parse().unwrap()).unwrap();
        assert_eq!(found.to_string(), wanted);
    }

    #[test]
    fn the_newest_of_a_minor_version_is_found() {
        assert_eq!(newest(32).unwrap().to_string(), "v1.32.13+k0s.0");
        assert_eq!(newest(99), None);
    }

    #[rstest]
    #[case::that_says_no_build("v1.36.3", Some("v1.36.3+k0s.2"))]
    #[case::that_says_an_older_build("v1.36.3-k0s.0", Some("v1.36.3+k0s.2"))]
    #[case::that_nobody_knows("v1.36.99", None)]
    fn the_newest_build_of_a_version_is_found(#[case] version: &str, #[case] build: Option<&str>) {
        let found = newest_build(&version.parse().unwrap()).map(ToString::to_string);
        assert_eq!(found.as_deref(), build);
    }
}
