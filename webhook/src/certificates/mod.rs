//! The webhook's own certificates: made, renewed and taken up without anybody's help.
//!
//! ```text
//! Secret ──▶ served (every replica)
//!   ▲  └──▶ plan ──▶ keeper (the replica that leads)
//!   └───────────────────┤
//!         bundles ◀─────┘
//! ```

pub mod bundles;
pub mod keeper;
pub mod material;
pub mod plan;
pub mod secret;
pub mod served;

pub use served::Served;
