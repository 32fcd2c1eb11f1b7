//! What suites share: a world that takes a while to make, cases that run on it, and what they ask
//! of it. `full` is a mothership with pods and worker machines, `light` one without nodes.

pub mod bundle;
pub mod faults;
pub mod full;
mod kubectl;
pub mod light;
pub mod released;
pub mod runner;
pub mod tokens;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks until there is an answer, which comes back with the time it took; the last reason why not
/// is in the error.
async fn until<T>(
    what: &str,
    within: Duration,
    pause: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> Result<(T, Duration)> {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok((answer, started.elapsed())),
            Err(why) if started.elapsed() > within => {
                bail!("{what}: not within {} s: {why}", within.as_secs())
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
    }
}
