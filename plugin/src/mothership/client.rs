//! The connection to the mothership: one deadline and one error text for every request.

use std::future::Future;
use std::time::{Duration, Instant};

use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, ObjectList, ObjectMeta, Patch,
    PatchParams, Preconditions,
};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{Error, innermost};
use crate::flags::GlobalArgs;
use crate::kubeconfig::{self, Mothership};
use crate::mothership::resources;
use crate::output::Output;
use crate::{suggest, transport};

mod create;
#[cfg(test)]
pub mod testing;

/// Who the API server records as the author of what is written here.
pub const FIELD_MANAGER: &str = "kubectl-k0smotron";
/// How many versions of an object a change is tried on: its controller writes a few while it begins.
const VERSIONS: usize = 8;
/// The first pause before a request that was put off is made again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long an admission webhook that cannot be reached is waited for.
const ADMISSION: Duration = Duration::from_secs(10);

/// What is to become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submission {
    Create,
    /// A new one that is checked and not kept.
    Trial,
}

/// A client with its namespace, deadline and voice.
pub struct Connection<'a> {
    client: Client,
    /// The namespace in which names are looked for.
    pub namespace: String,
    pub server: String,
    proxy: Option<String>,
    deadline: Option<Duration>,
    out: &'a Output,
}

impl<'a> Connection<'a> {
    /// Reads the kubeconfig and prepares a client; the first request opens the connection.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`].
    pub async fn open(global: &GlobalArgs, out: &'a Output) -> Result<Self, Error> {
        let Mothership {
            mut access,
            namespace,
        } = kubeconfig::mothership(global).await?;
        if global.deadline().is_some() {
            // The deadline of the whole request covers connecting, and says so in plainer words.
            access.config.connect_timeout = None;
        }
        let server = kubeconfig::shown(&access.config.cluster_url);
        let proxy = access.proxy.as_ref().map(ToString::to_string);
        let client =
            transport::client(access, global.verbosity).map_err(|error| unusable(&error))?;
        Ok(Self {
            client,
            namespace,
            server,
            proxy,
            deadline: global.deadline(),
            out,
        })
    }

    /// The same deadline and voice for another API server, such as a hosted one.
    #[must_use]
    pub fn to(&self, client: Client, server: String) -> Self {
        Self {
            client,
            namespace: self.namespace.clone(),
            server,
            proxy: None,
            deadline: self.deadline,
            out: self.out,
        }
    }

    /// The raw client, for requests that have no type.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Objects of a kind in the namespace.
    pub fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    /// Objects of a kind in the namespace or in all, and how to say so.
    pub fn scope(&self, resource: &ApiResource, everywhere: bool) -> (Api<DynamicObject>, String) {
        if everywhere {
            return (
                self.api_everywhere(resource),
                "in all namespaces".to_owned(),
            );
        }
        let place = format!("in namespace \"{}\"", self.namespace);
        (self.api(resource), place)
    }

