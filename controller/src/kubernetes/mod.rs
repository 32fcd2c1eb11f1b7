//! What kube lacks: pruned stores of the children, and their watches.
//!
//! ```text
//! watches ──events──▶ Store ──owner──▶ Triggers ──▶ reconcile
//!                       ▲                              │
//!                       └────── what a write returned ─┘
//! ```

pub mod own;
pub mod store;
pub mod triggers;
pub mod watches;
pub mod writer;
