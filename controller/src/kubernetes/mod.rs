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
