//! Leader election on a Lease.
//!
//! Own code because no crate is safe to take: those on crates.io take over an expired lease
//! without a resourceVersion, so two candidates can both be told that they lead.
//!
//! A lease is another's until its record has not changed for [`LEASE`] by *our* monotonic clock:
//! clocks of two machines are never compared. Taking and renewing replace the object that was
//! read, so of two candidates one gets a conflict.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How long a lease holds without a renewal.
pub const LEASE: Duration = Duration::from_secs(15);
/// How often it is renewed, and how often a candidate looks.
pub const RENEW: Duration = Duration::from_secs(5);
/// How long a leader goes on without a successful renewal. It must stop its writers before
/// [`LEASE`] has passed.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// How soon after the beginning of a renewal that failed the next one begins.
const RETRY: Duration = Duration::from_secs(1);
/// The longest that one renewal may take, so that one that hangs leaves time for another.
const REQUEST: Duration = Duration::from_secs(3);

/// Why a leader had to give up.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The lease could not be renewed in time.
    #[error("lost the lease {name}: it could not be renewed for {} s", DEADLINE.as_secs())]
    NotRenewed {
        /// Name of the Lease.
        name: String,
    },
    /// Another candidate holds it.
    #[error("lost the lease {name} to {holder}")]
    Taken {
        /// Name of the Lease.
        name: String,
        /// The new holder.
        holder: String,
    },
}

/// One candidate for one Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    seen: Option<(LeaseSpec, Instant)>,
    /// Who led when it was last said.
    leader: Option<String>,
}

enum Round {
    Held,
    Others(String),
    /// Somebody wrote between our read and our write; the next round reads who.
    Raced,
    Unknown(String),
}

impl Candidate {
    /// A candidate with an identity that no other process has (a pod's name).
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            seen: None,
            leader: None,
        }
    }

    /// Competes until `stop`, telling through `leads` whether this process leads. A lease that is
    /// held is renewed until `drained` says that nothing writes any more, and released then. Ends
    /// with an error when it is lost: the process must not write again.
    pub async fn run(
        mut self,
        leads: watch::Sender<bool>,
        stop: CancellationToken,
        drained: CancellationToken,
    ) -> Result<(), LeaderError> {
        // When the last renewal began: others may count from any moment after that.
        let mut renewed: Option<Instant> = None;
        let mut next = Instant::now();
        loop {
            let end = if renewed.is_some() { &drained } else { &stop };
            tokio::select! {
                () = end.cancelled() => break,
                () = sleep_until(next) => {}
            }
            let began = Instant::now();
            let Some(within) = time_for_a_round(renewed, began) else {
                leads.send_replace(false);
                return Err(LeaderError::NotRenewed { name: self.name });
            };
            next = began + RENEW;
            let error = match self.round(within).await {
                Round::Held => {
                    renewed = Some(began);
                    if !leads.send_replace(true) {
                        tracing::info!(lease = self.name, "leading");
                    }
                    continue;
                }
                Round::Others(holder) if renewed.is_some() => {
                    leads.send_replace(false);
                    return Err(LeaderError::Taken {
                        name: self.name,
                        holder,
                    });
                }
                Round::Others(holder) => {
                    self.stand_by(holder);
                    continue;
                }
                // At the start of several candidates all but one are late.
                Round::Raced if renewed.is_none() => {
                    tracing::debug!(lease = self.name, "another candidate was faster");
                    continue;
                }
                Round::Raced => "it changed while it was written".to_owned(),
                Round::Unknown(error) => error,
            };
            tracing::warn!(lease = self.name, error, "the lease could not be asked for");
            if let Some(renewed) = renewed {
                let soon = (began + RETRY).max(Instant::now());
                next = soon.min(renewed + DEADLINE);
            }
        }
        if renewed.is_some() {
            self.release().await;
        }
        Ok(())
    }

    /// Says once for whom: of two installations that share a lease one would idle without a word.
    fn stand_by(&mut self, holder: String) {
        if self.leader.as_ref() != Some(&holder) {
            tracing::info!(lease = self.name, holder, "standing by");
            self.leader = Some(holder);
        }
    }

    async fn round(&mut self, within: Duration) -> Round {
        match timeout(within, self.try_round()).await {
            Ok(Ok(round)) => round,
            Ok(Err(error)) => Round::Unknown(error.to_string()),
            Err(_) => Round::Unknown(format!("no answer within {} s", within.as_secs_f32())),
        }
    }

    async fn try_round(&mut self) -> kube::Result<Round> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = self.claim(Lease::default());
            return Self::write(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        match claim(&self.identity, self.seen.as_ref(), &spec, Instant::now()) {
            Claim::Take => {}
            Claim::Wait => return Ok(Round::Others(holder)),
            Claim::Remember => {
                self.seen = Some((spec, Instant::now()));
                return Ok(Round::Others(holder));
            }
        }
        let claimed = self.claim(lease);
        Self::write(
            self.api
                .replace(&self.name, &PostParams::default(), &claimed)
                .await,
        )
    }

    fn write(result: kube::Result<Lease>) -> kube::Result<Round> {
        match result {
            Ok(_) => Ok(Round::Held),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Round::Raced),
            Err(error) => Err(error),
        }
    }

    fn claim(&self, mut lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        lease.metadata.name = Some(self.name.clone());
        let mut spec = lease.spec.take().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count + 1));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(LEASE.as_secs()).ok();
        spec.renew_time = Some(now);
        lease.spec = Some(spec);
        lease
    }

    async fn release(&self) {
        let freed = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .map(drop)
        };
        match timeout(REQUEST, freed).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "released the lease"),
            Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "could not release"),
            Err(_) => tracing::warn!(lease = self.name, "could not release in time"),
        }
    }
}

/// What a candidate does about a lease.
#[derive(Debug, PartialEq, Eq)]
enum Claim {
    /// It is nobody's, our own, or its holder has not renewed it for long enough.
    Take,
    /// It is somebody's.
    Wait,
    /// It is somebody's, and has changed: the time counts from now.
    Remember,
}

/// `seen` is the record as it was when it last changed, and when that was noticed.
fn claim(
    identity: &str,
    seen: Option<&(LeaseSpec, Instant)>,
    spec: &LeaseSpec,
    now: Instant,
) -> Claim {
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder.is_empty() || holder == identity {
        return Claim::Take;
    }
    match seen {
        Some((seen, since)) if seen == spec => {
            if now.duration_since(*since) > LEASE {
                Claim::Take
            } else {
                Claim::Wait
            }
        }
        _ => Claim::Remember,
    }
}

/// How long the next attempt may take; nothing once a leader, who renewed the lease last at that
/// moment, has to give up.
fn time_for_a_round(renewed: Option<Instant>, now: Instant) -> Option<Duration> {
    let Some(renewed) = renewed else {
        return Some(REQUEST);
    };
    let left = (renewed + DEADLINE).checked_duration_since(now)?;
    (!left.is_zero()).then(|| left.min(REQUEST))
}

#[cfg(test)]
mod tests;
