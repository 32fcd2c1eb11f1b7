//! What full suites share: one mothership with the product installed, cases that run on it one
//! after the other, and what they ask of clusters.

pub mod asker;
pub mod clusters;
pub mod hosted;
pub mod node;
pub mod reach;
pub mod tokens;
pub mod world;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks ten times a second until there is an answer; the last reason why not is in the error.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(why) if started.elapsed() > within => {
                bail!("{what}: not within {} s: {why}", within.as_secs())
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
