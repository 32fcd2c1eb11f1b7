//! Waiting for something to become true: asks at an interval, shows what is in the way, gives
//! up in time.

pub mod condition;

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::output::progress::Progress;
use crate::session::Session;

/// What one look has found.
#[derive(Debug)]
pub enum Look<T> {
    Done(T),
    /// Not yet, and this is in the way.
    Pending(String),
}

/// A wait and its limits.
#[derive(Debug)]
pub struct Wait<'a> {
    /// What for: completes "waiting for ...".
    pub what: &'a str,
    /// How long at most; `None` is for ever.
    pub timeout: Option<Duration>,
    pub interval: Duration,
}

impl Wait<'_> {
    /// Looks until done. An API server that does not answer for a while is waited for too.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the session's hints, or the first answer that waiting cannot
    /// change.
    pub async fn until<T>(
        &self,
        session: &Session,
        mut look: impl AsyncFnMut() -> Result<Look<T>, Error>,
    ) -> Result<T, Error> {
        let progress = Progress::start(&session.out, &format!("waiting for {}", self.what));
        let started = Instant::now();
        let end = self.timeout.map(|timeout| started + timeout);
        loop {
            let looked = match end {
                Some(end) => tokio::time::timeout_at(end, look()).await.ok(),
                None => Some(look().await),
            };
            match looked {
                Some(Ok(Look::Done(value))) => return Ok(value),
                Some(Ok(Look::Pending(state))) => progress.update(&state),
                Some(Err(error)) if error.is_passing() => progress.update(&error.to_string()),
                Some(Err(error)) => return Err(error),
                None => {}
            }
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                let last = progress.last();
                return Err(Error::TimedOut {
                    waited: started.elapsed(),
                    what: self.what.to_owned(),
                    last: if last.is_empty() {
                        "no answer so far".to_owned()
                    } else {
                        last
                    },
                    hints: session.how_to_go_on(),
                });
            }
            let next = now + self.interval;
            tokio::time::sleep_until(end.map_or(next, |end| next.min(end))).await;
        }
    }
}
