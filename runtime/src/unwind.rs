//! Panics that stay where they are.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// What comes of a future; nothing where it panics, with what it said on standard error already. What it
/// shares with others must not be left half changed by that: locks that are not poisoned and hold what is
/// read anew from elsewhere.
pub async fn unwinding<T>(future: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_what_panics_and_nothing_else() {
        assert_eq!(unwinding(async { 1 }).await, Some(1));
        let read = |text: &str| text.parse::<u8>().unwrap();
        assert_eq!(unwinding(async { read("x") }).await, None);
    }
}
