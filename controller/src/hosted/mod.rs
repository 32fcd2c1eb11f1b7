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
use readyz::NotReadyReason;
pub use readyz::{NotReady, ask_readyz};

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
    /// serves for so long all the same. One that ends before that is used to its end: none that is made
    /// after it lasts longer.
    fn new(pair: PemPair, least: Duration) -> Self {
        let facts = inspect(&pair.certificate).ok();
        let times = || {
            let facts = facts?;
            let due = facts
                .renew_at()
                .max(Timestamp::now().checked_add(least).ok()?);
            let ends = facts.not_after.checked_sub(AHEAD).ok()?;
            let is_last = ends <= due;
            Some(if is_last {
                (facts.not_after, facts.not_after)
            } else {
                (due, ends)
            })
        };
        let (renew_at, ends_at) = times().unzip();
        Self {
            pair,
            renew_at,
            ends_at,
        }
    }

    /// One that was made for somebody else: it is due to be replaced as long as it is used, and is not
    /// kept for longer than one of our own.
    fn borrowed(pair: PemPair, longest: SignedDuration) -> Self {
        let now = Timestamp::now();
        let facts = inspect(&pair.certificate).ok();
        let end = facts.and_then(|facts| facts.not_after.checked_sub(AHEAD).ok());
        let latest = now.checked_add(longest).ok();
        Self {
            pair,
            renew_at: Some(now),
            ends_at: end.into_iter().chain(latest).min(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever makes another one each time that one is due makes it at every look.
    #[test]
    fn the_last_certificate_of_an_authority_is_used_until_it_ends() {
        let least = Duration::from_secs(60);
        for left in [2, 29, 31, 80] {
            let left = SignedDuration::from_secs(left);
            let ca = pki::ca::new("kubernetes", Timestamp::now(), left).unwrap();
            let hours = SignedDuration::from_hours(24);
            let cert = ClientCert::new(testing::client_cert(&ca, hours), least);
            assert!(!cert.is_due(), "{left}");
            let end = inspect(&ca.certificate).unwrap().not_after;
            assert_eq!((cert.renew_at, cert.ends_at), (Some(end), Some(end)));
        }
        let ca = testing::new_ca();
        let cert = testing::client_cert(&ca, SignedDuration::from_mins(10));
        let end = inspect(&cert.certificate).unwrap().not_after;
        let cert = ClientCert::new(cert, least);
        assert_eq!(cert.ends_at, Some(end - AHEAD));
        assert!(cert.renew_at < cert.ends_at);
    }
}
