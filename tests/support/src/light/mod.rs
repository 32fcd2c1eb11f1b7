//! What suites share that run the product against an API server without nodes: a mothership with the
//! product installed, a scene of its own for each case, and controller and webhook as processes.

pub mod children;
pub mod forbid;
pub mod kubectl;
pub mod pool;
pub mod process;
pub mod rights;
pub mod scene;
pub mod webhook;
pub mod world;

use std::time::Duration;

use anyhow::Result;

/// The namespace of the product, where the lease is.
pub const PRODUCT: &str = "k0smotron";

/// What is promised to take a second fails a test only at ten times that.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks fifty times a second until there is an answer, which comes back with the time it took;
/// the last reason why not is in the error.
pub async fn until<T>(
    what: &str,
    within: Duration,
    ask: impl AsyncFnMut() -> Result<T, String>,
) -> Result<(T, Duration)> {
    crate::until(what, within, Duration::from_millis(20), ask).await
}
