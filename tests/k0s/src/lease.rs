//! Leases: one for each live controller, one for the controller that leads.

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use crate::api;

/// The namespace of k0s's leases.
pub const NAMESPACE: &str = "kube-node-lease";
/// Marks the leases of live controllers, so that konnectivity agents can count them.
pub const CONTROLLER_LABEL: &str = "k0s.k0sproject.io/stand-in-controller";

/// A lease that this process holds or wants.
pub struct Claim {
    api: Api<Lease>,
    name: String,
    identity: String,
    seconds: i32,
    label: Option<&'static str>,
}

impl Claim {
    /// A claim to a lease that falls free this many seconds after it was last renewed.
    pub fn new(
        client: Client,
        name: String,
        identity: &str,
        seconds: i32,
        label: Option<&'static str>,
    ) -> Self {
        let api = Api::namespaced(client, NAMESPACE);
        Self {
            api,
            name,
            identity: identity.to_owned(),
            seconds,
            label,
        }
    }

    /// Takes or renews the lease; false when somebody else holds it.
    ///
    /// # Errors
    /// When the API server cannot be reached.
    pub async fn hold(&self) -> Result<bool> {
        let found = self.api.get_opt(&self.name).await?;
        let now = Timestamp::now();
        let outcome = match found {
            None => {
                self.api
                    .create(&PostParams::default(), &self.lease(now, None))
                    .await
            }
            Some(lease) if self.may_take(&lease, now) => {
                let renewed = self.lease(now, Some(lease));
                self.api
                    .replace(&self.name, &PostParams::default(), &renewed)
                    .await
            }
            Some(_) => return Ok(false),
        };
        match outcome {
            Ok(_) => Ok(true),
            Err(error) if api::has_code(&error, 409) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the lease back, so that nobody has to wait until it runs out.
    pub async fn release(&self) {
        let Ok(Some(mut lease)) = self.api.get_opt(&self.name).await else {
            return;
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .ok();
        }
    }

    fn may_take(&self, lease: &Lease, now: Timestamp) -> bool {
        let Some(spec) = &lease.spec else {
            return true;
        };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        holder.is_empty() || holder == self.identity || expired(spec, now)
    }

    fn lease(&self, now: Timestamp, previous: Option<Lease>) -> Lease {
        let (metadata, spec) = if let Some(lease) = previous {
            (lease.metadata, lease.spec.unwrap_or_default())
        } else {
            let name = Some(self.name.clone());
            (
                ObjectMeta {
                    name,
                    ..ObjectMeta::default()
                },
                LeaseSpec::default(),
            )
        };
        let same = spec.holder_identity.as_deref() == Some(&self.identity);
        let mut lease = Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(self.seconds),
                acquire_time: spec.acquire_time.filter(|_| same).or(Some(MicroTime(now))),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + i32::from(!same)),
                ..spec
            }),
        };
        if let Some(label) = self.label {
            let labels = lease.metadata.labels.get_or_insert_default();
            labels.insert(label.to_owned(), "true".to_owned());
        }
        lease
    }
}

fn expired(spec: &LeaseSpec, now: Timestamp) -> bool {
    let seconds = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(0).into());
    spec.renew_time
        .as_ref()
        .is_none_or(|renewed| renewed.0.checked_add(seconds).is_ok_and(|end| end < now))
}
