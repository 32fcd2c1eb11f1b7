//! How the fields of the configuration are described.

use super::text;

/// What a value has to be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Anything: k0s does not look at it, or never sees what the user wrote.
    Any,
    Bool,
    /// A whole number, within limits.
    Integer(i64, i64),
    /// A number above 0, up to 1.
    Fraction,
    Text(Text),
    /// A text such as `1h30m`, and no null.
    Duration,
    DurationOrNull,
    /// A null or a number of nanoseconds are as good.
    DurationOrNumber,
    /// Keys of the user's.
    Map(&'static Self),
    List(&'static Self),
    Object(&'static [Field]),
}

/// What a text has to be.
#[derive(Clone, Copy)]
pub(super) enum Text {
    Free,
    /// An empty one that is among these counts as left out.
    OneOf(&'static [&'static str]),
    Like(fn(&str) -> bool, &'static str),
    /// The same, never to be shown.
    Secret(fn(&str) -> bool, &'static str),
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// An item without it is refused, and so is an empty one.
    pub(super) required: bool,
    /// k0s goes on without what it does not know from here on, instead of ending over it.
    pub(super) lenient: bool,
    /// The first release of each minor version that has it; minor versions after the last have it.
    pub(super) since: &'static [(u64, u64)],
    /// Where values are looked at: by the object around and k0s' minor version.
    pub(super) counts: fn(&serde_json::Value, u64) -> bool,
}

impl Field {
    pub(super) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    pub(super) const fn lenient(self) -> Self {
        Self {
            lenient: true,
            ..self
        }
    }

    pub(super) const fn since(self, since: &'static [(u64, u64)]) -> Self {
        Self { since, ..self }
    }

    pub(super) const fn counts(self, counts: fn(&serde_json::Value, u64) -> bool) -> Self {
        Self { counts, ..self }
    }
}

pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
        lenient: false,
        since: &[],
        counts: |_, _| true,
    }
}

pub(super) const INT: Kind = Kind::Integer(i64::MIN, i64::MAX);
pub(super) const INT32: Kind = Kind::Integer(i32::MIN as i64, i32::MAX as i64);
pub(super) const PORT: Kind = Kind::Integer(1, 65535);
/// Where a zero counts as left out.
pub(super) const PORT_OR_NONE: Kind = Kind::Integer(0, 65535);
pub(super) const TEXT: Kind = Kind::Text(Text::Free);
pub(super) const TEXTS: Kind = Kind::List(&TEXT);
pub(super) const MAP: Kind = Kind::Map(&TEXT);
pub(super) const CIDR: Kind = Kind::Text(Text::Like(text::is_cidr, text::CIDR));

pub(super) const V32: &[(u64, u64)] = &[(32, 0)];
pub(super) const V33: &[(u64, u64)] = &[(33, 0)];
pub(super) const V34: &[(u64, u64)] = &[(34, 0)];
pub(super) const V35: &[(u64, u64)] = &[(35, 0)];
pub(super) const V36: &[(u64, u64)] = &[(36, 0)];

pub(super) const EXTRA_ARGS: Field = field("extraArgs", MAP);
pub(super) const RAW_ARGS: Field = field("rawArgs", TEXTS).since(V34);
