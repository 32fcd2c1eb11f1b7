//! What is known of an object that holds bundles, and which change it needs.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::certificates::newest::Newest;
use crate::certificates::plan::Bundle;

/// How long after a bundle was written its configuration is changed once more.
pub(super) const LATER: SignedDuration = SignedDuration::from_secs(2);

/// So many writes follow each other at once; then one a second, whoever writes it back.
const AT_ONCE: usize = 5;
const APART: SignedDuration = SignedDuration::from_secs(1);

/// What is known of one object.
#[derive(Default)]
pub(super) struct State {
    /// It was looked for.
    pub(super) listed: bool,
    /// The namespace of this installation: bundles for Services of others are theirs.
    namespace: String,
    newest: Newest,
    /// When it was written last.
    writes: VecDeque<Timestamp>,
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
    /// It was written once more. It counts as that also where somebody writes it back as it was.
    is_again: bool,
}

impl Slot {
    fn set(&self, text: &str) -> Value {
        json!({"op": "add", "path": self.pointer, "value": BASE64_STANDARD.encode(text)})
    }
}

impl State {
    pub(super) fn of(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..Self::default()
        }
    }

    /// What a watch or an own write's answer shows.
    pub(super) fn see(&mut self, object: &DynamicObject, now: Timestamp) {
        if self.newest.takes(version(object)) {
            self.take(object, now);
        }
    }

    /// What a list shows.
    pub(super) fn list(&mut self, object: &DynamicObject, now: Timestamp) {
        self.newest.lists(version(object));
        self.take(object, now);
    }

    fn take(&mut self, object: &DynamicObject, now: Timestamp) {
        let before = std::mem::take(&mut self.slots);
        self.slots = slots(&object.data, &self.namespace)
            .map(|(pointer, mut text)| {
                let ends_again = text.ends_with("\n\n");
                if ends_again {
                    text.pop();
                }
                let same = before
                    .iter()
                    .find(|slot| slot.pointer == pointer && slot.bundle.text == text);
                let is_again = ends_again || same.is_some_and(|slot| slot.is_again);
                let since = same.map_or(now, |slot| slot.bundle.since);
                let bundle = Bundle { text, since };
                Slot {
                    pointer,
                    bundle,
                    is_again,
                }
            })
            .collect();
        version(object)
            .unwrap_or_default()
            .clone_into(&mut self.version);
    }

    /// A watch shows that it has gone.
    pub(super) fn gone(&mut self, object: &DynamicObject) {
        if self.newest.takes(version(object)) {
            self.slots.clear();
        }
    }

    /// A list does not have it.
    pub(super) fn lose(&mut self) {
        self.newest.lists(None);
        self.slots.clear();
    }

    /// When it may be written, if that is not now. Somebody may write it as often.
    pub(super) fn held(&self, now: Timestamp) -> Option<Timestamp> {
        let is_recent = |then: &&Timestamp| (**then..=**then + APART * 5).contains(&now);
        let recent = self.writes.iter().filter(is_recent).count();
        let next = self.writes.back().filter(|_| recent >= AT_ONCE)?;
        next.checked_add(APART).ok().filter(|next| *next > now)
    }

    pub(super) fn note_write(&mut self, now: Timestamp) {
        self.writes.push_back(now);
        if self.writes.len() > AT_ONCE {
            self.writes.pop_front();
        }
    }

    /// The change that has every slot hold this text, if one does not. It fails if anybody has
    /// changed the object since, because then the pointers may point elsewhere.
    pub(super) fn patch(&self, text: &str) -> Option<Value> {
        let others = self.slots.iter().filter(|slot| slot.bundle.text != text);
        let others: Vec<_> = others.map(|slot| slot.set(text)).collect();
        (!others.is_empty()).then(|| self.tested(others))
    }

    /// When it is to be changed once more: a moment after its bundles were seen that were not yet.
    pub(super) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let is_first = |slot: &&Slot| !slot.is_again && !slot.bundle.text.is_empty();
        let since = self.slots.iter().filter(is_first);
        let since = since.map(|slot| slot.bundle.since).max()?;
        // A clock may have been set back meanwhile.
        if since > now {
            return Some(now);
        }
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

fn version(object: &DynamicObject) -> Option<&str> {
    object.metadata.resource_version.as_deref()
}

/// Whether it leads to another installation, or to somebody else.
fn is_anothers(config: &Value, namespace: &str) -> bool {
    let service = config
        .get("service")
        .and_then(|service| service.get("namespace"));
    service
        .and_then(Value::as_str)
        .is_some_and(|found| found != namespace)
}

