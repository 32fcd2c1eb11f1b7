//! The end of a request: its token is revoked first.

use std::sync::Arc;
use std::time::Duration;

use crds::names::JOIN_TOKEN_REQUEST_FINALIZER;
use crds::v1beta2::JoinTokenRequest;
use crds::{names, validation};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use pki::token::TokenId;
use runtime::events::EventType;

use crate::join_token::dereference::{Found, NoWay, Reach, homes, owners};
use crate::join_token::{Context, Error, find, hosted, secret, status, write};
use crate::kubernetes::store::{Kind, Live, ObjectKey, Store};

/// A hosted API that does not answer holds up a request for so long and no longer: a namespace
/// has to be able to go. It counts from the first attempt, whether it was its turn or not: before that
/// nobody was there to ask.
const REVOKED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Why a request stays with whose token nothing is to be done any more.
const FINALIZER_NOT_REMOVED: &str = "FinalizerNotRemoved";
/// Why one stays that is no more ours to keep.
const WAITING_FOR_FINALIZERS: &str = "WaitingForFinalizers";

/// Revokes the token wherever it may still be honoured, then lets go.
pub async fn run(request: &Arc<JoinTokenRequest>, context: &Context) -> Result<Action, Error> {
    let now = Timestamp::now();
    if let Some(id) = live_token(request).filter(|_| !is_let_go(request)) {
        let revoked = revoke(&id, request, context).await;
        if let Err((_, error)) = &revoked
            && !error.is_final()
            && time_left(request, now).is_some()
        {
            // Where nobody was asked yet what was said before says more.
            let is_told = status::is_true(request, status::DELETING).is_some();
            if !is_told || !matches!(error, Error::NoTurn(_)) {
                let message = format!(
                    "the token {} could not be revoked: {error}; it is retried until the token \
                     expires, for at most {} min",
                    id.as_str(),
                    REVOKED_WITHIN.as_mins()
                );
                tell(request, error.reason(), &message, context).await;
            }
            return revoked
                .map(|()| Action::await_change())
                .map_err(|(_, error)| error);
        }
        if let Some(word) = last_word(request, &id, revoked.as_ref().err(), now) {
            say(request, word, context).await;
        }
    }
    if let Err(error) = context
        .primary
        .remove_finalizer(request, JOIN_TOKEN_REQUEST_FINALIZER)
        .await
    {
        let message = format!("{error}; it is retried");
        tell(request, FINALIZER_NOT_REMOVED, &message, context).await;
        return Err(error.into());
    }
    // Of others' nobody else says anything, and what was said of the token is over.
    if !is_held(request) && !request.finalizers().is_empty() {
        let message = format!("held by {}", request.finalizers().join(", "));
        let status = status::ending(request, WAITING_FOR_FINALIZERS, &message);
        let no_news_for = write::status(request, status, context).await?;
        return Ok(no_news_for.map_or_else(Action::await_change, Action::requeue));
    }
    let uid = request.uid().unwrap_or_default();
    context.primary.forget(&uid);
    context.failures.clear(&uid);
    let (key, store) = (secret::key(request), &context.shared.mothership.store);
    context.shared.damping.forget([&key]);
    // No watch tells of the end of one without our labels.
    if store.get_owned(&key, &uid).is_some() {
        store.let_go(&key);
    }
    Ok(Action::await_change())
}

/// Whether only its finalizer was left to be removed, or others' are: nothing more is to be done for the
/// token then.
fn is_let_go(request: &JoinTokenRequest) -> bool {
    status::is_true(request, status::DELETING)
        .is_some_and(|told| told.reason == FINALIZER_NOT_REMOVED)
        || !is_held(request)
}

/// Whether it carries the finalizer.
fn is_held(request: &JoinTokenRequest) -> bool {
    let mut all = request.finalizers().iter();
    all.any(|name| name == JOIN_TOKEN_REQUEST_FINALIZER)
}

/// The token that somebody could still join with when the request was deleted, by the clock of the API
/// server: one of our own that is ahead would take a live one for expired.
fn live_token(request: &JoinTokenRequest) -> Option<TokenId> {
    let deleted = request.metadata.deletion_timestamp.as_ref()?.0;
    status::token_id(request).filter(|_| status::expires_at(request).is_none_or(|at| at > deleted))
}

