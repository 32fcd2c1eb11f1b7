//! Waiting for the end.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Resolves at the first SIGTERM or SIGINT.
///
/// # Errors
/// When a signal handler cannot be installed.
pub async fn terminated() -> Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => tracing::info!("received SIGTERM, stopping"),
        _ = int.recv() => tracing::info!("received SIGINT, stopping"),
    }
    Ok(())
}

/// Waits until a switch is on, or nobody is left who could turn it on.
pub async fn on(switch: &mut watch::Receiver<bool>) {
    switch.wait_for(|on| *on).await.ok();
}

/// Waits until a switch is off, or nobody is left who could turn it off.
pub async fn off(switch: &mut watch::Receiver<bool>) {
    switch.wait_for(|on| !*on).await.ok();
}
