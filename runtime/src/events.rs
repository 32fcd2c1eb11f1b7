//! Events for what a person should notice.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
pub use kube::runtime::events::EventType;
use kube::runtime::events::{Event, Recorder, Reporter};

/// The longest that publishing one event may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Publishes events in tasks of their own, so that no reconcile waits for one.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// Events reported as this program, from this instance (a pod's name).
    pub fn new(client: Client, program: &str, instance: &str) -> Self {
        let reporter = Reporter {
            controller: program.to_owned(),
            instance: Some(instance.to_owned()),
        };
        Self(Recorder::new(client, reporter))
    }

    /// Something went as it should.
    pub fn normal(&self, about: &ObjectReference, reason: &str, note: &str) {
        self.publish(about, EventType::Normal, reason, note);
    }

    /// Something needs a person's eye.
    pub fn warning(&self, about: &ObjectReference, reason: &str, note: &str) {
        self.publish(about, EventType::Warning, reason, note);
    }

    fn publish(&self, about: &ObjectReference, type_: EventType, reason: &str, note: &str) {
        tokio::spawn(self.told(about, type_, reason, note));
    }

    /// Publishes one whose object is about to go: who sees that it has gone finds this. An event that
    /// cannot be published is no reason to keep the object.
    pub fn told(
        &self,
        about: &ObjectReference,
        type_: EventType,
        reason: &str,
        note: &str,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (recorder, about) = (self.0.clone(), about.clone());
        // The API server refuses notes over 1 kB.
        let note = note.chars().take(1000).collect();
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        async move {
            match tokio::time::timeout(DEADLINE, recorder.publish(&event, &about)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "an event could not be published"),
                Err(_) => tracing::warn!("an event could not be published in time"),
            }
        }
    }
}
