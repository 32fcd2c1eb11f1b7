//! Which nodes have joined hosted clusters, counted in the background.
//!
//! No watch of the mothership tells it, so the hosted API is asked now and then. As with
//! [`health`](super::health), a reconcile says whom to ask, looks at the last count, and is called
//! again when the count changes. To be let in takes a certificate of the cluster's authority: the
//! reconcile is called for that as well, when the first count is due and not before, so that a
//! restart with many clusters does not ask for all their keys at once.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use crds::v1beta2::StatusNodes;
use http::Response;
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, ObjectList, Request};
use kube::client::Body;
use kube::{Client, Resource as _};
use pki::PemPair;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::client::{CALL_DEADLINE, CONNECT_TIMEOUT};
use super::{ClientCert, Endpoint, HostedError, connect, deadline};
use crate::poller::{Polled, Poller, Task};

/// How many lists are read at the same time, and as many again of APIs that are slow: eight in memory.
const CONCURRENCY: usize = 4;
/// Nodes of one answer.
const PAGE: u32 = 500;
/// How long a whole count takes after which an API is slow, however soon each page came. One that hangs
/// is let go after no less.
const SLOW: Duration = CONNECT_TIMEOUT;
/// How long all pages may take together of an API that was not slow the last time: it must not keep
/// others from being asked.
const ALL_PAGES: Duration = CALL_DEADLINE;
/// The same for one that was, which keeps only such ones waiting. One of thousands of nodes needs it.
const ALL_PAGES_OF_SLOW: Duration = Duration::from_secs(60);
/// In bytes.
const LONGEST_VERSION: usize = 64;

/// How long to wait between two counts.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Before the first.
    pub first: Range<Duration>,
    /// Between two; and before the next try after a failure.
    pub then: Range<Duration>,
}

impl Default for Pace {
    /// 10 to 60 seconds, then 30 to 60.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10)..Duration::from_secs(60),
            then: Duration::from_secs(30)..Duration::from_secs(60),
        }
    }
}

/// Counts the nodes of hosted clusters. Dropping it ends all counting.
pub struct NodePoller(Poller<Target, Last, Pace>);

#[derive(Clone)]
struct Target {
    namespace: String,
    name: String,
    endpoint: Endpoint,
    client_cert: Option<ClientCert>,
}

#[derive(Default)]
struct Last {
    nodes: Option<StatusNodes>,
    wants_certificate: bool,
}

impl NodePoller {
    /// A poller that calls `changed` with a Cluster's namespace and name when its count is another
    /// than before, and when a certificate is wanted. The call must not block.
    pub fn new(changed: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        Self::with_pace(Pace::default(), changed)
    }

    /// As [`Self::new`], with another pace.
    pub fn with_pace(pace: Pace, changed: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        Self(Poller::new(CONCURRENCY, pace, changed))
    }

    /// Counts the nodes of the Cluster with this uid from now on. Returns at once whether it is
    /// time to [`provide`](Self::provide) a certificate. Needs a running tokio runtime.
    pub fn follow(&self, uid: &str, namespace: &str, name: &str, endpoint: Endpoint) -> bool {
        let target = Target {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            endpoint,
            client_cert: None,
        };
        let change = |polled: &Polled<Target, Last>, new: Target| {
            polled.target.send_if_modified(|target| {
                let is_new = target.endpoint != new.endpoint;
                if is_new {
                    // Another authority does not know the certificate.
                    target.client_cert = None;
                    target.endpoint = new.endpoint;
                }
                is_new
            });
            polled.last.lock().wants_certificate
        };
        let wants = self.0.with_or_start(uid, target, change, |task| {
            Counting {
                task,
                is_slow: false,
            }
            .run()
        });
        wants.unwrap_or_default()
    }

    /// A certificate with which the Cluster's API lets nodes be listed.
    pub fn provide(&self, uid: &str, client_cert: PemPair) {
        self.0.with(uid, |polled| {
            polled.last.lock().wants_certificate = false;
            let cert = ClientCert::new(client_cert, self.0.pace().then.end);
            polled
                .target
                .send_modify(|target| target.client_cert = Some(cert));
        });
    }

    /// The last count, if there is one.
    pub fn last(&self, uid: &str) -> Option<StatusNodes> {
        self.0
            .with(uid, |polled| polled.last.lock().nodes.clone())?
    }

    /// Stops counting and drops what is known.
    pub fn forget(&self, uid: &str) {
        self.0.forget(uid);
    }

    /// Stops for every Cluster but those with these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.0.retain(uids);
    }
}

/// The task of one Cluster.
struct Counting {
    task: Task<Target, Last, Pace>,
    /// The last count took long, whatever came of it: one that fails at once keeps nobody waiting.
    is_slow: bool,
}

