//! Renews the webhook's certificates: the replica that leads does what the plan says.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use pki::PkiError;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::certificates::ca_bundles::{CaBundles, PublishError};
use crate::certificates::plan::{Change, Material, Timings, plan};
use crate::certificates::secret::{self, SeenSecret, WriteError};
use crate::certificates::state::Stored;
use crate::metrics::Metrics;

/// The longest rest: a clock may be set meanwhile.
const REST: Duration = Duration::from_secs(60);
/// The wait after an error.
const RETRY: Duration = Duration::from_secs(2);
/// How long the watch may take to bring what was written.
const ECHO: Duration = Duration::from_secs(2);

/// Renews the certificate and keeps the bundles right.
pub struct Rotator {
    /// Client of the cluster.
    pub client: Client,
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub secret: String,
    /// What the certificate has to be good for.
    pub names: Vec<String>,
    /// How long things take.
    pub timings: Timings,
    /// The bundles.
    pub bundles: CaBundles,
    /// The Secret, as it is watched.
    pub seen: watch::Receiver<SeenSecret>,
    /// Counts what was done.
    pub metrics: Metrics,
    /// What the Secret held when it was last of any use: it is written back when it is lost.
    pub kept: Option<Stored>,
    /// When a CA became the current one, and when that was seen here: clocks of replicas differ.
    pub promoted: Option<(Timestamp, Timestamp)>,
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Make(#[from] PkiError),
}

impl Rotator {
    /// Does its work whenever this replica leads, until the stop.
    pub async fn run(mut self, mut leads: watch::Receiver<bool>, stop: CancellationToken) {
        let mut changes = self.bundles.changes();
        loop {
            let work = async {
                if leads.wait_for(|leads| *leads).await.is_err() {
                    return std::future::pending().await;
                }
                // What changes from here on is looked at in the next turn.
                changes.mark_unchanged();
                let rest = self.turn().await;
                tokio::select! {
                    _ = changes.changed() => {}
                    _ = self.seen.changed() => {}
                    () = tokio::time::sleep(rest) => {}
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = work => {}
            }
        }
    }

    /// One look and what comes of it; gives the time until the next.
    async fn turn(&mut self) -> Duration {
        let seen = self.seen.borrow_and_update().clone();
        let stored = match &seen {
            SeenSecret::Unknown => return REST,
            SeenSecret::Missing => Stored::default(),
            SeenSecret::There(secret) => Stored::read(secret),
        };
        let now = Timestamp::now();
        let bundles = self.bundles.all();
        if self.promoted.map(|(written, _)| written) != stored.promoted() {
            self.promoted = stored.promoted().map(|written| (written, now));
        }
        let promoted = self.promoted.map(|(_, seen)| seen);
        let step = |stored: &Stored| {
            let facts = Material {
                promoted,
                ..stored.facts(&self.names)
            };
            plan(&facts, bundles.as_deref(), self.timings, now)
        };
        let begins = |stored: &Stored| step(stored).change == Some(Change::Begin);
        if !begins(&stored) {
            self.kept = Some(stored.clone());
        } else if let Some(kept) = self.kept.take_if(|kept| !begins(kept)) {
            let result = self.write(&seen, &kept).await;
            let failed = self.report("restore", result);
            self.kept = Some(kept);
            return if failed { RETRY } else { Duration::ZERO };
        }
        let step = step(&stored);
        let (mut failed, mut next) = (false, step.again);
        if let Some(text) = &step.publish {
            let what = "published the CAs";
            match self.bundles.publish(text, now).await {
                Ok(None) => drop(self.report(what, Ok(()))),
                Ok(Some(held)) => next = next.min(held),
                Err(error) => failed |= self.report(what, Err(error.into())),
            }
        }
        if let Some(change) = step.change {
            let result = match stored.changed(change, &self.names, self.timings, now) {
                Ok(stored) => self.write(&seen, &stored).await,
                Err(error) => Err(error.into()),
            };
            failed |= self.report(&format!("{change:?}").to_lowercase(), result);
        }
        match self.bundles.write_again(now).await {
            Ok(again) => next = again.map_or(next, |again| again.min(next)),
            Err(error) => failed |= self.report("publishing the CAs again", Err(error.into())),
        }
        if failed {
            return RETRY;
        }
        let rest = Duration::try_from(next.duration_since(Timestamp::now()));
        rest.unwrap_or_default()
            .clamp(Duration::from_millis(20), REST)
    }

    async fn write(&mut self, seen: &SeenSecret, stored: &Stored) -> Result<(), StepError> {
        let client = self.client.clone();
        let written =
            secret::write(client, &self.namespace, &self.secret, seen, stored.data()).await?;
        let version = version(&written);
        let echo = self.seen.wait_for(|seen| match seen {
            SeenSecret::There(secret) => self::version(secret) >= version,
            SeenSecret::Unknown | SeenSecret::Missing => false,
        });
        // If it does not come, the next write conflicts, and nothing is lost.
        let _ = timeout(ECHO, echo).await;
        self.seen.mark_changed();
        Ok(())
    }

    fn report(&self, what: &str, result: Result<(), StepError>) -> bool {
        match result {
            Ok(()) => {
                tracing::info!(step = what, "certificates");
                self.metrics.renewed("done");
                false
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(step = what, %error, cause, "certificates: retrying in a moment");
                self.metrics.renewed("failed");
                true
            }
        }
    }
}

fn version(secret: &Secret) -> Option<u64> {
    secret.metadata.resource_version.as_ref()?.parse().ok()
}

/// Waits until every bundle holds the CA of what is served: before that, no API server
/// could ask this replica.
pub async fn published(bundles: CaBundles, mut seen: watch::Receiver<SeenSecret>) {
    let mut changes = bundles.changes();
    loop {
        changes.mark_unchanged();
        let ca = match &*seen.borrow_and_update() {
            SeenSecret::There(secret) => Stored::read(secret).facts(&[]).current,
            SeenSecret::Unknown | SeenSecret::Missing => None,
        };
        if let (Some(ca), Some(bundles)) = (ca, bundles.all())
            && bundles.iter().all(|bundle| bundle.text.contains(&ca.pem))
        {
            return;
        }
        tokio::select! {
            _ = changes.changed() => {}
            _ = seen.changed() => {}
        }
    }
}
