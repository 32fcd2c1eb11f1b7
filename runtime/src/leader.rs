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
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long a lease holds without a renewal.
pub const LEASE: Duration = Duration::from_secs(15);
/// How often it is renewed, and how often a candidate looks.
pub const RENEW: Duration = Duration::from_secs(5);
/// How long a leader goes on without a successful renewal. It must stop its writers before
/// [`LEASE`] has passed.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// The longest that one request may take.
const REQUEST: Duration = Duration::from_secs(4);

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
        }
    }

    /// Competes until `stop`, telling through `leads` whether this process leads. Releases the
    /// lease at the end, after `drained` says that nothing writes any more. Ends with an error
    /// when a held lease is lost: the process must not write again.
    pub async fn run(
        mut self,
        leads: watch::Sender<bool>,
        stop: CancellationToken,
        drained: CancellationToken,
    ) -> Result<(), LeaderError> {
        let mut renewed: Option<Instant> = None;
        let mut ticks = tokio::time::interval(RENEW);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let error = match self.round().await {
                Round::Held => {
                    renewed = Some(Instant::now());
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
                    tracing::debug!(lease = self.name, holder, "standing by");
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
            if renewed.is_some_and(|at| is_late(at.elapsed())) {
                leads.send_replace(false);
                return Err(LeaderError::NotRenewed { name: self.name });
            }
        }
        if renewed.is_some() {
            drained.cancelled().await;
            self.release().await;
        }
        Ok(())
    }

    async fn round(&mut self) -> Round {
        match timeout(REQUEST, self.try_round()).await {
            Ok(Ok(round)) => round,
            Ok(Err(error)) => Round::Unknown(error.to_string()),
            Err(_) => Round::Unknown("no answer in time".to_owned()),
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

/// Whether a leader has to give up, this long after its last renewal: the next one would come after
/// the deadline.
fn is_late(since_renewal: Duration) -> bool {
    since_renewal + RENEW > DEADLINE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_nobodys_or_its_holder_is_silent() {
        let start = Instant::now();
        let seen = (held_by("b", 1), start);
        let after = |spec: &LeaseSpec, wait: Duration| claim("a", Some(&seen), spec, start + wait);
        let unchanged = held_by("b", 1);
        assert_eq!(claim("a", None, &LeaseSpec::default(), start), Claim::Take);
        assert_eq!(claim("a", None, &held_by("", 3), start), Claim::Take);
        assert_eq!(claim("a", None, &held_by("a", 3), start), Claim::Take);
        // The clock of its holder counts for nothing: the time begins when it is first seen.
        assert_eq!(claim("a", None, &unchanged, start), Claim::Remember);
        assert_eq!(after(&unchanged, LEASE), Claim::Wait);
        let late = LEASE + Duration::from_millis(1);
        assert_eq!(after(&unchanged, late), Claim::Take);
        // It was renewed, or another took it.
        assert_eq!(after(&held_by("b", 2), late), Claim::Remember);
        assert_eq!(after(&held_by("c", 2), late), Claim::Remember);
    }

    #[test]
    fn a_leader_has_stopped_before_another_may_take_its_lease() {
        let margin = DEADLINE.saturating_sub(RENEW);
        assert!(!is_late(margin));
        assert!(is_late(margin + Duration::from_millis(1)));
        // The latest moment at which it goes on, one more look and one request that hangs.
        assert!(DEADLINE + REQUEST < LEASE);
    }
}
