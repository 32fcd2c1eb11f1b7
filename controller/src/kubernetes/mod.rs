//! The mothership: what is known of its objects and how they are written. What kube lacks for it is
//! pruned stores of the children, and their watches. `mothership` holds what one mothership is, and
//! is where a second one (a remote host cluster) comes in.
//!
//! ```text
//! watches ──events──▶ Store ──owner──▶ Triggers ──▶ reconcile
//!                       ▲                              │
//!                       └────── what a write returned ─┘
//! ```

mod mothership;
pub mod primary;
pub mod requeue;
pub mod store;
pub mod watches;
pub mod writer;

pub use self::mothership::Mothership;
