//! What is known of an object that holds bundles, and which change it needs.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::certificates::plan::Bundle;

/// How long after a bundle was written its configuration is changed once more.
const LATER: SignedDuration = SignedDuration::from_secs(2);

/// What is known of one object.
#[derive(Default)]
pub(super) struct State {
    /// It was looked for.
    pub(super) listed: bool,
    version: String,
    /// Where it holds bundles.
    pub(super) slots: Vec<Slot>,
}

/// A place for a bundle.
#[derive(Clone)]
pub(super) struct Slot {
    pointer: String,
    /// What is there.
    pub(super) bundle: Bundle,
    /// It was written once more.
    is_again: bool,
}

impl Slot {
    fn set(&self, text: &str) -> Value {
        json!({"op": "add", "path": self.pointer, "value": BASE64_STANDARD.encode(text)})
    }
}

impl State {
    pub(super) fn see(&mut self, object: &DynamicObject, now: Timestamp) {
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        let number = |version: &str| version.parse::<u64>().ok();
        // What an own write returned is newer than what the watch has yet to bring.
        if number(&version) < number(&self.version) {
            return;
        }
        let before = std::mem::take(&mut self.slots);
        self.slots = slots(&object.data)
            .map(|(pointer, mut text)| {
                let is_again = text.ends_with("\n\n");
                if is_again {
                    text.pop();
                }
                let same = before
                    .iter()
                    .find(|slot| slot.pointer == pointer && slot.bundle.text == text);
                let since = same.map_or(now, |slot| slot.bundle.since);
                let bundle = Bundle { text, since };
                Slot {
                    pointer,
                    bundle,
                    is_again,
                }
            })
            .collect();
        self.version = version;
    }

    pub(super) fn lose(&mut self) {
        *self = Self {
            listed: self.listed,
            ..Self::default()
        };
    }

    /// The change that has every slot hold this text, if one does not. It fails if anybody has
    /// changed the object since, because then the pointers may point elsewhere.
    pub(super) fn patch(&self, text: &str) -> Option<Value> {
        let others = self.slots.iter().filter(|slot| slot.bundle.text != text);
        let others: Vec<_> = others.map(|slot| slot.set(text)).collect();
        (!others.is_empty()).then(|| self.tested(others))
    }

    /// When it is to be changed once more: a moment after its bundles were seen that were not yet.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let is_first = |slot: &&Slot| !slot.is_again && !slot.bundle.text.is_empty();
        let since = self.slots.iter().filter(is_first);
        let since = since.map(|slot| slot.bundle.since).max()?;
        since.checked_add(LATER).ok()
    }

    /// The change that has every slot hold the same in another way.
    pub(super) fn once_more(&self) -> Value {
        let slots = self.slots.iter();
        let slots = slots.filter(|slot| !slot.bundle.text.is_empty());
        self.tested(slots.map(|slot| slot.set(&format!("{}\n", slot.bundle.text))))
    }

    fn tested(&self, changes: impl IntoIterator<Item = Value>) -> Value {
        let test = json!({
            "op": "test", "path": "/metadata/resourceVersion", "value": self.version,
        });
        std::iter::once(test).chain(changes).collect()
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
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    use kube::api::ApiResource;

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
    fn what_is_written_once_more_is_another_text_and_the_same_bundle() {
        let mut state = State::default();
        state.see(&object("7", configuration("new\n", "")), at(1));
        let mut live = json!({"metadata": {"resourceVersion": "7"}});
        live["webhooks"] = configuration("new\n", "")["webhooks"].clone();
        let before = live.clone();
        assert_eq!(state.due(), Some(at(3)));
        let patch: json_patch::Patch = serde_json::from_value(state.once_more()).unwrap();
        json_patch::patch(&mut live, &patch).unwrap();
        assert_ne!(live, before, "an API server notices");
        state.see(&object("8", live), at(2));
        assert_eq!(state.slots[0].bundle.text, "new\n");
        assert_eq!(state.slots[0].bundle.since, at(1));
        assert_eq!(state.due(), None);
        // Whoever starts now does the same with what another has left.
        state.see(&object("9", configuration("newer\n", "")), at(4));
        assert_eq!(state.due(), Some(at(6)));
        state.see(&object("10", configuration("", "")), at(5));
        assert_eq!(state.due(), None, "it trusts nobody, and is written first");
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
