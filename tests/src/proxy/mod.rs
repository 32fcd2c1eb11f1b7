//! A proxy between a program and an API server, TLS on both sides, that does to chosen requests what
//! networks, API servers and machines do to them.
//!
//! A request is found by what it is for and by how often there was one like it ([`Point`]); what
//! happens to it is a [`Fault`]. Everything that went through is in the proxy's log. Whoever speaks to
//! it needs no more than a kubeconfig, so it stands before any program that reads one.

mod call;
mod face;
mod fault;
mod rule;
mod serve;
mod view;
mod watch;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hyper::body::Bytes;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::net::TcpListener;

pub use self::call::{Call, Verb};
pub use self::face::{Face, Listening};
pub use self::fault::{FROZEN, Fault, LASTS, LATE};
pub use self::view::View;

use self::rule::Rule;
use crate::access::Access;
use crate::pki::{self, Authority};

/// A request among those that are alike.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Point {
    /// What it does, for what, and its name or selectors, as [`Call`] shows them.
    pub call: String,
    /// Which of them, from 1.
    pub occurrence: usize,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.call, self.occurrence)
    }
}

impl FromStr for Point {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (call, occurrence) = text
            .rsplit_once(" #")
            .with_context(|| format!("{text:?} must be a request and its number: … #1"))?;
        Ok(Self {
            call: call.to_owned(),
            occurrence: occurrence
                .parse()
                .with_context(|| format!("the number of the request in {text:?}"))?,
        })
    }
}

/// One request that went through, or did not.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it came in.
    pub at: Instant,
    /// What it was for.
    pub call: Call,
    /// Which of its kind it was.
    pub point: Point,
    /// What the API server said; 0 where it was not asked or did not answer.
    pub upstream: u16,
    /// What was done to it.
    pub fault: Option<Fault>,
    /// Whether it is a watch that has shown something once all was begun.
    pub showed: bool,
}

/// What is to be done to one request.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// Where its record is.
    record: usize,
    fault: Option<Fault>,
    later: bool,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    records: Vec<Record>,
    counts: HashMap<String, usize>,
    /// First answers of lists, by their path.
    lists: HashMap<String, Bytes>,
    /// What has no way through at all.
    cut: HashSet<String>,
    /// What is shown, unless it is all.
    view: Option<View>,
    /// See [`Proxy::begin`].
    begun: bool,
}

/// What ends the client.
type Kill = Box<dyn Fn() + Send + Sync>;

struct Shared {
    upstream: kube::Client,
    /// What stands before the calls of its points, where there are several proxies.
    place: &'static str,
    state: Mutex<State>,
    kill: Mutex<Option<Kill>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) {
        if let Some(kill) = &*self.kill.lock().unwrap_or_else(PoisonError::into_inner) {
            kill();
        }
    }

    /// Notes a request, and says which record is its and what is to be done to it.
    fn note(&self, call: &Call) -> Found {
        let mut state = self.state();
        let mut shown = format!("{}{call}", self.place);
        if let Some(view) = &state.view {
            shown = view.told(&shown);
        }
        let count = state.counts.entry(shown.clone()).or_default();
        *count += 1;
        let point = Point {
            call: shown,
            occurrence: *count,
        };
        let now = Instant::now();
        let rule = state
            .rules
            .iter_mut()
            .find_map(|rule| Some((rule.applies(&point, now)?, rule.later)));
        let fault = rule.map(|(fault, _)| fault);
        state.records.push(Record {
            at: now,
            call: call.clone(),
            point,
            upstream: 0,
            fault,
            showed: false,
        });
        Found {
            record: state.records.len() - 1,
            fault,
            later: rule.is_some_and(|(_, later)| later),
        }
    }

    /// Notes that a watch shows something, and says whether all was begun by then.
    fn shows(&self, record: usize) -> bool {
        let mut state = self.state();
        let begun = state.begun;
        if let Some(record) = state.records.get_mut(record) {
            record.showed |= begun;
        }
        begun
    }

    /// What waited for the watch of this record happens now.
    fn strikes(&self, record: usize) {
        let mut state = self.state();
        let Some(point) = state.records.get(record).map(|record| record.point.clone()) else {
            return;
        };
        let mut rules = state.rules.iter_mut();
        if let Some(rule) = rules.find(|rule| rule.later && rule.point == point) {
            rule.since = Some(Instant::now());
        }
    }

    fn answered(&self, record: usize, code: u16) {
        if let Some(record) = self.state().records.get_mut(record) {
            record.upstream = code;
        }
    }
}

