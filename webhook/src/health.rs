//! What has to be there before anybody may be sent to this replica.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cache::Watches;
use crate::certificates::Served;

/// What has to be there before anybody may be sent here.
#[derive(Clone)]
pub struct Gates {
    /// The stores.
    pub watches: Watches,
    /// The certificate.
    pub served: Served,
    /// Whether the API servers were once told how to verify it.
    pub published: Arc<AtomicBool>,
    /// Whether this replica goes.
    pub stop: CancellationToken,
}

impl Gates {
    fn missing<'a>(&self, lists: impl Iterator<Item = &'a str>) -> Vec<String> {
        let first_list = |kind: &str| format!("the first list of {kind}");
        let mut missing: Vec<String> = lists.map(first_list).collect();
        if !self.served.is_there() {
            missing.push("a certificate".to_owned());
        } else if !self.published.load(Relaxed) {
            missing.push("caBundle to hold the CA of the certificate".to_owned());
        }
        missing
    }

    /// Why nobody may be sent here yet, or any more.
    pub fn unready(&self) -> Option<String> {
        if self.stop.is_cancelled() {
            return Some("stopping".to_owned());
        }
        let missing = self.missing(self.watches.missing_first());
        (!missing.is_empty()).then(|| format!("waiting for {}", missing.join(", ")))
    }

    /// Waits until nothing is missing.
    pub async fn ready(&self) {
        while !self.missing(self.watches.missing()).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
