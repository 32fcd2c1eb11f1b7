//! Key material of hosted clusters: CAs, leaf certificates, kubeconfigs, join tokens.
//!
//! Everything here is a pure function of its arguments, the time and the operating system's
//! randomness. Nothing talks to an API, and nothing reads the clock: callers pass `now`, so that
//! a test can put a certificate at any point of its life.
//!
//! What is made is ECDSA P-256 in PKCS#8. What is taken over may be anything upstream or a user's
//! own PKI writes: RSA in PKCS#1 or PKCS#8, P-256 or P-384 in SEC1 or PKCS#8, Ed25519 in PKCS#8.
//!
//! Private keys are [`PrivateKey`]s and token secrets are [`token::TokenSecret`]s: both hide themselves
//! from `Debug` and are wiped from memory when dropped.

#![warn(missing_docs)]

pub mod address;
pub mod ca;
pub mod inspect;
pub mod kubeconfig;
pub mod leaf;
pub mod token;

mod error;
#[cfg(test)]
mod fuzz;
mod key;
mod pem;
mod validity;

pub use error::PkiError;
pub use inspect::{CertificateFacts, inspect, key_matches, renew_at};
pub use key::{PemPair, PrivateKey, service_account};
pub use pem::certificates;
pub use validity::BACKDATE;

#[cfg(test)]
pub(crate) mod fixtures;