/// A running proxy; it ends with this handle.
pub struct Proxy {
    shared: Arc<Shared>,
    front: Option<Listening>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("front", &self.front)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts one before this API server. It asks there as this user, whoever asks it.
    pub async fn start(access: &Access, user: &str, groups: &[&str]) -> Result<Self> {
        let mut proxy = Self::before("", access, user, groups).await?;
        let authority = Authority::load(&access.dir().join("pki"), "ca")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let front = proxy.listen(listener, Face::of_anybody(&authority)?)?;
        proxy.front = Some(front);
        Ok(proxy)
    }

    /// One that nobody reaches before it listens; `place` stands before the calls of its points.
    pub async fn before(
        place: &'static str,
        access: &Access,
        user: &str,
        groups: &[&str],
    ) -> Result<Self> {
        let text = access.kubeconfig_text(user, groups)?;
        let kubeconfig = Kubeconfig::from_yaml(&text)?;
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Self::to(place, config)
    }

    /// The same before any server over HTTP.
    pub fn to(place: &'static str, mut config: kube::Config) -> Result<Self> {
        // What goes wrong is the client's to see.
        config.default_retry = false;
        config.read_timeout = None;
        config.write_timeout = None;
        let upstream = kube::Client::try_from(config).context("making a client")?;
        let shared = Arc::new(Shared {
            upstream,
            place,
            state: Mutex::default(),
            kill: Mutex::default(),
        });
        Ok(Self {
            shared,
            front: None,
        })
    }

    /// Takes requests at one more address, until the handle is dropped.
    pub fn listen(&self, listener: TcpListener, face: Face) -> Result<Listening> {
        Listening::start(listener, face, Arc::clone(&self.shared))
    }

    /// Writes a kubeconfig that leads here, into a folder.
    pub fn kubeconfig(&self, access: &Access, folder: &Path) -> Result<PathBuf> {
        let text = access.kubeconfig_text("whoever", &[])?;
        let front = self.front.as_ref().context("nobody reaches this proxy")?;
        let here = format!("https://{}", front.address);
        if !text.contains(access.server()) {
            bail!("the kubeconfig does not name {}", access.server());
        }
        let path = folder.join(format!("proxy-{}.yaml", front.address.port()));
        pki::write_private(&path, &text.replace(access.server(), &here))?;
        Ok(path)
    }

    /// Shows a part of the API server as if it were all.
    pub fn show(&self, view: View) {
        self.shared.state().view = Some(view);
    }

    /// What [`Fault::KillBefore`] and [`Fault::KillAfter`] do.
    pub fn on_kill(&self, kill: impl Fn() + Send + Sync + 'static) {
        let kill: Kill = Box::new(kill);
        *self
            .shared
            .kill
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(kill);
    }

    /// Does something to a request that is still to come; with `later`, to what a watch shows after
    /// [`Proxy::begin`].
    pub fn inject(&self, point: Point, fault: Fault, later: bool) {
        self.shared.state().rules.push(Rule {
            point,
            fault,
            later,
            met: false,
            since: None,
        });
    }

    /// The beginning is over: what waits for that happens to the next event.
    pub fn begin(&self) {
        self.shared.state().begun = true;
    }

    /// Cuts or mends the way of all requests for a resource.
    pub fn cut(&self, resource: &str, away: bool) {
        let mut state = self.shared.state();
        if away {
            state.cut.insert(resource.to_owned());
        } else {
            state.cut.remove(resource);
        }
    }

    /// Everything that came in until now.
    pub fn records(&self) -> Vec<Record> {
        self.shared.state().records.clone()
    }

    /// When the last request came in of those that count.
    pub fn last(&self, counts: impl Fn(&Record) -> bool) -> Option<Instant> {
        let state = self.shared.state();
        state
            .records
            .iter()
            .rev()
            .find(|record| counts(record))
            .map(|record| record.at)
    }

    /// How long what is done to requests lasts by itself, without what it brings about.
    pub fn lasts(&self) -> Option<Duration> {
        let state = self.shared.state();
        state
            .rules
            .iter()
            .filter_map(|rule| rule.fault.lasts())
            .max()
    }

    /// When each fault was first done that was asked for; nothing for what is still to come.
    pub fn since(&self) -> Vec<Option<Instant>> {
        let state = self.shared.state();
        state.rules.iter().map(|rule| rule.since).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_can_be_typed_as_it_is_shown() {
        let point = Point {
            call: "list secrets app=k0smotron #x".to_owned(),
            occurrence: 2,
        };
        assert_eq!(point.to_string().parse::<Point>().unwrap(), point);
        assert!("patch services a".parse::<Point>().is_err());
    }
}
