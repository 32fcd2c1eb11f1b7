//! The Secret with the token as it is, and how it is written.

use std::sync::Arc;
use std::time::Instant;

use crds::names::NOT_AFTER;
use crds::v1beta2::JoinTokenRequest;
use jiff::Timestamp;
use kube::ResourceExt;
use pki::token::{TokenError, TokenId};

use super::build::{self, Recipe};
use super::dereference::homes;
use super::validate::{Refusal, ValidRequest};
use super::{Context, Error, Issued, hosted, status};
use crate::apply::desired::{Desired, Step};
use crate::apply::{Damping, Problem, relabel};
use crate::hosted::tokens::earlier;
use crate::kubernetes::store::{Kind, Live, ObjectKey};
use crate::kubernetes::writer::{WriteError, Writer};

/// Its key.
pub fn key(request: &JoinTokenRequest) -> ObjectKey {
    let namespace = request.namespace().unwrap_or_default();
    ObjectKey::new(Kind::Secret, namespace, request.name_any())
}

/// The request's Secret, if it is there and its own. No watch shows one without our labels, so it
/// is asked for before there is a token that could not be handed out.
pub async fn own(
    request: &JoinTokenRequest,
    valid: &ValidRequest,
    context: &Context,
) -> Result<Option<Arc<Live>>, Error> {
    let (key, uid) = (key(request), request.uid().unwrap_or_default());
    let mothership = &context.shared.mothership;
    if let Some(own) = mothership.store.get_owned(&key, &uid) {
        return Ok(Some(own));
    }
    // Who takes our labels off has it asked for at each change.
    if let Some(id) = status::token_id(request) {
        may_write(&context.shared.damping, &build::secret(request, valid, &id))?;
    }
    let Some(found) = mothership.writer.look(&key).await? else {
        return Ok(None);
    };
    // Somebody else's is not kept: no watch would tell when it goes.
    if !Live::new(Kind::Secret, found.clone()).is_owned_by(&uid) {
        return Err(Refusal::NameTaken(key).into());
    }
    mothership.store.put_read(Kind::Secret, found);
    Ok(mothership.store.get_owned(&key, &uid))
}

/// Whether the token was handed out, and still is.
pub fn is_there(request: &JoinTokenRequest, context: &Context) -> bool {
    let uid = request.uid().unwrap_or_default();
    let secret = context
        .shared
        .mothership
        .store
        .get_owned(&key(request), &uid);
    status::is_true(request, status::SECRET_CREATED).is_some()
        && secret.is_some_and(|secret| !secret.deleting)
}

/// Sees to it that it is as it should be, with the token that the hosted cluster has.
pub async fn ensure(
    request: &JoinTokenRequest,
    valid: &ValidRequest,
    live: Option<Arc<Live>>,
    context: &Context,
) -> Result<Issued, Error> {
    let id = status::token_id(request).ok_or(TokenError::Id)?;
    let wanted = build::secret(request, valid, &id);
    let step = wanted.step(live.as_deref());
    let expires_at = shown_end(request, live.as_deref());
    // Until its id is recorded the request may have asked for another one since.
    let in_time = earlier(expires_at, hosted::end(request, valid)) == expires_at;
    // A token that an earlier release made may be in another one still.
    let is_home = homes(request, &context.clusters).len() == 1;
    let issued = |id, expires_at| Issued {
        id,
        expires_at,
        cluster_uid: is_home.then(|| valid.owner.uid.clone()),
    };
    if in_time && step == Step::Nothing {
        return Ok(issued(id, expires_at));
    }
    let damping = &context.shared.damping;
    may_write(damping, &wanted)?;
    let before = live.clone();
    let step = if in_time { step } else { Step::Make };
    let written = write(request, valid, &id, &wanted, (step, live), context).await;
    let now = Instant::now();
    let (key, hash) = (&wanted.key, wanted.hash());
    match &written {
        Ok(_) => {
            let after = context.shared.mothership.store.get(key);
            let version = |live: &Option<Arc<Live>>| Some(live.as_ref()?.resource_version.clone());
            if before.is_some() && version(&before) == version(&after) {
                damping.tried(key, hash, now);
            } else {
                let rival = before.and_then(|live| live.rival.clone());
                damping.wrote(key, hash, rival, now);
            }
        }
        // Nobody was asked.
        Err(Error::Down(_) | Error::TooSoon(_) | Error::NoTurn(_) | Error::Paced(_)) => {}
        Err(error) => {
            let problem = Problem::new(key, error.to_string());
            damping.failed(key, hash, problem, now);
        }
    }
    written.map(|expires_at| issued(id, expires_at))
}

/// When what was handed out ends, in a Secret that is there.
fn shown_end(request: &JoinTokenRequest, live: Option<&Live>) -> Option<Timestamp> {
    match (status::recorded_id(request), live) {
        (None, Some(live)) => live.annotation(NOT_AFTER).and_then(|at| at.parse().ok()),
        _ => status::expires_at(request),
    }
}

/// Whether the Secret may be written now. Each change of another client would be answered at once, and
/// each token asked for at the hosted API.
fn may_write(damping: &Damping, wanted: &Desired<Recipe>) -> Result<(), Error> {
    let (key, hash, now) = (&wanted.key, wanted.hash(), Instant::now());
    // What has failed was said as it was.
    let works = damping.works(key, hash, now);
    works.map_err(|held| Error::TooSoon(held.wait))?;
    damping.allow(key, hash, now).map_err(Error::Contested)?;
    match damping.pace(key, now) {
        Some(wait) => Err(Error::Paced(wait)),
        None => Ok(()),
    }
}

/// Writes it, with its token unless that is there as it should be, and says when that ends. It may have gone
/// since it was seen.
async fn write(
    request: &JoinTokenRequest,
    valid: &ValidRequest,
    id: &TokenId,
    wanted: &Desired<Recipe>,
    (step, mut live): (Step, Option<Arc<Live>>),
    context: &Context,
) -> Result<Option<Timestamp>, Error> {
    let writer = &context.shared.mothership.writer;
    if let Some(known) = &live
        && step == Step::Apply
    {
        let relabelled = relabel(writer, wanted, &known.uid).await;
        if unless_gone(writer, &wanted.key, known, relabelled).await? == Some(true) {
            return Ok(shown_end(request, Some(known)));
        }
        live = None;
    }
    let token = hosted::token(request, valid, id, context).await?;
    let expires_at = token.expiration;
    let body = wanted.with_data(&build::data(valid, id, token.secret)?, expires_at);
    if let Some(known) = &live {
        let applied = writer.apply(&wanted.key, &body, &known.uid).await;
        if unless_gone(writer, &wanted.key, known, applied)
            .await?
            .is_some()
        {
            return Ok(expires_at);
        }
    }
    match writer.create(&wanted.key, &body).await {
        // An earlier attempt whose answer was lost made it, or somebody else.
        Err(error @ WriteError::Exists { .. }) => {
            let Some(own) = own(request, valid, context).await? else {
                return Err(error.into());
            };
            writer.apply(&wanted.key, &body, &own.uid).await?;
        }
        created => created?,
    }
    Ok(expires_at)
}

/// What came of a write, or nothing where the object has gone.
async fn unless_gone<T>(
    writer: &Writer,
    key: &ObjectKey,
    known: &Live,
    written: Result<T, WriteError>,
) -> Result<Option<T>, WriteError> {
    match written {
        Ok(written) => Ok(Some(written)),
        Err(error) if writer.has_gone(key, known, &error).await? => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
