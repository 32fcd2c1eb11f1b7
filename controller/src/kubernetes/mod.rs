//! The mothership: what is known of its objects (`store`, fed by `watches`; our own kinds by `primaries`; `pulse` knows how the watches are), how they are written
//! (`writer`, `primary`), what is wrong with pods (`pods`), and who has to reconcile again (`requeue`). `mothership` holds what one mothership is, and
//! is where a second one (a remote host cluster) comes in.
//!
//! ```text
//! watches ──events──▶ Store ──owner──▶ requeue  ──▶ reconcile
//!                       ▲                              │
//!                       └────── what a write returned ─┘
//! ```

#[cfg(test)]
pub(crate) mod fixtures;
mod mothership;
pub mod pods;
pub mod primaries;
pub mod primary;
pub mod pulse;
pub mod requeue;
pub mod store;
pub mod watches;
pub mod writer;

pub use self::mothership::Mothership;
