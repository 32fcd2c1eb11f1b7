//! What kube lacks: pruned stores of the children, their watches, leader election, events.
//!
//! ```text
//! watches ──events──▶ Store ──owner──▶ Triggers ──▶ reconcile
//!                       ▲                              │
//!                       └────── what a write returned ─┘
//! ```

pub mod events;
pub mod leader;
pub mod own;
pub mod store;
pub mod triggers;
pub mod watches;
pub mod writer;
