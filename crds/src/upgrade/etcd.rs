//! Which versions of etcd a Cluster may go to, and which fit its version of k0s.

use semver::Version;

use super::target;
use crate::v1beta2::{Cluster, ClusterStatus, StorageType};
use crate::validation::{Errors, FieldError, Findings};
use crate::version::K0sVersion;

const PATH: &str = "spec.storage.etcd.image";

/// The first etcd 3.5 that brings its two records of the members in line, as 3.6 reads the other
/// one than 3.5: <https://etcd.io/blog/2025/zombie_members_upgrade/>.
const RECONCILED: u64 = 26;

/// The version in the tag of an etcd image: `quay.io/k0sproject/etcd:v3.6.14` has 3.6.14. What a
/// distribution appends to it, as in `3.5.17-0`, counts for nothing.
pub fn etcd_version(image: &str) -> Option<Version> {
    let (named, _) = image.split_once('@').unwrap_or((image, ""));
    let (_, tag) = named.rsplit('/').next()?.split_once(':')?;
    let version = Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?;
    Some(Version::new(version.major, version.minor, version.patch))
}

/// The etcd that k0s carries itself since v1.34 is 3.6, before that 3.5: Kubernetes of that version
/// was tested with it.
const fn tested_with(kubernetes_minor: u64) -> u64 {
    if kubernetes_minor >= 34 { 6 } else { 5 }
}

/// Whether the image of etcd fits to itself as it was, and to the version of k0s.
///
/// Patch versions may go back: their data are the same, and an image that is not there has to be
/// left again.
pub fn etcd(old: Option<&Cluster>, new: &Cluster) -> Findings {
    let mut findings = Findings::default();
    if new.spec.storage.type_ != StorageType::Etcd {
        return findings;
    }
    let image = &new.spec.storage.etcd.image;
    let status = old.unwrap_or(new).status.as_ref();
    let asked = target(&new.spec, status);
    let before = old.map(|old| &old.spec.storage.etcd.image);
    let changed = before != Some(image);
    if !changed && old.is_some_and(|old| target(&old.spec, status) == asked) {
        return findings;
    }
    let mut warnings = Errors::default();
    let Some(wanted) = etcd_version(image) else {
        if changed && !image.is_empty() {
            warnings
                .warning(
                    PATH,
                    image,
                    "has no version in its tag, so the change cannot be checked",
                )
                .hint("such as quay.io/k0sproject/etcd:v3.6.14");
        }
        findings.warnings = warnings.0;
        return findings;
    };
    let built = old.is_some() && status.is_some_and(ClusterStatus::is_built);
    if let Some(before) = before.filter(|_| changed && built)
        && let Some(before) = etcd_version(before)
    {
        findings.errors.extend(step(image, &before, &wanted));
        if (before.major, before.minor) == (3, 5)
            && before.patch < RECONCILED
            && (wanted.major, wanted.minor) == (3, 6)
        {
            warnings
                .warning(
                    PATH,
                    image,
                    format!("etcd {before} may still have members on record that were removed long ago, and 3.6 takes them for members again: the cluster can lose its quorum"),
                )
                .hint(format!("upgrade to v3.5.{RECONCILED} or newer first and wait until every member is ready"));
        }
    }
    if let Ok(version) = asked.parse::<K0sVersion>() {
        let tested = tested_with(version.minor());
        if (wanted.major, wanted.minor) < (3, tested) {
            warnings
                .warning(
                    PATH,
                    image,
                    format!("is older than the etcd that k0s {version} is tested with"),
                )
                .hint(format!("etcd 3.{tested} or newer"));
        }
    }
    findings.warnings = warnings.0;
    findings
}

fn step(image: &str, before: &Version, wanted: &Version) -> Option<FieldError> {
    let error = |message, hint: String| FieldError::invalid(PATH, image, message).hint(hint);
    if (wanted.major, wanted.minor) < (before.major, before.minor) {
        return Some(error(
            format!("is older than etcd {before}, whose data it cannot read"),
            format!("v{}.{}.x or newer", before.major, before.minor),
        ));
    }
    if wanted.major != before.major || wanted.minor > before.minor + 1 {
        return Some(error(
            format!("skips a minor version of etcd, which was {before}"),
            format!("v{}.{}.x first", before.major, before.minor + 1),
        ));
    }
    None
}
