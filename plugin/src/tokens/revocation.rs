//! The end of tokens: their requests are deleted, and are gone once no machine joins any more.

use std::time::Duration;

use crds::names;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use pki::token::TokenId;

use crate::error::Error;
use crate::escape;
use crate::mothership::client::Connection;
use crate::mothership::{resources, view};
use crate::session::Session;
use crate::wait::{Look, Wait};

/// How often the requests are looked at.
pub const INTERVAL: Duration = Duration::from_millis(300);
/// The event that tells of a token whose request is gone and that still lets machines in.
const LEFT_BEHIND: &str = "TokenLeftBehind";
/// The event that tells that a later attempt has succeeded.
const REVOKED: &str = "TokenRevoked";

/// What a request says that others hold once its token is dealt with.
const WAITING_FOR_FINALIZERS: &str = "WaitingForFinalizers";

/// Deletes this very request, with which its token ends. One that is gone is as good as deleted, also
/// where another one has its name.
pub async fn revoke(
    connection: &Connection<'_>,
    request: &DynamicObject,
    dry_run: bool,
) -> Result<(), Error> {
    let name = request.name_any();
    let api = connection.api(&resources::join_token_requests());
    let attempt = format!("revoke join token {}/{name}", connection.namespace);
    match connection
        .delete(&attempt, &api, &request.metadata, dry_run)
        .await
    {
        Err(conflict @ Error::Conflict { .. }) => {
            let there = connection.call(&attempt, || api.get_opt(&name)).await?;
            match there {
                Some(there) if there.metadata.uid == request.metadata.uid => Err(conflict),
                _ => Ok(()),
            }
        }
        other => other,
    }
}

/// Says which were deleted before one could not be.
pub fn say_begun(session: &Session, requests: &[DynamicObject], done: usize) {
    let begun: Vec<_> = requests
        .iter()
        .take(done)
        .map(ResourceExt::name_any)
        .collect();
    if !begun.is_empty() {
        session
            .out
            .note(&format!("Being revoked: {}.", begun.join(", ")));
    }
}

/// Requests that were deleted, as they were last seen, until all are gone.
pub struct Ending<'a> {
    session: &'a Session,
    connection: &'a Connection<'a>,
    of: usize,
    left: Vec<DynamicObject>,
    /// Those that are gone though their tokens may still let machines in, and why.
    doubtful: Vec<(DynamicObject, String)>,
    warned: bool,
}

impl<'a> Ending<'a> {
    /// Of requests as they were when they were deleted.
    pub const fn new(
        session: &'a Session,
        connection: &'a Connection<'a>,
        requests: Vec<DynamicObject>,
    ) -> Self {
        Self {
            session,
            connection,
            of: requests.len(),
            left: requests,
            doubtful: Vec::new(),
            warned: false,
        }
    }

    /// Waits until all are gone, and tells of each whose token has ended.
    ///
    /// # Errors
    /// [`Error::TimedOut`] while one is left, [`Error::NotRevoked`] when one is gone without that
    /// its token was seen to end.
    pub async fn wait(
        mut self,
        timeout: Option<Duration>,
        mut told: impl FnMut(&DynamicObject) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.of == 0 {
            return Ok(());
        }
        let what = format!("{} join tokens to be revoked", self.of);
        let wait = Wait {
            what: &what,
            timeout,
            interval: INTERVAL,
        };
        let session = self.session;
        let waited = wait.until(session, async || {
            for gone in self.look().await? {
                told(&gone)?;
            }
            Ok(match self.state() {
                None => Look::Done(()),
                Some(state) => Look::Pending(state),
            })
        });
        if let Err(error) = waited.await {
            // What became of the others is said all the same.
            if let Err(left) = self.outcome() {
                session.out.note(&format!("warning: {left}"));
                for hint in left.hints() {
                    session.out.note(&hint);
                }
            }
            return Err(error);
        }
        self.outcome()
    }

    /// One look; those of which nothing more is to be seen and whose tokens have ended.
    pub async fn look(&mut self) -> Result<Vec<DynamicObject>, Error> {
        let found = self.found().await?;
        let now_of = |request: &DynamicObject| {
            let mut found = found.iter();
            found.find(|now| now.metadata.uid == request.metadata.uid)
        };
        let gone: Vec<DynamicObject> = (self.left.iter())
            .filter(|request| now_of(request).is_none())
            .cloned()
            .collect();
        let events = if gone.is_empty() {
            None
        } else {
            self.events().await?
        };
        self.left = self.left.iter().filter_map(now_of).cloned().collect();
        let now = Timestamp::now();
        let mut ended = Vec::new();
        for request in gone {
            match doubt(&request, events.as_deref(), now) {
                Some(why) => self.doubtful.push((request, why)),
                None => ended.push(request),
            }
        }
        Ok(ended)
    }

