//! `support-bundle`.

pub mod redact;