/// Revokes it wherever it may be; otherwise comes back where that could not be done, and why.
async fn revoke(
    id: &TokenId,
    request: &JoinTokenRequest,
    context: &Context,
) -> Result<(), (String, Error)> {
    let mut failed = None;
    for home in homes(request, &context.clusters) {
        if let Err(error) = revoke_at(id, home.clone(), request, context).await {
            failed = worse(failed, (home, error));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// What may still come right is tried again, whatever else cannot.
fn worse(before: Option<(String, Error)>, now: (String, Error)) -> Option<(String, Error)> {
    before
        .filter(|(_, before)| !before.is_final() || now.1.is_final())
        .or(Some(now))
}

async fn revoke_at(
    id: &TokenId,
    home: String,
    request: &JoinTokenRequest,
    context: &Context,
) -> Result<(), Error> {
    let found = find(request, home, context).await?;
    match honoured(request, &found, &context.shared.mothership.store) {
        Some(way) => hosted::revoke(id, &way?, context).await,
        None => Ok(()),
    }
}

/// The way to the API that honours the token; none where its cluster has ended or ends as well. A
/// Cluster that was made anew under the name is asked too: it may run on the data of the old one.
fn honoured(
    request: &JoinTokenRequest,
    found: &Found,
    store: &Store,
) -> Option<Result<Reach, NoWay>> {
    let elsewhere = !validation::not_implemented_join_token_request(request).is_empty();
    let namespace = request
        .annotations()
        .get(names::CLUSTER_REF_NAMESPACE_ANNOTATION);
    if elsewhere
        && let Some(namespace) = namespace
        && owners(request).next().is_none()
    {
        return Some(Err(NoWay::Elsewhere(namespace.clone())));
    }
    let Some(cluster) = &found.cluster else {
        let pods_kept =
            pods_kept(request, &found.home, store).then(|| NoWay::PodsKept(found.home.clone()));
        return if found.exists {
            Some(found.way.clone())
        } else {
            pods_kept.map(Err)
        };
    };
    // With `--cascade=orphan` its pods stay, and while they may not be ended they serve on.
    let ends = cluster.metadata.deletion_timestamp.is_some()
        && !cluster.finalizers().iter().any(|name| name == "orphan")
        && set(request, &found.home, store).is_none_or(|set| set.deleting);
    (!ends).then(|| found.way.clone())
}

/// What makes the pods of a Cluster in the request's namespace.
fn set(request: &JoinTokenRequest, home: &str, store: &Store) -> Option<Arc<Live>> {
    let namespace = request.namespace().unwrap_or_default();
    let name = names::control_plane(home);
    store.get(&ObjectKey::new(Kind::StatefulSet, namespace, name))
}

/// Whether the pods of a Cluster that is gone run on, nobody's.
fn pods_kept(request: &JoinTokenRequest, home: &str, store: &Store) -> bool {
    set(request, home, store).is_some_and(|set| set.owner.is_none() && !set.deleting)
}

/// Without the status this goes on all the same.
async fn tell(request: &Arc<JoinTokenRequest>, reason: &str, message: &str, context: &Context) {
    let status = status::ending(request, reason, message);
    if let Err(error) = write::status(request, status, context).await {
        write::could_not(request, &error);
    }
}

/// What an event says in the end, where the status does not show what became of the token.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    reason: &'static str,
    note: String,
}

const LEFT_BEHIND: &str = "TokenLeftBehind";
const REVOKED: &str = "TokenRevoked";

fn last_word(
    request: &JoinTokenRequest,
    id: &TokenId,
    failed: Option<&(String, Error)>,
    now: Timestamp,
) -> Option<Word> {
    let id = id.as_str();
    let was_told = status::is_true(request, status::DELETING).is_some();
    let Some((home, error)) = failed else {
        // It is what the status has said until now that is no longer so.
        return was_told.then(|| Word {
            reason: REVOKED,
            note: format!("the token {id} lets no machine join any more"),
        });
    };
    let has_expired = status::expires_at(request).is_some_and(|at| at <= now);
    // Of a first attempt only the clock says so, and it may be wrong.
    if has_expired && was_told {
        return None;
    }
    // An event's end is cut off where it is too long.
    Some(Word {
        reason: LEFT_BEHIND,
        note: format!(
            "the token {id} was not revoked: delete the Secret bootstrap-token-{id} from the \
             namespace kube-system of the hosted cluster {home} ({error})",
        ),
    })
}

/// Says so before the request goes: whoever waits for its end looks then.
async fn say(request: &JoinTokenRequest, Word { reason, note }: Word, context: &Context) {
    let type_ = if reason == LEFT_BEHIND {
        let (name, namespace) = (request.name_any(), request.namespace().unwrap_or_default());
        tracing::warn!(name, namespace, note, "a token was not revoked");
        EventType::Warning
    } else {
        EventType::Normal
    };
    let about = request.object_ref(&());
    let events = &context.shared.events;
    events.told(&about, type_, reason, &note).await;
}

/// How long the end of a deleted request may still wait for its token to be revoked.
pub fn time_left(request: &JoinTokenRequest, now: Timestamp) -> Option<Duration> {
    request.metadata.deletion_timestamp.as_ref()?;
    // The first attempt that failed is written down, so that it outlives this process.
    let first = status::is_true(request, status::DELETING)
        .map_or(now, |told| told.last_transition_time.0.min(now));
    let given_up = first.checked_add(REVOKED_WITHIN).ok()?;
    let end = status::expires_at(request).map_or(given_up, |expires| expires.min(given_up));
    Duration::try_from(end.duration_since(now))
        .ok()
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests;
