//! Lines with elapsed times on standard error.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Says what happens and since when; silent when `MOTHERSHIP_QUIET` is set.
#[derive(Clone, Debug)]
pub struct Progress {
    started: Arc<Instant>,
    quiet: bool,
}

impl Progress {
    /// Starts the clock.
    pub fn new() -> Self {
        Self {
            started: Arc::new(Instant::now()),
            quiet: std::env::var_os("MOTHERSHIP_QUIET").is_some(),
        }
    }

    /// One line: seconds since the start, then the text.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            let seconds = self.started.elapsed().as_secs_f64();
            // A closed standard error is no reason to stop.
            let _ = writeln!(std::io::stderr(), "[{seconds:6.1} s] {}", text.as_ref());
        }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
