//! What has to be there before this replica says that it is ready.

use tokio::sync::watch;

use crate::kubernetes::pulse::Pulse;
use crate::kubernetes::watches::Watches;

/// What has to be there before this replica can take over.
#[derive(Clone)]
pub struct Gates {
    /// The children's watches.
    pub watches: Watches,
    /// The first list of Clusters.
    pub clusters: watch::Receiver<bool>,
    /// The first list of JoinTokenRequests.
    pub requests: watch::Receiver<bool>,
    /// How all of these watches are.
    pub pulse: Pulse,
}

impl Gates {
    /// What is waited for, or was lost again; `None` when all is there.
    pub fn unready(&self) -> Option<String> {
        let missing: Vec<&str> = [
            (self.watches.ready(), "the first lists of the children"),
            (
                *self.clusters.borrow(),
                "the first list of clusters.k0smotron.io",
            ),
            (
                *self.requests.borrow(),
                "the first list of jointokenrequests.k0smotron.io",
            ),
        ]
        .into_iter()
        .filter(|(ready, _)| !ready)
        .map(|(_, what)| what)
        .collect();
        if !missing.is_empty() {
            return Some(format!("waiting for {}", missing.join(", ")));
        }
        let stale = self.pulse.stale();
        (!stale.is_empty()).then(|| format!("the watches of {} keep failing", stale.join(", ")))
    }
}
