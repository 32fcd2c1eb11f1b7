//! The webhook's own certificates: made, renewed and taken up without anybody's help.
//!
//! ```text
//! Secret ──▶ resolver (every replica)
//!   ▲  └──▶ state ──▶ plan ──▶ rotator (the replica that leads)
//!   └─────────────────────────────┤
//!                 ca_bundles ◀────┘
//! ```

pub mod ca_bundles;
#[cfg(test)]
mod fuzz;
mod newest;
pub mod plan;
pub mod resolver;
pub mod rotator;
pub mod secret;
pub mod state;

pub use resolver::Served;
