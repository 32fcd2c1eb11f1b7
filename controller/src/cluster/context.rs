//! What a reconcile works with, the mothership in which its children are included.

use crds::v1beta2::Cluster;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use runtime::backoff::Failures;
use runtime::events::Events;
use tokio::sync::Semaphore;

use crate::apply::{Damping, NoOpApplies};
use crate::hosted::health::ReadinessPoller;
use crate::hosted::nodes::NodePoller;
use crate::hosted::turns::Turns;
use crate::kubernetes::Mothership;
use crate::kubernetes::primary::{PrimaryError, PrimaryWriter};
use crate::metrics::Metrics;

/// How long leaf certificates last unless a flag says otherwise.
pub const LEAF_LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Clusters whose children are written at a time. Each writes all of them together: with more the API
/// server, which takes 200 writes at once unless told otherwise, turns some away, and each takes most of
/// a megabyte. Who waits for a hosted API holds up none of them.
pub const ROUNDS_AT_ONCE: usize = 8;

/// What a reconcile works with.
pub struct Context {
    /// Where its children are.
    pub mothership: Mothership,
    /// Asks hosted APIs whether they are ready.
    pub prober: ReadinessPoller,
    /// Counts the nodes of hosted clusters.
    pub census: NodePoller,
    /// Who may call hosted APIs from a reconcile.
    pub turns: Turns,
    /// Tells people.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// How long leaf certificates last.
    pub leaf_lifetime: SignedDuration,
    /// Of Clusters whose children are written at a time.
    pub rounds: Semaphore,
    /// Applies that change nothing.
    pub no_op_applies: NoOpApplies,
    /// Writes that are held back.
    pub damping: Damping,
    /// Writes Clusters themselves.
    pub primary: PrimaryWriter<Cluster>,
    /// Attempts that failed in a row, by uid.
    pub failures: Failures,
    /// Those whose API this process has not asked, by uid.
    pub unasked: Failures,
}

/// Why a reconcile did not end well, where the status does not say so: it could not be written, or
/// the Cluster is changing under our hands.
pub type Error = PrimaryError;

/// The reference of an event.
pub fn reference(cluster: &Cluster) -> ObjectReference {
    cluster.object_ref(&())
}
