//! One JoinTokenRequest: dereference, validate, finalizer, build, make the token in the hosted
//! cluster, write the Secret, status.
//!
//! The id follows from the request's uid, so that no crash leaves a token that nobody knows of, and
//! is in the status once the token can be used. The secret half lives in the hosted cluster and in the
//! Secret here; either can be made from the other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crds::v1beta2::{Cluster, JoinTokenRequest};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store as Reader};
use pki::PkiError;
use pki::token::{TokenError, TokenId};
use runtime::backoff::Failures;

use crate::apply::{ApplyError, Held};
use crate::cluster;
use crate::hosted::HostedError;
use crate::kubernetes::primary::{PrimaryError, PrimaryWriter};
use crate::kubernetes::store::ObjectKey;
use crate::kubernetes::writer::WriteError;

mod build;
mod deletion;
mod dereference;
mod hosted;
mod secret;
mod status;
mod validate;
mod write;

use self::dereference::{Found, NoWay, dereference, home, owners};
use self::validate::Refusal;

/// Changes of others that keep ours from being written for longer are said.
const SAID_AFTER: Duration = Duration::from_secs(5);

/// How often what is gone is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What a reconcile works with.
pub struct Context {
    /// What it shares with the Clusters' reconcile.
    pub shared: Arc<cluster::Context>,
    /// Every Cluster.
    pub clusters: Reader<Cluster>,
    /// Writes requests themselves.
    pub primary: PrimaryWriter<JoinTokenRequest>,
    /// Attempts that failed in a row, by uid.
    pub failures: Failures,
}

/// Why there is no token, or why one could not be revoked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for, or what is there, does not allow one.
    #[error("{}", .0.message())]
    Refused(Refusal),
    /// The hosted API cannot be asked.
    #[error(transparent)]
    NoWay(#[from] NoWay),
    /// The token's Secret could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The request's own status or metadata could not be written.
    #[error(transparent)]
    Primary(#[from] PrimaryError),
    /// The hosted API did not do what it was asked.
    #[error(transparent)]
    Hosted(#[from] HostedError),
    /// The hosted API is known not to answer.
    #[error("{0}")]
    Down(String),
    /// The CA that signs the controller's certificate could not be read.
    #[error(transparent)]
    Ca(#[from] ApplyError),
    /// It does not sign.
    #[error("{key} cannot sign the controller's certificate: {source}")]
    Signing {
        /// The Secret with the CA.
        key: ObjectKey,
        /// The cause.
        #[source]
        source: PkiError,
    },
    /// A token could not be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Somebody else writes the token's Secret again and again.
    #[error("{}: {}", .0.problem.about, .0.problem.message)]
    Contested(Held),
    /// It has failed a moment ago.
    #[error("it is left alone for {0:?}")]
    TooSoon(Duration),
    /// Others' calls to the hosted API are not over.
    #[error("it waits for its turn at the hosted API, which has not answered others yet")]
    NoTurn(Duration),
    /// It was written again and again, until a moment ago.
    #[error("it is left alone for {0:?}")]
    Paced(Duration),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Error {
    /// The condition's reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::NoWay(_) => "ClusterNotReady",
            Self::Hosted(_) | Self::Down(_) => "HostedUnreachable",
            Self::Ca(ApplyError::Write(_))
            | Self::Write(_)
            | Self::Primary(_)
            | Self::Token(_)
            | Self::Contested(_)
            | Self::TooSoon(_)
            | Self::Paced(_) => "Failed",
            Self::NoTurn(_) => "WaitingForTurn",
            Self::Ca(_) | Self::Signing { .. } => "AuthorityUnusable",
        }
    }

    /// What is wrong and what to do.
    pub fn message(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.message(),
            Self::Contested(_) => self.to_string(),
            error => format!("{error}; it is retried"),
        }
    }

    /// How long the Secret is left alone before it is written, which is no failure.
    const fn wait(&self) -> Option<Duration> {
        match self {
            Self::Contested(Held { wait, .. })
            | Self::TooSoon(wait)
            | Self::NoTurn(wait)
            | Self::Paced(wait) => Some(*wait),
            _ => None,
        }
    }

    /// Whether what may have failed before goes well by now.
    const fn is_left_alone(&self) -> bool {
        matches!(self, Self::Contested(_) | Self::Paced(_))
    }

    /// Whether nothing that may still happen helps.
    const fn is_final(&self) -> bool {
        matches!(self, Self::NoWay(no_way) if no_way.is_final())
    }
}

/// A token that was handed out.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its id.
    pub id: TokenId,
    /// When it expires; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// The uid of its Cluster; nothing while more than one may have it.
    pub cluster_uid: Option<String>,
}

/// Brings one JoinTokenRequest closer to what it says.
pub async fn reconcile(
    request: Arc<JoinTokenRequest>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let began = std::time::Instant::now();
    let uid = request.uid().unwrap_or_default();
    let about = ObjectRef::from_obj(&*request);
    let request = context.primary.latest(request);
    // One of them takes nothing from the others.
    let run = Box::pin(run(&request, &context));
    let outcome = if let Some(outcome) = runtime::unwinding(run).await {
        again(outcome, &uid, &context.failures)
    } else {
        tracing::error!(%about, "reconcile panicked, retrying");
        Ok(Action::requeue(context.failures.delay(&uid)))
    };
    let label = if outcome.is_ok() { "ok" } else { "error" };
    context
        .shared
        .metrics
        .reconciled("JoinTokenRequest", label, began.elapsed().as_secs_f64());
    outcome
}

