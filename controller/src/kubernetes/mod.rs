//! What kube lacks: pruned stores of the children, and their watches.
//!
//! ```text
//! watches ──events──▶ Store ──owner──▶ Triggers ──▶ reconcile
//!                       ▲                              │
//!                       └────── what a write returned ─┘
//! ```

pub mod primary;
pub mod requeue;
pub mod store;
pub mod watches;
pub mod writer;

use self::store::Store;
use self::watches::Watches;
use self::writer::Writer;

/// A cluster in which children are: what is known of it and how it is written to. A second one is a
/// second value of this.
#[derive(Clone)]
pub struct Mothership {
    /// What the watches have brought.
    pub store: Store,
    /// The watches, for Secrets that a user names.
    pub watches: Watches,
    /// Writes children.
    pub writer: Writer,
}
