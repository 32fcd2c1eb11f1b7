//! What Kubernetes itself says of the texts that it refuses.

/// Of the name of a namespace, a volume or a Cluster.
pub const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', must start and end with an alphanumeric character, and must be no more than 63 characters";

/// Of the name that an object, or a host, can have.
pub const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

/// Of the value of a label or a taint.
pub const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', must start and end with an alphanumeric character, and must be no more than 63 characters";

/// Of the key of a label, a taint or an annotation.
pub const KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', must start and end with an alphanumeric character, and must be no more than 63 characters; an optional DNS subdomain prefix and '/' may precede it";

pub(crate) const PORT: &str = "must be between 1 and 65535, inclusive";

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

pub(crate) const QUANTITY: &str = "must be a quantity such as 500m or 1Gi";

pub(crate) const DURATION: &str = "must be a duration such as 24h or 1h30m";

/// Whether a terminal obeys it: control characters, and those that turn the direction of what is
/// read around.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
