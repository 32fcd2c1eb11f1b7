//! Lines with elapsed times on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
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
            put(&format!("{}\n", self.line(text.as_ref())));
        }
    }

    /// Says until it is dropped that something that prints nothing itself still goes on: on a
    /// terminal in one line that moves, elsewhere in a line every half a minute.
    pub fn beat(&self, what: impl Into<String>) -> Option<Beat> {
        let progress = self.clone();
        let what = what.into();
        if self.quiet {
            None
        } else if std::io::stderr().is_terminal() {
            // What comes next overwrites it.
            Some(Beat::start(
                Duration::from_secs(1),
                "\r\x1b[K",
                move |since| {
                    put(&format!("\r{}\x1b[K", progress.line(&still(&what, since))));
                },
            ))
        } else {
            Some(Beat::start(Duration::from_secs(30), "", move |since| {
                progress.say(still(&what, since));
            }))
        }
    }

    fn line(&self, text: &str) -> String {
        format!("[{:6.1} s] {text}", self.elapsed().as_secs_f64())
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

fn still(what: &str, since: Duration) -> String {
    format!("{what}, {} s so far", since.as_secs())
}

fn put(text: &str) {
    // A closed standard error is no reason to stop.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A thread that says something at a steady pace until this is dropped.
#[derive(Debug)]
pub struct Beat {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// What takes the last words away.
    wipe: &'static str,
}

impl Beat {
    fn start(pace: Duration, wipe: &'static str, say: impl Fn(Duration) + Send + 'static) -> Self {
        let (end, ended) = channel();
        let started = Instant::now();
        let thread = std::thread::spawn(move || {
            while ended.recv_timeout(pace) == Err(RecvTimeoutError::Timeout) {
                say(started.elapsed());
            }
        });
        Self {
            end: Some(end),
            thread: Some(thread),
            wipe,
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        put(self.wipe);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_says_that_it_goes_on_until_it_is_dropped_and_ends_at_once() {
        let (said, heard) = channel();
        let beat = Beat::start(Duration::from_millis(10), "", move |since| {
            let _ = said.send(still("building kubelet", since));
        });
        for _ in 0..3 {
            let line = heard.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(line, "building kubelet, 0 s so far");
        }
        drop(beat);
        // Nobody is left to say anything.
        assert!(heard.iter().count() < 1000);

        let started = Instant::now();
        drop(Beat::start(Duration::from_secs(600), "", |_| ()));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
