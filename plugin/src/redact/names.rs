//! Which names stand before something secret.

use regex::Regex;

/// Words of names whose value is secret whatever it looks like.
pub(super) const STRONG: &str = r"passw|(?:\b|[-_.])pass(?:\b|[-_.])|[-_.]pwd\b|passphrase|passcode|credential|authorization|cookie|dockerconfigjson|connection[-_.]?string|client[-_.]?key[-_.]?data|(?:api|access|private|encryption|signing|shared|master|account|session|secret)[-_.]?key";
/// Words of names that also stand before a name or a message: `token: Unauthorized`.
pub(super) const WEAK: &str = "token|secret";

/// Ends of names that tell about a secret and are none, in lower case without `-`, `_` and `.`.
const ABOUT: [&str; 35] = [
    "name",
    "names",
    "namespace",
    "ref",
    "refs",
    "id",
    "ids",
    "path",
    "paths",
    "file",
    "dir",
    "folder",
    "kubeconfig",
    "url",
    "mode",
    "kind",
    "type",
    "class",
    "version",
    "group",
    "groups",
    "issuer",
    "audience",
    "audiences",
    "metadata",
    "seconds",
    "ttl",
    "duration",
    "expiration",
    "period",
    "count",
    "syncs",
    "status",
    "request",
    "requests",
];

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    Nothing,
    Weak,
    Strong,
}

/// What a name says of its value.
pub(super) fn says(strong: &Regex, name: &str) -> Says {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if ABOUT.iter().any(|end| plain.ends_with(end)) {
        Says::Nothing
    } else if strong.is_match(name) || plain == "auth" {
        Says::Strong
    } else if WEAK.split('|').any(|word| plain.contains(word)) {
        Says::Weak
    } else {
        Says::Nothing
    }
}

/// Values that let nobody in.
pub(super) fn is_harmless(value: &str) -> bool {
    let punctuation = [',', ';', '}', ']', ')'];
    let plain = value.trim_end_matches(punctuation);
    let behind_mark = value.strip_prefix(super::MARK);
    matches!(
        plain,
        "" | "true" | "false" | "null" | "none" | "<none>" | "nil" | "<nil>" | "{" | "["
    ) || behind_mark.is_some_and(|rest| rest.trim_end_matches(punctuation).is_empty())
}
