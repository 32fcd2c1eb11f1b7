//! The server over real TLS: its limits, its end, and new certificates under load.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test gets ready is a part of the test"
)]

mod client;
mod end;
mod limits;
mod renewal;
mod scene;
mod sharing;

use std::time::Duration;

/// What a test waits at most for what happens after a fraction of a second.
const SOON: Duration = Duration::from_secs(5);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what)
        .await
        .expect("it takes too long")
}
