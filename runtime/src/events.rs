//! Events for what a person should notice.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
pub use kube::runtime::events::EventType;
use kube::runtime::events::{Event, Recorder, Reporter};

/// The longest that publishing one event may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

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
        let (note, _) = note.split_at(note.floor_char_boundary(LONGEST_NOTE));
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note.to_owned()),
            action: action(note),
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

/// Another one for another note: two events that differ in nothing else are one to the recorder, which
/// counts the first again and leaves its note.
fn action(note: &str) -> String {
    let mut digest = DefaultHasher::new();
    note.hash(&mut digest);
    format!("Reconcile{:08X}", digest.finish() >> 32)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;

    /// What an API server was asked to write of these notes, and how.
    async fn written(notes: &[&str]) -> Vec<(http::Method, Value)> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let to = written.clone();
        let server = tower::service_fn(move |request: http::Request<Body>| {
            let to = to.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let event = serde_json::from_slice(&body).unwrap();
                to.lock().push((parts.method, event));
                Ok::<_, Infallible>(http::Response::new(Body::from(body.to_vec())))
            }
        });
        let events = Events::new(Client::new(server, "default"), "test", "test");
        let about = ObjectReference {
            name: Some("demo".to_owned()),
            namespace: Some("ns".to_owned()),
            ..ObjectReference::default()
        };
        for note in notes {
            events.told(&about, EventType::Warning, "Left", note).await;
        }
        std::mem::take(&mut *written.lock())
    }

    #[tokio::test]
    async fn what_is_said_anew_hides_nothing_and_what_is_said_again_is_counted() {
        let written = written(&["a", "b", "a"]).await;
        let said = written.iter().map(|(method, event)| {
            let action = event["action"].as_str().unwrap();
            assert!(action.len() <= 128, "{action}");
            (
                method.as_str(),
                event["note"].as_str().unwrap(),
                event["series"]["count"].as_i64(),
            )
        });
        let wanted = [
            ("POST", "a", None),
            ("POST", "b", None),
            ("PATCH", "a", Some(2)),
        ];
        assert_eq!(said.collect::<Vec<_>>(), wanted);
    }
    /// It counts bytes, and refuses the whole event.
    #[tokio::test]
    async fn a_note_is_cut_at_what_the_api_server_takes() {
        let (plain, wide) = ("x".repeat(2000), format!("x{}", "é".repeat(1000)));
        let short = "é".repeat(512);
        let written = written(&[&plain, &wide, &short]).await;
        let lengths = written.iter().map(|(_, event)| {
            let note = event["note"].as_str().unwrap();
            (note.len(), note.chars().count())
        });
        let wanted = [(1024, 1024), (1023, 512), (1024, 512)];
        assert_eq!(lengths.collect::<Vec<_>>(), wanted);
    }
}