/// Where an object holds bundles of this namespace's, and what they hold.
fn slots(object: &Value, namespace: &str) -> impl Iterator<Item = (String, String)> {
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
    let all = of_webhooks.chain(of_conversion);
    let ours = all.filter(move |(_, config)| !is_anothers(config, namespace));
    ours.map(|(pointer, config)| {
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
        assert_eq!(state.due(at(1)), Some(at(3)));
        let patch: json_patch::Patch = serde_json::from_value(state.once_more()).unwrap();
        json_patch::patch(&mut live, &patch).unwrap();
        assert_ne!(live, before, "an API server notices");
        state.see(&object("8", live), at(2));
        assert_eq!(state.slots[0].bundle.text, "new\n");
        assert_eq!(state.slots[0].bundle.since, at(1));
        assert_eq!(state.due(at(2)), None);
        // Whoever starts now does the same with what another has left.
        state.see(&object("9", configuration("newer\n", "")), at(4));
        assert_eq!(state.due(at(4)), Some(at(6)));
        state.see(&object("10", configuration("", "")), at(5));
        assert_eq!(
            state.due(at(5)),
            None,
            "it trusts nobody, and is written first"
        );
    }

    /// Who enforces the plain bundle writes it back each time.
    #[test]
    fn what_somebody_writes_back_as_it_was_is_not_written_once_more_again() {
        let mut state = State::default();
        state.see(&object("7", configuration("new\n", "")), at(1));
        state.see(&object("8", configuration("new\n\n", "")), at(3));
        state.see(&object("9", configuration("new\n", "")), at(4));
        assert_eq!(state.due(at(4)), None);
        // What was broken and repaired is.
        state.see(&object("10", configuration("broken", "")), at(5));
        state.see(&object("11", configuration("new\n", "")), at(6));
        assert_eq!(state.due(at(6)), Some(at(8)));
        // By a clock that was set back it is at once.
        assert_eq!(state.due(at(2)), Some(at(2)));
    }

    #[test]
    fn a_fight_comes_to_one_write_a_second() {
        let mut state = State::default();
        let mut written = Vec::new();
        for tick in 0..200 {
            let now = Timestamp::from_millisecond(1_000_000 + tick * 100).unwrap();
            if state.held(now).is_none() {
                state.note_write(now);
                written.push(tick);
            }
        }
        assert!(written.starts_with(&[0, 1, 2, 3, 4, 14, 24]), "{written:?}");
        assert!(written.len() <= 25, "{written:?}");
        assert_eq!(state.held(at(9_000)), None);
        assert_eq!(state.held(at(1)), None, "the clock was set back");
    }

    #[test]
    fn what_a_list_has_is_so_and_what_comes_late_is_not() {
        let mut state = State::default();
        state.see(&object("900", configuration("new\n", "")), at(1));
        // The store was brought back to an earlier state.
        state.list(&object("500", configuration("old\n", "")), at(2));
        assert_eq!(state.slots[0].bundle.text, "old\n");
        assert_eq!(state.patch("x").unwrap()[0]["value"], "500");
        // It was replaced, and the deletion is shown late.
        state.see(&object("503", configuration("", "")), at(3));
        state.gone(&object("502", configuration("old\n", "")));
        assert!(!state.slots.is_empty());
        // An own write's answer comes after the deletion.
        state.gone(&object("505", configuration("", "")));
        state.see(&object("504", configuration("new\n", "")), at(4));
        assert!(state.slots.is_empty());
        state.lose();
        state.see(&object("3", configuration("new\n", "")), at(5));
        assert!(!state.slots.is_empty());
    }

    #[test]
    fn bundles_of_another_namespace_are_left_alone() {
        let mut state = State::of("ours");
        let service = |namespace: &str| json!({"service": {"name": "w", "namespace": namespace}});
        let webhooks = json!({"webhooks": [
            {"name": "a", "clientConfig": service("theirs")},
            {"name": "b", "clientConfig": service("ours")},
        ]});
        state.see(&object("7", webhooks), at(1));
        let patch = state.patch("new").unwrap();
        let paths: Vec<_> = patch
            .as_array()
            .unwrap()
            .iter()
            .map(|op| &op["path"])
            .collect();
        assert_eq!(
            paths,
            [
                "/metadata/resourceVersion",
                "/webhooks/1/clientConfig/caBundle"
            ]
        );
        let conversion =
            json!({"spec": {"conversion": {"webhook": {"clientConfig": service("theirs")}}}});
        state.see(&object("8", conversion), at(2));
        assert!(state.patch("new").is_none());
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
