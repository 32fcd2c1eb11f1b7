//! The `caBundle`s by which API servers verify the certificate: of both webhook configurations and
//! of the definitions' conversion. Nothing else of these objects is touched.
//!
//! They are changed by JSON patch and not by server-side apply: an apply of only these fields would
//! make us an owner of the list entries around them, and an entry that an update of the manifests
//! drops would stay as a stub that no API server accepts. A field that no manifest names is left
//! alone by `kubectl apply`, on either side; what `replace` drops is put back.
//!
//! A configuration is written once more a moment later, with an empty line at the bundle's end: an API
//! server (seen with 1.36) that takes in two changes of one at a time may keep the first, with a bundle
//! that trusts nobody, until there is another.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client, Resource as _};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::state::{LATER, State};
use crate::certificates::plan::Bundle;
use crate::metrics::Metrics;

mod state;

/// The longest that one write may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Who changed it, in managedFields.
const MANAGER: &str = "k0smotron-webhook";

/// Why a bundle was not written.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The API server said no, or nothing.
    #[error("caBundle of {kind} {name} could not be written")]
    Api {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
        /// The cause.
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("no response within {} s while writing caBundle of {kind} {name}", DEADLINE.as_secs())]
    Timeout {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
    },
}

impl PublishError {
    /// Somebody has changed it meanwhile, or it is gone.
    fn is_overtaken(&self) -> bool {
        let Self::Api { source, .. } = self else {
            return false;
        };
        // A test of a patch that does not hold makes it invalid.
        matches!(&**source, kube::Error::Api(status) if matches!(status.code, 404 | 409 | 422))
    }
}

/// One object that holds bundles.
struct Target {
    resource: ApiResource,
    name: String,
    state: Mutex<State>,
}

/// All bundles; clones share what is known.
#[derive(Clone)]
pub struct CaBundles {
    client: Client,
    targets: Arc<[Target]>,
    changed: watch::Sender<()>,
}

impl CaBundles {
    /// Those of the configurations of this name and of these definitions that lead into this namespace.
    pub fn new(client: Client, namespace: &str, configuration: &str, definitions: &[&str]) -> Self {
        let target = |resource: ApiResource, name: &str| Target {
            resource,
            name: name.to_owned(),
            state: Mutex::new(State::of(namespace)),
        };
        let configurations = [
            ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ];
        let definition = ApiResource::erase::<CustomResourceDefinition>(&());
        let targets = configurations
            .into_iter()
            .map(|resource| target(resource, configuration))
            .chain(
                definitions
                    .iter()
                    .map(|name| target(definition.clone(), name)),
            )
            .collect();
        Self {
            client,
            targets,
            changed: watch::Sender::new(()),
        }
    }

    /// Watches all of them.
    pub fn start(&self, metrics: &Metrics, stop: &CancellationToken) {
        for index in 0..self.targets.len() {
            tokio::spawn(self.clone().follow(index, metrics.clone(), stop.clone()));
        }
    }

    /// Tells when any has changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Every bundle that there is; `None` until all were looked for.
    pub fn all(&self) -> Option<Vec<Bundle>> {
        let mut bundles = Vec::new();
        for target in self.targets.iter() {
            let state = target.state.lock();
            if !state.listed {
                return None;
            }
            bundles.extend(state.slots.iter().map(|slot| slot.bundle.clone()));
        }
        Some(bundles)
    }

    /// Has every bundle hold this text, and gives when one may that somebody writes as often; goes on with
    /// the others when one fails.
    pub async fn publish(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, PublishError> {
        let mut result = Ok(None);
        for target in self.targets.iter() {
            let Some(patch) = target.state.lock().patch(text) else {
                continue;
            };
            let held = target.state.lock().held(now);
            if held.is_some() {
                result = result.map(|next| held.into_iter().chain(next).min());
            } else if let Err(error) = self.patch(target, patch).await {
                result = Err(error);
            }
        }
        result
    }

    /// Changes what is to be changed once more by now, and gives when the next is; goes on with the others
    /// when one fails.
    pub async fn write_again(&self, now: Timestamp) -> Result<Option<Timestamp>, PublishError> {
        let mut result = Ok(None);
        for target in self.targets.iter() {
            if target.resource.kind == CustomResourceDefinition::kind(&()) {
                continue;
            }
            let mut due = target.state.lock().due(now);
            if due.is_some_and(|due| due <= now) {
                let patch = target.state.lock().once_more();
                due = match self.write(target, patch).await {
                    Ok(()) => None,
                    // Somebody has changed it, and that comes by the watch.
                    Err(error) if error.is_overtaken() => now.checked_add(LATER).ok(),
                    Err(error) => {
                        result = Err(error);
                        continue;
                    }
                };
            }
            result = result.map(|next| next.into_iter().chain(due).min());
        }
        result
    }

    async fn patch(&self, target: &Target, patch: Value) -> Result<(), PublishError> {
        self.write(target, patch).await?;
        let (kind, name) = (&target.resource.kind, &target.name);
        tracing::info!(kind, name, "wrote caBundle");
        Ok(())
    }

    async fn write(&self, target: &Target, patch: Value) -> Result<(), PublishError> {
        let Ok(patch) = serde_json::from_value(patch) else {
            return Ok(());
        };
        let kind = target.resource.kind.clone();
        let name = target.name.clone();
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &target.resource);
        let request = async { api.patch(&name, &params, &Patch::<()>::Json(patch)).await };
        match timeout(DEADLINE, request).await {
            Ok(Ok(object)) => {
                let (now, mut state) = (Timestamp::now(), target.state.lock());
                state.note_write(now);
                state.see(&object, now);
                Ok(())
            }
            Ok(Err(source)) => {
                let source = Box::new(source);
                Err(PublishError::Api { kind, name, source })
            }
            Err(_) => Err(PublishError::Timeout { kind, name }),
        }
    }

    async fn follow(self, index: usize, metrics: Metrics, stop: CancellationToken) {
        let Some(target) = self.targets.get(index) else {
            return;
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &target.resource);
        let config = runtime::watch_config().fields(&format!("metadata.name={}", target.name));
        let events = watcher(api, config)
            .default_backoff()
            .take_until(stop.cancelled_owned());
        tokio::pin!(events);
        let mut found = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => found = false,
                Ok(Event::InitApply(object)) => {
                    found = true;
                    target.state.lock().list(&object, Timestamp::now());
                }
                Ok(Event::Apply(object)) => target.state.lock().see(&object, Timestamp::now()),
                Ok(Event::Delete(object)) => target.state.lock().gone(&object),
                Ok(Event::InitDone) => {
                    let mut state = target.state.lock();
                    if !found {
                        state.lose();
                    }
                    state.listed = true;
                }
                Err(error) => {
                    let kind = &target.resource.kind;
                    metrics.watch_failed(kind);
                    tracing::warn!(kind, name = target.name, %error, "watch failed, restarting");
                }
            }
            self.changed.send_replace(());
        }
    }
}
