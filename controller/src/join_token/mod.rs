//! One JoinTokenRequest: `dereference -> validate -> build -> apply -> status`.
//!
//! The id is chosen and written into the status before a token with it works anywhere, so that
//! no crash leaves a token that nobody knows of. The secret half lives in the hosted cluster and
//! in the Secret here; either can be made from the other.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{
    ResourceExt,
    runtime::{
        controller::Action,
        reflector::{ObjectRef, Store as Reader},
    },
};

use crds::v1beta2::{Cluster, JoinTokenRequest};

use crate::{
    cluster::{self, Failures},
    hosted::HostedError,
    kubernetes::{
        own::{Own, OwnError},
        writer::WriteError,
    },
    pki::{PkiError, token::TokenError},
};

mod build;
mod dereference;
mod end;
mod hosted;
mod status;
mod validate;
mod write;

use self::validate::Refusal;

/// What a reconcile works with.
pub struct Context {
    /// What it shares with the Clusters' reconcile.
    pub shared: Arc<cluster::Context>,
    /// Every Cluster.
    pub clusters: Reader<Cluster>,
    /// Writes requests themselves.
    pub own: Own<JoinTokenRequest>,
    /// Attempts that failed in a row, by uid.
    pub failures: Failures,
}

/// Why a reconcile did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token's Secret could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The request's own status or metadata could not be written.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// The hosted API did not do what it was asked.
    #[error("could not reach the hosted cluster: {0}")]
    Hosted(#[from] HostedError),
    /// The authority that signs the controller's certificate could not be read.
    #[error(transparent)]
    Authority(#[from] cluster::apply::ApplyError),
    /// A token could not be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A certificate or an address is not usable.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

impl Error {
    /// Whether trying again may help while nothing else changes.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Write(error) => error.is_retryable(),
            Self::Own(_) | Self::Hosted(_) => true,
            Self::Authority(error) => error.is_retryable(),
            Self::Token(error) => error.is_retryable(),
            Self::Pki(error) => error.is_retryable(),
        }
    }
}

/// Brings one JoinTokenRequest closer to what it says.
pub async fn reconcile(
    request: Arc<JoinTokenRequest>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let began = std::time::Instant::now();
    let uid = request.uid().unwrap_or_default();
    let outcome = run(&context.own.latest(request), &context).await;
    let label = if outcome.is_ok() { "ok" } else { "error" };
    context
        .shared
        .metrics
        .reconciled("JoinTokenRequest", label, began.elapsed().as_secs_f64());
    if outcome.is_ok() {
        context.failures.clear(&uid);
    }
    outcome
}

/// What happens after a failed reconcile: again later, or when something changes.
pub fn error_policy(request: &JoinTokenRequest, error: &Error, context: &Context) -> Action {
    let name = request.name_any();
    let namespace = request.namespace().unwrap_or_default();
    if !error.is_retryable() {
        tracing::warn!(name, namespace, %error, "reconcile failed, waiting for a change");
        return Action::await_change();
    }
    let delay = context.failures.delay(&request.uid().unwrap_or_default());
    let delay = end::time_left(request, Timestamp::now()).map_or(delay, |left| delay.min(left));
    tracing::warn!(name, namespace, %error, ?delay, "reconcile failed, trying again");
    Action::requeue(delay)
}

async fn run(request: &Arc<JoinTokenRequest>, context: &Context) -> Result<Action, Error> {
    let found = dereference::dereference(request, &context.clusters, &context.shared.store);
    if request.metadata.deletion_timestamp.is_some() {
        return end::run(request, &found, context).await;
    }
    let valid = match validate::validate(request, &found, Timestamp::now()) {
        Ok(valid) => valid,
        Err(refusal) => {
            write::status(request, status::refused(request, &refusal), context).await?;
            return Ok(Action::await_change());
        }
    };
    let request = &write::owned(request, &valid, context).await?;
    let (request, id) = &write::id(request, &valid, context).await?;
    let wanted = build::secret(request, &valid, id);
    let live = context.shared.store.get(&wanted.key);
    let step = wanted.step(live.as_deref());
    if let Some(live) = &live
        && live
            .owner
            .as_ref()
            .is_none_or(|owner| Some(&owner.uid) != request.uid().as_ref())
    {
        let refusal = Refusal::NameTaken(wanted.key.to_string());
        write::status(request, status::refused(request, &refusal), context).await?;
        return Ok(Action::await_change());
    }
    match step {
        cluster::wanted::Step::Nothing => {}
        cluster::wanted::Step::Apply => {
            cluster::apply::relabel(&context.shared.writer, &wanted).await?;
        }
        _ => match hosted::secret_half(request, &valid, id, context).await {
            Ok(secret) => {
                let data = build::data(&valid, id, secret)?;
                let body = wanted.with_data(&data, None);
                let writer = &context.shared.writer;
                if live.is_some() {
                    writer.apply(&wanted.key, &body).await?;
                } else {
                    writer.create(&wanted.key, &body).await?;
                }
            }
            Err(Error::Hosted(error)) => {
                let refusal = Refusal::HostedUnreachable(error.to_string());
                write::status(request, status::refused(request, &refusal), context).await?;
                return Err(error.into());
            }
            Err(error) => return Err(error),
        },
    }
    write::status(request, status::created(request), context).await?;
    Ok(status::expires_at(request).map_or_else(Action::await_change, until))
}

/// A little after a moment, not all at once.
fn until(at: Timestamp) -> Action {
    let wait = at.duration_since(Timestamp::now());
    let wait = Duration::try_from(wait).unwrap_or_default();
    Action::requeue(wait + Duration::from_millis(rand::random_range(50..1000)))
}

/// The requests that ask for a token of this Cluster.
pub fn of_cluster(
    requests: &Reader<JoinTokenRequest>,
    cluster: &Cluster,
) -> Vec<ObjectRef<JoinTokenRequest>> {
    let (name, namespace) = (cluster.name_any(), cluster.namespace());
    requests
        .state_filter(|request| {
            request.spec.cluster_name == name && request.namespace() == namespace
        })
        .iter()
        .map(|request| ObjectRef::from_obj(&**request))
        .collect()
}
