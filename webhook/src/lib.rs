//! Admission, conversion and policies: what the API server asks about the product's objects.
//!
//! ```text
//! API server ──TLS──▶ server ──bytes──▶ review ──Request──▶ kinds ──▶ Decision
//!                                                             ▲
//!                                  watches ──▶ known ─Mothership─┘
//! ```
//!
//! Only `server`, `known::watches`, `certificates::keeper` and `audit` do I/O: what decides is plain
//! functions over what was sent and what is known.

pub mod args;
pub mod audit;
pub mod certificates;
pub mod health;
pub mod kinds;
pub mod known;
pub mod metrics;
pub mod review;
pub mod run;
pub mod server;