/// When a request is looked at again that has not failed.
fn again(outcome: Result<Action, Error>, uid: &str, failures: &Failures) -> Result<Action, Error> {
    let wait = outcome.as_ref().err().and_then(Error::wait);
    // What is not tried because it has just failed has not begun to go well.
    if outcome.as_ref().err().is_none_or(Error::is_left_alone) {
        failures.clear(uid);
    }
    wait.map_or(outcome, |wait| Ok(Action::requeue(wait)))
}

/// What happens after a failed reconcile: again later. Most of what stands in the way goes without
/// a word.
pub fn error_policy(request: &JoinTokenRequest, error: &Error, context: &Context) -> Action {
    let name = request.name_any();
    let namespace = request.namespace().unwrap_or_default();
    let delay = context.failures.delay(&request.uid().unwrap_or_default());
    let delay =
        deletion::time_left(request, Timestamp::now()).map_or(delay, |left| delay.min(left));
    tracing::warn!(name, namespace, %error, ?delay, "reconcile failed, retrying");
    Action::requeue(delay)
}

async fn run(request: &Arc<JoinTokenRequest>, context: &Context) -> Result<Action, Error> {
    if request.metadata.deletion_timestamp.is_some() {
        return deletion::run(request, context).await;
    }
    let outcome = serve(request, context).await;
    let request = &context.primary.latest(request.clone());
    let error = match outcome {
        Ok(issued) => {
            write::status(request, status::created(request, &issued), context).await?;
            return Ok(issued.expires_at.map_or_else(Action::await_change, until));
        }
        // Nothing is said of it.
        Err(error @ (Error::TooSoon(_) | Error::Paced(_))) => return Err(error),
        // What was said before says more.
        Err(error @ Error::NoTurn(_)) if status::is_told(request, status::SECRET_CREATED) => {
            return Err(error);
        }
        Err(error) if is_overtaken(&error) && !has_lasted(request, context) => return Err(error),
        Err(error) => error,
    };
    let outage = matches!(&error, Error::Refused(refusal) if refusal.is_outage());
    let told = if outage && secret::is_there(request, context) {
        Ok(None)
    } else {
        let status = status::refused(request, &error);
        write::status(request, status, context).await
    };
    if let Err(error) = &told {
        write::could_not(request, error);
    }
    match error {
        Error::Refused(refusal) if refusal.waits() => {
            let no_news_for = told?;
            Ok(no_news_for.map_or_else(Action::await_change, Action::requeue))
        }
        error => Err(error),
    }
}

/// Somebody has changed the request, which comes by the watch.
fn is_overtaken(error: &Error) -> bool {
    matches!(error, Error::Primary(error) if error.is_conflict())
}

/// Whether it fails for so long that whoever looks at it wants to know.
fn has_lasted(request: &JoinTokenRequest, context: &Context) -> bool {
    let uid = request.uid().unwrap_or_default();
    context.failures.lasted(&uid) > SAID_AFTER
}

/// Sees to it that the token is there; nothing is written before all that can be known beforehand
/// is known.
async fn serve(request: &Arc<JoinTokenRequest>, context: &Context) -> Result<Issued, Error> {
    let home = home(request, &context.clusters);
    let found = find(request, home, context).await?;
    let valid = validate::validate(request, &found, Timestamp::now())?;
    let live = secret::own(request, &valid, context).await?;
    let request = &write::owned(request, &valid, context).await?;
    secret::ensure(request, &valid, live, context).await
}

/// Everything known about a request for a token of this Cluster. The watch leaves out a Cluster that it
/// cannot read.
async fn find(
    request: &JoinTokenRequest,
    home: String,
    context: &Context,
) -> Result<Found, PrimaryError> {
    let store = &context.shared.mothership.store;
    let mut found = dereference(request, home, &context.clusters, store);
    if found.cluster.is_none() {
        let namespace = request.namespace().unwrap_or_default();
        found.exists = context
            .shared
            .primary
            .exists(&namespace, &found.home)
            .await?;
    }
    Ok(found)
}

/// A little after a moment, not all at once.
fn until(at: Timestamp) -> Action {
    let wait = at.duration_since(Timestamp::now());
    let wait = Duration::try_from(wait).unwrap_or_default();
    Action::requeue(wait + Duration::from_millis(rand::random_range(50..1000)))
}

/// Forgets what is remembered of requests that are gone, for as long as the process leads.
pub async fn forget_gone(requests: Reader<JoinTokenRequest>, context: Arc<Context>) {
    loop {
        tokio::time::sleep(FORGOTTEN).await;
        let known: HashSet<_> = requests.state().iter().filter_map(|r| r.uid()).collect();
        context.primary.retain(&known);
        context.failures.retain(&known);
    }
}

/// The requests that ask for a token of this Cluster, or have one.
pub fn of_cluster(
    requests: &Reader<JoinTokenRequest>,
    cluster: &ObjectRef<Cluster>,
) -> Vec<ObjectRef<JoinTokenRequest>> {
    requests
        .state_filter(|request| {
            request.namespace() == cluster.namespace
                && (request.spec.cluster_name == cluster.name
                    || owners(request).any(|owner| owner.name == cluster.name))
        })
        .iter()
        .map(|request| ObjectRef::from_obj(&**request))
        .collect()
}

#[cfg(test)]
mod tests;
