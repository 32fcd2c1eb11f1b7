//! Pairs made by `openssl`, checked in under `tests/fixtures`.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{PemPair, PrivateKey};

/// Where the pairs are.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A pair by name.
pub(crate) fn pair(name: &str) -> PemPair {
    let read = |extension: &str| {
        std::fs::read_to_string(directory().join(format!("{name}.{extension}"))).unwrap()
    };
    PemPair {
        certificate: read("crt"),
        key: PrivateKey::new(read("key")),
    }
}

/// A moment within the life of every fixture, so that no test depends on the machine's clock.
pub(crate) fn now() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}
