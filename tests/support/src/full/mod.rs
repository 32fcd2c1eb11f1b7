//! What full suites share: one mothership with the product installed, cases that run on it one
//! after the other, and what they ask of clusters.

pub mod asker;
pub mod clusters;
pub mod hosted;
pub mod node;
pub mod reach;
pub mod tokens;
pub mod world;

use std::time::Duration;

use anyhow::Result;

/// Asks ten times a second until there is an answer; the last reason why not is in the error.
pub async fn until<T>(
    what: &str,
    within: Duration,
    ask: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T> {
    let pause = Duration::from_millis(100);
    let (answer, _) = crate::until(what, within, pause, ask).await?;
    Ok(answer)
}
