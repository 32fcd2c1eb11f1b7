//! What every process of the product needs, whatever it does: a client, a log, signals, a name of
//! its own, leader election, events, health and metrics over HTTP, what the callers of a
//! server share, and watches that one bad object cannot stop.

#![warn(missing_docs)]

pub mod backoff;
mod deadline;
pub mod events;
pub mod health;
pub mod leader;
mod process;
pub mod shares;
mod unwind;
mod watch;

pub use process::{Log, LogFormat, client, identity, init, stop_on_signals};
pub use unwind::unwinding;
pub use watch::{Presence, Read, Unreadable, guarded, last_known, synced, watch_config};