    /// Objects of a kind in every namespace.
    pub fn api_everywhere(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), resource)
    }

    /// Deletes the very object that was looked at, not one that took its name meanwhile. One that
    /// has gone is as good as deleted.
    pub async fn delete<K: Clone + std::fmt::Debug + DeserializeOwned>(
        &self,
        attempt: &str,
        api: &Api<K>,
        looked_at: &ObjectMeta,
        dry_run: bool,
    ) -> Result<(), Error> {
        let name = looked_at.name.as_deref().unwrap_or_default();
        let parameters = DeleteParams {
            dry_run,
            preconditions: Some(Preconditions {
                uid: looked_at.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self.call(attempt, || api.delete(name, &parameters)).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Changes the spec of a Cluster, unless somebody else has changed it since it was looked at. What
    /// the controller writes meanwhile (status, finalizers) is none of that: it is written all the
    /// time while a cluster rolls.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody has, else as [`Connection::call`].
    pub async fn change(
        &self,
        attempt: &str,
        looked_at: &DynamicObject,
        spec: Value,
        dry_run: bool,
    ) -> Result<(), Error> {
        let parameters = PatchParams {
            dry_run,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(&resources::clusters());
        self.again(attempt, looked_at, async |latest| {
            let seen = (&looked_at.metadata.uid, looked_at.metadata.generation);
            if (&latest.metadata.uid, latest.metadata.generation) != seen {
                return None;
            }
            let patch = Patch::Merge(json!({
                "metadata": {"resourceVersion": latest.metadata.resource_version},
                "spec": spec,
            }));
            let name = latest.metadata.name.as_deref().unwrap_or_default();
            let sent = self.call(attempt, || api.patch(name, &parameters, &patch));
            Some(sent.await.map(drop))
        })
        .await
    }

    /// Sends a change of a Cluster; where the API server has a later version, once more on top of
    /// that. `send` answers `None` when what it is to change is no longer what was looked at.
    ///
    /// # Errors
    /// [`Error::Conflict`] for that `None`, else what `send` and [`Connection::cluster`] answer.
    pub async fn again(
        &self,
        attempt: &str,
        looked_at: &DynamicObject,
        send: impl AsyncFn(&DynamicObject) -> Option<Result<(), Error>>,
    ) -> Result<(), Error> {
        let mut latest = looked_at.clone();
        for _ in 0..VERSIONS {
            match send(&latest).await {
                Some(Err(Error::Conflict { .. })) => {
                    let name = looked_at.metadata.name.as_deref().unwrap_or_default();
                    latest = self.cluster(name).await?;
                }
                Some(answer) => return answer,
                None => break,
            }
        }
        Err(Error::Conflict {
            attempt: attempt.to_owned(),
            answer: "it was changed by somebody else since you looked at it".to_owned(),
            hint: "look at it again, and repeat the command if you still want to".to_owned(),
        })
    }

    /// Makes a request within the deadline; one that the server puts off (429, 503) is repeated
    /// until then, one whose admission webhook cannot be reached for ten seconds. `attempt` is a
    /// phrase like `list clusters in namespace "default"`.
    ///
    /// # Errors
    /// What [`Error::from_kube`] makes of the answer.
    pub async fn call<T, F>(
        &self,
        attempt: &str,
        mut request: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let started = Instant::now();
        let end = self.deadline.map(|deadline| started + deadline);
        let mut pause = FIRST_PAUSE;
        let answer = loop {
            let asked = within(end, request()).await;
            let Some(answer) = asked else {
                break Err(Error::Unreachable {
                    server: self.server.clone(),
                    cause: format!("no answer within {:?}", self.deadline.unwrap_or_default()),
                });
            };
            let put_off = match &answer {
                Err(kube::Error::Api(status)) => {
                    matches!(status.code, 429 | 503)
                        || (is_unadmitted(status) && started.elapsed() < ADMISSION)
                }
                _ => false,
            };
            let in_time = end.is_none_or(|end| Instant::now() + pause < end);
            if !(put_off && in_time) {
                break answer.map_err(|error| self.explain(attempt, error));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        };
        if let Err(error @ Error::Unreachable { .. }) = &answer {
            // A request that is given up shows nothing itself.
            let took = started.elapsed().as_millis();
            self.out
                .detail(|| format!("{attempt}: {error} (after {took} ms)"));
        }
        answer
    }

    /// The error for an answer; a proxy on the way is named, since it may be the one at fault.
    fn explain(&self, attempt: &str, error: kube::Error) -> Error {
        match (Error::from_kube(attempt, &self.server, error), &self.proxy) {
            (Error::Unreachable { server, cause }, Some(proxy)) => Error::Unreachable {
                server,
                cause: format!("{cause}, through the proxy {proxy}"),
            },
            (error, _) => error,
        }
    }

    /// The Cluster of this name.
    ///
    /// # Errors
    /// [`Error::UnknownCluster`] with names that look alike, or any other answer.
    pub async fn cluster(&self, name: &str) -> Result<DynamicObject, Error> {
        let api = self.api(&resources::clusters());
        let attempt = format!("get cluster {}/{name}", self.namespace);
        match self.call(&attempt, || api.get(name)).await {
            Err(Error::NotFound { .. }) => Err(self.unknown(name).await),
            other => other,
        }
    }

    /// The error for a name that no Cluster has, with what the user may have meant.
    pub async fn unknown(&self, name: &str) -> Error {
        let everywhere = self.api_everywhere(&resources::clusters());
        let here = self.api(&resources::clusters());
        let parameters = ListParams::default().limit(500);
        let attempt = "list clusters that look alike";
        let found: Option<ObjectList<_>> = match self
            .call(attempt, || everywhere.list_metadata(&parameters))
            .await
        {
            Ok(found) => Some(found),
            Err(_) => self
                .call(attempt, || here.list_metadata(&parameters))
                .await
                .ok(),
        };
        let items = found.map(|found| found.items).unwrap_or_default();
        let pair = |item: &kube::core::PartialObjectMeta<DynamicObject>| {
            let namespace = item.metadata.namespace.clone()?;
            Some((namespace, item.metadata.name.clone()?))
        };
        let known: Vec<(String, String)> = items.iter().filter_map(pair).collect();
        let local = known
            .iter()
            .filter(|(namespace, _)| *namespace == self.namespace);
        let near = suggest::near(name, local.map(|(_, name)| name.as_str()));
        let elsewhere = known.iter().filter(|(_, known)| known == name);
        Error::UnknownCluster {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            near,
            elsewhere: elsewhere.map(|(namespace, _)| namespace.clone()).collect(),
        }
    }
}

/// Whether nothing was stored because an admission webhook could not be reached: right after an
/// installation or a restart the API server does not know the way to it for a second.
fn is_unadmitted(status: &kube::core::Status) -> bool {
    status.code == 500 && status.message.contains("failed calling webhook")
}

async fn within<T>(end: Option<Instant>, request: impl Future<Output = T>) -> Option<T> {
    match end {
        Some(end) => tokio::time::timeout_at(end.into(), request).await.ok(),
        None => Some(request.await),
    }
}

/// What fails before any request is the kubeconfig's fault: a certificate or key that is none.
fn unusable(error: &kube::Error) -> Error {
    Error::Kubeconfig {
        message: format!("the kubeconfig cannot be used: {}", innermost(error)),
        hint: "are its certificates and keys whole? See kubectl config view".to_owned(),
    }
}
