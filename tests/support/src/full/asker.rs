//! Somebody who asks a hosted API five times a second, and remembers how long it was silent.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Config};
use tokio::sync::{mpsc, oneshot};

/// How often it asks.
const EVERY: Duration = Duration::from_millis(200);
/// How long it waits for an answer; it goes on asking meanwhile.
const DEADLINE: Duration = Duration::from_secs(1);

/// One question, seen from the start of the asking.
#[derive(Clone, Debug)]
struct Asked {
    at: Duration,
    answered: Duration,
    error: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    asked: Vec<Asked>,
    lasted: Duration,
}

impl Report {
    /// The longest time without an answer.
    pub fn longest_gap(&self) -> Duration {
        let mut answers: Vec<Duration> = self
            .asked
            .iter()
            .filter(|asked| asked.error.is_none())
            .map(|asked| asked.answered)
            .collect();
        answers.sort();
        answers.push(self.lasted);
        let mut last = Duration::ZERO;
        let mut longest = Duration::ZERO;
        for answer in answers {
            longest = longest.max(answer.saturating_sub(last));
            last = answer;
        }
        longest
    }

    /// Questions without a good answer in time.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.asked.iter().filter_map(|asked| {
            let error = asked.error.as_ref()?;
            Some(format!("{:.1} s: {error}", asked.at.as_secs_f64()))
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures: Vec<String> = self.failures().collect();
        write!(
            f,
            "longest time without an answer {:.2} s ({} questions in {:.0} s, {} failed)",
            self.longest_gap().as_secs_f64(),
            self.asked.len(),
            self.lasted.as_secs_f64(),
            failures.len()
        )?;
        for failure in failures.iter().take(5) {
            write!(f, "\n    {failure}")?;
        }
        Ok(())
    }
}

/// A real read over a new connection.
async fn ask(config: Config) -> Result<(), String> {
    let question = async {
        let client = Client::try_from(config)?;
        Api::<Namespace>::all(client).get("default").await
    };
    match tokio::time::timeout(DEADLINE, question).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(causes(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// An error with all its causes: the outermost rarely says what happened.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Asks while something happens.
pub async fn while_asking<T>(
    config: &Config,
    action: impl Future<Output = Result<T>>,
) -> Result<(T, Report)> {
    let (stop, mut stopped) = oneshot::channel::<()>();
    let (send, mut receive) = mpsc::unbounded_channel();
    let started = Instant::now();
    let config = config.clone();
    let asking = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = &mut stopped => return,
            }
            let (config, send) = (config.clone(), send.clone());
            tokio::spawn(async move {
                let at = started.elapsed();
                let error = ask(config).await.err();
                let answered = started.elapsed();
                // Nobody listens any more once the action has failed.
                let _ = send.send(Asked {
                    at,
                    answered,
                    error,
                });
            });
        }
    });
    let outcome = action.await;
    drop(stop);
    asking.await?;
    let lasted = started.elapsed();
    let mut asked = Vec::new();
    while let Some(one) = receive.recv().await {
        asked.push(one);
    }
    Ok((outcome?, Report { asked, lasted }))
}
