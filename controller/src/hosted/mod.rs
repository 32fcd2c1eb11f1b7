//! The client of a hosted cluster.
//!
//! A hosted API may be slow, half started, gone, or in the hands of somebody hostile, so here is
//! what every call to it keeps to:
//!
//! - it ends after [`CALL_DEADLINE`] at the latest, connecting after [`CONNECT_TIMEOUT`];
//! - it trusts the cluster's own authority and the one name that its certificate must have, and
//!   goes through no proxy;
//! - it is tried once: whoever calls knows better when to try again;
//! - no more than [`MAX_ANSWER`] bytes of an answer are read;
//! - neither requests nor answers are logged, as both may hold a token's secret.
//!
//! A reconcile calls when it is its turn ([`turns`]): an API that hangs must not hold up others. For
//! readiness it does not even wait that long: [`health::ReadinessPoller`] asks in the background and
//! calls back when the answer changes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pki::{PemPair, inspect};

pub mod health;
pub mod nodes;
pub mod tokens;
pub mod turns;

mod client;
mod endpoint;
mod error;
mod readyz;

pub use client::{connect, deadline};
pub use endpoint::Endpoint;
pub use error::HostedError;
pub use readyz::{NotReady, READYZ_DEADLINE, ask_readyz};

/// How long before its end a certificate is asked with no more: the clock of the API may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_secs(30);

/// The certificate that a hosted API is asked with.
#[derive(Clone)]
struct ClientCert {
    pair: PemPair,
    /// When it is due to be replaced.
    renew_at: Option<Timestamp>,
    /// When it is good for nothing any more.
    ends_at: Option<Timestamp>,
}

impl ClientCert {
    /// One that is made now: of a CA that is about to expire it is due as soon as it is made, and
    /// serves for so long all the same.
    fn new(pair: PemPair, least: Duration) -> Self {
        let facts = inspect(&pair.certificate).ok();
        let renew_at = || {
            let due = facts.as_ref()?.renew_at();
            Some(due.max(Timestamp::now().checked_add(least).ok()?))
        };
        Self {
            renew_at: renew_at(),
            ends_at: facts.and_then(|facts| facts.not_after.checked_sub(AHEAD).ok()),
            pair,
        }
    }

    fn has_ended(&self) -> bool {
        self.ends_at.is_some_and(|end| end <= Timestamp::now())
    }

    fn is_due(&self) -> bool {
        self.has_ended() || self.renew_at.is_some_and(|due| due <= Timestamp::now())
    }
}

impl PartialEq for ClientCert {
    fn eq(&self, other: &Self) -> bool {
        self.pair == other.pair
    }
}

#[cfg(test)]
pub(crate) mod testing;