    /// What is waited for; `None` when nothing is.
    pub fn state(&self) -> Option<String> {
        let first = self.left.first()?;
        let why = deleting(first).map_or_else(
            || "the controller has not revoked it yet; is it running?".to_owned(),
            |condition| condition.summary(),
        );
        let name = first.name_any();
        Some(match self.left.len() {
            1 => format!("{name}: {why}"),
            left => format!("{left} left, {name} is one: {why}"),
        })
    }

    /// Whether the tokens of all that are gone were seen to end.
    pub fn outcome(&self) -> Result<(), Error> {
        let Some((first, why)) = self.doubtful.first() else {
            return Ok(());
        };
        let all = self.doubtful.iter();
        Err(Error::NotRevoked {
            left: self.doubtful.len(),
            of: self.of,
            first: format!("{}: {}", first.name_any(), escape::line(why)),
            hints: all
                .filter_map(|(request, _)| self.by_hand(request))
                .collect(),
        })
    }

    async fn found(&self) -> Result<Vec<DynamicObject>, Error> {
        let api = self.connection.api(&resources::join_token_requests());
        let place = &self.connection.namespace;
        if let [one] = &self.left[..] {
            let name = one.name_any();
            let attempt = format!("get JoinTokenRequest {place}/{name}");
            let found = self.connection.call(&attempt, || api.get_opt(&name));
            return Ok(found.await?.into_iter().collect());
        }
        let attempt = format!("list join token requests in namespace \"{place}\"");
        let parameters = ListParams::default();
        let found = self.connection.call(&attempt, || api.list(&parameters));
        Ok(found.await?.items)
    }

    /// What was said of requests, if that may be read. The controller says it before it lets them go.
    async fn events(&mut self) -> Result<Option<Vec<DynamicObject>>, Error> {
        let api = self.connection.api(&resources::events());
        let attempt = format!("list events in namespace \"{}\"", self.connection.namespace);
        let parameters = ListParams::default().fields("involvedObject.kind=JoinTokenRequest");
        match self
            .connection
            .call(&attempt, || api.list(&parameters))
            .await
        {
            Ok(found) => Ok(Some(found.items)),
            Err(error @ (Error::Forbidden { .. } | Error::NotFound { .. })) => {
                if !std::mem::replace(&mut self.warned, true) {
                    self.session.out.note(&format!(
                        "warning: only an event would say that a token was left behind: {error}"
                    ));
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How to end the token without its request.
    fn by_hand(&self, request: &DynamicObject) -> Option<String> {
        let id: TokenId = view::text(request, "/status/tokenID")?.parse().ok()?;
        let cluster = home(request).filter(|name| names::is_object_name(name))?;
        let exec = format!("k0smotron exec {cluster}");
        let exec = self.session.kubectl(&exec, &self.connection.namespace);
        Some(format!(
            "end it in the hosted cluster: {exec} -- kubectl -n kube-system delete secret \
             bootstrap-token-{} --ignore-not-found",
            id.as_str()
        ))
    }
}

/// The Cluster whose token it is: once it owns the request it stays that one.
fn home(request: &DynamicObject) -> Option<String> {
    let clusters = || {
        let owners = request.owner_references().iter();
        owners.filter(|it| it.kind == "Cluster" && it.api_version.starts_with(resources::GROUP))
    };
    let in_control = clusters().find(|owner| owner.controller == Some(true));
    let owner = in_control.or_else(|| clusters().next());
    owner
        .map(|owner| owner.name.clone())
        .or_else(|| view::text(request, "/spec/clusterName"))
}

/// Why the token of a request has not ended, as the controller says it.
fn deleting(request: &DynamicObject) -> Option<view::Condition> {
    view::condition(request, "Deleting").filter(view::Condition::is_true)
}

/// Why the token of a request that is gone may still let machines in, by what was last seen of it
/// and what was said in the end. Whoever takes the finalizer off by hand says nothing.
fn doubt(last: &DynamicObject, events: Option<&[DynamicObject]>, now: Timestamp) -> Option<String> {
    let said = |reason: &str| {
        events.into_iter().flatten().find(|event| {
            let text = |pointer| view::text(event, pointer);
            text("/involvedObject/uid") == last.metadata.uid
                && text("/reason").as_deref() == Some(reason)
        })
    };
    if let Some(event) = said(LEFT_BEHIND) {
        let note = view::text(event, "/message");
        return Some(note.unwrap_or_else(|| LEFT_BEHIND.to_owned()));
    }
    let has_expired = view::text(last, "/status/expiresAt")
        .and_then(|at| at.parse::<Timestamp>().ok())
        .is_some_and(|at| at <= now);
    if has_expired || said(REVOKED).is_some() {
        return None;
    }
    let known = match events {
        Some(_) => "",
        None => "it is not known, since no events may be read; ",
    };
    let seen = |condition: view::Condition| {
        format!("{known}when it was last seen: {}", condition.summary())
    };
    // The controller says before that what becomes of the token.
    let is_over = |condition: &view::Condition| {
        events.is_some() && condition.reason == WAITING_FOR_FINALIZERS
    };
    deleting(last)
        .filter(|condition| !is_over(condition))
        .map(seen)
}

#[cfg(test)]
mod tests;
