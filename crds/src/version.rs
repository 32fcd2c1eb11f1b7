//! k0s versions and the images they name.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use semver::{BuildMetadata, Version};

use crate::v1beta2::{ClusterSpec, DEFAULT_IMAGE};
pub use crate::v1beta2::{DEFAULT_ETCD_IMAGE, DEFAULT_IMAGE as DEFAULT_REPOSITORY};

/// Version of a Cluster that names none: the newest that the product was tested with.
pub const DEFAULT_VERSION: &str = "v1.36.3-k0s.2";

/// A k0s version: the Kubernetes version it brings, and k0s' own count on top of it.
///
/// `v1.36.3`, `v1.36.3-k0s.0` and `v1.36.3+k0s.0` are the same version, with or without the `v`.
/// A pre-release comes before its release: `v1.36.0-rc.1+k0s.0` < `v1.36.0+k0s.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct K0sVersion {
    kubernetes: Version,
    k0s: u32,
    suffix: String,
}

/// The longest tag that an image can have, in bytes.
const MAX_TAG: usize = 128;

/// What the text of a version must be.
pub(crate) const FORM: &str =
    "must be a k0s version such as v1.36.3, v1.36.3-k0s.2 or v1.36.3+k0s.2";

/// A text that is no k0s version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {FORM}")]
pub struct ParseVersionError {
    /// The text.
    pub text: String,
}

impl K0sVersion {
    /// The Kubernetes version, such as 1.36.3.
    pub const fn kubernetes(&self) -> &Version {
        &self.kubernetes
    }

    /// k0s' own count on top of the Kubernetes version.
    pub const fn k0s(&self) -> u32 {
        self.k0s
    }

    /// The minor version, such as 36.
    pub const fn minor(&self) -> u64 {
        self.kubernetes.minor
    }

    /// Whether it was published ahead of a release, to be tried out.
    pub fn is_pre_release(&self) -> bool {
        !self.kubernetes.pre.is_empty() || self.suffix.contains("-rc")
    }

    /// Whether it comes before `other`. Two builds of one release are neither older nor newer.
    pub fn is_older_than(&self, other: &Self) -> bool {
        (&self.kubernetes, self.k0s) < (&other.kubernetes, other.k0s)
    }

    /// The version as an image tag, which cannot contain a `+`.
    pub fn image_tag(&self) -> String {
        format!("v{}-k0s.{}{}", self.kubernetes, self.k0s, self.suffix)
    }
}

impl FromStr for K0sVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseVersionError {
            text: text.to_owned(),
        };
        let plain = text.strip_prefix('v').unwrap_or(text);
        // The first of them, however it is written: as a tag it is written otherwise.
        let first = ["+k0s.", "-k0s."]
            .into_iter()
            .filter_map(|mark| plain.split_once(mark))
            .min_by_key(|(kubernetes, _)| kubernetes.len());
        let (kubernetes, k0s) = first.unwrap_or((plain, "0"));
        let kubernetes = Version::parse(kubernetes).map_err(|_| error())?;
        if kubernetes.build != BuildMetadata::EMPTY {
            return Err(error());
        }
        let digits = k0s.len() - k0s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, suffix) = k0s.split_at_checked(digits).ok_or_else(error)?;
        let suffix_fits = suffix.is_empty()
            || (suffix.starts_with(['.', '-'])
                && suffix.len() > 1
                && suffix
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)));
        if !suffix_fits || (number.len() > 1 && number.starts_with('0')) {
            return Err(error());
        }
        let version = Self {
            kubernetes,
            k0s: number.parse().map_err(|_| error())?,
            suffix: suffix.to_owned(),
        };
        if version.image_tag().len() > MAX_TAG {
            return Err(error());
        }
        Ok(version)
    }
}

impl fmt::Display for K0sVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}+k0s.{}{}", self.kubernetes, self.k0s, self.suffix)
    }
}

impl Ord for K0sVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.kubernetes
            .cmp(&other.kubernetes)
            .then(self.k0s.cmp(&other.k0s))
            .then_with(|| self.suffix.cmp(&other.suffix))
    }
}

impl PartialOrd for K0sVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The version text that a Cluster asks for, [`DEFAULT_VERSION`] when it asks for none.
pub fn requested(spec: &ClusterSpec) -> &str {
    spec.version
        .as_deref()
        .filter(|version| !version.is_empty())
        .unwrap_or(DEFAULT_VERSION)
}

/// The k0s image that a Cluster asks for, with tag.
pub fn image(spec: &ClusterSpec) -> String {
    let repository = if spec.image.is_empty() {
        DEFAULT_IMAGE
    } else {
        &spec.image
    };
    format!("{repository}:{}", tag(requested(spec)))
}

/// A text that is no version still names an image, as the user may have built one of that name.
fn tag(version: &str) -> String {
    if let Ok(version) = version.parse::<K0sVersion>() {
        return version.image_tag();
    }
    let tag = version.replace("+k0s.", "-k0s.");
    if tag.contains("-k0s.") {
        tag
    } else {
        format!("{tag}-k0s.0")
    }
}
