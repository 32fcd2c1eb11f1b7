//! The `caBundle`s by which API servers verify the certificate: of both webhook configurations and
//! of the definitions' conversion. Nothing else of these objects is touched.
//!
//! They are changed by JSON patch and not by server-side apply: an apply of only these fields would
//! make us an owner of the list entries around them, and an entry that an update of the manifests
//! drops would stay as a stub that no API server accepts. A field that no manifest names is left
//! alone by `kubectl apply`, on either side; what `replace` drops is put back.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::certificates::plan::Bundle;
use crate::metrics::Metrics;

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

/// One object that holds bundles.
struct Target {
    resource: ApiResource,
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listed: bool,
    version: String,
    slots: Vec<Slot>,
}

#[derive(Clone)]
struct Slot {
    pointer: String,
    bundle: Bundle,
}

/// All bundles; clones share what is known.
#[derive(Clone)]
pub struct CaBundles {
    client: Client,
    targets: Arc<[Target]>,
    changed: watch::Sender<()>,
}

impl CaBundles {
    /// Those of the configurations of this name and of these definitions.
    pub fn new(client: Client, configuration: &str, definitions: &[&str]) -> Self {
        let target = |resource: ApiResource, name: &str| Target {
            resource,
            name: name.to_owned(),
            state: Mutex::default(),
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

    /// Has every bundle hold this text; goes on with the others when one fails.
    pub async fn publish(&self, text: &str) -> Result<(), PublishError> {
        let mut result = Ok(());
        for target in self.targets.iter() {
            let Some(patch) = target.state.lock().patch(text) else {
                continue;
            };
            if let Err(error) = self.patch(target, patch).await {
                result = Err(error);
            }
        }
        result
    }

    async fn patch(&self, target: &Target, patch: Value) -> Result<(), PublishError> {
        let kind = target.resource.kind.clone();
        let name = target.name.clone();
        let Ok(patch) = serde_json::from_value(patch) else {
            return Ok(());
        };
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &target.resource);
        let request = async { api.patch(&name, &params, &Patch::<()>::Json(patch)).await };
        match timeout(DEADLINE, request).await {
            Ok(Ok(object)) => {
                target.state.lock().see(&object, Timestamp::now());
                tracing::info!(kind, name, "wrote caBundle");
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
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    found = true;
                    target.state.lock().see(&object, Timestamp::now());
                }
                Ok(Event::Delete(_)) => target.state.lock().lose(),
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

impl State {
    fn see(&mut self, object: &DynamicObject, now: Timestamp) {
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        let number = |version: &str| version.parse::<u64>().ok();
        // What an own write returned is newer than what the watch has yet to bring.
        if number(&version) < number(&self.version) {
            return;
        }
        let before = std::mem::take(&mut self.slots);
        self.slots = slots(&object.data)
            .map(|(pointer, text)| {
                let same = before
                    .iter()
                    .find(|slot| slot.pointer == pointer && slot.bundle.text == text);
                let since = same.map_or(now, |slot| slot.bundle.since);
                let bundle = Bundle { text, since };
                Slot { pointer, bundle }
            })
            .collect();
        self.version = version;
    }

    fn lose(&mut self) {
        *self = Self {
            listed: self.listed,
            ..Self::default()
        };
    }

    /// The change that has every slot hold this text, if one does not. It fails if anybody has
    /// changed the object since, because then the pointers may point elsewhere.
    fn patch(&self, text: &str) -> Option<Value> {
        let others: Vec<_> = self
            .slots
            .iter()
            .filter(|slot| slot.bundle.text != text)
            .map(|slot| {
                json!({"op": "add", "path": slot.pointer, "value": BASE64_STANDARD.encode(text)})
            })
            .collect();
        if others.is_empty() {
            return None;
        }
        let test = json!({
            "op": "test", "path": "/metadata/resourceVersion", "value": self.version,
        });
        Some(std::iter::once(test).chain(others).collect())
    }
}

/// Where an object holds bundles, and what they hold.
fn slots(object: &Value) -> impl Iterator<Item = (String, String)> {
    let webhooks = object.get("webhooks").and_then(Value::as_array);
    let of_webhooks = webhooks
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, webhook)| {
            Some((
                format!("/webhooks/{index}/clientConfig"),
                webhook.get("clientConfig")?,
            ))
        });
    let conversion = "/spec/conversion/webhook/clientConfig";
    let of_conversion = object
        .pointer(conversion)
        .map(|config| (conversion.to_owned(), config));
    of_webhooks.chain(of_conversion).map(|(pointer, config)| {
        let encoded = config.get("caBundle").and_then(Value::as_str);
        let bytes = encoded.and_then(|text| BASE64_STANDARD.decode(text).ok());
        let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
        (format!("{pointer}/caBundle"), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str, data: Value) -> DynamicObject {
        let mut object = DynamicObject::new(
            "k0smotron",
            &ApiResource::erase::<CustomResourceDefinition>(&()),
        );
        object.metadata.resource_version = Some(version.to_owned());
        object.data = data;
        object
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn configuration(first: &str, second: &str) -> Value {
        json!({"webhooks": [
            {"name": "a", "clientConfig": {"caBundle": BASE64_STANDARD.encode(first)}},
            {"name": "b", "clientConfig": {"url": "https://x"}, "rules": [second]},
        ]})
    }

    #[test]
    fn only_the_bundles_are_changed_and_only_of_the_object_that_was_seen() {
        let mut state = State::default();
        state.see(&object("7", configuration("old", "")), at(1));
        let mut live = json!({"metadata": {"resourceVersion": "7"}});
        live["webhooks"] = configuration("old", "")["webhooks"].clone();
        let patch: json_patch::Patch = serde_json::from_value(state.patch("new").unwrap()).unwrap();
        json_patch::patch(&mut live, &patch).unwrap();
        let bundle = json!(BASE64_STANDARD.encode("new"));
        assert_eq!(
            live["webhooks"][0]["clientConfig"],
            json!({"caBundle": bundle})
        );
        assert_eq!(
            live["webhooks"][1],
            json!({"name": "b", "clientConfig": {"url": "https://x", "caBundle": bundle}, "rules": [""]})
        );
        live["metadata"]["resourceVersion"] = json!("8");
        assert!(json_patch::patch(&mut live, &patch).is_err());
    }

    #[test]
    fn a_definition_without_conversion_by_webhook_is_left_alone() {
        let mut state = State::default();
        state.see(
            &object("7", json!({"spec": {"conversion": {"strategy": "None"}}})),
            at(1),
        );
        assert!(state.patch("new").is_none());
        let webhook = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"url": ""}}}}});
        state.see(&object("8", webhook), at(2));
        let patch = state.patch("new").unwrap();
        assert_eq!(
            patch[1]["path"],
            "/spec/conversion/webhook/clientConfig/caBundle"
        );
    }

    #[test]
    fn a_bundle_counts_from_when_its_text_was_seen_first() {
        let mut state = State::default();
        state.see(&object("7", configuration("x", "")), at(1));
        state.see(&object("8", configuration("x", "edited")), at(2));
        assert_eq!(state.slots[0].bundle.since, at(1));
        state.see(&object("9", configuration("y", "edited")), at(3));
        assert_eq!(state.slots[0].bundle.since, at(3));
        // What the watch brings late changes nothing.
        state.see(&object("8", configuration("x", "edited")), at(4));
        assert_eq!(state.slots[0].bundle.text, "y");
    }
}
