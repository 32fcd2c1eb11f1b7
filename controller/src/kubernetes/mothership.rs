//! One mothership: a cluster in which children are. A second one, the remote host cluster of
//! `spec.remoteHostCluster`, is a second value of [`Mothership`], chosen in
//! `cluster/context.rs`; today there is one.

use super::pods::PodPoller;
use super::store::Store;
use super::watches::Watches;
use super::writer::Writer;

/// A cluster in which children are: what is known of it and how it is written to.
#[derive(Clone)]
pub struct Mothership {
    /// What the watches have brought.
    pub store: Store,
    /// The watches, for Secrets that a user names.
    pub watches: Watches,
    /// Writes children.
    pub writer: Writer,
    /// What is wrong with pods.
    pub pods: PodPoller,
}
