//! Ranges of Kubernetes versions.

use semver::{Version, VersionReq};

/// A text that is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseRangeError {
    #[error("must be a range of versions such as \">=1.35.0 <1.37.0\" or \"1.36\": {0}")]
    Malformed(String),
    #[error("must not contain the k0s build: ranges are of Kubernetes versions")]
    K0s,
}

/// A range of versions.
#[derive(Clone, Debug)]
pub(super) struct Range(VersionReq);

impl Range {
    /// Reads a range such as `>=1.35.0 <1.37.0`.
    pub(super) fn parse(text: &str) -> Result<Self, ParseRangeError> {
        if text.contains('+') || text.contains("k0s") {
            return Err(ParseRangeError::K0s);
        }
        let operator = |c: char| "<>=~^".contains(c);
        let mut parts: Vec<String> = Vec::new();
        let mut open = String::new();
        for word in text
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
        {
            open.push_str(word);
            // An operator may stand apart from its version.
            if !open.ends_with(operator) {
                parts.push(comparator(&std::mem::take(&mut open)));
            }
        }
        if !open.is_empty() {
            return Err(ParseRangeError::Malformed(format!(
                "nothing follows {open}"
            )));
        }
        if parts.is_empty() {
            return Err(ParseRangeError::Malformed("it is empty".to_owned()));
        }
        VersionReq::parse(&parts.join(", "))
            .map(Self)
            .map_err(|error| ParseRangeError::Malformed(error.to_string()))
    }

    /// Whether the version is in it.
    pub(super) fn contains(&self, version: &Version) -> bool {
        self.0.matches(version)
    }
}

/// One comparison as the library reads it. A version by itself stands for that version there, for
/// everything compatible with it here: which no reader of a policy would expect.
fn comparator(word: &str) -> String {
    let digits = word.find(|c: char| !"<>=~^".contains(c)).unwrap_or(0);
    let (operator, version) = word.split_at_checked(digits).unwrap_or(("", word));
    let version = version.strip_prefix('v').unwrap_or(version);
    if operator.is_empty() && !version.contains(['*', 'x', 'X']) {
        format!("={version}")
    } else {
        format!("{operator}{version}")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Range;

    #[rstest]
    #[case(">=1.35.0 <1.37.0", "1.36.3", true)]
    #[case(">=1.35.0 <1.37.0", "1.35.0", true)]
    #[case(">=1.35.0 <1.37.0", "1.37.0", false)]
    #[case(">=1.35.0 <1.37.0", "1.34.9", false)]
    #[case(">= v1.35, < 1.37", "1.36.3", true)]
    #[case(">=1.35.0 <1.37.0", "1.36.0-rc.1", false)]
    #[case(">=1.36.0-rc.1", "1.36.0-rc.2", true)]
    #[case("1.36", "1.36.9", true)]
    #[case("1.36", "1.37.0", false)]
    #[case("v1.36.3", "1.36.3", true)]
    #[case("1.36.3", "1.36.4", false)]
    #[case("1.36.*", "1.36.4", true)]
    #[case("~1.36.2", "1.36.1", false)]
    fn a_version_is_in_a_range(#[case] range: &str, #[case] version: &str, #[case] inside: bool) {
        let range = Range::parse(range).unwrap();
        assert_eq!(range.contains(&version.parse().unwrap()), inside);
    }

    #[rstest]
    #[case("")]
    #[case(" , ")]
    #[case(">=")]
    #[case(">=1.35 <")]
    #[case("latest")]
    #[case("1.36.3+k0s.0")]
    #[case("1.36.3-k0s.0")]
    #[case("1.36 || 1.35")]
    fn other_texts_are_no_range(#[case] text: &str) {
        assert!(Range::parse(text).is_err());
    }
}