impl Counting {
    async fn run(mut self) {
        tokio::time::sleep(pick(&self.task.shared.pace.first)).await;
        loop {
            let target = self.task.target.borrow_and_update().clone();
            let Some(client_cert) = target.client_cert.as_ref().filter(|cert| !cert.is_due())
            else {
                self.task.last.lock().wants_certificate = true;
                self.task.shared.changed(&target.namespace, &target.name);
                if self.task.target.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let begin = begin(&target.endpoint, &client_cert.pair);
            match self.count(begin).await {
                Ok(nodes) => {
                    let nodes = Some(nodes);
                    let is_new = {
                        let mut last = self.task.last.lock();
                        let is_new = last.nodes != nodes;
                        last.nodes = nodes;
                        is_new
                    };
                    if is_new {
                        self.task.shared.changed(&target.namespace, &target.name);
                    }
                }
                // The last count stands: whether the API answers is the prober's business.
                Err(error) => tracing::debug!(
                    namespace = target.namespace,
                    name = target.name,
                    %error,
                    "nodes could not be counted"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(pick(&self.task.shared.pace.then)) => {}
                changed = self.task.target.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn count(
        &mut self,
        begin: impl Future<Output = Result<Begun, HostedError>>,
    ) -> Result<StatusNodes, HostedError> {
        let shared = &self.task.shared;
        let was_slow = self.is_slow;
        // A task has room for its largest future for as long as its Cluster lives.
        let begin = Box::pin(timed(begin));
        let ((begun, began), place) = if was_slow {
            // Who waits has no connection yet, and keeps its turn.
            let place = shared.place(was_slow).await;
            (begin.await, place)
        } else {
            shared.in_turn(was_slow, begin).await
        };
        self.is_slow = began >= SLOW;
        let (client, first) = begun?;
        // What is read costs more than a connection.
        let _place = match place {
            None => timeout(CALL_DEADLINE, shared.place(was_slow))
                .await
                .map_err(|_| HostedError::Timeout)?,
            place => place,
        };
        let limit = if was_slow {
            ALL_PAGES_OF_SLOW
        } else {
            ALL_PAGES
        };
        let pages = within(limit.saturating_sub(began), every_page(&client, first));
        let (counted, read) = timed(pages).await;
        self.is_slow = began + read >= SLOW;
        counted
    }
}

/// With how long it took.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}

async fn within(
    limit: Duration,
    count: impl Future<Output = Result<StatusNodes, HostedError>>,
) -> Result<StatusNodes, HostedError> {
    timeout(limit, count)
        .await
        .unwrap_or(Err(HostedError::Timeout))
}

/// A client, and an answer of which nothing is read yet.
type Begun = (Client, Response<Body>);

fn first_page() -> ListParams {
    ListParams::default().limit(PAGE)
}

async fn begin(endpoint: &Endpoint, cert: &PemPair) -> Result<Begun, HostedError> {
    let client = connect(endpoint, Some(cert))?;
    let first = deadline(ask(&client, &first_page())).await?;
    Ok((client, first))
}

/// Asks for a page, of which nothing is read yet.
async fn ask(client: &Client, page: &ListParams) -> Result<Response<Body>, kube::Error> {
    let request = Request::new(Seen::url_path(&(), None)).list(page);
    let request = request.map_err(kube::Error::BuildRequest)?;
    client.send(request.map(Body::from)).await
}

async fn read(answer: Response<Body>) -> Result<ObjectList<Seen>, HostedError> {
    let status = answer.status();
    if !status.is_success() {
        return Err(HostedError::Api {
            code: status.as_u16(),
            reason: status.canonical_reason().unwrap_or_default().to_owned(),
        });
    }
    deadline(async {
        let bytes = answer.into_body().collect().await?.to_bytes();
        serde_json::from_slice(&bytes).map_err(kube::Error::SerdeError)
    })
    .await
}

async fn every_page(client: &Client, first: Response<Body>) -> Result<StatusNodes, HostedError> {
    let mut nodes = StatusNodes::default();
    let mut oldest: Option<semver::Version> = None;
    let (mut answer, mut page) = (first, first_page());
    loop {
        let list = read(answer).await?;
        for node in &list.items {
            nodes.joined += 1;
            nodes.ready += i32::from(node.is_ready());
            let text = &node.status.node_info.kubelet_version;
            if let Some(version) = kubelet(text)
                && oldest.as_ref().is_none_or(|oldest| version < *oldest)
            {
                oldest = Some(version);
                nodes.oldest_kubelet = Some(text.clone());
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page.continue_token = Some(token),
            None => return Ok(nodes),
        }
        answer = deadline(ask(client, &page)).await?;
    }
}

fn pick(range: &Range<Duration>) -> Duration {
    if range.is_empty() {
        range.start
    } else {
        rand::rng().random_range(range.clone())
    }
}

/// `v1.36.3+k0s`; what stands behind the plus has no order.
///
/// A node says it of itself and no API looks at it, and it is written into a status of the mothership:
/// what looks like no version is none.
fn kubelet(text: &str) -> Option<semver::Version> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte);
    if text.len() > LONGEST_VERSION || !text.bytes().all(fits) {
        return None;
    }
    let plain = text.strip_prefix('v').unwrap_or(text);
    let plain = plain.split_once('+').map_or(plain, |(plain, _)| plain);
    semver::Version::parse(plain).ok()
}

/// What is read of a Node.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Node)]
struct Seen {
    metadata: ObjectMeta,
    #[serde(default)]
    status: SeenStatus,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenStatus {
    conditions: Vec<NodeCondition>,
    node_info: SeenInfo,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenInfo {
    kubelet_version: String,
}

impl Seen {
    fn is_ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }
}

#[cfg(test)]
mod tests;
