//! The Secret: watched by every replica, written by the one that leads.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Served;
use super::newest::Newest;
use crate::metrics::Metrics;

/// The longest that one write may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The Secret as it was last seen.
#[derive(Clone, Default)]
pub enum SeenSecret {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// There is none.
    Missing,
    /// It is there.
    There(Box<Secret>),
}

/// Why the Secret was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server said no, or nothing.
    #[error("the Secret could not be written")]
    Api(#[from] kube::Error),
    /// No answer in time.
    #[error("no response within {} s while writing the Secret", DEADLINE.as_secs())]
    Timeout,
}

/// Watches the Secret, serves what it holds, and tells what was seen.
pub async fn follow(
    client: Client,
    namespace: String,
    name: String,
    served: Served,
    metrics: Metrics,
    seen: watch::Sender<SeenSecret>,
    stop: CancellationToken,
) {
    let api: Api<Secret> = Api::namespaced(client, &namespace);
    let config = runtime::watch_config().fields(&format!("metadata.name={name}"));
    let events = watcher(api, config)
        .default_backoff()
        .take_until(stop.cancelled_owned());
    tokio::pin!(events);
    let mut listed = false;
    let mut newest = Newest::default();
    let take = |secret: Secret| {
        served.take(&secret, Timestamp::now());
        seen.send_replace(SeenSecret::There(Box::new(secret)));
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = false,
            Ok(Event::InitApply(secret)) => {
                listed = true;
                newest.lists(version(&secret));
                take(secret);
            }
            Ok(Event::Apply(secret)) if newest.takes(version(&secret)) => take(secret),
            Ok(Event::Delete(secret)) if newest.takes(version(&secret)) => {
                seen.send_replace(SeenSecret::Missing);
            }
            Ok(Event::InitDone) if !listed => {
                newest.lists(None);
                seen.send_replace(SeenSecret::Missing);
            }
            Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone) => {}
            Err(error) => {
                metrics.watch_failed("Secret");
                tracing::warn!(kind = "Secret", %error, "watch failed, restarting");
            }
        }
    }
}

fn version(secret: &Secret) -> Option<&str> {
    secret.metadata.resource_version.as_deref()
}

/// Writes the data, if nobody has written since it was seen.
pub async fn write(
    client: Client,
    namespace: &str,
    name: &str,
    seen: &SeenSecret,
    data: BTreeMap<String, ByteString>,
) -> Result<Secret, WriteError> {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let params = PostParams::default();
    let request = async {
        if let SeenSecret::There(secret) = seen {
            let secret = Secret {
                data: Some(data),
                ..Secret::clone(secret)
            };
            return api.replace(name, &params, &secret).await;
        }
        let labels = [(
            "app.kubernetes.io/part-of".to_owned(),
            "k0smotron".to_owned(),
        )];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data),
            ..Secret::default()
        };
        api.create(&params, &secret).await
    };
    Ok(timeout(DEADLINE, request)
        .await
        .map_err(|_| WriteError::Timeout)??)
}
