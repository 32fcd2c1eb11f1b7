//! Admission, conversion and policies: what the API server asks about the product's objects.
//!
//! ```text
//! API server ──TLS──▶ server ──bytes──▶ review ──Request──▶ handlers ──▶ Decision
//!                                                              ▲
//!                                   watches ──▶ cache ─Mothership─┘
//! ```
//!
//! What decides (`review`, `handlers`, `cache::tables`, `certificates::{plan, state}`) is plain
//! functions over what was sent and what is known; I/O is done around it.

pub mod args;
mod audit;
mod cache;
pub mod certificates;
pub mod handlers;
mod health;
pub mod metrics;
pub mod review;
pub mod run;
pub mod server;
